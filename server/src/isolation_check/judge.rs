//! The judgement: what must happen to a caller, by what the document says of the route, and whether it did. Knows nothing of HTTP calls.

use super::callers::{Side, Who};
use super::document::{Operation, Way};

/// Whose ids and words a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The caller's own; those of the first tenant where the caller is no tenant.
    Own,
    /// Those of another tenant, in the path.
    ForeignPath,
    /// Those of another tenant, elsewhere: what is asked for may be there, but nothing of the other.
    ForeignElsewhere,
}

/// What must happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// One of these, and nothing that tells of anybody.
    Refused(&'static [u16]),
    /// Anything but a refusal for who it is.
    LetIn,
    /// Whatever it is, it tells of nobody else.
    NothingForeign,
}

/// Refused for who it is.
const NOT_LET_IN: [u16; 2] = [401, 403];

/// Routes that a suspended tenant is kept out of, whatever its keys may: it reads, and has nothing stored.
const CLOSED_TO_SUSPENDED: &[&str] = &["POST /logs", "POST /v1/logs", "POST /v1/dead-letters/redrive", "POST /v1/dead-letters/{id}/redrive"];

/// What must happen to a caller.
pub(super) fn expected(operation: &Operation, ways: &[Way], who: &Who, whose: Whose) -> Expected {
    let is_open = ways.contains(&Way::Anyone);
    match who {
        _ if is_open => Expected::NothingForeign,
        Who::Nobody => Expected::Refused(&[401]),
        Who::Operator if ways.contains(&Way::Operator) => Expected::LetIn,
        Who::Operator => Expected::Refused(&[401, 403]),
        Who::Tenant { of, .. } if may(ways, who) => match (whose, of) {
            (_, Side::Suspended) if CLOSED_TO_SUSPENDED.contains(&operation.name().as_str()) => Expected::Refused(&[403]),
            (Whose::ForeignPath, _) => Expected::Refused(&[403, 404]),
            (Whose::ForeignElsewhere, _) => Expected::NothingForeign,
            (Whose::Own, _) => Expected::LetIn,
        },
        Who::Tenant { .. } if ways.iter().any(|way| matches!(way, Way::Scopes(_))) => Expected::Refused(&[403, 404]),
        Who::Tenant { .. } => Expected::Refused(&[401, 403, 404]),
    }
}

/// Whether the document lets a caller in.
pub(super) fn may(ways: &[Way], who: &Who) -> bool {
    ways.iter().any(|way| match (way, who) {
        (Way::Anyone, _) | (Way::Operator, Who::Operator) => true,
        (Way::Scopes(asked), Who::Tenant { scopes, .. }) => asked.iter().all(|scope| scopes.contains(scope)),
        _ => false,
    })
}

/// What is wrong with an answer; `None` where nothing is. `told` are words that the caller must not be told, `sent` what the request itself held: an
/// answer that repeats it tells nothing.
pub(super) fn fault(expected: Expected, status: u16, answer: &str, told: &[String], sent: &[String]) -> Option<String> {
    let was_sent = |word: &&String| sent.iter().any(|text| text.contains(word.as_str()));
    if let Some(word) = told.iter().filter(|word| !was_sent(word)).find(|word| answer.contains(word.as_str())) {
        return Some(format!("answered {status}, and told of another tenant: `{word}`"));
    }
    match expected {
        _ if status >= 500 => Some(format!("answered {status}: nothing is known of what it would show")),
        Expected::Refused(statuses) if !statuses.contains(&status) => Some(format!("must be refused ({}), and was answered {status}", list(statuses))),
        Expected::LetIn if NOT_LET_IN.contains(&status) => Some(format!("may, as the document says, and was refused: {status}")),
        _ => None,
    }
}

