//! Records whose rows Postgres refuses for what they are: each becomes a dead letter, and its neighbours are stored.

use std::collections::HashMap;
use std::sync::Arc;

use shared::archive::Archive;
use shared::error::{Error, Result};
use shared::ids::{BatchId, TenantId};
use shared::raw;
use shared::rows::{DeadLetter, NewRow, RefusedRow, StoreBatch};

use crate::App;

/// A tenant's batches that are not stored yet, with dead letters in place of the rows that cannot be written; `None` where it is not
/// single rows that fail.
///
/// # Errors
/// Weather; and [`Error::Internal`] where it is the tenant's schema that fails.
pub(super) async fn without_refused(app: &App, tenant: &TenantId, batches: &[&StoreBatch]) -> Result<Option<Vec<StoreBatch>>> {
    let ids: Vec<BatchId> = batches.iter().map(|batch| batch.receipt.batch).collect();
    let stored = app.rows.stored_of(&ids).await?;
    let fresh: Vec<&StoreBatch> = batches.iter().copied().filter(|batch| !stored.contains(&batch.receipt.batch)).collect();
    let rows: Vec<&NewRow> = fresh.iter().flat_map(|batch| &batch.rows).collect();
    let Some(refused) = app.rows.refused(tenant, &rows).await?.filter(|refused| !refused.is_empty()) else { return Ok(None) };
    let mut mended: Vec<StoreBatch> = fresh.into_iter().cloned().collect();
    let mut frames = Frames { archive: &app.archive, texts: HashMap::new() };
    for one in refused {
        let Some(batch) = mended.iter_mut().find(|batch| batch.receipt.batch == one.id.batch()) else { continue };
        let Some(at) = batch.rows.iter().position(|row| row.id == one.id) else { continue };
        let row = batch.rows.remove(at);
        // The reason may quote the record, and is kept with it alone.
        tracing::error!(%tenant, log = %one.id, "burying a record whose row Postgres refuses");
        batch.dead.push(letter(frames.text_of(&row).await?, tenant, one)?);
        super::count(batch);
    }
    Ok(Some(mended))
}

/// Frames of raw, each fetched once: many refused rows may lie in one.
struct Frames<'a> {
    archive: &'a Archive,
    texts: HashMap<(Arc<str>, i32), Vec<u8>>,
}

impl Frames<'_> {
    async fn text_of(&mut self, row: &NewRow) -> Result<&[u8]> {
        let place = (Arc::clone(&row.raw_path), row.raw_offset);
        if !self.texts.contains_key(&place) {
            let (offset, length) = (u64::try_from(row.raw_offset).unwrap_or_default(), u64::try_from(row.raw_length).unwrap_or_default());
            let frame = self.archive.range(&row.raw_path, offset, length).await?;
            self.texts.insert(place.clone(), raw::read_frame(&frame)?);
        }
        Ok(&self.texts[&place])
    }
}

/// The record's bytes are those that were just put into its raw object.
fn letter(text: &[u8], tenant: &TenantId, refused: RefusedRow) -> Result<DeadLetter> {
    let record = raw::find_record(text, refused.id).ok_or_else(|| Error::internal("burying a record", "raw lacks it"))?;
    Ok(DeadLetter {
        id: refused.id.uuid(),
        tenant: Some(tenant.clone()),
        batch: Some(refused.id.batch()),
        records: 1,
        stage: "rows",
        code: "refused_by_postgres".to_owned(),
        reason: refused.reason,
        bytes: record.get().as_bytes().to_vec(),
    })
}
