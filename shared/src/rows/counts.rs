//! Counting rows: bars over time, and values of fields; exact.

use std::collections::{BTreeMap, HashMap};

use futures::TryStreamExt;
use sqlx::{QueryBuilder, Row as _};

use super::narrow::Texts;
use super::read::{LIST_TIMEOUT, within};
use super::{Rows, on};
use crate::error::{Engine, Result};
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::query::{Bars, CountBy, Counted, Counts, Facet, Scope, VALUES_OF_A_BAR};
use crate::record::Level;
use crate::timestamp;

impl Rows {
    /// Counts the values of some fields over a tenant's rows, and the rows. The scope has no query.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], also where counting takes too long.
    pub async fn facets(&self, tenant: &TenantId, scope: &Scope, fields: &[CountBy], limit: usize) -> Result<(Vec<Facet>, u64)> {
        // Once by all three: there are few combinations, and to add them up is cheaper than to look at each row for each field.
        let statement = "select r.level, r.service, r.language, count(*) as logs from {schema}.log_rows r";
        let mut sql = QueryBuilder::new(on(tenant, statement).as_str());
        within(&mut sql, scope, Texts::Beginnings);
        sql.push(" group by r.level, r.service, r.language");
        let fail = failed(Engine::Rows, "counting rows");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        sqlx::query(LIST_TIMEOUT).execute(&mut *tx).await.map_err(&fail)?;
        let mut rows = sql.build().fetch(&mut *tx);
        let mut counts = vec![HashMap::<String, u64>::new(); fields.len()];
        let mut total = 0;
        while let Some(row) = rows.try_next().await.map_err(&fail)? {
            let logs = u64::try_from(row.try_get::<i64, _>("logs").map_err(&fail)?).unwrap_or_default();
            total += logs;
            for (field, counts) in fields.iter().zip(&mut counts) {
                let value = match field {
                    CountBy::Level => Level::from_number(row.try_get("level").map_err(&fail)?).map(|level| level.as_str().to_owned()),
                    CountBy::Service => Some(row.try_get("service").map_err(&fail)?),
                    CountBy::Language => row.try_get("language").map_err(&fail)?,
                };
                if let Some(value) = value {
                    *counts.entry(value).or_default() += logs;
                }
            }
        }
        Ok((counts.into_iter().map(|counts| Facet::top(counts.into_iter().collect(), limit)).collect(), total))
    }

    /// Counts a tenant's rows in bars of time. The scope has no query: what a query means is not for SQL to count.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], also where counting takes too long.
    pub async fn histogram(&self, tenant: &TenantId, scope: &Scope, bars: &Bars) -> Result<Counted> {
        let value = match bars.by {
            None => "null::text",
            Some(CountBy::Level) => "r.level",
            Some(CountBy::Service) => "r.service",
            Some(CountBy::Language) => "r.language",
        };
        let statement = format!(
            r#"with counted as (select date_bin('{} ms', r."timestamp", '1970-01-01Z') as bar, {value} as value, count(*) as logs from {{schema}}.log_rows r"#,
            bars.interval_ms
        );
        let mut sql = QueryBuilder::new(on(tenant, &statement).as_str());
        within(&mut sql, scope, Texts::Beginnings);
        sql.push(
            " group by 1, 2), ranked as (select bar, value::text, logs, sum(logs) over (partition by bar)::int8 as total, \
             row_number() over (partition by bar order by logs desc, value::text collate \"C\") as rank from counted) \
             select bar, value, logs, total from ranked where rank <= ",
        );
        sql.push_bind(i64::try_from(VALUES_OF_A_BAR).unwrap_or(i64::MAX));
        let fail = failed(Engine::Rows, "counting rows");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        sqlx::query(LIST_TIMEOUT).execute(&mut *tx).await.map_err(&fail)?;
        let rows = sql.build().fetch_all(&mut *tx).await.map_err(&fail)?;
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
}
