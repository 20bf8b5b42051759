//! The ledgers of a tenant's making and of its removal: which steps there are, how far each has come, and what it removed.
//!
//! A step is begun before its work and ended after, each in a transaction of its own, so a process that dies in between leaves it `running` for the
//! next, which does it again: the work of every step can be done twice.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};
use time::OffsetDateTime;

use super::audit_trail::json;
use super::{Registry, TenantStatus};
use crate::error::{Engine, Error, Result, chain};
use crate::fault;
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::text::first_chars;

/// Longest error that is kept of a step, in characters.
const MOST_OF_AN_ERROR: usize = 2_000;

/// One of the two ledgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ledger {
    /// A tenant is made.
    Provisioning,
    /// A tenant is removed.
    Deletion,
}

impl Ledger {
    fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Deletion => "deletion",
        }
    }

    /// Its steps, in their order.
    #[must_use]
    pub fn steps(self) -> &'static [Step] {
        match self {
            Self::Provisioning => &[Step::MakeSchema, Step::Activate],
            Self::Deletion => &[Step::CloseKeys, Step::Grace, Step::DropSchema, Step::RemoveDocuments, Step::RemoveObjects, Step::RemoveLate, Step::Forget],
        }
    }
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The tenant's schema is made.
    MakeSchema,
    /// The tenant is set to work.
    Activate,
    /// Its keys become tombstones everywhere.
    CloseKeys,
    /// It can be restored until this is over.
    Grace,
    /// Rows, receipts and dead letters go.
    DropSchema,
    /// Documents of the index go.
    RemoveDocuments,
    /// Raw objects of its own go.
    RemoveObjects,
    /// What processors wrote that had looked before the schema was dropped goes, until none can any more.
    RemoveLate,
    /// What the control database has of it goes, but its id, its audit trail and this ledger.
    Forget,
}

impl Step {
    fn as_str(self) -> &'static str {
        match self {
            Self::MakeSchema => "make_schema",
            Self::Activate => "activate",
            Self::CloseKeys => "close_keys",
            Self::Grace => "grace",
            Self::DropSchema => "drop_schema",
            Self::RemoveDocuments => "remove_documents",
            Self::RemoveObjects => "remove_objects",
            Self::RemoveLate => "remove_late",
            Self::Forget => "forget",
        }
    }

    fn ledger(self) -> Ledger {
        if Ledger::Provisioning.steps().contains(&self) { Ledger::Provisioning } else { Ledger::Deletion }
    }

    fn position(self) -> i16 {
        let at = self.ledger().steps().iter().position(|step| *step == self).unwrap_or_default();
        i16::try_from(at + 1).unwrap_or(i16::MAX)
    }

    /// The fault point between its work and the note of it; none for steps whose work is that note.
    fn fault_point(self) -> Option<&'static str> {
        match self {
            Self::MakeSchema => Some("provisioning.schema_made"),
            Self::CloseKeys => Some("deletion.keys_closed"),
            Self::DropSchema => Some("deletion.schema_dropped"),
            Self::RemoveDocuments => Some("deletion.documents_removed"),
            Self::RemoveObjects => Some("deletion.objects_removed"),
            Self::RemoveLate => Some("deletion.late_removed"),
            Self::Activate | Self::Grace | Self::Forget => None,
        }
    }
}

/// How many of what a step removed.
pub type Removed = BTreeMap<&'static str, u64>;

/// What one attempt at a step came to.
#[derive(Debug, Default)]
pub struct Attempt {
    /// Whether there is more to be done later.
    pub waits: bool,
    /// What it removed, beyond what was noted by [`Registry::will_be_removed`].
    pub removed: Removed,
}

/// How far a step has come.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct TenantStep {
    /// `provisioning` or `deletion`.
    pub ledger: String,
    /// Its name, such as `drop_schema`.
    pub step: String,
    /// `pending`, `running` (or broken off, until somebody goes on), `waiting`, `failed` or `done`.
    pub state: String,
    /// How often it was begun.
    pub attempts: i32,
    /// What the last attempt that failed said, until one succeeds.
    pub last_error: Option<String>,
    /// When it was begun first.
    #[serde(with = "time::serde::rfc3339::option")]
    pub begun_at: Option<OffsetDateTime>,
    /// When it was begun last.
    #[serde(with = "time::serde::rfc3339::option")]
    pub tried_at: Option<OffsetDateTime>,
    /// When it was done.
    #[serde(with = "time::serde::rfc3339::option")]
    pub done_at: Option<OffsetDateTime>,
    /// What it removed, and how many of it.
    #[schema(value_type = Object)]
    pub receipt: Value,
}

/// A tenant's ledgers; also of one that is gone.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct TenantSteps {
    /// The tenant.
    pub id: String,
    /// Where it is in its life.
    pub status: TenantStatus,
    /// Until when it can be restored, where it is being deleted.
    #[serde(with = "time::serde::rfc3339::option")]
    pub delete_at: Option<OffsetDateTime>,
    /// Its steps, those of its making first.
    pub steps: Vec<TenantStep>,
}

