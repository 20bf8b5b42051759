//! What is a record and what is not.

use proptest::prelude::*;

use super::*;

fn code(json: &str) -> Option<&'static str> {
    Record::parse(json.as_bytes()).err().map(|fault| fault.code)
}

#[test]
fn the_record_of_the_design_is_read() {
    let json = br#"{"tenant_id": "tenant_a", "service": "billing", "level": "ERROR", "timestamp": "2025-10-10T12:26:36Z",
        "message": "Payment failed due to invalid UUID", "full_log": "Traceback (most recent call last): ...", "language": "python"}"#;
    let record = Record::parse(json).expect("a record");
    assert_eq!(record.service(), "billing");
    assert_eq!(record.level, Some(Level::Error));
    assert_eq!(record.timestamp, Some(1_760_099_196_000));
    assert_eq!(record.summary(), "Payment failed due to invalid UUID");
}

#[test]
fn what_is_not_sent_has_its_default() {
    let record = Record::parse(br#"{"message": null, "full_log": "\n first\nsecond", "service": "", "level": null}"#).expect("a record");
    assert_eq!((record.service(), record.level, record.timestamp, record.summary()), ("unknown", None, None, " first"));
}

#[test]
fn anything_else_is_kept() {
    let record = Record::parse(br#"{"message":"m","attributes":{"a":1},"user":{"id":7},"k":1.0}"#).expect("a record");
    assert_eq!(record.attributes.map(RawValue::get), Some(r#"{"a":1}"#));
    let unknown: Vec<_> = record.unknown.iter().map(|(name, value)| (name.as_ref(), value.get())).collect();
    assert_eq!(unknown, [("user", r#"{"id":7}"#), ("k", "1.0")]);
}

#[test]
fn each_fault_has_its_code() {
    assert_eq!(code(r#"{"message":"m"}"#), None);
    assert_eq!(code("{"), Some("invalid_json"));
    assert_eq!(code(r#"{"message":"m"} x"#), Some("invalid_json"));
    assert_eq!(code("[1]"), Some("not_an_object"));
    assert_eq!(code("null"), Some("not_an_object"));
    assert_eq!(code("x"), Some("invalid_json"));
    assert_eq!(code(r#"{"message":5}"#), Some("invalid_type"));
    assert_eq!(code(r#"{"message":"m","level":"BANANA"}"#), Some("invalid_level"));
    assert_eq!(code(r#"{"message":"m","timestamp":"yesterday"}"#), Some("invalid_timestamp"));
    assert_eq!(code(r#"{"message":"m","timestamp":1e400}"#), Some("invalid_type"));
    assert_eq!(code(r#"{"message":" ","full_log":"\n"}"#), Some("missing_text"));
    assert_eq!(code("{}"), Some("missing_text"));
    assert_eq!(code(&format!(r#"{{"message":"m","service":"{}"}}"#, "s".repeat(257))), Some("field_too_long"));
    assert_eq!(Record::parse(b"{\"message\":\"\xff\"}").err().map(|f| f.code), Some("invalid_utf8"));
    assert_eq!(code(&format!(r#"{{"message":"{}"}}"#, "m".repeat(MAX_BYTES))), Some("record_too_large"));
}

#[test]
fn raw_control_characters_are_not_json_wherever_they_stand() {
    for control in ['\n', '\t', '\r', '\0', '\u{1}', '\u{1f}'] {
        for json in [format!(r#"{{"message":"a{control}b"}}"#), format!(r#"{{"message":"m","level":"error{control}"}}"#), format!(r#"{{"message":"m","k{control}ey":1}}"#)] {
            assert_eq!(code(&json), Some("invalid_json"), "{json:?}");
        }
    }
    assert_eq!(code("{\n\t\"message\" :\r\n \"m\" }"), None, "between tokens they are white space");
}

#[test]
fn the_fault_names_the_field_and_never_its_text() {
    let fault = Record::parse(br#"{"message":"m","trace_id":["s3cret"]}"#).expect_err("a list is no id");
    assert_eq!(fault.detail, "`trace_id` must be a string");
}

#[test]
fn nesting_ends_at_64() {
    let nested = |depth: usize| format!(r#"{{"message":"m","a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert_eq!(code(&nested(MAX_DEPTH - 1)), None);
    assert_eq!(code(&nested(MAX_DEPTH)), Some("nested_too_deep"));
    assert_eq!(code(&nested(10_000)), Some("nested_too_deep"));
    let twice = |name: &str| format!(r#"{{"message":"m","{name}":{}{},"{name}":{{}}}}"#, "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert_eq!([code(&twice("attributes")), code(&twice("a"))], [Some("nested_too_deep"); 2], "also where another value counts");
    assert_eq!(code(&format!(r#"{{"message":"{}"}}"#, "[".repeat(500))), None, "brackets in a string do not nest");
    assert_eq!(code(&format!(r#"{{"message":"m","a":[{}]}}"#, vec!["[]"; 500].join(","))), None, "side by side is not deep");
}

#[test]
fn nul_and_lone_surrogates_are_text_with_a_mark() {
    let record = Record::parse(br#"{"message":"a\u0000\ud800"}"#).expect("a record");
    assert_eq!(record.summary(), "a\u{fffd}\u{fffd}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::parse(&bytes);
    }

    #[test]
    fn almost_json_is_a_record_or_a_fault(text in r#"[\{\}\[\]",:a-e0-9\\ u]{0,60}"#) {
        let _ = Record::parse(format!("{{\"message\":{text}").as_bytes());
    }

    #[test]
    fn texts_come_back_as_sent(message in "\\PC{1,80}", full_log in "(\\PC|\n){0,200}") {
        prop_assume!(!message.trim().is_empty());
        let json = serde_json::json!({"message": message, "full_log": full_log}).to_string();
        let record = Record::parse(json.as_bytes()).expect("a record");
        prop_assert_eq!(record.message.as_deref(), Some(message.as_str()));
        prop_assert_eq!(record.full_log.as_deref(), Some(full_log.as_str()));
    }
}
