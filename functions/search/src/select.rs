//! Which fields each log of a page is answered with.

use serde::Serialize;
use serde_json::Value;
use shared::error::{Error, Result};

/// The fields that were asked for; `None` for all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection(Option<Vec<&'static str>>);

impl Selection {
    /// Fields of a log of a list.
    pub(crate) const OF_A_LOG: &[&'static str] = &["id", "timestamp", "received_at", "service", "level", "message", "language", "indexed", "raw_path"];
    /// Fields of a hit.
    pub(crate) const OF_A_HIT: &[&'static str] =
        &["id", "timestamp", "received_at", "service", "level", "message", "language", "indexed", "raw_path", "highlights", "highlight_offsets"];

    /// Reads names with commas between them.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is none of `known`.
    pub(crate) fn parse(sent: Option<&str>, known: &[&'static str]) -> Result<Self> {
        let Some(sent) = sent else { return Ok(Self(None)) };
        let named =
            |name: &str| known.iter().copied().find(|known| *known == name).ok_or_else(|| Error::invalid("fields", format!("only these can be named: {}", known.join(", "))));
        sent.split(',').map(|name| named(name.trim())).collect::<Result<_>>().map(|names| Self(Some(names)))
    }

    /// Whether this field is answered with.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(&name))
    }

    /// A log with these fields only.
    ///
    /// # Errors
    /// [`Error::Internal`] for a log that is no JSON, which none is.
    pub(crate) fn of(&self, log: &impl Serialize) -> Result<Value> {
        let mut all = serde_json::to_value(log).map_err(|e| Error::internal("writing an answer", e))?;
        if let (Some(names), Some(fields)) = (&self.0, all.as_object_mut()) {
            fields.retain(|name, _| names.contains(&name.as_str()));
        }
        Ok(all)
    }
}