impl Registry {
    /// A tenant's ledgers, deleted tenants included.
    ///
    /// # Errors
    /// [`Error::NotFound`] for one that never was, or [`Error::Unavailable`].
    pub async fn steps(&self, id: &TenantId) -> Result<TenantSteps> {
        let fail = failed(Engine::Control, "reading a tenant's steps");
        let tenant: Option<(TenantStatus, Option<OffsetDateTime>)> =
            sqlx::query_as("select status, delete_at from tenants where id = $1").bind(id.as_str()).fetch_optional(&self.pool).await.map_err(&fail)?;
        let (status, delete_at) = tenant.ok_or(Error::NotFound("tenant"))?;
        let rows = sqlx::query(
            "select ledger, step, state, attempts, last_error, begun_at, tried_at, done_at, receipt::text as receipt from tenant_steps \
             where tenant_id = $1 order by ledger desc, position",
        )
        .bind(id.as_str())
        .fetch_all(&self.pool)
        .await;
        let steps = rows.and_then(|rows| rows.iter().map(step_of).collect()).map_err(fail)?;
        Ok(TenantSteps { id: id.to_string(), status, delete_at, steps })
    }

    /// Steps of a ledger that are not done yet, in their order.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn open_steps(&self, id: &TenantId, ledger: Ledger) -> Result<Vec<Step>> {
        let done: Vec<String> = sqlx::query_scalar("select step from tenant_steps where tenant_id = $1 and state = 'done'")
            .bind(id.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(failed(Engine::Control, "looking for steps"))?;
        Ok(ledger.steps().iter().copied().filter(|step| !done.iter().any(|name| name == step.as_str())).collect())
    }

    /// Tenants of whom this step was to be done for so long, at most so many: nobody is at it any more.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn behind_with(&self, step: Step, for_at_least: Duration, limit: i64) -> Result<Vec<TenantId>> {
        let statement = "select tenant_id from tenant_steps where step = $1 and state <> 'done' \
             and coalesce(tried_at, created_at) <= now() - make_interval(secs => $2) order by created_at limit $3";
        let rows = sqlx::query_scalar(statement).bind(step.as_str()).bind(for_at_least.as_secs_f64()).bind(limit).fetch_all(&self.pool).await;
        let ids: Vec<String> = rows.map_err(failed(Engine::Control, "looking for steps"))?;
        Ok(ids.iter().filter_map(|id| TenantId::parse(id).ok()).collect())
    }

    /// Does a step, and keeps what came of it. Answers whether it is done.
    ///
    /// # Errors
    /// What the work says, which the ledger keeps, too; or [`Error::Unavailable`].
    pub async fn attempt(&self, id: &TenantId, step: Step, work: impl Future<Output = Result<Attempt>>) -> Result<bool> {
        let fail = failed(Engine::Control, "keeping what became of a step");
        begin(&mut *self.pool.acquire().await.map_err(&fail)?, id, step).await.map_err(&fail)?;
        match work.await {
            Ok(Attempt { waits, removed }) => {
                if let Some(point) = step.fault_point() {
                    fault::point(point);
                }
                let mut tx = self.pool.begin().await.map_err(&fail)?;
                note_removed(&mut tx, id, step, &removed, Sum::Added).await.map_err(&fail)?;
                end(&mut tx, id, step, waits).await.map_err(&fail)?;
                tx.commit().await.map_err(fail)?;
                Ok(!waits)
            }
            Err(error) => {
                let said = chain(&error);
                let kept = sqlx::query("update tenant_steps set state = 'failed', last_error = $3 where tenant_id = $1 and step = $2 and state <> 'done'")
                    .bind(id.as_str())
                    .bind(step.as_str())
                    .bind(first_chars(&said, MOST_OF_AN_ERROR))
                    .execute(&self.pool)
                    .await;
                if let Err(unkept) = kept {
                    tracing::warn!(tenant = %id, step = step.as_str(), cause = chain(&unkept), "a step failed, and its ledger does not know");
                }
                Err(error)
            }
        }
    }

    /// Notes what a step is about to remove. Who goes on after a removal that broke off finds less than there was: the most that was found counts.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: then it must not be removed yet.
    pub async fn will_be_removed(&self, id: &TenantId, step: Step, found: &Removed) -> Result<()> {
        let fail = failed(Engine::Control, "noting what is removed");
        note_removed(&mut *self.pool.acquire().await.map_err(&fail)?, id, step, found, Sum::Most).await.map_err(fail)
    }
}

/// What two counts of the same come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sum {
    Added,
    Most,
}

