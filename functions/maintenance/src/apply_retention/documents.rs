//! Documents, from the indices of days that are over.

use shared::error::{Result, chain};

use super::{Due, Run, leaving};

pub(super) async fn leave(run: &mut Run<'_>, due: &mut [Due]) -> Result<()> {
    if due.iter().all(|one| one.kept.index <= one.removed.index) {
        return Ok(());
    }
    for (index, day) in run.app.index.days().await? {
        if run.is_over() {
            return Ok(());
        }
        // Days that were looked at before, too: what the index had missed may have been made up for since.
        let leaving = leaving(run.app, due, |one| one.kept.index > day).await?;
        if leaving.is_empty() {
            continue;
        }
        // One that is closed keeps no other from being left.
        match run.app.index.leave(&index, &leaving).await {
            Ok(left) => {
                run.done.documents += left.documents;
                run.done.indices += u64::from(left.dropped);
            }
            Err(error) => {
                tracing::error!(index, cause = chain(&error), "what is over cannot be removed from an index");
                run.done.failed += 1;
                due.iter_mut().filter(|one| leaving.contains(&one.tenant)).for_each(|one| one.is_stuck = true);
            }
        }
    }
    due.iter_mut().filter(|one| !one.is_stuck).for_each(|one| one.removed.index = one.removed.index.max(one.kept.index));
    Ok(())
}