fn list(statuses: &[u16]) -> String {
    statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(name: &str) -> Operation {
        let (method, path) = name.split_once(' ').expect("two words");
        Operation { method: method.parse().expect("a method"), path: path.to_owned(), parameters: Vec::new(), body: None, ways: Ok(Vec::new()) }
    }

    fn key(of: Side, scopes: &[&str]) -> Who {
        Who::Tenant { of, scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect() }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    const READ: &str = "logs:read";

    #[test]
    fn each_kind_of_caller_is_expected_where_the_document_lets_it_in_and_nowhere_else() {
        let route = operation("GET /v1/things/{id}");
        let of_key = [Way::Scopes(words(&[READ]))];
        let of_operator = [Way::Operator];
        let expect = |ways: &[Way], who: &Who, whose| expected(&route, ways, who, whose);
        assert_eq!(expect(&of_key, &Who::Nobody, Whose::Own), Expected::Refused(&[401]));
        assert_eq!(expect(&of_key, &Who::Operator, Whose::Own), Expected::Refused(&[401, 403]));
        assert_eq!(expect(&of_key, &key(Side::B, &[READ]), Whose::Own), Expected::LetIn);
        assert_eq!(expect(&of_key, &key(Side::B, &["logs:write"]), Whose::Own), Expected::Refused(&[403, 404]));
        assert_eq!(expect(&of_key, &key(Side::B, &[READ]), Whose::ForeignPath), Expected::Refused(&[403, 404]));
        assert_eq!(expect(&of_key, &key(Side::B, &[READ]), Whose::ForeignElsewhere), Expected::NothingForeign);
        assert_eq!(expect(&of_operator, &key(Side::B, &[READ]), Whose::Own), Expected::Refused(&[401, 403, 404]));
        assert_eq!(expect(&of_operator, &Who::Operator, Whose::Own), Expected::LetIn);
        assert_eq!(expect(&[Way::Anyone], &Who::Nobody, Whose::Own), Expected::NothingForeign);
        let both = [Way::Scopes(words(&[READ, "tenant:admin"]))];
        assert!(!may(&both, &key(Side::B, &[READ])) && may(&both, &key(Side::B, &["tenant:admin", READ])), "all scopes of one way are asked for");
    }

    #[test]
    fn a_suspended_tenant_reads_and_does_not_send() {
        let ways = [Way::Scopes(words(&["logs:write"]))];
        let suspended = key(Side::Suspended, &["logs:write"]);
        assert_eq!(expected(&operation("POST /v1/logs"), &ways, &suspended, Whose::Own), Expected::Refused(&[403]));
        assert_eq!(expected(&operation("GET /v1/batches/{batch_id}"), &ways, &suspended, Whose::Own), Expected::LetIn);
    }

    #[test]
    fn a_route_that_tells_of_another_tenant_is_at_fault_whatever_it_answers() {
        let told = words(&["secretword", "isolation_a_1"]);
        for expected in [Expected::LetIn, Expected::NothingForeign, Expected::Refused(&[404])] {
            let fault = fault(expected, 404, r#"{"detail":"the log secretword is not yours"}"#, &told, &[]);
            assert!(fault.is_some_and(|why| why.contains("secretword")), "{expected:?}");
        }
        assert_eq!(fault(Expected::NothingForeign, 200, r#"{"logs":[]}"#, &told, &[]), None);
    }

    #[test]
    fn what_the_request_said_itself_may_be_repeated_and_nothing_beside_it() {
        let told = words(&["isolation_a_1", "secretword"]);
        let sent = words(&["isolation_a_1"]);
        assert_eq!(fault(Expected::NothingForeign, 422, "there is no tenant isolation_a_1", &told, &sent), None);
        assert!(fault(Expected::NothingForeign, 200, "isolation_a_1 says secretword", &told, &sent).is_some());
    }

    #[test]
    fn a_route_without_a_check_is_at_fault_for_each_who_must_be_refused() {
        let route = operation("GET /v1/things/{id}");
        let ways = [Way::Scopes(words(&[READ]))];
        for (who, whose) in [
            (Who::Nobody, Whose::Own),
            (Who::Operator, Whose::Own),
            (key(Side::A, &["logs:write"]), Whose::Own),
            (key(Side::B, &["logs:write"]), Whose::Own),
            (key(Side::B, &[READ]), Whose::ForeignPath),
        ] {
            let expected = expected(&route, &ways, &who, whose);
            assert!(fault(expected, 200, "{}", &[], &[]).is_some(), "{who:?} {whose:?}");
            assert!(fault(expected, 204, "", &[], &[]).is_some(), "{who:?} {whose:?}");
        }
        assert!(fault(Expected::LetIn, 403, "", &[], &[]).is_some(), "who may is let in");
        assert!(fault(Expected::NothingForeign, 500, "", &[], &[]).is_some(), "trouble hides what would be shown");
    }
}
