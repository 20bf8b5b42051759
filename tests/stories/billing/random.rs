//! Two months of random batches: each sent any number of times, some before their month is closed and some after, closed by several at once.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use shared::billing::month::Month;
use shared::billing::usage::{Meter, Usage};
use shared::grant::DEFAULT_CLASS;
use shared::ids::{BatchId, TenantId};
use shared::record::Level;
use shared::rows::{IndexState, NewRow, Receipt, StoreBatch};
use shared::timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{close, list, text, this_month, whole};
use crate::harness::World;

const SERVICES: [&str; 3] = ["web", "shop", "Zürich"];

/// One batch, and when it comes.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// In this month, or the next.
    next_month: bool,
    /// Where in its month, in thousandths.
    moment: i64,
    key: u128,
    wire_bytes: i64,
    /// Service, bytes and state of each record.
    records: Vec<(usize, i64, bool)>,
    /// How often it is stored before this month is closed, between that and the closing of the next, and after both.
    stored: [u8; 3],
}

/// Batches, and credits in cents.
#[derive(Debug, Clone)]
pub(super) struct Months {
    sent: Vec<Sent>,
    credits: Vec<i64>,
}

pub(super) fn plan() -> Value {
    json!({
        "id": "random", "name": "Random", "currency": "EUR", "base_price": "3.10",
        "meters": [
            { "meter": "logs", "included": "0.00002", "tiers": [{ "up_to": "0.00003", "price": "70000.007" }, { "up_to": null, "price": "33333.3333" }] },
            { "meter": "bytes", "included": "0.000001", "tiers": [{ "up_to": "0.000002", "price": "1000000" }, { "up_to": "0.000003", "price": "10.5" }, { "up_to": null, "price": "499999.99" }] },
            { "meter": "wire_bytes", "included": "0", "tiers": [{ "up_to": null, "price": "123456.789" }] },
            { "meter": "indexed_bytes", "included": "1", "tiers": [{ "up_to": null, "price": "1" }] },
        ],
    })
}

pub(super) fn months() -> impl Strategy<Value = Months> {
    let record = (0..SERVICES.len(), 1_i64..2000, any::<bool>());
    let stored = prop_oneof![Just([1, 0, 0]), Just([2, 1, 1]), Just([0, 1, 0]), Just([0, 2, 1]), Just([1, 0, 2])];
    let sent = (any::<bool>(), 0_i64..1000, 1_u128..4, 0_i64..5000, proptest::collection::vec(record, 0..12), stored);
    let sent = sent.prop_map(|(next_month, moment, key, wire_bytes, records, stored)| Sent { next_month, moment, key, wire_bytes, records, stored });
    (proptest::collection::vec(sent, 0..25), proptest::collection::vec(1_i64..2000, 0..4)).prop_map(|(sent, credits)| Months { sent, credits })
}

fn batch(tenant: &TenantId, month: Month, sent: &Sent) -> StoreBatch {
    let at = timestamp::from_datetime(month.begin()) + month.length_ms() * sent.moment / 1000;
    let batch = BatchId::new(u64::try_from(at).expect("after 1970"));
    let row = |(position, (service, bytes, indexed)): (u16, &(usize, i64, bool))| NewRow {
        id: batch.log(position),
        timestamp: at,
        raw_path: "raw/none".into(),
        raw_offset: 0,
        raw_length: 0,
        level: Level::Info,
        index_state: if *indexed { IndexState::Indexed } else { IndexState::NotWanted },
        service: SERVICES[*service].to_owned(),
        language: None,
        message: String::new(),
        bytes: *bytes,
    };
    let rows: Vec<NewRow> = (0..).zip(&sent.records).map(row).collect();
    let (stored, indexed) = (i32::try_from(rows.len()).expect("a few"), i32::try_from(sent.records.iter().filter(|record| record.2).count()).expect("a few"));
    let receipt = Receipt {
        batch,
        tenant: tenant.clone(),
        key_id: Uuid::from_u128(sent.key),
        class: DEFAULT_CLASS.to_owned(),
        accepted: stored,
        rejected: Vec::new(),
        wire_bytes: sent.wire_bytes,
        unpacked_bytes: sent.records.iter().map(|record| record.1).sum(),
        stored,
        dead: 0,
        indexed,
        pending: 0,
        refused: 0,
        not_wanted: stored - indexed,
        relaxed: false,
        stored_at: OffsetDateTime::now_utc(),
    };
    StoreBatch { receipt, rows, dead: Vec::new() }
}

