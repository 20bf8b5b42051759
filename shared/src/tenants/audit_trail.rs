//! The audit trail, read.

use serde::Serialize;
use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Registry;
use crate::error::{Engine, Result};
use crate::postgres::failed;
use crate::rows::Reach;

/// One change: who did what to what, when and from where.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Its id: a UUIDv7 by the clock of the process that made it.
    pub id: Uuid,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Whose it is; null where it concerns several.
    pub tenant: Option<String>,
    /// Who: `operator`, `key`, `user`, `nobody` for somebody who had not shown who they are, or `system` for the hub itself.
    pub actor: String,
    /// The key, where it was one.
    pub key_id: Option<Uuid>,
    /// The person, where it was one.
    pub user_id: Option<Uuid>,
    /// What, such as `apikey.created`.
    pub action: String,
    /// The id of what it was done to; null for the tenant itself.
    pub subject: Option<String>,
    /// The address that the request came from.
    pub address: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// What is said of it; never a secret.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// Which entries to read.
#[derive(Debug, Clone)]
pub struct AuditQuery {
    /// Whose.
    pub of: Reach,
    /// Of this action; `None` for all.
    pub action: Option<String>,
    /// From then on.
    pub from: Option<OffsetDateTime>,
    /// Before then.
    pub to: Option<OffsetDateTime>,
    /// Before this entry.
    pub before: Option<Uuid>,
}

impl Registry {
    /// Entries of the audit trail, the latest first.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn audit_trail(&self, query: &AuditQuery, limit: i64) -> Result<Vec<AuditEntry>> {
        let statement = "select id, at, tenant_id, actor, key_id, user_id, action, subject, address, request_id, data::text as data from audit_trail \
             where ($1::text is null or tenant_id = $1) and ($2::text is null or action = $2) and ($3::timestamptz is null or at >= $3) \
               and ($4::timestamptz is null or at < $4) and ($5::uuid is null or id < $5) order by id desc limit $6";
        let rows = sqlx::query(statement)
            .bind(if let Reach::Tenant(tenant) = &query.of { Some(tenant.as_str()) } else { None })
            .bind(&query.action)
            .bind(query.from)
            .bind(query.to)
            .bind(query.before)
            .bind(limit)
            .fetch_all(&self.pool)
            .await;
        rows.and_then(|rows| rows.iter().map(entry_of).collect()).map_err(failed(Engine::Control, "reading the audit trail"))
    }
}

fn entry_of(row: &PgRow) -> sqlx::Result<AuditEntry> {
    Ok(AuditEntry {
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        tenant: row.try_get("tenant_id")?,
        actor: row.try_get("actor")?,
        key_id: row.try_get("key_id")?,
        user_id: row.try_get("user_id")?,
        action: row.try_get("action")?,
        subject: row.try_get("subject")?,
        address: row.try_get("address")?,
        request_id: row.try_get("request_id")?,
        data: json(row, "data")?,
    })
}

/// A column of JSON that was selected as text.
pub(super) fn json(row: &PgRow, column: &str) -> sqlx::Result<Value> {
    serde_json::from_str(row.try_get(column)?).map_err(|e| sqlx::Error::Decode(Box::new(e)))
}
