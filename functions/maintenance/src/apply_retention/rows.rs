//! Rows by whole partitions, and dead letters.

use shared::error::Result;
use shared::timestamp::DAY_MS;

use super::{Due, Run};

pub(super) async fn leave(run: &mut Run<'_>, due: &mut [Due]) -> Result<()> {
    for one in due {
        if run.is_over() {
            return Ok(());
        }
        if run.app.registry.is_held(&one.tenant).await? {
            one.is_stuck = true;
            continue;
        }
        let (rows, tenant) = (&run.app.rows, &one.tenant);
        if one.kept.index > one.removed.index {
            let given_up = rows.give_up_pending(tenant, one.kept.index * DAY_MS).await;
            run.tally(tenant.as_str(), given_up)?;
        }
        if one.kept.rows > one.removed.rows {
            let dropped = rows.drop_before(tenant, one.kept.rows * DAY_MS).await;
            if let Some(partitions) = run.tally(tenant.as_str(), dropped)? {
                run.done.partitions += partitions;
                one.removed.rows = one.kept.rows;
            }
        }
        if one.kept.raw > one.removed.letters {
            let letters = rows.remove_letters_before(tenant, one.kept.raw * DAY_MS).await;
            if let Some(letters) = run.tally(tenant.as_str(), letters)? {
                run.done.letters += letters;
                one.removed.letters = one.kept.raw;
            }
        }
    }
    Ok(())
}