/// Opens a ledger, in the transaction that makes it necessary. One that is open stays as it is.
pub(super) async fn open(tx: &mut PgConnection, id: &TenantId, ledger: Ledger) -> sqlx::Result<()> {
    let (positions, names): (Vec<i16>, Vec<&str>) = ledger.steps().iter().map(|step| (step.position(), step.as_str())).unzip();
    sqlx::query(
        "insert into tenant_steps (tenant_id, ledger, position, step) select $1, $2, s.position, s.step from unnest($3::smallint[], $4::text[]) as s (position, step) \
         on conflict (tenant_id, step) do nothing",
    )
    .bind(id.as_str())
    .bind(ledger.as_str())
    .bind(positions)
    .bind(names)
    .execute(tx)
    .await
    .map(drop)
}

/// Forgets a ledger: of a deletion that was taken back.
pub(super) async fn close(tx: &mut PgConnection, id: &TenantId, ledger: Ledger) -> sqlx::Result<()> {
    sqlx::query("delete from tenant_steps where tenant_id = $1 and ledger = $2").bind(id.as_str()).bind(ledger.as_str()).execute(tx).await.map(drop)
}

/// Does a step whose work is in this transaction.
pub(super) async fn do_now(tx: &mut PgConnection, id: &TenantId, step: Step, removed: &Removed) -> sqlx::Result<()> {
    begin(tx, id, step).await?;
    note_removed(tx, id, step, removed, Sum::Most).await?;
    end(tx, id, step, false).await
}

/// Counts an attempt. A step that a tenant of an earlier version has no line of gets one.
async fn begin(tx: &mut PgConnection, id: &TenantId, step: Step) -> sqlx::Result<()> {
    sqlx::query(
        "insert into tenant_steps as s (tenant_id, ledger, position, step, state, attempts, begun_at, tried_at) values ($1, $2, $3, $4, 'running', 1, now(), now()) \
         on conflict (tenant_id, step) do update set state = 'running', attempts = s.attempts + 1, begun_at = coalesce(s.begun_at, now()), tried_at = now() where s.state <> 'done'",
    )
    .bind(id.as_str())
    .bind(step.ledger().as_str())
    .bind(step.position())
    .bind(step.as_str())
    .execute(tx)
    .await
    .map(drop)
}

async fn end(tx: &mut PgConnection, id: &TenantId, step: Step, waits: bool) -> sqlx::Result<()> {
    let set = if waits { "state = 'waiting', last_error = null" } else { "state = 'done', last_error = null, done_at = now()" };
    let statement = format!("update tenant_steps set {set} where tenant_id = $1 and step = $2 and state <> 'done'");
    sqlx::query(AssertSqlSafe(statement)).bind(id.as_str()).bind(step.as_str()).execute(tx).await.map(drop)
}

async fn note_removed(tx: &mut PgConnection, id: &TenantId, step: Step, removed: &Removed, sum: Sum) -> sqlx::Result<()> {
    if removed.is_empty() {
        return Ok(());
    }
    let (names, counts): (Vec<&str>, Vec<i64>) = removed.iter().map(|(name, count)| (*name, i64::try_from(*count).unwrap_or(i64::MAX))).unzip();
    sqlx::query(
        "update tenant_steps s set receipt = s.receipt || ( \
             select jsonb_object_agg(r.name, case when $5 then coalesce((s.receipt ->> r.name)::bigint, 0) + r.count else greatest((s.receipt ->> r.name)::bigint, r.count) end) \
             from unnest($3::text[], $4::bigint[]) as r (name, count)) where s.tenant_id = $1 and s.step = $2",
    )
    .bind(id.as_str())
    .bind(step.as_str())
    .bind(names)
    .bind(counts)
    .bind(sum == Sum::Added)
    .execute(tx)
    .await
    .map(drop)
}

fn step_of(row: &PgRow) -> sqlx::Result<TenantStep> {
    Ok(TenantStep {
        ledger: row.try_get("ledger")?,
        step: row.try_get("step")?,
        state: row.try_get("state")?,
        attempts: row.try_get("attempts")?,
        last_error: row.try_get("last_error")?,
        begun_at: row.try_get("begun_at")?,
        tried_at: row.try_get("tried_at")?,
        done_at: row.try_get("done_at")?,
        receipt: json(row, "receipt")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_those_who_were_under_way_are_those_of_the_migration() {
        const MIGRATION: &str = include_str!("../../migrations/control/0009_ledgers.sql");
        for ledger in [Ledger::Provisioning, Ledger::Deletion] {
            for step in ledger.steps() {
                assert_eq!(step.ledger(), ledger, "{step:?} stands in one ledger");
                assert!(MIGRATION.contains(&format!("({}, '{}')", step.position(), step.as_str())), "{step:?}");
            }
        }
    }

    #[test]
    fn the_points_where_a_step_may_break_off_are_points() {
        let steps = [Ledger::Provisioning, Ledger::Deletion].into_iter().flat_map(Ledger::steps);
        for point in steps.filter_map(|step| step.fault_point()) {
            assert!(fault::POINTS.contains(&point), "{point}");
        }
    }
}
