//! Counting rows: bars over time, and values of fields; exact.

use std::collections::BTreeMap;

use sqlx::{QueryBuilder, Row as _};

use super::narrow::Texts;
use super::read::{LIST_TIMEOUT, within};
use super::{Rows, on};
use crate::error::{Engine, Result};
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::query::{Bars, CountBy, Counted, Counts, Facet, Scope, VALUES_OF_A_BAR};
use crate::record::Level;

impl Rows {
    /// Counts the values of some fields over a tenant's rows, and the rows. The scope has no query.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], also where counting takes too long.
    pub async fn facets(&self, tenant: &TenantId, scope: &Scope, fields: &[CountBy], limit: usize) -> Result<(Vec<Facet>, u64)> {
        let statement = "with counted as (select r.level, r.service, r.language, grouping(r.level, r.service, r.language) as which, count(*) as logs from {schema}.log_rows r";
        let mut sql = QueryBuilder::new(on(tenant, statement).as_str());
        within(&mut sql, scope, Texts::Beginnings);
        sql.push(
            " group by grouping sets ((r.level), (r.service), (r.language), ())), ranked as (select *, sum(logs) over (partition by which)::int8 as of_field, \
             row_number() over (partition by which order by logs desc, level, service collate \"C\", language collate \"C\") as rank \
             from counted where which <> 6 or language is not null) select level, service, language, which, logs, of_field from ranked where rank <= ",
        );
        sql.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let fail = failed(Engine::Rows, "counting rows");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        sqlx::query(LIST_TIMEOUT).execute(&mut *tx).await.map_err(&fail)?;
        let rows = sql.build().fetch_all(&mut *tx).await.map_err(&fail)?;
        let mut found = vec![Facet::default(); fields.len()];
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
                let of_field = u64::try_from(row.try_get::<i64, _>("of_field").map_err(&fail)?).unwrap_or_default();
                found[at].values.push((value, logs));
                found[at].other = of_field;
            }
        }
        for facet in &mut found {
            let shown: u64 = facet.values.iter().map(|(_, logs)| logs).sum();
            *facet = Facet { other: facet.other - shown, ..Facet::top(std::mem::take(&mut facet.values), limit) };
        }
        Ok((found, total))
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
            r#"with counted as (select floor(extract(epoch from r."timestamp") * 1000 / {0})::int8 * {0} as bar, {value} as value, count(*) as logs from {{schema}}.log_rows r"#,
            bars.interval_ms
        );
        let mut sql = QueryBuilder::new(on(tenant, &statement).as_str());
        within(&mut sql, scope, Texts::Beginnings);
        sql.push(
            " group by 1, 2), ranked as (select bar, value, logs, sum(logs) over (partition by bar)::int8 as total, \
             row_number() over (partition by bar order by logs desc, value collate \"C\") as rank from counted) \
             select bar, value, logs, total from ranked where rank <= ",
        );
        sql.push_bind(i64::try_from(VALUES_OF_A_BAR).unwrap_or(i64::MAX));
        let fail = failed(Engine::Rows, "counting rows");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        sqlx::query(LIST_TIMEOUT).execute(&mut *tx).await.map_err(&fail)?;
        let rows = sql.build().fetch_all(&mut *tx).await.map_err(&fail)?;
        let mut counted = BTreeMap::<i64, Counts>::new();
        for row in &rows {
            let (bar, value): (i64, String) = (row.try_get("bar").map_err(&fail)?, row.try_get("value").map_err(&fail)?);
            let (logs, total): (i64, i64) = (row.try_get("logs").map_err(&fail)?, row.try_get("total").map_err(&fail)?);
            let counts = counted.entry(bar).or_default();
            counts.total = u64::try_from(total).unwrap_or_default();
            let logs = u64::try_from(logs).unwrap_or_default();
            let name = match bars.by {
                Some(CountBy::Level) => value.parse().ok().and_then(Level::from_number).map(|level| level.as_str().to_owned()),
                _ => Some(value).filter(|value| !value.is_empty()),
            };
            counts.by.extend(name.map(|name| (name, logs)));
        }
        Ok(Counted { bars: counted, complete: true })
    }
}
