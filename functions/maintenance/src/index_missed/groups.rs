//! Which batches are taken up together: enough for one request to OpenSearch to be worth it, and not more than memory should hold.

use std::collections::VecDeque;

use futures::stream::{self, Stream};
use shared::error::Result;
use shared::ids::BatchId;
use shared::rows::{PendingBatch, Rows};

/// Batches asked for at once.
const PAGE: i64 = 1000;
/// A group is full with so many documents: more in one `_bulk` are no faster.
const GROUP_DOCUMENTS: usize = 5000;
/// Or with so many bytes of records: a document has some 1.6 times the bytes of its record, and a `_bulk` of about 8 MiB is as fast as
/// larger ones.
const GROUP_TEXT: usize = 4 * 1024 * 1024;

/// Groups of batches that the index misses logs of, oldest first, each batch once.
pub(super) fn missed(rows: &Rows) -> impl Stream<Item = Result<Vec<PendingBatch>>> + '_ {
    stream::try_unfold(Pages { rows, after: None, read: VecDeque::new() }, |mut pages| async move {
        let group = pages.next_group().await?;
        Ok((!group.is_empty()).then_some((group, pages)))
    })
}

struct Pages<'a> {
    rows: &'a Rows,
    after: Option<BatchId>,
    read: VecDeque<PendingBatch>,
}

impl Pages<'_> {
    async fn next_group(&mut self) -> Result<Vec<PendingBatch>> {
        let mut group = Group::default();
        while !group.is_full() {
            if self.read.is_empty() {
                self.read = self.rows.pending_batches(self.after, PAGE).await?.into();
                self.after = self.read.back().map_or(self.after, |last| Some(last.batch));
            }
            match self.read.pop_front() {
                Some(batch) => group.push(batch),
                None => break,
            }
        }
        Ok(group.batches)
    }
}

#[derive(Default)]
struct Group {
    batches: Vec<PendingBatch>,
    documents: usize,
    text: usize,
}

impl Group {
    fn push(&mut self, batch: PendingBatch) {
        self.documents += usize::try_from(batch.pending).unwrap_or_default();
        // All of the batch, also where only some of it is missing: the frames that hold it are read as a whole.
        self.text += usize::try_from(batch.unpacked_bytes).unwrap_or_default();
        self.batches.push(batch);
    }

    fn is_full(&self) -> bool {
        self.documents >= GROUP_DOCUMENTS || self.text >= GROUP_TEXT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::ids::TenantId;

    fn batch(pending: i32, unpacked_bytes: i64) -> PendingBatch {
        let tenant = TenantId::parse("tenant_a").expect("an id");
        PendingBatch { batch: BatchId::new(1_760_099_196_000), tenant, class: "standard".to_owned(), pending, unpacked_bytes }
    }

    #[test]
    fn a_group_is_full_with_many_documents_or_much_text() {
        let mut group = Group::default();
        (0..9).for_each(|_| group.push(batch(500, 1000)));
        assert!(!group.is_full());
        group.push(batch(500, 1000));
        assert!(group.is_full());

        let mut group = Group::default();
        group.push(batch(1, 4 * 1024 * 1024));
        assert!(group.is_full());
    }
}
