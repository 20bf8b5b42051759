//! Names of things: tenants, batches, logs, API keys and tokens. Each is parsed once, at the door, and cannot be wrong after.

mod api_key;
mod token;

pub use api_key::{ApiKey, KeyHash};
pub use token::{Token, TokenHash, TokenKind};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not `^[a-z][a-z0-9_]{1,46}$`.
    #[error("a tenant id has 2 to 47 characters a-z, 0-9 or _ and begins with a letter")]
    Tenant,
    /// A name that Postgres keeps for itself, or that we do.
    #[error("this tenant id is reserved")]
    ReservedTenant,
    /// Not a UUID of version 7.
    #[error("not an id of ours: ids are UUIDs of version 7")]
    Uuid,
    /// A UUID whose low 16 bits are not zero.
    #[error("not a batch id: a batch id ends in 0000")]
    Batch,
    /// Not `lh_{live|test}_{30 base62}{6 base62 of CRC32}`, or a typing error in it.
    #[error("not an API key")]
    ApiKey,
    /// Not 256 bits in base64 after the prefix of its kind.
    #[error("not a token of ours")]
    Token,
}

/// A tenant's id: `^[a-z][a-z0-9_]{1,46}$`, also the name of its Postgres schema. Never used again after deletion.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

impl TenantId {
    /// Names a schema must not have: Postgres' own, and the schema of what belongs to no tenant.
    const RESERVED: [&str; 2] = ["public", "information_schema"];
    /// Longest id, in bytes: Postgres cuts names at 63, and partitions add a suffix of up to 16.
    const MAX_LEN: usize = 47;

    /// # Errors
    /// [`IdError::Tenant`] or [`IdError::ReservedTenant`].
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let bytes = text.as_bytes();
        let plain = bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_');
        if !plain || !(2..=Self::MAX_LEN).contains(&bytes.len()) || !bytes[0].is_ascii_lowercase() {
            return Err(IdError::Tenant);
        }
        if Self::RESERVED.contains(&text) || text.starts_with("pg_") {
            return Err(IdError::ReservedTenant);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TenantId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> Self {
        id.0
    }
}

/// The id of one accepted request: a UUIDv7 (RFC 9562, 5.7) whose low 16 bits are zero, so that its logs' ids follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Uuid", into = "Uuid")]
pub struct BatchId(Uuid);

impl BatchId {
    /// A fresh id received at `unix_ms` (milliseconds since 1970, Redis' clock).
    #[must_use]
    pub fn new(unix_ms: u64) -> Self {
        let random = Uuid::new_v4().as_u128();
        let id = uuid::Builder::from_unix_timestamp_millis(unix_ms, &random.to_be_bytes()[6..].try_into().expect("ten of sixteen bytes"));
        Self(Uuid::from_u128(id.into_uuid().as_u128() & !0xffff))
    }

    /// # Errors
    /// [`IdError::Uuid`] or [`IdError::Batch`].
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let uuid = parse_v7(text)?;
        if uuid.as_u128() & 0xffff != 0 { Err(IdError::Batch) } else { Ok(Self(uuid)) }
    }

    /// The id of the log at `position` in the request, rejected ones counted.
    #[must_use]
    pub fn log(self, position: u16) -> LogId {
        LogId(Uuid::from_u128(self.0.as_u128() | u128::from(position)))
    }

    /// The lowest id of a batch received at or after `unix_ms`: a bound for ranges, not an id in use.
    #[must_use]
    pub fn floor(unix_ms: u64) -> Uuid {
        Uuid::from_u128(u128::from(unix_ms) << 80)
    }

    /// The highest id of a log received up to `unix_ms`: a bound for ranges, not an id in use.
    #[must_use]
    pub fn last_log(unix_ms: u64) -> Uuid {
        Uuid::from_u128(Self::floor(unix_ms).as_u128() | ((1 << 80) - 1))
    }

