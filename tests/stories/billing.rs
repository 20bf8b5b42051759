//! Usage and bills: what was stored is counted once, and what was counted is billed once.

mod closing;
mod random;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::billing::month::Month;
use time::OffsetDateTime;

use crate::harness::{Caller, Encoding, SOON, Seen, Sending, World, eventually, for_all, plain, story};

/// A plan whose sums can be checked by head.
fn plan(id: &str) -> Value {
    json!({
        "id": id, "name": "Team", "currency": "EUR", "base_price": "10.00",
        "meters": [
            { "meter": "logs", "included": "0.00001", "tiers": [{ "up_to": "0.00002", "price": "100000" }, { "up_to": null, "price": "50000" }] },
            { "meter": "searches", "included": 0, "tiers": [{ "price": "1000" }] },
        ],
    })
}

fn this_month() -> Month {
    Month::of(OffsetDateTime::now_utc())
}

/// Some hours into the month after `month`, when that is closed.
fn after(month: Month) -> OffsetDateTime {
    month.end() + time::Duration::hours(6)
}

async fn close(world: &World, month: Month) -> maintenance::Closed {
    maintenance::close_months(&world.doors.maintenance(), after(month)).await.expect("both databases answer")
}

fn list<'a>(page: &'a Value, name: &str) -> &'a [Value] {
    page[name].as_array().unwrap_or_else(|| panic!("no {name}: {page}"))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}"))
}

/// Bytes of records as they are counted: as sent, a line each.
fn bytes(records: &[Value]) -> i64 {
    records.iter().map(|record| record.to_string().len() as i64 + 1).sum()
}

/// Steps in which logs were stored: maintenance may sample what lies in the stores meanwhile.
fn stored(steps: &[Value]) -> Vec<&Value> {
    steps.iter().filter(|step| step["logs"] != 0).collect()
}

#[test]
fn what_is_stored_is_counted_by_hour_service_and_key_and_once() {
    story(async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        let second = world.key_of("acme", &["logs:write", "logs:read"]).await;
        let bills = world.key_of("acme", &["billing:read"]).await;
        let of = |service: &str, n: usize| -> Vec<Value> { (0..n).map(|n| json!({ "service": service, "message": format!("{service} says {n}") })).collect() };
        let (web, shop) = (of("web", 7), of("shop", 5));
        let mixed = [&web[..], &shop[..]].concat();
        let packed = Sending::ndjson(&mixed).packed(Encoding::Gzip);
        let wire = packed.body_len();
        let sent = packed.idempotency_key("once");
        let batch = crate::harness::batch_id(&acme.send(sent.clone()).await.ok(202));
        acme.send(sent).await.ok(202);
        let other = second.stored(&web).await;
        globex.stored(&of("web", 3)).await;
        acme.wait_until_indexed(&batch).await;

        let used = bills.get("/v1/usage", &[("by", "service"), ("by", "key"), ("interval", "hour")]).await.ok(200);
        let mut by: BTreeMap<(String, String), (i64, i64, i64)> = BTreeMap::new();
        for step in list(&used, "usage").iter().filter(|step| step["logs"] != 0) {
            let number = |name: &str| step[name].as_i64().expect("a number");
            let sum = by.entry((text(step, "service").to_owned(), text(step, "key_id").to_owned())).or_default();
            *sum = (sum.0 + number("logs"), sum.1 + number("bytes"), sum.2 + number("indexed_bytes"));
        }
        let expected = BTreeMap::from([
            (("shop".to_owned(), acme.key_id.clone()), (5, bytes(&shop), bytes(&shop))),
            (("web".to_owned(), acme.key_id.clone()), (7, bytes(&web), bytes(&web))),
            (("web".to_owned(), second.key_id.clone()), (7, bytes(&web), bytes(&web))),
        ]);
        assert_eq!(by, expected, "{used}");
        let plain_wire = Sending::ndjson(&web).body_len();
        assert_eq!((&used["totals"]["logs"], &used["totals"]["wire_bytes"]), (&json!(19), &json!(wire + plain_wire)), "{used}");

        // Added up it is the same, page by page too, and by days and months.
        maintenance::add_up_usage(&world.doors.maintenance()).await.expect("Postgres answers");
        let again = bills.get("/v1/usage", &[("by", "service"), ("by", "key"), ("interval", "hour")]).await.ok(200);
        assert_eq!(stored(list(&again, "usage")), stored(list(&used, "usage")));
        let mut paged: Vec<Value> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut parameters = vec![("by", "service"), ("by", "key"), ("interval", "hour"), ("limit", "1")];
            parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = bills.get("/v1/usage", &parameters).await.ok(200);
            paged.extend_from_slice(list(&page, "usage"));
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(stored(&paged), stored(list(&used, "usage")));
        let logs = |page: &Value| list(page, "usage").iter().map(|step| step["logs"].as_i64().expect("a number")).sum::<i64>();
        for interval in ["hour", "day", "month"] {
            let page = bills.get("/v1/usage", &[("interval", interval)]).await.ok(200);
            assert_eq!((logs(&page), text(&page, "interval")), (19, interval), "{page}");
        }

        // Each hour leads to its batches.
        let hours = bills.get("/v1/usage", &[("interval", "hour")]).await.ok(200);
        let mut found: Vec<Value> = Vec::new();
        for hour in list(&hours, "usage") {
            found.extend_from_slice(list(&bills.get("/v1/usage/batches", &[("hour", text(hour, "from"))]).await.ok(200), "batches"));
        }
        assert_eq!(found.iter().map(|one| text(one, "batch_id")).collect::<Vec<_>>(), [batch.as_str(), other.as_str()]);
        assert_eq!(found.iter().map(|one| one["stored"].as_i64().expect("a number")).sum::<i64>(), 19);

        // Searches, written down within seconds.
        acme.search("says").await;
        acme.get("/v1/histogram", &[]).await.ok(200);
        acme.get("/v1/search", &[("q", "AND")]).await.problem(422, "invalid_query");
        let look = async || -> Result<(), Seen> {
            let searches = bills.get("/v1/usage", &[]).await.ok(200)["totals"]["searches"].clone();
            if searches == 2 { Ok(()) } else { Err(searches.to_string()) }
        };
        eventually(SOON, "searches are counted", look).await;
    });
}

