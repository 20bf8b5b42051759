//! The processor's part in Postgres, alone: batches stored with their receipts, counts and usage, beside COPY of the same rows into the same table
//! and nothing else. Both over one connection, a thousand rows a transaction.

use std::time::Instant;

use anyhow::Context;
use shared::ids::{BatchId, TenantId};
use shared::record::Record;
use shared::rows::{IndexState, NewRow, Receipt, Rows, StoreBatch};
use shared::settings::{Env, PostgresSettings};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::data::Event;
use crate::figures::{Figures, Goal, real};
use crate::server::Server;

/// Logs of a batch, and batches of a transaction.
pub(crate) const LOGS_OF_A_BATCH: usize = 100;
pub(crate) const BATCHES_AT_ONCE: usize = 10;

/// How much.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Stage {
    /// Rows of each round.
    #[arg(long, default_value_t = 50_000)]
    pub(crate) rows: usize,
}

pub(crate) async fn run(env: &Env, events: &[Event], rounds: usize, asked: Stage) -> anyhow::Result<()> {
    // It makes the databases and the schemas; nobody sends it anything.
    let server = Server::start().await?;
    let settings = PostgresSettings::logs_from_env(env)?;
    let mut straight = PgConnection::connect(settings.url.reveal()).await?;
    let rows = Rows::open(&settings)?;
    let (mut baseline, mut ours, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let mut figures = Figures::new("stage");
    for round in 0..=rounds {
        let (alone, through) = (format!("alone_{round}"), format!("through_{round}"));
        for tenant in [&alone, &through] {
            server.make_tenant(tenant).await?;
        }
        let batches = batches(events, asked.rows, &TenantId::parse(&through)?)?;
        let copies: Vec<Vec<u8>> = batches.chunks(BATCHES_AT_ONCE).map(copied).collect();
        let object: i64 = sqlx::query_scalar(AssertSqlSafe(format!("insert into {alone}.objects (path) values ('raw/bench') returning id"))).fetch_one(&mut straight).await?;
        anyhow::ensure!(object == 1, "the first object of a fresh schema");
        let began = Instant::now();
        for copy in &copies {
            let mut tx = straight.begin().await?;
            let statement = format!("copy {alone}.log_rows (id, \"timestamp\", object_id, raw_offset, raw_length, level, index_state, service, language, message) from stdin");
            let mut sink = tx.copy_in_raw(&statement).await?;
            sink.send(copy.as_slice()).await?;
            sink.finish().await?;
            tx.commit().await?;
        }
        let without = began.elapsed().as_secs_f64();
        let began = Instant::now();
        for some in batches.chunks(BATCHES_AT_ONCE) {
            let stored = rows.store(&some.iter().collect::<Vec<_>>()).await?;
            anyhow::ensure!(stored.len() == some.len(), "every batch is new");
        }
        let with = began.elapsed().as_secs_f64();
        if round > 0 {
            baseline.push(real(asked.rows) / without);
            ours.push(real(asked.rows) / with);
            let size: i64 = sqlx::query_scalar(AssertSqlSafe(format!("select sum(pg_total_relation_size(relid))::int8 from pg_partition_tree('{through}.log_rows')")))
                .fetch_one(&mut straight)
                .await?;
            bytes.push(real(usize::try_from(size)?) / real(asked.rows));
        }
    }
    figures.compare("rows/s into Postgres, 1,000 a transaction, one connection", "COPY of the same rows", Some(Goal::AtLeast(0.7)), baseline, ours);
    figures.single("bytes of a row with all indexes", Some(Goal::AtMost(370.0)), bytes);
    figures.tell()
}

pub(crate) fn batches(events: &[Event], rows: usize, tenant: &TenantId) -> anyhow::Result<Vec<StoreBatch>> {
    let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp())? * 1000;
    let mut all = Vec::new();
    for (nth, from) in (0..rows).step_by(LOGS_OF_A_BATCH).enumerate() {
        // Ids rise, as batches come one after the other.
        let batch = BatchId::new(now + nth as u64);
        let row = |n: usize| -> anyhow::Result<NewRow> {
            let event = events[(from + n) % events.len()].as_bytes();
            let record = Record::parse(event).context("an event is no record")?;
            Ok(NewRow { raw_length: 1_000, ..NewRow::new(batch.log(u16::try_from(n)?), &record, event, "raw/bench".into(), IndexState::Indexed) })
        };
        let count = i32::try_from(LOGS_OF_A_BATCH)?;
        let receipt = Receipt {
            batch,
            tenant: tenant.clone(),
            key_id: Uuid::nil(),
            class: "standard".to_owned(),
            accepted: count,
            rejected: Vec::new(),
            wire_bytes: 60_000,
            unpacked_bytes: 60_000,
            stored: count,
            dead: 0,
            indexed: count,
            pending: 0,
            refused: 0,
            not_wanted: 0,
            relaxed: false,
            stored_at: OffsetDateTime::UNIX_EPOCH,
        };
        all.push(StoreBatch { receipt, rows: (0..LOGS_OF_A_BATCH).map(row).collect::<anyhow::Result<_>>()?, dead: Vec::new() });
    }
    Ok(all)
}

/// The rows in COPY's text format (manual, "COPY", "Text Format").
pub(crate) fn copied(batches: &[StoreBatch]) -> Vec<u8> {
    let mut text = String::new();
    for row in batches.iter().flat_map(|batch| &batch.rows) {
        let escaped = |field: &str| field.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r");
        let at = shared::timestamp::format(row.timestamp);
        let language = row.language.as_deref().map_or("\\N".to_owned(), escaped);
        text.push_str(&format!(
            "{}\t{at}\t1\t{}\t{}\t{}\t1\t{}\t{language}\t{}\n",
            row.id.uuid(),
            row.raw_offset,
            row.raw_length,
            row.level as i16,
            escaped(&row.service),
            escaped(&row.message)
        ));
    }
    text.into_bytes()
}
