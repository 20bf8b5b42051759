//! Parameters, alone and with a cursor.

use super::*;
use shared::ids::BatchId;

const NOW: u64 = 1_760_099_196_000;

fn params(pairs: &[(&str, &str)]) -> ListParams {
    let all = |name: &str| pairs.iter().filter(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned()).collect::<Vec<_>>();
    let one = |name: &str| all(name).pop();
    ListParams {
        from: one("from"),
        to: one("to"),
        service: all("service"),
        level: all("level"),
        limit: one("limit"),
        cursor: one("cursor"),
        sort: one("sort"),
        fields: one("fields"),
    }
}

fn asked(pairs: &[(&str, &str)]) -> Result<Asked> {
    Asked::list(params(pairs), NOW)
}

fn fault(outcome: Result<Asked>) -> (String, String) {
    match outcome {
        Err(Error::Invalid { mut faults, .. }) => faults.pop().map(|fault| (fault.field.unwrap_or_default(), fault.code)).expect("a fault"),
        other => panic!("not refused: {other:?}"),
    }
}

fn next_cursor(page: &Asked) -> String {
    page.cursor((1_760_000_000_000, BatchId::new(NOW - 5).log(7)), 0.0)
}

#[test]
fn nothing_sent_is_the_newest_fifty() {
    let page = asked(&[]).expect("a page");
    assert_eq!((page.limit, page.scope.received_up_to, page.after, page.scope.range), (50, NOW, None, Range::default()));
    assert_eq!(page.filters, Filters::default());
}

#[test]
fn filters_repeat_in_any_order_and_case() {
    let page = asked(&[("service", "b"), ("service", ""), ("service", "a"), ("service", "b"), ("level", "warning"), ("level", "Error"), ("level", "WARN")]).expect("a page");
    assert_eq!((page.filters.services, page.filters.levels), (vec!["a".to_owned(), "b".to_owned()], vec![Level::Warn, Level::Error]));
}

#[test]
fn what_is_wrong_is_named() {
    for (name, value) in [
        ("level", "loud"),
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "-1"),
        ("limit", "ten"),
        ("limit", "1e2"),
        ("sort", "relevance"),
        ("fields", "id,secret"),
        ("from", "soon"),
        ("to", "2025-13-01T00:00:00Z"),
    ] {
        assert_eq!(fault(asked(&[(name, value)])), (name.to_owned(), "invalid_parameter".to_owned()), "{name}={value}");
    }
    assert_eq!(fault(asked(&[("cursor", "x")])), ("cursor".to_owned(), "invalid_cursor".to_owned()));
    assert_eq!(fault(Asked::search(SearchParams::default(), NOW)).0, "q");
}

#[test]
fn a_cursor_carries_clock_and_range_on_while_limit_may_change() {
    let first = asked(&[("from", "now-15m"), ("to", "now"), ("limit", "10")]).expect("a page");
    let cursor = next_cursor(&first);
    let later = Asked::list(params(&[("from", "now-15m"), ("to", "now"), ("limit", "20"), ("cursor", &cursor)]), NOW + 60_000).expect("the next page");
    assert_eq!((later.scope.range, later.scope.received_up_to, later.limit), (first.scope.range, NOW, 20));
    assert!(later.after.is_some());
    // The range that the answer showed says the same as what was sent; not sending it, too.
    let shown = shared::timestamp::format(first.scope.range.from.expect("sent"));
    for pairs in [vec![("from", shown.as_str()), ("cursor", cursor.as_str())], vec![("cursor", cursor.as_str())]] {
        assert_eq!(Asked::list(params(&pairs), NOW + 60_000).expect("the next page").scope.range, first.scope.range);
    }
}

#[test]
fn a_cursor_with_other_filters_is_refused() {
    let cursor = next_cursor(&asked(&[("from", "now-15m"), ("service", "a")]).expect("a page"));
    for other in [
        vec![("from", "now-15m")],
        vec![("from", "now-15m"), ("service", "b")],
        vec![("from", "now-15m"), ("service", "a"), ("service", "b")],
        vec![("from", "now-15m"), ("service", "a"), ("level", "info")],
        vec![("from", "now-16m"), ("service", "a")],
        vec![("from", "now-15m"), ("service", "a"), ("sort", "oldest")],
        vec![("from", "now-15m"), ("to", "now"), ("service", "a")],
    ] {
        let pairs: Vec<_> = other.into_iter().chain([("cursor", cursor.as_str())]).collect();
        assert_eq!(fault(asked(&pairs)).1, "invalid_cursor", "{pairs:?}");
    }
}

#[test]
fn a_list_and_a_search_do_not_take_each_others_cursor() {
    let search = |q: &str, cursor: Option<&str>| Asked::search(SearchParams { q: Some(q.to_owned()), cursor: cursor.map(str::to_owned), ..SearchParams::default() }, NOW);
    let of_search = next_cursor(&search("timeout", None).expect("a page"));
    let of_list = next_cursor(&asked(&[]).expect("a page"));
    assert!(search("timeout", Some(&of_search)).is_ok());
    assert_eq!(fault(search("timeouts", Some(&of_search))).1, "invalid_cursor");
    assert_eq!(fault(search("timeout", Some(&of_list))).1, "invalid_cursor");
    assert_eq!(fault(asked(&[("cursor", &of_search)])).1, "invalid_cursor");
}
