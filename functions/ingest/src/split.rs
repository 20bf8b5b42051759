//! Takes a body apart into records by its brackets and quotes alone, so that a record that is no JSON costs itself and not its
//! neighbours. Linear, no recursion; what is inside a record is `shared::record`'s business.

use shared::error::{Error, Result};
use shared::record::end_of_string;

/// Most records of a request.
const MAX_LOGS: usize = 5000;

/// A body taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split<'a> {
    /// What may be records, in order; white space around them is gone.
    pub(crate) records: Vec<&'a [u8]>,
    /// The body is one record and nothing around it: what is wrong with it is wrong with the body.
    pub(crate) single: bool,
}

/// Takes a body apart: one object, an array, `{"logs": [...]}`, or NDJSON. `ndjson`: the client says that it is that.
///
/// # Errors
/// `empty_body`, `invalid_json` where brackets do not close, `unknown_field` beside `logs`, `too_many_logs`.
pub(crate) fn split(body: &[u8], ndjson: bool) -> Result<Split<'_>> {
    // A byte-order mark is not JSON, but what Windows tools begin UTF-8 files with.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    let Some(first) = body.first() else {
        return Err(Error::Malformed { code: "empty_body", detail: "the body is empty".to_owned() });
    };
    let records = match first {
        _ if ndjson => lines(body)?,
        b'[' => elements(body)?,
        b'{' => match end_of_value(body, 0) {
            Some(end) if end == body.len() => match wrapped(body)? {
                Some(logs) => elements(logs)?,
                None => return Ok(Split { records: vec![body], single: true }),
            },
            _ if memchr::memchr(b'\n', body).is_some() => lines(body)?,
            _ => return Err(unclosed()),
        },
        _ => return Ok(Split { records: vec![body], single: true }),
    };
    Ok(Split { records, single: false })
}

/// Adds a part, as long as there are not too many: 20 MiB of commas would be 20 million of them.
fn push<'a>(found: &mut Vec<&'a [u8]>, part: &'a [u8]) -> Result<()> {
    if found.len() == MAX_LOGS {
        return Err(Error::TooLarge { code: "too_many_logs", detail: format!("the body has more than {MAX_LOGS} logs") });
    }
    found.push(part);
    Ok(())
}

fn lines(body: &[u8]) -> Result<Vec<&[u8]>> {
    let lines = memchr::memchr_iter(b'\n', body).chain([body.len()]);
    let mut start = 0;
    let mut found = Vec::new();
    for end in lines {
        let line = body[start..end].trim_ascii();
        if !line.is_empty() {
            push(&mut found, line)?;
        }
        start = end + 1;
    }
    Ok(found)
}

/// The elements of an array that fills `array`.
fn elements(array: &[u8]) -> Result<Vec<&[u8]>> {
    if end_of_value(array, 0) != Some(array.len()) || array.last() != Some(&b']') {
        return Err(unclosed());
    }
    let inside = &array[1..array.len() - 1];
    if inside.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut start = 0;
    loop {
        let end = end_of_element(inside, start);
        push(&mut found, inside[start..end].trim_ascii())?;
        if end >= inside.len() {
            return Ok(found);
        }
        start = end + 1;
    }
}

/// Where the element that begins at `start` ends: the next comma outside of brackets and strings, or the end.
fn end_of_element(json: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < json.len() {
        match json[at] {
            b',' => return at,
            b'"' => at = end_of_string(json, at) + 1,
            b'{' | b'[' => at = end_of_value(json, at).unwrap_or(json.len()),
            _ => at += 1,
        }
    }
    json.len()
}

