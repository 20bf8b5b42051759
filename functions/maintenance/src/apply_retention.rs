//! What is over goes from the stores: it is in no answer any more by then.
//!
//! What was removed up to which day is noted for each tenant and store, so that a day is looked at once; what broke off is done again, and does no
//! harm. Rows go by whole partitions, once the last day of their month is over. Documents go from indices that tenants share, and an index with
//! its last document. A tenant's own raw objects go whole; from those that it shares its lines are taken out.

use std::collections::{BTreeMap, HashSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use shared::error::{Result, chain};
use shared::fault;
use shared::ids::TenantId;
use shared::retention::Days;
use shared::tenants::Retained;
use shared::timestamp::{self, DAY_MS};

use crate::alone::alone;
use crate::leave_shared::{SHARED, leave_shared};
use crate::{App, STEP_WITHIN};

/// Objects that are removed at the same time.
const REMOVALS_AT_ONCE: usize = 16;

/// What was removed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Tenants of whom something was over.
    pub tenants: usize,
    /// Partitions of rows.
    pub partitions: u64,
    /// Dead letters.
    pub letters: u64,
    /// Documents.
    pub documents: u64,
    /// Indices of which nothing was left.
    pub indices: u64,
    /// Raw objects of one tenant.
    pub objects: u64,
    /// Raw objects that others are still in, or were the last to leave.
    pub shared_objects: u64,
    /// Tenants, indices and days with which something is wrong; each was logged, and is tried again.
    pub failed: usize,
}

/// A tenant of whom something is over.
struct Due {
    tenant: TenantId,
    /// First days that are kept.
    kept: Days,
    /// First days that were not removed yet.
    removed: Days,
}

/// Removes what is over at this moment, unless another process is at it.
///
/// # Errors
/// Weather: what was removed by then is.
pub async fn apply_retention(app: &App, now_ms: u64) -> Result<Applied> {
    alone(&app.queue, "apply_retention", STEP_WITHIN, apply(app, now_ms)).await.unwrap_or_else(|| Ok(Applied::default()))
}

async fn apply(app: &App, now_ms: u64) -> Result<Applied> {
    let due = |one: Retained| Due { kept: one.retention.days(now_ms), tenant: one.tenant, removed: one.removed_before };
    // Under a legal hold nothing goes, not even what was over before.
    let mut due: Vec<Due> = app.registry.retained().await?.into_iter().filter(|one| !one.retention.periods.legal_hold).map(due).collect();
    due.retain(|one| one.kept.index > one.removed.index || one.kept.rows > one.removed.rows || one.kept.raw > one.removed.raw);
    let mut done = Applied { tenants: due.len(), ..Applied::default() };
    if due.is_empty() {
        return Ok(done);
    }
    // Each whatever the others say, and noted whatever comes of it: an engine that is away keeps the others from nothing.
    let rows = leave_rows(app, &mut due, &mut done).await;
    let documents = leave_index(app, &mut due, &mut done).await;
    let raw = leave_raw(app, &mut due, &mut done).await;
    fault::point("retention.before_noted");
    for one in &due {
        app.registry.note_removed(&one.tenant, one.removed).await?;
    }
    rows.and(documents).and(raw).map(|()| done)
}

async fn leave_rows(app: &App, due: &mut [Due], done: &mut Applied) -> Result<()> {
    for one in due {
        if let Some((partitions, letters)) = tally(one.tenant.as_str(), remove_rows(app, one).await, &mut done.failed)? {
            done.partitions += partitions;
            done.letters += letters;
            one.removed.rows = one.removed.rows.max(one.kept.rows);
        }
    }
    Ok(())
}

async fn leave_index(app: &App, due: &mut [Due], done: &mut Applied) -> Result<()> {
    if remove_documents(app, due, done).await? {
        due.iter_mut().for_each(|one| one.removed.index = one.removed.index.max(one.kept.index));
    }
    Ok(())
}

async fn leave_raw(app: &App, due: &mut [Due], done: &mut Applied) -> Result<()> {
    if !remove_raw(app, due, done).await? {
        return Ok(());
    }
    for one in due {
        if tally(one.tenant.as_str(), app.rows.forget_objects_before(&one.tenant, one.kept.raw * DAY_MS).await, &mut done.failed)?.is_some() {
            one.removed.raw = one.removed.raw.max(one.kept.raw);
        }
    }
    Ok(())
}

/// What was done; `None` where something is wrong with this alone.
fn tally<T>(of: &str, outcome: Result<T>, failed: &mut usize) -> Result<Option<T>> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.is_retryable() => Err(error),
        Err(error) => {
            tracing::error!(of, cause = chain(&error), "what is over cannot be removed");
            *failed += 1;
            Ok(None)
        }
    }
}