    /// When the batch was received, in milliseconds since 1970.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        unix_ms(self.0)
    }

    /// The id as a UUID.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

/// The id of one log: its batch's id plus its position in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Uuid", into = "Uuid")]
pub struct LogId(Uuid);

impl LogId {
    /// # Errors
    /// [`IdError::Uuid`].
    pub fn parse(text: &str) -> Result<Self, IdError> {
        parse_v7(text).map(Self)
    }

    /// Its position in the request, rejected ones counted.
    #[must_use]
    pub fn position(self) -> u16 {
        u16::try_from(self.0.as_u128() & 0xffff).expect("16 bits")
    }

    /// The batch that brought the log.
    #[must_use]
    pub fn batch(self) -> BatchId {
        BatchId(Uuid::from_u128(self.0.as_u128() & !0xffff))
    }

    /// When the log was received, in milliseconds since 1970.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        unix_ms(self.0)
    }

    /// The id as a UUID.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

fn unix_ms(uuid: Uuid) -> u64 {
    u64::try_from(uuid.as_u128() >> 80).expect("48 bits")
}

/// Only the hyphenated lower-case or upper-case form of RFC 9562 is an id: one spelling, one thing.
fn parse_v7(text: &str) -> Result<Uuid, IdError> {
    let uuid = uuid::fmt::Hyphenated::from_str(text).map_err(|_| IdError::Uuid)?.into_uuid();
    if uuid.get_version_num() == 7 { Ok(uuid) } else { Err(IdError::Uuid) }
}

macro_rules! uuid_newtype {
    ($name:ident, $check:expr) => {
        impl TryFrom<Uuid> for $name {
            type Error = IdError;
            fn try_from(uuid: Uuid) -> Result<Self, IdError> {
                let check: fn(Uuid) -> bool = $check;
                if check(uuid) { Ok(Self(uuid)) } else { Err(IdError::Uuid) }
            }
        }
        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_newtype!(BatchId, |uuid| uuid.get_version_num() == 7 && uuid.as_u128() & 0xffff == 0);
uuid_newtype!(LogId, |uuid| uuid.get_version_num() == 7);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tenant_id_is_a_safe_schema_name() {
        for good in ["tenant_a", "ab", "a1", &"a".repeat(47)] {
            assert_eq!(TenantId::parse(good).map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", "a", "A1", "1a", "_a", "a-b", "a\"b", "a b", "é1", &"a".repeat(48)] {
            assert_eq!(TenantId::parse(bad), Err(IdError::Tenant), "{bad}");
        }
        for kept in ["public", "pg_catalog", "pg_x", "information_schema"] {
            assert_eq!(TenantId::parse(kept), Err(IdError::ReservedTenant), "{kept}");
        }
    }

    #[test]
    fn other_spellings_of_a_uuid_are_not_ids() {
        let id = BatchId::new(1_760_099_196_000).to_string();
        assert!(BatchId::parse(&id).is_ok());
        for other in [id.replace('-', ""), format!("{{{id}}}"), format!("urn:uuid:{id}"), format!(" {id}")] {
            assert_eq!(BatchId::parse(&other), Err(IdError::Uuid), "{other}");
        }
        assert_eq!(BatchId::parse("6ba7b810-9dad-41d1-80b4-00c04fd40000"), Err(IdError::Uuid), "a version 4");
    }

    proptest! {
        #[test]
        fn a_log_knows_its_batch_and_when_it_came(ms in 0_u64..(1 << 48), position: u16) {
            let batch = BatchId::new(ms);
            let log = batch.log(position);
            prop_assert_eq!(log.batch(), batch);
            prop_assert_eq!(log.unix_ms(), ms);
            prop_assert_eq!(LogId::parse(&log.to_string()), Ok(log));
            prop_assert!(log.uuid() >= batch.uuid() && batch.uuid() >= BatchId::floor(ms));
        }
    }
}
