//! One letter with what it holds: as text where it is text, else in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use shared::error::Result;
use shared::ids::TenantId;
use shared::rows::{Buried, LetterFilter, Reach, Rows, WholeLetter};
use uuid::Uuid;

/// Most bytes that an answer shows: whole for every record (1 MiB), and as text or base64 below Lambda's 6 MB.
const SHOWN_BYTES: i32 = 2 * 1024 * 1024;

/// A dead letter with what it holds.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct LetterDetail {
    #[serde(flatten)]
    letter: Buried,
    /// What it holds, where that is text: a record as it was sent.
    text: Option<String>,
    /// What it holds, in base64, where that is no text: a whole batch as it lay in the queue.
    bytes: Option<String>,
    /// Whether it holds more than is shown: the first 2 MiB.
    truncated: bool,
}

/// # Errors
/// [`shared::error::Error::NotFound`], also for another's; weather.
pub(crate) async fn read(rows: &Rows, reach: &Reach, kept: &LetterFilter, id: Uuid) -> Result<LetterDetail> {
    rows.dead_letter(reach, kept, id, SHOWN_BYTES).await.map(LetterDetail::from)
}

/// Whose a letter is, as far as that is known.
///
/// # Errors
/// As [`read`].
pub(crate) async fn tenant_of(rows: &Rows, reach: &Reach, kept: &LetterFilter, id: Uuid) -> Result<Option<TenantId>> {
    Ok(rows.dead_letter(reach, kept, id, 0).await?.letter.tenant)
}

impl From<WholeLetter> for LetterDetail {
    fn from(WholeLetter { letter, bytes }: WholeLetter) -> Self {
        let truncated = usize::try_from(letter.size).is_ok_and(|size| size > bytes.len());
        let (text, bytes) = match String::from_utf8(bytes) {
            Ok(text) if is_readable(&text) => (Some(text), None),
            Ok(text) => (None, Some(STANDARD.encode(text))),
            Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
        };
        Self { letter, text, bytes, truncated }
    }
}

/// Other control characters are none that anybody writes; in JSON each takes six bytes.
fn is_readable(text: &str) -> bool {
    !text.bytes().any(|b| b.is_ascii_control() && !matches!(b, b'\t' | b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    fn detail(bytes: &[u8], size: i64) -> LetterDetail {
        let letter = Buried {
            id: Uuid::nil(),
            tenant: None,
            batch: None,
            records: 1,
            stage: "open".to_owned(),
            code: "unreadable_entry".to_owned(),
            reason: "a reason".to_owned(),
            size,
            created_at: OffsetDateTime::UNIX_EPOCH,
            redrive_at: None,
            attempts: 0,
        };
        WholeLetter { letter, bytes: bytes.to_vec() }.into()
    }

    #[test]
    fn text_is_shown_as_text_and_all_else_in_base64() {
        assert_eq!(detail("{\"größe\":\n1}".as_bytes(), 12).text.as_deref(), Some("{\"größe\":\n1}"));
        for (bytes, encoded) in [(b"\xff\xfe".as_slice(), "//4="), (b"a\0b", "YQBi")] {
            let detail = detail(bytes, 2);
            assert_eq!((detail.text, detail.bytes.as_deref()), (None, Some(encoded)));
        }
    }

    #[test]
    fn what_is_cut_says_so() {
        assert!(!detail(b"abc", 3).truncated);
        assert!(detail(b"abc", 4).truncated);
    }
}