/// What the batches of these come to: a batch none of whose records is stored costs nothing.
fn usage<'a>(sent: impl Iterator<Item = &'a Sent>) -> Usage {
    sent.fold(Usage::default(), |sum, one| {
        let of = |record: &&(usize, i64, bool)| record.1;
        let one = Usage {
            logs: one.records.len() as i64,
            wire_bytes: if one.records.is_empty() { 0 } else { one.wire_bytes },
            bytes: one.records.iter().map(|record| record.1).sum(),
            indexed_bytes: one.records.iter().filter(|record| record.2).map(|record| of(&record)).sum(),
            ..Usage::default()
        };
        sum + one
    })
}

fn decimal(value: &Value, name: &str) -> Decimal {
    text(value, name).parse().expect("a decimal")
}

/// Stores batches as often as they are sent in this phase, by two at once.
async fn store(world: &World, batches: &[(StoreBatch, [u8; 3])], phase: usize) {
    let again: Vec<&StoreBatch> = batches.iter().flat_map(|(batch, stored)| std::iter::repeat_n(batch, stored[phase].into())).collect();
    let (front, back) = again.split_at(again.len() / 2);
    let one = async {
        for batch in front.iter().chain(back) {
            world.doors.rows.store(&[batch]).await.expect("Postgres answers");
        }
    };
    let other = async {
        for some in back.chunks(3) {
            let mut once: HashSet<BatchId> = HashSet::new();
            let some: Vec<&StoreBatch> = some.iter().copied().filter(|batch| once.insert(batch.receipt.batch)).collect();
            world.doors.rows.store(&some).await.expect("Postgres answers");
        }
        world.doors.rows.add_up_usage().await.expect("Postgres answers");
    };
    tokio::join!(one, other);
}

/// Closes a month, by three at once while others add up.
async fn close_by_several(world: &World, month: Month) {
    let adding = async {
        for _ in 0..5 {
            world.doors.drain_rows.add_up_usage().await.expect("Postgres answers");
        }
    };
    tokio::join!(close(world, month), close(world, month), close(world, month), adding);
}

