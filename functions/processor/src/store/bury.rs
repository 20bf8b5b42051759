//! Records whose rows Postgres refuses for what they are: each becomes a dead letter, and its neighbours are stored.

use shared::archive::Archive;
use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::raw;
use shared::rows::{DeadLetter, NewRow, RefusedRow, StoreBatch};

use crate::App;

/// A tenant's batches with dead letters in place of the rows that cannot be written; `None` where it is not the rows that fail.
///
/// # Errors
/// Weather; and [`Error::Internal`] where it is the tenant's schema that fails.
pub(super) async fn without_refused(app: &App, tenant: &TenantId, batches: &[&StoreBatch]) -> Result<Option<Vec<StoreBatch>>> {
    let rows: Vec<&NewRow> = batches.iter().flat_map(|batch| &batch.rows).collect();
    let refused = app.rows.refused(tenant, &rows).await?;
    if refused.is_empty() {
        return Ok(None);
    }
    let mut mended: Vec<StoreBatch> = batches.iter().map(|batch| (*batch).clone()).collect();
    for one in refused {
        let Some(batch) = mended.iter_mut().find(|batch| batch.receipt.batch == one.id.batch()) else { continue };
        let Some(at) = batch.rows.iter().position(|row| row.id == one.id) else { continue };
        let row = batch.rows.remove(at);
        // The reason may quote the record, and is kept with it alone.
        tracing::error!(%tenant, log = %one.id, "burying a record whose row Postgres refuses");
        batch.dead.push(letter(&app.archive, tenant, &row, one).await?);
        super::count(batch);
    }
    Ok(Some(mended))
}

/// The record's bytes are those that were just put into its raw object.
async fn letter(archive: &Archive, tenant: &TenantId, row: &NewRow, refused: RefusedRow) -> Result<DeadLetter> {
    let (offset, length) = (u64::try_from(row.raw_offset).unwrap_or_default(), u64::try_from(row.raw_length).unwrap_or_default());
    let frame = archive.range(&row.raw_path, offset, length).await?;
    let text = raw::read_frame(&frame)?;
    let record = raw::find_record(&text, row.id).ok_or_else(|| Error::internal("burying a record", "raw lacks it"))?;
    Ok(DeadLetter {
        id: row.id.uuid(),
        tenant: Some(tenant.clone()),
        batch: Some(row.id.batch()),
        records: 1,
        stage: "rows",
        code: "refused_by_postgres".to_owned(),
        reason: refused.reason,
        bytes: record.get().as_bytes().to_vec(),
    })
}
