//! The parts of a log's path that take CPU, one by one: the readers at the door and in the processor, and what writes for the queue, Postgres, OpenSearch
//! and raw. `scripts/bench parts`; each says how many bytes of logs it does in a second.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shared::document::Document;
use shared::ids::{BatchId, TenantId};
use shared::index::Bulk;
use shared::queue::Payload;
use shared::raw::RawObject;
use shared::record::{Claims, Record};
use shared::rows::{IndexState, NewRow, copy};

#[path = "../src/data.rs"]
#[allow(dead_code, unused_imports, reason = "its tests run with the program")]
mod data;

/// Logs of a request.
const LOGS: usize = 100;

fn log_path(criterion: &mut Criterion) {
    let events = data::load(None, 1).expect("events");
    let logs = &events[..LOGS];
    let lines: Vec<u8> = logs.iter().flat_map(|log| [log.as_bytes(), b"\n"].concat()).collect();
    let tenant = TenantId::parse("bench").expect("an id");
    let batch = BatchId::new(1_800_000_000_000);
    let records: Vec<Record<'_>> = logs.iter().map(|log| Record::parse(log.as_bytes()).expect("a record")).collect();
    let named = || (0..).zip(&records).zip(logs).map(|((position, record), log)| (batch.log(position), record, log.as_bytes()));
    let path: Arc<str> = "raw/bench".into();
    let rows: Vec<NewRow> = named().map(|(id, record, log)| NewRow::new(id, record, log, Arc::clone(&path), IndexState::Indexed)).collect();

    let mut group = criterion.benchmark_group("log_path");
    group.throughput(Throughput::Bytes(lines.len() as u64));
    group.bench_function("read at the door", |b| b.iter(|| logs.iter().for_each(|log| drop(black_box(Claims::read(log.as_bytes()))))));
    group.bench_function("read in the processor", |b| b.iter(|| logs.iter().for_each(|log| drop(black_box(Record::parse(log.as_bytes()))))));
    group.bench_function("pack for the queue", |b| b.iter_batched(|| lines.clone(), Payload::pack, criterion::BatchSize::SmallInput));
    group.bench_function("encode rows for COPY", |b| b.iter(|| copy::encode(rows.iter().map(|row| (row, 1)))));
    group.bench_function("write documents", |b| {
        b.iter(|| {
            let mut bulk = Bulk::default();
            for (id, record, log) in named() {
                bulk.add("logs", id, &tenant, &Document::new(id, &tenant, record, log)).expect("a document");
            }
            bulk
        });
    });
    group.bench_function("write raw", |b| {
        b.iter(|| {
            let mut object = RawObject::default();
            object.begin(&tenant);
            named().for_each(|(id, _, log)| object.line(id, "default", true, log).expect("memory"));
            object.end().expect("memory");
            object.finish()
        });
    });
    group.finish();
}

criterion_group!(benches, log_path);
criterion_main!(benches);
