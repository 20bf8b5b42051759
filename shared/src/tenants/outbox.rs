//! The outbox: events that were recorded with what they tell of, until whoever is to be told had them. Webhooks are the third of those, beside
//! the two here: `deliveries` hands out to them.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow, Postgres};
use sqlx::{AssertSqlSafe, Transaction};

use super::Registry;
use crate::error::{Engine, Result};
use crate::events::Event;
use crate::postgres::failed;

/// How long an event is kept that all were told. One that holds a secret is not.
const KEPT_DAYS: i32 = 7;

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The stream in Redis.
    Stream,
    /// The event bus.
    Bus,
}

impl Told {
    fn column(self) -> &'static str {
        match self {
            Self::Stream => "streamed_at",
            Self::Bus => "bused_at",
        }
    }
}

/// Events that nobody else tells to the same meanwhile. Dropped without [`Telling::done`], they are told again.
#[derive(Debug)]
pub struct Telling {
    tx: Transaction<'static, Postgres>,
    told: Told,
    /// The events, in their order; at most one of each tenant where they may be taken one by one.
    pub events: Vec<Event>,
}

impl Registry {
    /// The first events that `told` has not had; `None` where another process is telling it some just now, or there are none.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn begin_telling(&self, told: Told, at_most: usize) -> Result<Option<Telling>> {
        self.try_begin_telling(told, i64::try_from(at_most).unwrap_or(i64::MAX)).await.map_err(failed(Engine::Control, "reading the outbox"))
    }

    async fn try_begin_telling(&self, told: Told, at_most: i64) -> sqlx::Result<Option<Telling>> {
        let mut tx = self.pool.begin().await?;
        // It ends with the connection: of a process that dies the next takes over at once.
        let lock = format!("loggerhub outbox {}", told.column());
        let alone: bool = sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtextextended($1, 0))").bind(lock).fetch_one(&mut *tx).await?;
        if !alone {
            return Ok(None);
        }
        let statement = match told {
            Told::Stream => "select position, id, tenant_id, type, subject, at, data::text as data from outbox where streamed_at is null order by position limit $1",
            // The bus may take some of what it is sent and refuse others: of each tenant the first, so that none overtakes another.
            Told::Bus => {
                "select position, id, tenant_id, type, subject, at, data::text as data from ( \
                     select distinct on (tenant_id) * from outbox where bused_at is null order by tenant_id, position) firsts order by position limit $1"
            }
        };
        let rows = sqlx::query(statement).bind(at_most).fetch_all(&mut *tx).await?;
        let events: Vec<Event> = rows.iter().map(event_of).collect::<sqlx::Result<_>>()?;
        Ok((!events.is_empty()).then_some(Telling { tx, told, events }))
    }

    /// Forgets events that all were told long ago. Where there is no bus, nobody waits for it.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn forget_told(&self, with_bus: bool) -> Result<u64> {
        let statement = "delete from outbox where streamed_at < now() - make_interval(days => case audience when 'operator' then 0 else $1 end) \
             and (hooked_at is not null or audience = 'operator') and (bused_at is not null or not $2)";
        let done = sqlx::query(statement).bind(KEPT_DAYS).bind(with_bus).execute(&self.pool).await;
        Ok(done.map_err(failed(Engine::Control, "tidying up the outbox"))?.rows_affected())
    }
}

impl Telling {
    /// Remembers that these were told.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`]: they will be told again.
    pub async fn done(mut self, positions: &[i64]) -> Result<()> {
        let fail = failed(Engine::Control, "remembering what was told");
        mark(&mut self.tx, self.told, positions).await.map_err(&fail)?;
        self.tx.commit().await.map_err(fail)
    }
}

async fn mark(tx: &mut PgConnection, told: Told, positions: &[i64]) -> sqlx::Result<()> {
    let statement = format!("update outbox set {} = now() where position = any($1)", told.column());
    sqlx::query(AssertSqlSafe(statement)).bind(positions).execute(tx).await.map(drop)
}

pub(super) fn event_of(row: &PgRow) -> sqlx::Result<Event> {
    Ok(Event {
        position: row.try_get("position")?,
        id: row.try_get("id")?,
        tenant: row.try_get("tenant_id")?,
        kind: row.try_get("type")?,
        subject: row.try_get("subject")?,
        at: row.try_get("at")?,
        data: super::audit_trail::json(row, "data")?,
    })
}