async fn remove_rows(app: &App, due: &Due) -> Result<(u64, u64)> {
    let partitions = if due.kept.rows > due.removed.rows { app.rows.drop_before(&due.tenant, due.kept.rows * DAY_MS).await? } else { 0 };
    let letters = if due.kept.raw > due.removed.raw { app.rows.remove_letters_before(&due.tenant, due.kept.raw * DAY_MS).await? } else { 0 };
    Ok((partitions, letters))
}

/// Answers whether all is removed.
async fn remove_documents(app: &App, due: &[Due], done: &mut Applied) -> Result<bool> {
    if due.iter().all(|one| one.kept.index <= one.removed.index) {
        return Ok(true);
    }
    let mut is_all = true;
    for (index, day) in app.index.days().await? {
        // Days that were looked at before, too: what the index had missed may have been made up for since.
        let leaving: Vec<&TenantId> = due.iter().filter(|one| one.kept.index > day).map(|one| &one.tenant).collect();
        if leaving.is_empty() {
            continue;
        }
        // One that is closed keeps no other from being left.
        match app.index.leave(&index, &leaving).await {
            Ok(left) => {
                done.documents += left.documents;
                done.indices += u64::from(left.dropped);
            }
            Err(error) => {
                tracing::error!(index, cause = chain(&error), "what is over cannot be removed from an index");
                done.failed += 1;
                is_all = false;
            }
        }
    }
    Ok(is_all)
}

/// Answers whether all is removed.
async fn remove_raw(app: &App, due: &[Due], done: &mut Applied) -> Result<bool> {
    if due.iter().all(|one| one.kept.raw <= one.removed.raw) {
        return Ok(true);
    }
    let days: BTreeMap<String, u64> = app.archive.days().await?.into_iter().filter_map(|folder| day_of(&folder).map(|day| (folder, day))).collect();
    let mut is_all = true;
    for (folder, day) in days {
        let leaving: HashSet<TenantId> = due.iter().filter(|one| (one.removed.raw..one.kept.raw).contains(&day)).map(|one| one.tenant.clone()).collect();
        if leaving.is_empty() {
            continue;
        }
        is_all &= tally(&folder, leave_day(app, &folder, &leaving, done).await, &mut done.failed)?.is_some();
    }
    Ok(is_all)
}

async fn leave_day(app: &App, folder: &str, leaving: &HashSet<TenantId>, done: &mut Applied) -> Result<()> {
    for owner in app.archive.owners(folder).await? {
        let is_leaving = TenantId::parse(&owner).is_ok_and(|owner| leaving.contains(&owner));
        if is_leaving {
            let objects = app.archive.list(&format!("{folder}{owner}/")).await?;
            done.objects += objects.len() as u64;
            stream::iter(objects).map(|path| async move { app.archive.delete(&path).await }).buffer_unordered(REMOVALS_AT_ONCE).try_collect::<()>().await?;
        } else if owner == SHARED {
            done.shared_objects += leave_shared(app, app.archive.list(&format!("{folder}{SHARED}/")).await?, leaving).await?;
        }
    }
    Ok(())
}

/// The day in a folder's name, `raw/{class}/{yyyy}/{mm}/{dd}/`, counted from 1970-01-01.
fn day_of(folder: &str) -> Option<u64> {
    let parts: Vec<&str> = folder.strip_suffix('/')?.rsplitn(4, '/').collect();
    let [day, month, year, _] = parts[..] else { return None };
    let midnight = timestamp::parse(&format!("{year}-{month}-{day}T00:00:00Z")).ok()?;
    u64::try_from(midnight).ok().map(|ms| ms / DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::error::Error;

    #[test]
    fn a_folder_tells_its_day() {
        assert_eq!(day_of("raw/standard/1970/01/02/"), Some(1));
        assert_eq!(day_of("raw/standard/2025/10/10/"), Some(20_371));
        assert_eq!(["raw/", "raw/standard/2025/13/01/", "raw/standard/x/"].map(day_of), [None; 3]);
    }

    #[test]
    fn what_is_wrong_with_one_is_counted_and_weather_ends_the_run() {
        let mut failed = 0;
        assert!(matches!(tally("one", Err::<(), _>(Error::internal("dropping", "no such schema")), &mut failed), Ok(None)));
        assert_eq!(failed, 1);
        assert!(tally("one", Err::<(), _>(Error::unavailable(shared::error::Engine::Rows, "gone")), &mut failed).is_err());
    }
}