/// Where the object or array that opens at `start` closes: the index past its last bracket.
fn end_of_value(json: &[u8], start: usize) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, start);
    while at < json.len() {
        match json[at] {
            b'"' => at = end_of_string(json, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The array of `{"logs": [...]}`, if the object is that and no record that happens to have such a field.
fn wrapped(object: &[u8]) -> Result<Option<&[u8]>> {
    let inside = &object[1..object.len() - 1];
    let (mut logs, mut others, mut text) = (None, 0, false);
    let mut start = 0;
    while start < inside.len() {
        let end = end_of_element(inside, start);
        let (name, value) = member(&inside[start..end]);
        match name {
            b"\"logs\"" if value.first() == Some(&b'[') && logs.is_none() => logs = Some(value),
            b"\"message\"" | b"\"full_log\"" => text = true,
            _ => others += 1,
        }
        start = end + 1;
    }
    match logs {
        Some(_) if !text && others > 0 => Err(Error::invalid("logs", "nothing else may stand beside one list of `logs`: it would be thrown away")),
        Some(logs) if !text => Ok(Some(logs)),
        _ => Ok(None),
    }
}

fn member(json: &[u8]) -> (&[u8], &[u8]) {
    let json = json.trim_ascii();
    let name_end = if json.first() == Some(&b'"') { end_of_string(json, 0) + 1 } else { 0 };
    let (name, rest) = json.split_at(name_end.min(json.len()));
    (name, rest.trim_ascii_start().strip_prefix(b":").unwrap_or(rest).trim_ascii())
}

fn unclosed() -> Error {
    Error::Malformed { code: "invalid_json", detail: "the body is not JSON: what opens does not close, or something follows it".to_owned() }
}

/// Writes a record as one line: line breaks between its tokens are left out with the other white space there.
pub(crate) fn write_line(record: &[u8], lines: &mut Vec<u8>) {
    if memchr::memchr2(b'\n', b'\r', record).is_none() {
        lines.extend_from_slice(record);
    } else {
        let mut at = 0;
        while at < record.len() {
            match record[at] {
                b'"' => {
                    let end = end_of_string(record, at) + 1;
                    lines.extend_from_slice(&record[at..end]);
                    at = end;
                    continue;
                }
                b' ' | b'\n' | b'\r' | b'\t' => {}
                token => lines.push(token),
            }
            at += 1;
        }
    }
    lines.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(body: &str) -> Vec<String> {
        split(body.as_bytes(), false).expect("a body").records.into_iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    }

    fn code(body: &str) -> &'static str {
        match split(body.as_bytes(), false) {
            Err(Error::Malformed { code, .. } | Error::TooLarge { code, .. } | Error::Invalid { code, .. }) => code,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn every_shape_comes_apart() {
        let (a, b) = (r#"{"message":"a, [b] {c} \" ]"}"#, r#"{"message":"b"}"#);
        assert_eq!(parts(a), [a]);
        assert_eq!(parts(&format!(" [ {a} , {b} ] ")), [a, b]);
        assert_eq!(parts(&format!(r#"{{ "logs" : [{a},{b}] }}"#)), [a, b]);
        assert_eq!(parts(&format!("{a}\n\r\n{b}\n")), [a, b]);
        assert_eq!(parts(&format!("{a}\n{{broken\n{b}")), [a, "{broken", b]);
        assert_eq!(parts(&format!("\u{feff}[{a}]")), [a]);
        assert_eq!(parts("[]"), [""; 0]);
    }

    #[test]
    fn a_bad_element_costs_itself() {
        assert_eq!(parts(r#"[{"a":1},nonsense,{"b":2 "c"},,{"d":4}]"#), [r#"{"a":1}"#, "nonsense", r#"{"b":2 "c"}"#, "", r#"{"d":4}"#]);
    }

    #[test]
    fn a_record_may_have_a_field_named_logs() {
        let record = r#"{"message":"m","logs":[1,2]}"#;
        assert_eq!(parts(record), [record]);
        assert_eq!(code(r#"{"logs":[],"tenant_id":"x"}"#), "invalid_parameter");
        assert_eq!(code(r#"{"logs":[1],"logs":[2]}"#), "invalid_parameter");
    }

    #[test]
    fn what_does_not_close_is_no_body() {
        for body in ["[", "[{}", "[{]", "{\"a\":1", "[1]2", "[\"a]", "[1}"] {
            assert_eq!(code(body), "invalid_json", "{body}");
        }
        assert_eq!(code(" \n"), "empty_body");
        assert_eq!(code(&format!("[{}]", vec!["{}"; MAX_LOGS + 1].join(","))), "too_many_logs");
    }

    #[test]
    fn ten_thousand_levels_are_no_trouble() {
        let deep = format!("[{}{}]", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(parts(&deep).len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_come_apart_or_are_refused(body in proptest::collection::vec(any::<u8>(), 0..200), ndjson: bool) {
            let _ = split(&body, ndjson);
        }

        #[test]
        fn almost_json_comes_apart_or_is_refused(body in r#"[\[\{][\{\}\[\]",:a \\\n]{0,60}"#) {
            let _ = split(body.as_bytes(), false);
        }

        #[test]
        fn a_pretty_array_comes_apart_into_what_went_in(texts in proptest::collection::vec("\\PC{0,20}", 0..10)) {
            let records: Vec<_> = texts.iter().map(|text| serde_json::json!({"message": text, "n": [1, {"a": text}]})).collect();
            let body = serde_json::to_vec_pretty(&records).expect("JSON");
            let mut lines = Vec::new();
            split(&body, false).expect("a body").records.iter().for_each(|record| write_line(record, &mut lines));
            let back: Vec<serde_json::Value> = lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).expect("a line")).collect();
            prop_assert_eq!(back, records);
        }
    }
}
