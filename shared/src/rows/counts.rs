//! Counting rows: bars over time, and values of fields; exact.

use std::collections::BTreeMap;

use sqlx::{QueryBuilder, Row as _};

use super::read::{LIST_TIMEOUT, within};
use super::{Rows, on};
use crate::error::{Engine, Result};
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::query::{Bars, CountBy, Counted, Counts, Facet, Scope};
use crate::record::Level;

impl Rows {
    /// Counts the values of some fields over a tenant's rows, and the rows. The scope has no query.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], also where counting takes too long.
    pub async fn facets(&self, tenant: &TenantId, scope: &Scope, fields: &[CountBy], limit: usize) -> Result<(Vec<Facet>, u64)> {
        let statement = "select r.level, r.service, r.language, grouping(r.level, r.service, r.language) as which, count(*) as logs from {schema}.log_rows r";
        let mut sql = QueryBuilder::new(on(tenant, statement).as_str());
        within(&mut sql, scope);
        sql.push(" group by grouping sets ((r.level), (r.service), (r.language), ())");
        let fail = failed(Engine::Rows, "counting rows");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        sqlx::query(LIST_TIMEOUT).execute(&mut *tx).await.map_err(&fail)?;
        let rows = sql.build().fetch_all(&mut *tx).await.map_err(&fail)?;
        let mut found: Vec<Vec<(String, u64)>> = vec![Vec::new(); fields.len()];
        let mut total = 0;
        for row in &rows {
            let (which, logs): (i32, i64) = (row.try_get("which").map_err(&fail)?, row.try_get("logs").map_err(&fail)?);
            let logs = u64::try_from(logs).unwrap_or_default();
            // A bit is set for each column that a line is not grouped by, the first one highest (Postgres manual, "Grouping operations").
            let (field, value) = match which {
                0b011 => (CountBy::Level, row.try_get::<i16, _>("level").ok().and_then(Level::from_number).map(|level| level.as_str().to_owned())),
                0b101 => (CountBy::Service, row.try_get("service").map_err(&fail)?),
                0b110 => (CountBy::Language, row.try_get("language").map_err(&fail)?),
                _ => {
                    total = logs;
                    continue;
                }
            };
            if let (Some(at), Some(value)) = (fields.iter().position(|one| *one == field), value) {
                found[at].push((value, logs));
            }
        }
        Ok((found.into_iter().map(|values| Facet::top(values, limit)).collect(), total))
    }

    /// Counts a tenant's rows in bars of time. The scope has no query: what a query means is not for SQL to count.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], also where counting takes too long.
    pub async fn histogram(&self, tenant: &TenantId, scope: &Scope, bars: &Bars) -> Result<Counted> {
        let value = match bars.by {
            None => "''",
            Some(CountBy::Level) => "r.level::text",
            Some(CountBy::Service) => "r.service",
            Some(CountBy::Language) => "coalesce(r.language, '')",
        };
        let statement = format!(
            r#"select floor(extract(epoch from r."timestamp") * 1000 / {0})::int8 * {0} as bar, {value} as value, count(*) as logs from {{schema}}.log_rows r"#,
            bars.interval_ms
        );
        let mut sql = QueryBuilder::new(on(tenant, &statement).as_str());
        within(&mut sql, scope);
        sql.push(" group by 1, 2");
        let fail = failed(Engine::Rows, "counting rows");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        sqlx::query(LIST_TIMEOUT).execute(&mut *tx).await.map_err(&fail)?;
        let rows = sql.build().fetch_all(&mut *tx).await.map_err(&fail)?;
        let mut counted = BTreeMap::<i64, Counts>::new();
        for row in &rows {
            let (bar, value, logs): (i64, String, i64) = (row.try_get("bar").map_err(&fail)?, row.try_get("value").map_err(&fail)?, row.try_get("logs").map_err(&fail)?);
            let logs = u64::try_from(logs).unwrap_or_default();
            let counts = counted.entry(bar).or_default();
            counts.total += logs;
            let name = match bars.by {
                Some(CountBy::Level) => value.parse().ok().and_then(Level::from_number).map(|level| level.as_str().to_owned()),
                _ => Some(value).filter(|value| !value.is_empty()),
            };
            counts.by.extend(name.map(|name| (name, logs)));
        }
        Ok(Counted { bars: counted, complete: true })
    }
}
