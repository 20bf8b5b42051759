//! Partitions by the month in which logs were received, there before they are needed and made when they are not.

use sqlx::{AssertSqlSafe, PgConnection};
use time::{Date, Month, OffsetDateTime};

use super::Rows;
use crate::error::{Engine, Result};
use crate::ids::{BatchId, TenantId};
use crate::postgres::failed;
use crate::timestamp;

/// A month of receipt, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ReceiptMonth(Date);

impl ReceiptMonth {
    pub(super) fn of(unix_ms: u64) -> Self {
        let day = timestamp::to_datetime(i64::try_from(unix_ms).unwrap_or(timestamp::MAX)).date();
        Self(day.replace_day(1).expect("every month has a first"))
    }

    fn next(self) -> Self {
        let year = if self.0.month() == Month::December { self.0.year() + 1 } else { self.0.year() };
        Self(Date::from_calendar_date(year, self.0.month().next(), 1).expect("every month has a first"))
    }

    /// The name of a table's partition for the month.
    pub(super) fn partition_of(self, table: &str) -> String {
        format!("{table}_{:04}_{:02}", self.0.year(), u8::from(self.0.month()))
    }

    /// The lowest id of the month, as a UUID.
    fn floor(self) -> uuid::Uuid {
        let ms = timestamp::from_datetime(self.0.midnight().assume_utc());
        BatchId::floor(u64::try_from(ms).unwrap_or_default())
    }
}

impl Rows {
    /// Makes the partitions that this month and the next need: of the receipts and of every tenant's rows. Answers for how many
    /// tenants some were made. A tenant whose partitions cannot be made does not keep the others from theirs.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], or the first [`crate::error::Error::Internal`] once all tenants were seen to.
    pub async fn ensure_all_partitions(&self) -> Result<usize> {
        self.ensure_receipt_partitions().await?;
        let (mut made, mut failure) = (0, None);
        let lacking = self.without_partitions().await?;
        if !lacking.is_empty() {
            self.forget_partitions();
        }
        for tenant in lacking {
            match self.ensure_row_partitions(&tenant).await {
                Ok(()) => made += 1,
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        failure.map_or(Ok(made), Err)
    }

    /// Tenants who lack a partition of this month or the next: one question, instead of some for each of thousands of tenants.
    async fn without_partitions(&self) -> Result<Vec<TenantId>> {
        let month = this_month();
        let names: Vec<String> = sqlx::query_scalar(
            "select tenant from public.schemas where dropped_at is null and exists ( \
                 select 1 from unnest($1::text[]) as wanted (name) where to_regclass(quote_ident(tenant) || '.' || wanted.name) is null) order by tenant",
        )
        .bind([month, month.next()].map(|month| month.partition_of("log_rows")))
        .fetch_all(&self.pool)
        .await
        .map_err(failed(Engine::Rows, "looking for missing partitions"))?;
        Ok(names.iter().filter_map(|name| TenantId::parse(name).ok()).collect())
    }

    pub(super) async fn ensure_receipt_partitions(&self) -> Result<()> {
        let month = this_month();
        self.ensure_partition("public", "receipts", month).await?;
        self.ensure_partition("public", "receipts", month.next()).await
    }

    pub(super) async fn ensure_row_partitions(&self, tenant: &TenantId) -> Result<()> {
        let month = this_month();
        self.ensure_partition(tenant.as_str(), "log_rows", month).await?;
        self.ensure_partition(tenant.as_str(), "log_rows", month.next()).await
    }

    /// Makes one partition, unless this process has seen it. Made alone and attached after: a plain `create ... partition of`
    /// would lock out readers and writers of the whole table.
    pub(super) async fn ensure_partition(&self, schema: &str, table: &str, month: ReceiptMonth) -> Result<()> {
        let name = month.partition_of(table);
        let known = format!("{schema}.{name}");
        if self.known_partitions.lock().expect("no panic while held").contains(&known) {
            return Ok(());
        }
        let fail = failed(Engine::Rows, "making a partition");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        attach(&mut tx, schema, table, &name, month).await.map_err(&fail)?;
        tx.commit().await.map_err(&fail)?;
        self.known_partitions.lock().expect("no panic while held").insert(known);
        Ok(())
    }

    /// Forgets what was seen: after a statement found a partition missing.
    pub(super) fn forget_partitions(&self) {
        self.known_partitions.lock().expect("no panic while held").clear();
    }
}

async fn attach(tx: &mut PgConnection, schema: &str, table: &str, name: &str, month: ReceiptMonth) -> sqlx::Result<()> {
    let full = format!("\"{schema}\".{name}");
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))").bind(&full).execute(&mut *tx).await?;
    let there: bool = sqlx::query_scalar("select to_regclass($1) is not null").bind(&full).fetch_one(&mut *tx).await?;
    if there {
        return Ok(());
    }
    let (from, to) = (month.floor(), month.next().floor());
    let create = format!("create table {full} (like \"{schema}\".{table} including all)");
    let attach = format!("alter table \"{schema}\".{table} attach partition {full} for values from ('{from}') to ('{to}')");
    sqlx::raw_sql(AssertSqlSafe(format!("{create}; {attach}"))).execute(&mut *tx).await.map(drop)
}

fn this_month() -> ReceiptMonth {
    ReceiptMonth::of(u64::try_from(timestamp::from_datetime(OffsetDateTime::now_utc())).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let december = ReceiptMonth::of(1_735_603_200_000); // 2024-12-31
        let january = ReceiptMonth::of(1_735_689_600_000); // 2025-01-01
        assert_eq!(december.next(), january);
        let last = BatchId::new(1_735_689_599_999).log(u16::MAX).uuid();
        assert!(december.floor() <= last && last < january.floor());
    }
}
