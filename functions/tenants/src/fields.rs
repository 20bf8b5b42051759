//! The body of a request, read field by field, so that each thing that is wrong with it is said at once, by the field's name.

use serde::Deserialize;
use serde_json::{Map, Value};
use shared::error::{Error, Fault, Result};
use shared::query::QueryError;

/// Longest name of a tenant or a key, in characters.
const MAX_NAME_CHARS: usize = 200;

/// A JSON object whose fields are taken out one by one.
#[derive(Debug, Deserialize)]
#[serde(from = "Map<String, Value>")]
pub(crate) struct Fields {
    left: Map<String, Value>,
    faults: Vec<Fault>,
}

impl From<Map<String, Value>> for Fields {
    fn from(left: Map<String, Value>) -> Self {
        Self { left, faults: Vec::new() }
    }
}

/// What is wrong with a field.
#[derive(Debug)]
pub(crate) struct Wrong {
    code: &'static str,
    detail: String,
    place: Option<shared::query::Place>,
}

impl<T: Into<String>> From<T> for Wrong {
    fn from(detail: T) -> Self {
        Self { code: "invalid_parameter", detail: detail.into(), place: None }
    }
}

impl Wrong {
    /// What is wrong with a query, and where.
    pub(crate) fn query(error: QueryError) -> Self {
        Self { code: "invalid_query", detail: error.detail, place: Some(error.place) }
    }
}

impl Fields {
    /// A field that must be there. `None` is a fault that [`Fields::done`] tells.
    pub(crate) fn required<T, E: Into<Wrong>>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, E>) -> Option<T> {
        if self.left.get(name).is_none_or(Value::is_null) {
            self.left.remove(name);
            self.fault(name, Wrong { code: "required", ..Wrong::from("must be given") });
            return None;
        }
        self.optional(name, read)
    }

    /// A field that may be there; `null` counts as not there.
    pub(crate) fn optional<T, E: Into<Wrong>>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, E>) -> Option<T> {
        let value = self.left.remove(name).filter(|value| !value.is_null())?;
        read(&value).map_err(|wrong| self.fault(name, wrong.into())).ok()
    }

    /// Whether a field is there as `null`, which takes away what it names; it is taken out then.
    fn is_null(&mut self, name: &str) -> bool {
        let is_null = self.left.get(name).is_some_and(Value::is_null);
        if is_null {
            self.left.remove(name);
        }
        is_null
    }

    /// A field that may be there, and that `null` takes away: `Some(None)`.
    pub(crate) fn nullable<T, E: Into<Wrong>>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, E>) -> Option<Option<T>> {
        if self.is_null(name) {
            return Some(None);
        }
        self.optional(name, read).map(Some)
    }

    /// A text that may be there, and that `null` empties.
    pub(crate) fn emptied<E: Into<Wrong>>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<String, E>) -> Option<String> {
        if self.is_null(name) {
            return Some(String::new());
        }
        self.optional(name, text(|sent| read(sent).map_err(Into::into)))
    }

    fn fault(&mut self, name: &str, wrong: Wrong) {
        self.faults.push(Fault { index: None, field: Some(name.to_owned()), code: wrong.code.to_owned(), detail: wrong.detail, place: wrong.place });
    }

    /// What was read, if nothing was wrong. A field that nobody took is unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults.
    pub(crate) fn done<T>(mut self, read: Option<T>) -> Result<T> {
        for name in std::mem::take(&mut self.left).keys() {
            self.fault(name, Wrong { code: "unknown_field", ..Wrong::from("is not known here") });
        }
        match (read, self.faults.as_slice()) {
            (Some(read), []) => Ok(read),
            (_, faults) => {
                let told: Vec<String> = faults.iter().map(|fault| format!("`{}` {}", fault.field.as_deref().unwrap_or_default(), fault.detail)).collect();
                Err(Error::Invalid { code: "invalid_parameter", detail: told.join("; "), faults: self.faults })
            }
        }
    }
}

/// A text, read further.
pub(crate) fn text<T, E: Into<Wrong>>(read: impl FnOnce(&str) -> Result<T, E>) -> impl FnOnce(&Value) -> Result<T, Wrong> {
    |value| read(value.as_str().ok_or("must be a string")?).map_err(Into::into)
}

/// A name for people: 1 to 200 characters, the white space around it dropped.
pub(crate) fn name(sent: &str) -> Result<String, String> {
    let name = sent.trim();
    if !(1..=MAX_NAME_CHARS).contains(&name.chars().count()) {
        return Err(format!("must have 1 to {MAX_NAME_CHARS} characters"));
    }
    if name.chars().any(char::is_control) { Err("must not hold control characters".to_owned()) } else { Ok(name.to_owned()) }
}

#[cfg(test)]
pub(crate) fn fields(json: &str) -> Fields {
    serde_json::from_str(json).expect("an object")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(json: &str) -> Vec<(String, String)> {
        let mut fields = fields(json);
        let name = fields.required("name", text(name));
        match fields.done(name) {
            Err(Error::Invalid { faults, .. }) => faults.into_iter().map(|fault| (fault.field.unwrap_or_default(), fault.code)).collect(),
            Ok(_) => Vec::new(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn each_fault_names_its_field() {
        let pair = |field: &str, code: &str| (field.to_owned(), code.to_owned());
        assert_eq!(faults_of(r#"{"name":" Tenant A "}"#), []);
        assert_eq!(faults_of(r#"{"x":1,"y":null}"#), [pair("name", "required"), pair("x", "unknown_field"), pair("y", "unknown_field")]);
        assert_eq!(faults_of(r#"{"name":null}"#), [pair("name", "required")]);
        for bad in [r#"{"name":7}"#, r#"{"name":"  "}"#, r#"{"name":"a\u0000b"}"#, &format!(r#"{{"name":"{}"}}"#, "x".repeat(201))] {
            assert_eq!(faults_of(bad), [pair("name", "invalid_parameter")], "{bad}");
        }
    }

    #[test]
    fn a_name_is_counted_in_characters_after_trimming() {
        assert_eq!(name(&format!(" {} ", "é".repeat(200))).map(|name| name.chars().count()), Ok(200));
        assert!(name(&"é".repeat(201)).is_err());
    }
}
