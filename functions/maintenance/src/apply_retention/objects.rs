//! Raw objects: a tenant's own whole, and its lines in those that it shares.

use std::collections::HashSet;
use std::time::Duration;

use shared::archive::SHARED;
use shared::error::Result;
use shared::ids::{BatchId, TenantId};
use shared::timestamp::{self, DAY_MS};

use super::{Due, Run, leaving};
use crate::finish_tenants::delete;
use crate::leave_shared::leave_shared;

/// What was put so long before a run began is looked at again by the next: its drain may have been slow.
const LOOKED_BACK: Duration = Duration::from_secs(3_600);

/// Goes through the days that are over, the oldest first: each that was left is noted, so that a run which breaks off has come nearer.
pub(super) async fn leave(run: &mut Run<'_>, due: &mut [Due]) -> Result<()> {
    if due.iter().all(|one| one.kept.raw <= one.removed.raw) {
        return Ok(());
    }
    let mut days: Vec<(u64, String)> = run.app.archive.days().await?.into_iter().filter_map(|folder| Some((day_of(&folder)?, folder))).collect();
    days.sort_unstable();
    for (day, folder) in days {
        if run.is_over() {
            return Ok(());
        }
        let leaving: HashSet<TenantId> = leaving(run.app, due, |one| one.kept.raw > day).await?.into_iter().collect();
        if leaving.is_empty() {
            continue;
        }
        // Whoever left this day before looks only at what was put since: a queue that had waited for long, a letter that was redriven.
        let first_time = due.iter().any(|one| leaving.contains(&one.tenant) && one.removed.raw <= day);
        let since = if first_time { 0 } else { due.iter().filter(|one| leaving.contains(&one.tenant)).map(|one| one.removed.raw_at_ms).min().unwrap_or_default() };
        let left = leave_day(run, &folder, &leaving, since).await;
        let is_left = run.tally(&folder, left)?.is_some_and(|unreadable| unreadable == 0);
        for one in due.iter_mut().filter(|one| leaving.contains(&one.tenant)) {
            one.is_stuck |= !is_left;
            if !one.is_stuck {
                one.removed.raw = one.removed.raw.max(day + 1);
            }
        }
    }
    for one in due.iter_mut().filter(|one| !one.is_stuck && one.kept.raw > 0) {
        let forgotten = run.app.rows.forget_objects_before(&one.tenant, one.kept.raw * DAY_MS).await;
        if run.tally(one.tenant.as_str(), forgotten)?.is_some() {
            one.removed.raw = one.removed.raw.max(one.kept.raw);
            one.removed.raw_at_ms = run.now_ms.saturating_sub(u64::try_from(LOOKED_BACK.as_millis()).unwrap_or_default());
        }
    }
    Ok(())
}

/// Answers how many objects of the day cannot be read.
async fn leave_day(run: &mut Run<'_>, folder: &str, leaving: &HashSet<TenantId>, since_ms: u64) -> Result<u64> {
    let archive = &run.app.archive;
    let mut unreadable = 0;
    for owner in archive.owners(folder).await? {
        if TenantId::parse(&owner).is_ok_and(|owner| leaving.contains(&owner)) {
            let objects = archive.list(&format!("{folder}{owner}/")).await?;
            let count = objects.len() as u64;
            delete(run.app, objects).await?;
            run.done.objects += count;
        } else if owner == SHARED {
            let after = if since_ms == 0 { String::new() } else { BatchId::floor(since_ms).to_string() };
            let left = leave_shared(run.app, archive.list_after(&format!("{folder}{SHARED}/"), &after).await?, leaving).await?;
            run.done.shared_objects += left.objects;
            run.done.failed += usize::try_from(left.unreadable).unwrap_or(usize::MAX);
            unreadable += left.unreadable;
        }
    }
    Ok(unreadable)
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

    #[test]
    fn a_folder_tells_its_day() {
        assert_eq!(day_of("raw/standard/1970/01/02/"), Some(1));
        assert_eq!(day_of("raw/standard/2025/10/10/"), Some(20_371));
        assert_eq!(["raw/", "raw/standard/2025/13/01/", "raw/standard/x/"].map(day_of), [None; 3]);
    }
}
