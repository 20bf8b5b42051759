//! Dead letters: whose a caller may touch, which are meant, and how answers show them.

mod access;
mod filter;
mod list;
mod read;

pub(crate) use access::{LetterInPath, Letters};
pub(crate) use filter::RedriveRequest;
pub(crate) use list::{LetterPage, LetterQuery, list};
pub(crate) use read::{LetterDetail, read, tenant_of};

use serde::Serialize;

/// How many letters are to have another try.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Requested {
    /// Letters that agreed with the filter.
    pub(crate) requested: u64,
}
