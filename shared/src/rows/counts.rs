//! Counting rows: bars over time, and values of fields; exact, by the counts of whole hours where that is less to look at.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

use super::hourly::{HOUR_MS, WholeHours};
use super::narrow::Texts;
use super::read::{BEGIN_READING, within};
use super::{Rows, on};
use crate::error::{Engine, Result};
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::query::{Bars, CountBy, Counted, Counts, Facet, Scope, VALUES_OF_A_BAR};
use crate::record::Level;
use crate::timestamp;

impl Rows {
    /// Counts the values of some fields over a tenant's rows, and the rows. The scope has no query; of what whole hours are counted by,
    /// nothing that was stored by now stays out, whenever it was received.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], also where counting takes too long.
    pub async fn facets(&self, tenant: &TenantId, scope: &Scope, fields: &[CountBy], limit: usize) -> Result<(Vec<Facet>, u64)> {
        let fail = failed(Engine::Rows, "counting rows");
        let rows = self.count(tenant, scope, WholeHours::of(scope), |by_hours| Self::facets_statement(tenant, scope, limit, by_hours)).await.map_err(&fail)?;
        let mut found = vec![Facet::default(); fields.len()];
        let mut total = 0;
        for row in &rows {
            let (field, value): (i32, String) = (row.try_get("field").map_err(&fail)?, row.try_get("value").map_err(&fail)?);
            let (logs, of_field): (i64, i64) = (row.try_get("logs").map_err(&fail)?, row.try_get("of_field").map_err(&fail)?);
            let (logs, of_field) = (u64::try_from(logs).unwrap_or_default(), u64::try_from(of_field).unwrap_or_default());
            let (field, value) = match field {
                0 => (CountBy::Level, value.parse().ok().and_then(Level::from_number).map_or(value, |level| level.as_str().to_owned())),
                1 => (CountBy::Service, value),
                2 => (CountBy::Language, value),
                _ => {
                    total = logs;
                    continue;
                }
            };
            if let Some(at) = fields.iter().position(|one| *one == field) {
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

    /// Counts by whole hours where they are counted, else by rows.
    async fn count(&self, tenant: &TenantId, scope: &Scope, hours: Option<WholeHours>, statement: impl Fn(bool) -> QueryBuilder<Postgres>) -> sqlx::Result<Vec<PgRow>> {
        let mut tx = self.pool.begin_with(BEGIN_READING).await?;
        let by_hours = match hours {
            Some(hours) => hours.are_counted(&mut tx, tenant, scope).await?,
            None => false,
        };
        statement(by_hours).build().fetch_all(&mut *tx).await
    }

    /// What [`Rows::facets`] asks Postgres, with its values: by the counts of whole hours, or by rows alone. Seen outside for measurements,
    /// which ask the same without us.
    #[must_use]
    pub fn facets_statement(tenant: &TenantId, scope: &Scope, limit: usize, by_hours: bool) -> QueryBuilder<Postgres> {
        // Once by all three: there are few combinations, and to add them up is cheaper than to look at each row for each field.
        let mut sql = QueryBuilder::new("with counted as materialized (select r.level, r.service, r.language, ");
        from_logs(&mut sql, tenant, scope, by_hours);
        sql.push(
            " group by r.level, r.service, r.language), added as ( \
                 select 0 as field, level::text as value, sum(logs)::int8 as logs from counted group by level \
                 union all select 1, service, sum(logs)::int8 from counted group by service \
                 union all select 2, language, sum(logs)::int8 from counted where language is not null group by language \
             ), ranked as ( \
                 select *, sum(logs) over (partition by field)::int8 as of_field, row_number() over (partition by field order by logs desc, value collate \"C\") as rank from added \
             ) select field, value, logs, of_field from ranked where rank <= ",
        );
        sql.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        sql.push(" union all select 3, '', coalesce(sum(logs), 0)::int8, 0 from counted");
        sql
    }

    /// Counts a tenant's rows in bars of time, as [`Rows::facets`]. What a query means is not for SQL to count.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], also where counting takes too long.
    pub async fn histogram(&self, tenant: &TenantId, scope: &Scope, bars: &Bars) -> Result<Counted> {
        let fail = failed(Engine::Rows, "counting rows");
        let hours = WholeHours::of(scope).filter(|_| bars.interval_ms % HOUR_MS == 0);
        let rows = self.count(tenant, scope, hours, |by_hours| Self::histogram_statement(tenant, scope, bars, by_hours)).await.map_err(&fail)?;
        let mut counted = BTreeMap::<i64, Counts>::new();
        for row in &rows {
            let bar = timestamp::from_datetime(row.try_get("bar").map_err(&fail)?);
            let value: Option<String> = row.try_get("value").map_err(&fail)?;
            let (logs, total): (i64, i64) = (row.try_get("logs").map_err(&fail)?, row.try_get("total").map_err(&fail)?);
            let counts = counted.entry(bar).or_default();
            counts.total = u64::try_from(total).unwrap_or_default();
            let logs = u64::try_from(logs).unwrap_or_default();
            let name = match bars.by {
                Some(CountBy::Level) => value.and_then(|value| Level::from_number(value.parse().ok()?)).map(|level| level.as_str().to_owned()),
                _ => value,
            };
            counts.by.extend(name.map(|name| (name, logs)));
        }
        Ok(Counted { bars: counted, complete: true })
    }

    /// What [`Rows::histogram`] asks Postgres, as [`Rows::facets_statement`]; `by_hours` only where bars are of whole hours.
    #[must_use]
    pub fn histogram_statement(tenant: &TenantId, scope: &Scope, bars: &Bars, by_hours: bool) -> QueryBuilder<Postgres> {
        let value = match bars.by {
            None => "null::text",
            Some(CountBy::Level) => "r.level",
            Some(CountBy::Service) => "r.service",
            Some(CountBy::Language) => "r.language",
        };
        let mut sql = QueryBuilder::new(format!(r#"with counted as (select date_bin('{} ms', r."timestamp", '1970-01-01Z') as bar, {value} as value, "#, bars.interval_ms));
        from_logs(&mut sql, tenant, scope, by_hours);
        sql.push(
            " group by 1, 2), ranked as (select bar, value::text, logs, sum(logs) over (partition by bar)::int8 as total, \
             row_number() over (partition by bar order by logs desc, value::text collate \"C\") as rank from counted) \
             select bar, value, logs, total from ranked where rank <= ",
        );
        sql.push_bind(i64::try_from(VALUES_OF_A_BAR).unwrap_or(i64::MAX));
        sql
    }
}

/// Adds `count as logs from logs r`: from the counts of whole hours and the rows around them, or from rows alone.
fn from_logs(sql: &mut QueryBuilder<Postgres>, tenant: &TenantId, scope: &Scope, by_hours: bool) {
    if let Some(hours) = WholeHours::of(scope).filter(|_| by_hours) {
        sql.push("sum(r.logs)::int8 as logs from (");
        hours.push(sql, tenant, scope);
        sql.push(") r");
    } else {
        sql.push(on(tenant, "count(*) as logs from {schema}.log_rows r").as_str());
        within(sql, scope, Texts::Beginnings);
    }
}