#[test]
fn usage_is_for_those_who_may_read_bills_and_of_their_own_tenant() {
    story(async |world| {
        let (acme, operator) = (world.tenant("acme").await, world.operator());
        world.tenant("globex").await;
        let bills = world.key_of("acme", &["billing:read"]).await;
        for path in ["/v1/usage", "/v1/usage/forecast", "/v1/usage/batches", "/v1/invoices", "/v1/credits"] {
            acme.get(path, &[]).await.problem(403, "missing_scope");
            world.anyone().get(path, &[]).await.problem(401, "unauthenticated");
            assert_eq!(bills.get(path, &[("tenant", "globex")]).await.fault(422, "invalid_parameter").0, "tenant", "{path}");
        }
        for path in ["/v1/usage", "/v1/usage/forecast", "/v1/usage/batches"] {
            assert_eq!(operator.get(path, &[]).await.fault(422, "invalid_parameter").0, "tenant", "{path}");
        }
        operator.get("/v1/usage", &[("tenant", "acme")]).await.ok(200);
        for (name, value) in [("interval", "minute"), ("by", "level"), ("from", "soon"), ("limit", "0"), ("from", "now-1d0")] {
            assert_eq!(bills.get("/v1/usage", &[(name, value)]).await.fault(422, "invalid_parameter").0, name, "{value}");
        }
        bills.get("/v1/usage", &[("cursor", "x")]).await.problem(422, "invalid_cursor");
        assert_eq!(bills.get("/v1/usage/batches", &[]).await.fault(422, "invalid_parameter").0, "hour");
        for path in ["/v1/plans", "/v1/tenants/acme/plan"] {
            bills.get(path, &[]).await.problem(401, "unauthenticated");
        }
        bills.post("/v1/credits", &json!({})).await.problem(401, "unauthenticated");
    });
}

#[test]
fn what_lies_in_the_stores_is_sampled_once_a_day() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let bills = world.key_of("acme", &["billing:read"]).await;
        acme.stored(&[plain("it lies there")]).await;
        let app = world.doors.maintenance();
        let tomorrow = OffsetDateTime::now_utc() + time::Duration::days(1);
        let (one, other) = tokio::join!(maintenance::sample_storage(&app, tomorrow), maintenance::sample_storage(&app, tomorrow));
        assert_eq!(one.expect("it runs").tenants + other.expect("it runs").tenants, 1);
        assert_eq!(maintenance::sample_storage(&app, tomorrow).await.expect("it runs"), maintenance::Sampled::default());
        let day = tomorrow.date().to_string();
        let used = bills.get("/v1/usage", &[("from", &format!("{day}T00:00:00Z")), ("to", &format!("{day}T01:00:00Z"))]).await.ok(200);
        let sampled = |name: &str| used["totals"][name].as_i64().expect("a number");
        assert_eq!(sampled("index_byte_days"), bytes(&[plain("it lies there")]), "{used}");
        let raw: i64 = sqlx::Row::get(&world.sql("select sum(raw_length)::int8 from acme.log_rows").await[0], 0);
        let rows: i64 = sqlx::Row::get(&world.sql("select sum(pg_total_relation_size(inhrelid))::int8 from pg_inherits where inhparent = 'acme.log_rows'::regclass").await[0], 0);
        assert_eq!((sampled("raw_byte_days"), sampled("rows_byte_days")), (raw, rows), "{used}");
    });
}

/// An invoice, by the operator.
async fn whole(operator: &Caller, id: &str) -> Value {
    operator.get(&format!("/v1/invoices/{id}"), &[]).await.ok(200)
}

#[test]
fn random_months_are_billed_once_whatever_is_replayed_or_closed_twice() {
    story(async |world| {
        world.operator().post("/v1/plans", &random::plan()).await.ok(201);
        let tenants = std::cell::Cell::new(0);
        for_all(8, &random::months(), async |months| {
            tenants.set(tenants.get() + 1);
            random::bill(world, &format!("tenant_{}", tenants.get()), &months).await
        });
    });
}
