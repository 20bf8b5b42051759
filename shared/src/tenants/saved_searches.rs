//! Saved searches of a tenant.

use serde::Serialize;
use sqlx::prelude::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Registry;
use super::changes::{self, By, Change};
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::postgres::failed;

/// Most saved searches of a tenant: they are listed at once.
pub const MOST_OF_A_TENANT: i64 = 500;
/// The constraint that keeps names apart.
const NAME_ONCE: &str = "saved_searches_name_once";

/// What is searched for: parameters of `GET /v1/search`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchFields {
    /// Its name, for people: one of each in a tenant.
    pub name: String,
    /// The query.
    pub q: String,
    /// First moment, as it was typed.
    pub from: Option<String>,
    /// Last moment, as it was typed.
    pub to: Option<String>,
    /// Any of these services.
    pub services: Vec<String>,
    /// Any of these levels, by name.
    pub levels: Vec<String>,
    /// `newest`, `oldest` or `relevance`.
    pub sort: String,
}

/// A saved search.
#[derive(Debug, Clone, Serialize, FromRow, utoipa::ToSchema)]
pub struct SavedSearch {
    /// Its id.
    pub id: Uuid,
    /// Its name, for people.
    pub name: String,
    /// What to look for, as for `GET /v1/search`.
    pub q: String,
    /// First moment, as it was sent; relative ones stay relative.
    pub from: Option<String>,
    /// Last moment, as it was sent.
    pub to: Option<String>,
    /// Only these services; none for all.
    #[sqlx(rename = "services")]
    pub service: Vec<String>,
    /// Only these levels; none for all.
    #[sqlx(rename = "levels")]
    pub level: Vec<String>,
    /// `newest`, `oldest` or `relevance`.
    pub sort: String,
    /// When it was saved.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl From<SavedSearch> for SearchFields {
    fn from(saved: SavedSearch) -> Self {
        Self { name: saved.name, q: saved.q, from: saved.from, to: saved.to, services: saved.service, levels: saved.level, sort: saved.sort }
    }
}

impl Registry {
    /// Saves a search.
    ///
    /// # Errors
    /// [`Error::Conflict`] `saved_search_exists` or `too_many_saved_searches`; [`Error::Unavailable`].
    pub async fn save_search(&self, tenant: &TenantId, fields: &SearchFields, by: &By) -> Result<SavedSearch> {
        let fail = failed(Engine::Control, "saving a search");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let saved: Option<SavedSearch> = sqlx::query_as(
            r#"insert into saved_searches (id, tenant_id, name, q, "from", "to", services, levels, sort)
               select $1, $2, $3, $4, $5, $6, $7, $8, $9 where (select count(*) from saved_searches where tenant_id = $2) < $10
               returning id, name, q, "from", "to", services, levels, sort, created_at, updated_at"#,
        )
        .bind(Uuid::now_v7())
        .bind(tenant.as_str())
        .bind(&fields.name)
        .bind(&fields.q)
        .bind(&fields.from)
        .bind(&fields.to)
        .bind(&fields.services)
        .bind(&fields.levels)
        .bind(&fields.sort)
        .bind(MOST_OF_A_TENANT)
        .fetch_optional(&mut *tx)
        .await
        .map_err(or_taken("saving a search"))?;
        let too_many = || Error::Conflict { code: "too_many_saved_searches", detail: format!("{MOST_OF_A_TENANT} searches are saved already; delete one first") };
        let saved = saved.ok_or_else(too_many)?;
        changes::record(&mut tx, tenant, by, &Change::SearchSaved { id: saved.id, name: &saved.name }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(saved)
    }

    /// A tenant's saved searches, by name.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn saved_searches(&self, tenant: &TenantId) -> Result<Vec<SavedSearch>> {
        sqlx::query_as(r#"select id, name, q, "from", "to", services, levels, sort, created_at, updated_at from saved_searches where tenant_id = $1 order by name, id"#)
            .bind(tenant.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(failed(Engine::Control, "listing saved searches"))
    }

    /// A tenant's saved search.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn saved_search(&self, tenant: &TenantId, id: Uuid) -> Result<SavedSearch> {
        let saved = sqlx::query_as(r#"select id, name, q, "from", "to", services, levels, sort, created_at, updated_at from saved_searches where tenant_id = $1 and id = $2"#)
            .bind(tenant.as_str())
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed(Engine::Control, "reading a saved search"))?;
        saved.ok_or(Error::NotFound("saved search"))
    }

    /// Changes the fields of a saved search. Of two who change it at once, the second sees what the first made of it.
    ///
    /// # Errors
    /// What `change` says; [`Error::NotFound`]; [`Error::Conflict`] `saved_search_exists`; [`Error::Unavailable`].
    pub async fn change_saved_search(&self, tenant: &TenantId, id: Uuid, by: &By, change: impl FnOnce(SearchFields) -> Result<SearchFields>) -> Result<SavedSearch> {
        let fail = failed(Engine::Control, "changing a saved search");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let old: Option<SavedSearch> =
            sqlx::query_as(r#"select id, name, q, "from", "to", services, levels, sort, created_at, updated_at from saved_searches where tenant_id = $1 and id = $2 for update"#)
                .bind(tenant.as_str())
                .bind(id)
                .fetch_optional(&mut *tx)
                .await
                .map_err(&fail)?;
        let fields = change(old.ok_or(Error::NotFound("saved search"))?.into())?;
        let saved: SavedSearch = sqlx::query_as(
            r#"update saved_searches set name = $3, q = $4, "from" = $5, "to" = $6, services = $7, levels = $8, sort = $9, updated_at = now()
               where tenant_id = $1 and id = $2 returning id, name, q, "from", "to", services, levels, sort, created_at, updated_at"#,
        )
        .bind(tenant.as_str())
        .bind(id)
        .bind(&fields.name)
        .bind(&fields.q)
        .bind(&fields.from)
        .bind(&fields.to)
        .bind(&fields.services)
        .bind(&fields.levels)
        .bind(&fields.sort)
        .fetch_one(&mut *tx)
        .await
        .map_err(or_taken("changing a saved search"))?;
        changes::record(&mut tx, tenant, by, &Change::SearchChanged { id, name: &saved.name }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(saved)
    }

    /// Deletes a tenant's saved search.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn delete_saved_search(&self, tenant: &TenantId, id: Uuid, by: &By) -> Result<()> {
        let fail = failed(Engine::Control, "deleting a saved search");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let done = sqlx::query("delete from saved_searches where tenant_id = $1 and id = $2").bind(tenant.as_str()).bind(id).execute(&mut *tx).await;
        if done.map_err(&fail)?.rows_affected() == 0 {
            return Err(Error::NotFound("saved search"));
        }
        changes::record(&mut tx, tenant, by, &Change::SearchDeleted { id }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)
    }
}

fn or_taken(doing: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| match error.as_database_error().and_then(|error| error.constraint()) {
        Some(NAME_ONCE) => Error::Conflict { code: "saved_search_exists", detail: "there is a saved search of this name".to_owned() },
        _ => failed(Engine::Control, doing)(error),
    }
}
