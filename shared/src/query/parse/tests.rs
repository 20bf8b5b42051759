use super::*;
use crate::query::strategy::queries;
use crate::query::{MAX_WILDCARDS, MAX_WORDS, Place, Query};
use proptest::prelude::*;

const NOW: UnixMs = 1_760_099_196_000;

fn read(text: &str) -> String {
    Query::parse(text, NOW).unwrap_or_else(|error| panic!("{text}: {error}\n{}", error.place.caret)).to_string()
}

fn place(text: &str) -> Place {
    Query::parse(text, NOW).expect_err(text).place
}

#[test]
fn words_phrases_operators_and_groups() {
    for (text, tree) in [
        ("payment failed", r#""payment" "failed""#),
        (r#"payment "timed out" -retry -"no such host""#, r#""payment" "timed out" NOT "retry" NOT "no such host""#),
        ("a AND b OR c", r#"("a" "b") OR "c""#),
        ("a (b OR NOT c) d", r#""a" ("b" OR NOT "c") "d""#),
        ("-(a b)", r#"NOT ("a" "b")"#),
        ("NOT NOT a", r#"NOT NOT "a""#),
        ("((a))", r#""a""#),
        ("a  OR\tb", r#""a" OR "b""#),
        ("and or not", r#""and" "or" "not""#),
        (r#"\-x \"y \(z"#, r#""-x" "\"y" "(z""#),
    ] {
        assert_eq!(read(text), tree, "{text}");
    }
}

#[test]
fn fields_comparisons_and_ranges() {
    for (text, tree) in [
        ("service:billing", r#"service:"billing""#),
        (r#"service:"shop web""#, r#"service:"shop web""#),
        ("service:(a OR b)", r#"service:"a" OR service:"b""#),
        ("service:(a -b*)", r#"service:"a" NOT service:b*"#),
        ("message:Pay full_log:(x y)", r#"message:"Pay" (full_log:"x" full_log:"y")"#),
        ("level:err", "level:ERROR"),
        ("level>=warn", "level:[WARN TO FATAL]"),
        ("level<info", "level:[TRACE TO DEBUG]"),
        ("level:(warn OR error)", "level:WARN OR level:ERROR"),
        ("level:{INFO TO *]", "level:[WARN TO FATAL]"),
        ("timestamp<2025-10-10T12:00:00Z", "timestamp:[* TO 2025-10-10T12:00:00.000Z}"),
        ("timestamp:2025-10-10", "timestamp:[2025-10-10T00:00:00.000Z TO 2025-10-11T00:00:00.000Z}"),
        ("timestamp>2025-10-10", "timestamp:[2025-10-11T00:00:00.000Z TO *}"),
        ("received_at>=now-15m", "received_at:[2025-10-10T12:11:36.000Z TO *}"),
        ("attributes.http.status>=500", "attributes.http.status:[500.0 TO *]"),
        ("attributes.amount:[10 TO 20}", "attributes.amount:[10.0 TO 20.0}"),
        ("attributes.amount:{-1e3 TO *]", "attributes.amount:{-1000.0 TO *]"),
        ("attributes.user.id:7", r#"attributes.user.id:"7""#),
        (r"attributes.a\:b:c\*d", r#"attributes.a\:b:"c*d""#),
        ("trace_id:* -attributes.user:*", "trace_id:* NOT attributes.user:*"),
        ("service:*", "level:[TRACE TO FATAL]"),
        ("id:6BA7B810*", "id:6ba7b810*"),
        ("pay* te?t", "pay* te?t"),
        ("message:*Exception", "message:*exception"),
        ("/var/log/app*", r#""var log" app*"#),
        ("message:user_*_id", r#"message:"user" message:"id""#),
        ("*NullPointer*", "*nullpointer*"),
        ("logstash-1.*-monolithic.jar", r#""logstash 1" "monolithic jar""#),
        ("/tmp/*/000715171.index", r#""tmp" "000715171 index""#),
        ("elastic_user_1*", r#""elastic user" 1*"#),
        ("testing.(*T).Run", r#""testing" *t "Run""#),
        ("message:(connect -> refused ...)", r#"message:"connect" message:"refused""#),
        ("timestamp<=9999-12-31T23:59:59.999Z", "timestamp:[* TO *}"),
        ("timestamp:9999-12-31", "timestamp:[9999-12-31T00:00:00.000Z TO *}"),
        ("error NOT Timeout", r#""error" NOT "Timeout""#),
    ] {
        assert_eq!(read(text), tree, "{text}");
    }
}

#[test]
fn what_people_paste_is_text() {
    for (text, tree) in [
        ("/var/log/app-1.log", r#""/var/log/app-1.log""#),
        ("https://status.example.org/?a=1&b=2", r#""https://status.example.org/?a=1&b=2""#),
        ("GET /index.php?id=5 HTTP/1.1", r#""GET" "/index.php?id=5" "HTTP/1.1""#),
        ("6ba7b810-9dad-41d1-80b4-00c04fd430c8", r#""6ba7b810-9dad-41d1-80b4-00c04fd430c8""#),
        ("10.1.2.3:8080", r#""10.1.2.3:8080""#),
        ("Foo::bar(x)", r#""Foo::bar(x)""#),
        ("std::vec::Vec<T>", r#""std::vec::Vec<T>""#),
        (r#"{"level":"error","id":5}"#, r#""{\"level\":\"error\",\"id\":5}""#),
        (r#"{"message": "connection refused"}"#, r#""{\"message\":" "\"connection" "refused\"}""#),
        ("level=ERROR message: gone id::new", r#""level=ERROR" "message:" "gone" "id::new""#),
        ("at com.foo.Bar.baz(Bar.java:12)", r#""at" "com.foo.Bar.baz(Bar.java:12)""#),
        ("Traceback (most recent call last):", r#""Traceback" ("most" "recent" "call" "last")"#),
        (r#"File "/srv/pay.py", line 3, in charge"#, r#""File" "\"/srv/pay.py\"," "line" "3," "in" "charge""#),
        ("2025-10-10 12:26:36,123 [main] INFO - started", r#""2025-10-10" "12:26:36,123" "[main]" "INFO" "started""#),
        ("a - b -> c --flag", r#""a" "b" "c" "--flag""#),
        ("select count(*) from t", r#""select" "count(*)" "from" "t""#),
        ("foo) (bar", r#""foo)" "bar""#),
        (r#"say "no end"#, r#""say" "\"no" "end""#),
        (r"C:\Users\me", r#""C:\\Users\\me""#),
        ("Is it running? on port 5432?", r#""Is" "it" "running?" "on" "port" "5432?""#),
        ("HTTP/1.1 404 NOT FOUND", r#""HTTP/1.1" "404" "NOT" "FOUND""#),
        ("NOT NULL constraint failed", r#""NOT" "NULL" "constraint" "failed""#),
        ("exit code -1 -[UIView draw]", r#""exit" "code" "-1" "-[UIView" "draw]""#),
        ("日本語 ошибка", r#""日本語" "ошибка""#),
        ("a\0b", "\"a\u{fffd}b\""),
    ] {
        assert_eq!(read(text), tree, "{text}");
    }
}

#[test]
fn an_error_says_where_and_what_was_expected() {
    for (text, offset, length, expected) in [
        ("a AND", 5, 1, "a term"),
        ("OR a", 0, 1, "a term"),
        ("a OR OR b", 5, 1, "a term"),
        ("NOT", 3, 1, "a term"),
        ("AND a", 0, 1, "a term"),
        ("x (a OR b", 2, 1, "a `)`"),
        ("level:loud", 6, 4, "TRACE, DEBUG, INFO, WARN, ERROR, FATAL or a usual synonym"),
        ("level>fatal", 6, 5, "a lower value that is below the upper one"),
        ("timestamp>yesterday", 10, 9, "2025-10-10T12:26:36Z, a date, `now`, or `now-15m` (units s, m, h, d, w)"),
        ("attributes.n>x", 13, 1, "a number, such as 500 or -0.5"),
        ("attributes.n:[1 2]", 16, 1, "`TO`, as in `[10 TO 20]`"),
        ("attributes.n:[1 TO 2", 20, 1, "`]`, or `}` to leave the upper value out"),
        ("attributes.n:[ TO 2]", 15, 1, "the lower value, or `*`"),
        ("attributes.n:[3 TO 2]", 13, 8, "a lower value that is below the upper one"),
        ("service:(a level:x)", 11, 1, "a value"),
        ("service:()", 8, 2, "a value"),
        ("service:\"x", 8, 1, "a closing `\"`"),
        ("message:---", 8, 3, "a word with at least one letter or digit"),
        ("a*", 0, 2, "at least 2 characters beside the `*`, or a whole word with it"),
        ("level:error a*", 12, 2, "at least 2 characters beside the `*`, or a whole word with it"),
        ("foo OR a*", 7, 2, "at least 2 characters beside the `*`, or a whole word with it"),
        ("message:??*", 8, 3, "at least one letter or digit"),
        ("message:aa*?????????", 8, 12, "at most 4 `*` and 8 `?` in a word"),
        ("--- !!!", 0, 7, "a word with at least one letter or digit"),
    ] {
        let place = place(text);
        assert_eq!((place.offset, place.length, place.expected.as_str()), (offset, length, expected), "{text}");
        assert!(place.caret.contains('^'), "{text}");
    }
}

#[test]
fn a_broad_pattern_is_narrowed_by_a_word_wherever_that_stands() {
    for text in [
        "foo a*",
        "a* foo",
        "/var/a*",
        "/var/a* level:(warn OR error)",
        "foo a* service:(x OR y)",
        "(a*) foo",
        "foo (a* OR b*)",
        "foo a*.b*",
        "foo -a*",
        "a* (foo OR bar)",
        "foo (level:error OR (b* bar))",
    ] {
        let query = Query::parse(text, NOW).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(Query::parse(&query.to_string(), NOW).map_err(|e| e.to_string()), Ok(query), "{text}");
    }
    for (text, offset) in
        [("a* -(foo)", 0), ("a* (foo OR level:error)", 0), ("(foo OR level:error) a*", 21), ("(foo a*) OR b*", 12), ("a*.b*", 0), ("foo OR (a* level:warn)", 8), ("NOT a*", 4)]
    {
        assert_eq!(place(text).offset, offset, "{text}");
    }
}

#[test]
fn a_query_is_bounded() {
    let long = "ä".repeat(MAX_CHARS);
    assert!(Query::parse(&long, NOW).is_ok());
    assert_eq!(place(&format!("{long}ä")).offset, MAX_CHARS);
    assert!(Query::parse(&"w ".repeat(MAX_CONDITIONS), NOW).is_ok());
    assert_eq!(place(&"w ".repeat(MAX_CONDITIONS + 1)).offset, 2 * MAX_CONDITIONS);
    assert!(place(&format!("\"{}\"", "w ".repeat(MAX_WORDS + 1))).expected.contains("256 words"));
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Query::parse(&nested(MAX_DEPTH), NOW).is_ok());
    assert_eq!(place(&nested(MAX_DEPTH + 1)).offset, MAX_DEPTH + 1);
    assert!(place(&"aa* ".repeat(MAX_WILDCARDS + 1)).expected.contains("at most"));
    assert!(Query::parse(&"(".repeat(100_000), NOW).is_err() && Query::parse(&"-(".repeat(1_999), NOW).is_err());
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same(query in queries()) {
        let text = query.to_string();
        match Query::parse(&text, NOW) {
            Ok(read) => prop_assert_eq!(&read, &query, "{}", text),
            // The strategy knows nothing of these bounds.
            Err(error) => prop_assert!(error.place.expected.contains("at most"), "{} {}", text, error),
        }
    }

    #[test]
    fn any_text_is_read_or_refused_at_a_place_within_it(text in "([-\"()*?:<>=\\[\\]{}\\\\ a-cA-Z]|level|OR |AND |NOT |attributes\\.a|TO |\\PC){0,40}") {
        match Query::parse(&text, NOW) {
            Ok(query) => {
                let printed = query.to_string();
                prop_assert_eq!(Query::parse(&printed, NOW).map_err(|e| e.to_string()), Ok(query), "{}", printed);
            }
            Err(error) => prop_assert!(error.place.offset <= text.chars().count()),
        }
    }

    #[test]
    fn plain_words_are_text(words in prop::collection::vec("[a-z0-9][a-zA-Z0-9_./:@=%,;&#+-]{0,12}[a-z0-9]", 1..20)) {
        let expected: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        // A word that begins as a field does is one.
        prop_assume!(!words.iter().any(|word| KeywordField::NAMED.iter().any(|(name, _)| word.starts_with(name)) || word.contains("level") || word.contains("message")));
        prop_assert_eq!(read(&words.join(" ")), expected.join(" "));
    }
}