pub(super) async fn bill(world: &World, id: &str, months: &Months) -> Result<(), TestCaseError> {
    let operator = world.operator();
    let bills = {
        world.tenant(id).await;
        world.key_of(id, &["billing:read"]).await
    };
    let tenant = TenantId::parse(id).expect("an id");
    let (first, second) = (this_month(), this_month().next());
    operator.call(reqwest::Method::PUT, &format!("/v1/tenants/{id}/plan"), &[], crate::harness::Sending::json(&json!({ "plan": "random" }))).await.ok(200);
    for cents in &months.credits {
        let body = json!({ "tenant": id, "currency": "EUR", "amount": Decimal::new(*cents, 2).to_string(), "reason": "a gift" });
        operator.post("/v1/credits", &body).await.ok(201);
    }
    let batches: Vec<(StoreBatch, [u8; 3])> = months.sent.iter().map(|sent| (batch(&tenant, if sent.next_month { second } else { first }, sent), sent.stored)).collect();

    store(world, &batches, 0).await;
    close_by_several(world, first).await;
    let page = bills.get("/v1/invoices", &[]).await.ok(200);
    prop_assert_eq!(list(&page, "invoices").len(), 1, "{}", page);
    let one = whole(&operator, text(&list(&page, "invoices")[0], "id")).await;
    store(world, &batches, 1).await;
    close_by_several(world, first).await;
    prop_assert_eq!(&whole(&operator, text(&one, "id")).await, &one, "it does not change");
    close_by_several(world, second).await;
    store(world, &batches, 2).await;
    close_by_several(world, second).await;
    prop_assert_eq!(&whole(&operator, text(&one, "id")).await, &one, "it does not change");
    let page = bills.get("/v1/invoices", &[]).await.ok(200);
    prop_assert_eq!(list(&page, "invoices").len(), 2, "{}", page);
    let two = whole(&operator, text(&list(&page, "invoices")[0], "id")).await;
    prop_assert_eq!([&one["month"], &two["month"]], [&json!(first), &json!(second)]);

    // Each took what was there when its month was closed, and no other did.
    let taken = [usage(months.sent.iter().filter(|sent| !sent.next_month && sent.stored[0] > 0)), usage(months.sent.iter().filter(|sent| sent.next_month || sent.stored[0] == 0))];
    for (invoice, used) in [&one, &two].into_iter().zip(taken) {
        let mut by_meter: BTreeMap<&str, Decimal> = BTreeMap::new();
        for line in list(invoice, "lines").iter().filter(|line| !line["meter"].is_null()) {
            *by_meter.entry(text(line, "meter")).or_default() += decimal(line, "quantity");
        }
        for meter in [Meter::Logs, Meter::Bytes, Meter::WireBytes, Meter::IndexedBytes] {
            prop_assert_eq!(by_meter.get(meter.as_str()).copied().unwrap_or_default(), meter.in_units(used.of(meter)), "{}: {}", meter.as_str(), invoice);
        }
        let amounts: Decimal = list(invoice, "lines").iter().map(|line| decimal(line, "amount")).sum();
        prop_assert_eq!(amounts, decimal(invoice, "subtotal"));
        prop_assert_eq!(decimal(invoice, "subtotal") - decimal(invoice, "credit"), decimal(invoice, "total"));
        prop_assert!(decimal(invoice, "total") >= Decimal::ZERO);
        traced(&bills, invoice).await?;
    }
    let credits = bills.get("/v1/credits", &[]).await.ok(200);
    let (granted, left) =
        list(&credits, "credits").iter().fold((Decimal::ZERO, Decimal::ZERO), |(granted, left), credit| (granted + decimal(credit, "amount"), left + decimal(credit, "remaining")));
    prop_assert_eq!(granted - left, decimal(&one, "credit") + decimal(&two, "credit"));
    prop_assert!(list(&credits, "credits").iter().all(|credit| decimal(credit, "remaining") >= Decimal::ZERO));
    prop_assert!(left.is_zero() || (decimal(&one, "total") + decimal(&two, "total")).is_zero(), "a credit has something left, and something is to be paid");

    // What usage shows is all, once.
    let all = usage(months.sent.iter());
    let (from, to) = (timestamp::format(timestamp::from_datetime(first.begin())), timestamp::format(timestamp::from_datetime(second.end())));
    let used = bills.get("/v1/usage", &[("from", &from), ("to", &to), ("by", "service")]).await.ok(200);
    for meter in [Meter::Logs, Meter::Bytes, Meter::WireBytes, Meter::IndexedBytes] {
        prop_assert_eq!(&used["totals"][meter.as_str()], &json!(all.of(meter)), "{}", used);
    }
    // Numbers are 1, 2, 3 over all tenants.
    let numbers = world.control_sql("select 1 from invoices having count(*) <> max(number) or count(distinct number) <> count(*)").await;
    prop_assert_eq!(numbers.len(), 0);
    Ok(())
}

/// Each line leads to hours that add up to all lines of its meter, and the hours to batches that add up to the logs.
async fn traced(bills: &crate::harness::Caller, invoice: &Value) -> Result<(), TestCaseError> {
    for line in list(invoice, "lines").iter().filter(|line| !line["meter"].is_null()) {
        let path = format!("/v1/invoices/{}/lines/{}/hours", text(invoice, "id"), line["line"]);
        let page = bills.get(&path, &[("limit", "1000")]).await.ok(200);
        let hours: Decimal = list(&page, "hours").iter().map(|hour| decimal(hour, "quantity")).sum();
        prop_assert_eq!(hours, decimal(&page, "quantity"), "{}", page);
        if line["meter"] == "logs" {
            for hour in list(&page, "hours") {
                let batches = bills.get("/v1/usage/batches", &[("hour", text(hour, "hour"))]).await.ok(200);
                let stored: i64 = list(&batches, "batches").iter().map(|batch| batch["stored"].as_i64().expect("a number")).sum();
                // Some of the hour's batches may have come late, and stand on the next invoice.
                prop_assert!(stored >= hour["counted"].as_i64().expect("a number"), "{} {}", hour, batches);
            }
        }
    }
    Ok(())
}
