//! Which letters are meant, as it is sent: in the query of a list, or in the body of a redrive.

use serde::{Deserialize, Serialize};
use shared::error::{Error, Result};
use shared::ids::{BatchId, TenantId};
use shared::range::Range;
use shared::rows::LetterFilter;
use shared::timestamp;
use time::OffsetDateTime;

use crate::access::named_tenant;

/// Which letters to redrive: all that agree with what is given. `{}` stands for every letter that the caller can see.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RedriveRequest {
    /// Only this tenant's. For operators.
    pub(crate) tenant: Option<String>,
    /// Only those that failed there, such as `parse`.
    pub(crate) stage: Option<String>,
    /// Only those that failed for this reason, such as `invalid_json`.
    pub(crate) code: Option<String>,
    /// Only those of this batch.
    pub(crate) batch_id: Option<String>,
    /// Buried from this moment on: RFC 3339, `now`, or relative, such as `now-15m` (units s, m, h, d, w).
    pub(crate) from: Option<String>,
    /// Buried before this moment: as `from`.
    pub(crate) to: Option<String>,
}

impl RedriveRequest {
    /// The tenant that is named, and what else is asked of the letters.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming what cannot be understood.
    pub(crate) fn read(self) -> Result<(Option<TenantId>, LetterFilter)> {
        let tenant = named_tenant(self.tenant.as_deref())?;
        let batch = self.batch_id.map(|id| BatchId::parse(&id).map_err(|e| Error::invalid("batch_id", e.to_string()))).transpose()?;
        let now = timestamp::from_datetime(OffsetDateTime::now_utc());
        let Range { from, to } = Range::parse(self.from.as_deref(), self.to.as_deref(), now)?;
        let word = |name, sent: Option<String>| match sent {
            // Postgres takes no NUL in a text, and no letter has one.
            Some(text) if text.is_empty() || text.contains('\0') => Err(Error::invalid(name, "is no word that a letter could have")),
            sent => Ok(sent),
        };
        Ok((tenant, LetterFilter { stage: word("stage", self.stage)?, code: word("code", self.code)?, batch, from, to, gone: Vec::new() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<(Option<TenantId>, LetterFilter)> {
        serde_json::from_str::<RedriveRequest>(json).expect("known fields").read()
    }

    #[test]
    fn each_wrong_field_is_named() {
        for (field, value) in [("tenant", "Not An Id"), ("batch_id", "7"), ("from", "yesterday"), ("to", "x"), ("stage", ""), ("code", "a\\u0000b")] {
            let refused = read(&format!(r#"{{"{field}":"{value}"}}"#));
            assert!(matches!(&refused, Err(Error::Invalid { faults, .. }) if faults[0].field.as_deref() == Some(field)), "{field}: {refused:?}");
        }
        assert_eq!(read("{}").ok(), Some((None, LetterFilter::default())));
        assert!(serde_json::from_str::<RedriveRequest>(r#"{"stages":"parse"}"#).is_err(), "a typing error must not redrive everything");
    }
}
