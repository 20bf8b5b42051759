//! What a function says of a batch of messages (AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda").

use std::collections::HashSet;

use serde::Deserialize;

/// Which messages stay in the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// Every one.
    All,
    /// These, by their ids; none where it is empty.
    Some(HashSet<String>),
}

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "batchItemFailures")]
    failures: Option<Vec<Failure>>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "itemIdentifier")]
    id: Option<String>,
}

impl Failed {
    /// Reads the answer to an event of these messages. An empty answer, `null`, `{}` and an empty list mean that none failed; an
    /// identifier that is missing, empty or of no message of the event means that all did, and so does what is no JSON.
    pub(super) fn read(answer: &[u8], messages: &[&str]) -> Self {
        if answer.trim_ascii().is_empty() {
            return Self::Some(HashSet::new());
        }
        let Ok(response) = serde_json::from_slice::<Option<Response>>(answer) else { return Self::All };
        let failures = response.and_then(|response| response.failures).unwrap_or_default();
        let ids: Option<HashSet<String>> = failures.into_iter().map(|failure| failure.id.filter(|id| messages.contains(&id.as_str()))).collect();
        ids.map_or(Self::All, Self::Some)
    }

    pub(super) fn holds(&self, message: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(ids) => ids.contains(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> Failed {
        Failed::read(answer.as_bytes(), &["a", "b"])
    }

    #[test]
    fn nothing_named_means_that_none_failed() {
        for answer in ["", "null", "{}", r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#, r#"{"other":1}"#] {
            assert_eq!(read(answer), Failed::Some(HashSet::new()), "{answer}");
        }
    }

    #[test]
    fn what_is_named_stays() {
        let failed = read(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#);
        assert!(failed.holds("b") && !failed.holds("a"));
    }

    #[test]
    fn what_makes_no_sense_keeps_all() {
        for failures in [r#"[{"itemIdentifier":""}]"#, r#"[{"itemIdentifier":null}]"#, r#"[{"id":"a"}]"#, r#"[{"itemIdentifier":"a"},{"itemIdentifier":"c"}]"#, r#""a""#] {
            assert_eq!(read(&format!(r#"{{"batchItemFailures":{failures}}}"#)), Failed::All, "{failures}");
        }
        assert_eq!(read("done"), Failed::All);
    }
}
