//! Counts of hours: the same as those of the rows, whoever stores, adds up or makes rows again meanwhile.

use std::collections::{BTreeMap, HashSet};

use maintenance::add_up_hours;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use shared::ids::{BatchId, LogId, TenantId};
use shared::query::{Bars, CountBy, Scope};
use shared::range::Range;
use shared::record::Level;
use shared::retention::Horizon;
use shared::rows::{AddedUp, IndexState, NewRow, Receipt, StoreBatch};
use shared::timestamp::DAY_MS;

use crate::BUDGET;
use crate::fresh::{Fresh, fresh};

const SEED: u64 = 4;
const HOUR_MS: i64 = 3_600_000;
/// 2026-11-03T04:00:00Z.
const BEGIN: i64 = 1_793_678_400_000;
const HOURS: i64 = 30;
/// Days on which they are received.
const DAYS: u64 = 3;

fn row(rng: &mut StdRng, id: LogId) -> NewRow {
    NewRow {
        id,
        // Hours' first and last moments, too.
        timestamp: BEGIN + HOUR_MS * rng.random_range(0..HOURS) + [0, 1, HOUR_MS - 1, rng.random_range(0..HOUR_MS)].choose(rng).expect("some"),
        raw_path: "raw/none".into(),
        raw_offset: 0,
        raw_length: 0,
        level: *[Level::Debug, Level::Info, Level::Warn, Level::Error].choose(rng).expect("some"),
        index_state: IndexState::NotWanted,
        service: (*["payments", "search", "Zürich", ""].choose(rng).expect("some")).to_owned(),
        language: [None, Some("rust"), Some("go")].choose(rng).expect("some").map(str::to_owned),
        message: String::new(),
        bytes: 1,
    }
}

async fn store(hub: &Fresh, rng: &mut StdRng, tenant: &TenantId, logs: u16) -> Vec<NewRow> {
    let batch = BatchId::new(hub.now_ms() - rng.random_range(0..DAYS) * DAY_MS);
    let rows: Vec<NewRow> = (0..logs).map(|n| row(rng, batch.log(n))).collect();
    let receipt = Receipt { accepted: logs.into(), stored: logs.into(), not_wanted: logs.into(), ..hub.receipt(tenant, batch) };
    hub.app.rows.store(&[&StoreBatch { receipt, rows: rows.clone(), dead: Vec::new() }]).await.expect("Postgres answers");
    rows
}

fn scope(rng: &mut StdRng, today: u64) -> Scope {
    let mut moment = || {
        let moment = BEGIN + HOUR_MS * rng.random_range(-1..=HOURS + 1) + [0, 0, 1, -1, rng.random_range(0..HOUR_MS)].choose(rng).expect("some");
        rng.random_bool(0.8).then_some(moment)
    };
    let (one, other) = (moment(), moment());
    let (from, to) = if one.zip(other).is_some_and(|(one, other)| one > other) { (other, one) } else { (one, other) };
    Scope {
        horizon: Horizon { rows: if rng.random_bool(0.5) { today - rng.random_range(0..DAYS) * DAY_MS } else { 0 }, ..Horizon::default() },
        range: Range { from, to },
        services: if rng.random_bool(0.3) { vec!["payments".to_owned(), String::new()] } else { Vec::new() },
        levels: if rng.random_bool(0.3) { vec![Level::Warn, Level::Error] } else { Vec::new() },
        query: None,
        received_up_to: u64::MAX >> 17,
    }
}

/// Asks for many ranges, and compares with what was stored.
async fn compare(hub: &Fresh, rng: &mut StdRng, tenant: &TenantId, stored: &[NewRow]) {
    for _ in 0..40 {
        let scope = scope(rng, hub.now_ms() / DAY_MS * DAY_MS);
        let (from, to) = (scope.range.from.unwrap_or(i64::MIN), scope.range.to.unwrap_or(i64::MAX));
        let is_meant = |row: &&NewRow| {
            (from..to).contains(&row.timestamp)
                && (scope.services.is_empty() || scope.services.contains(&row.service))
                && (scope.levels.is_empty() || scope.levels.contains(&row.level))
                && row.id.unix_ms() >= scope.horizon.rows
        };
        let meant: Vec<&NewRow> = stored.iter().filter(is_meant).collect();

        let interval_ms = *[HOUR_MS, 6 * HOUR_MS, 900_000].choose(rng).expect("some");
        let mut bars: BTreeMap<i64, BTreeMap<String, u64>> = BTreeMap::new();
        for row in &meant {
            *bars.entry(row.timestamp.div_euclid(interval_ms) * interval_ms).or_default().entry(row.service.clone()).or_default() += 1;
        }
        let counted = hub.app.rows.histogram(tenant, &scope, &Bars { interval_ms, by: Some(CountBy::Service) }).await.expect("Postgres answers");
        assert_eq!(counted.bars.iter().map(|(bar, counts)| (*bar, counts.by.clone())).collect::<BTreeMap<_, _>>(), bars, "{scope:?}");
        assert!(counted.bars.values().all(|counts| counts.total == counts.by.values().sum::<u64>()), "{scope:?}");

        let (facets, total) = hub.app.rows.facets(tenant, &scope, &[CountBy::Language, CountBy::Level], 10).await.expect("Postgres answers");
        assert_eq!(total, meant.len() as u64, "{scope:?}");
        let mut languages: BTreeMap<String, u64> = BTreeMap::new();
        for row in &meant {
            if let Some(language) = &row.language {
                *languages.entry(language.clone()).or_default() += 1;
            }
        }
        assert_eq!(facets[0].values.iter().cloned().collect::<BTreeMap<_, _>>(), languages, "{scope:?}");
        assert_eq!(facets[1].values.iter().map(|(_, logs)| logs).sum::<u64>(), total, "{scope:?}");
    }
}

/// Adds up until nothing is left: of several at once, each does a part.
async fn add_up(hub: &Fresh) -> AddedUp {
    const RUNS: usize = 100;
    let mut all = AddedUp::default();
    for _ in 0..RUNS {
        let done = hub.app.rows.add_up_hours(BUDGET).await.expect("Postgres answers");
        if done == AddedUp::default() {
            return all;
        }
        all = AddedUp { counts: all.counts + done.counts, hours: all.hours + done.hours };
    }
    panic!("there is no end: {all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_of_hours_are_those_of_the_rows() {
    fresh(async |hub: &Fresh| {
        let rng = &mut StdRng::seed_from_u64(SEED);
        let (a, b) = (hub.tenant("tenant_a").await, hub.tenant("tenant_b").await);
        let mut stored = store(hub, rng, &a, 500).await;
        let other = store(hub, rng, &b, 300).await;
        compare(hub, rng, &a, &stored).await;

        let storing = async {
            for _ in 0..30 {
                stored.extend(store(hub, rng, &a, 100).await);
            }
        };
        let (one, two, ()) = tokio::join!(add_up(hub), add_up(hub), storing);
        compare(hub, rng, &a, &stored).await;
        compare(hub, rng, &b, &other).await;
        let counts = one.counts + two.counts + add_up_hours(&hub.app, BUDGET).await.expect("Postgres answers").counts;
        assert!(counts > 0 && add_up_hours(&hub.app, BUDGET).await.expect("Postgres answers") == AddedUp::default(), "nothing is left");
        compare(hub, rng, &a, &stored).await;
        compare(hub, rng, &b, &other).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_hours_are_counted_by_their_counts_and_all_else_by_rows() {
    fresh(async |hub: &Fresh| {
        let rng = &mut StdRng::seed_from_u64(SEED);
        let a = hub.tenant("tenant_a").await;
        let stored = store(hub, rng, &a, 400).await;
        add_up(hub).await;
        // By somebody's hand, so that it shows by what is counted.
        hub.logs_sql("update public.hourly_counts set logs = logs + 1000000").await;
        let range = Range { from: Some(BEGIN + 1), to: Some(BEGIN + HOURS * HOUR_MS - 1) };
        let scope = Scope { range, received_up_to: u64::MAX >> 17, ..Scope::default() };
        let total = async |interval_ms| {
            let counted = hub.app.rows.histogram(&a, &scope, &Bars { interval_ms, by: None }).await.expect("Postgres answers");
            counted.bars.values().map(|counts| counts.total).sum::<u64>()
        };
        let meant = stored.iter().filter(|row| (BEGIN + 1..BEGIN + HOURS * HOUR_MS - 1).contains(&row.timestamp)).count() as u64;
        assert_eq!(total(900_000).await, meant);
        assert!(total(HOUR_MS).await > 1_000_000);
        assert_eq!(total(HOUR_MS).await % 1_000_000, meant, "the hours at both ends are counted by rows");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_of_rows_that_are_made_again_are_counted_anew_and_right_until_then() {
    fresh(async |hub: &Fresh| {
        let rng = &mut StdRng::seed_from_u64(SEED);
        let (a, broken) = (hub.tenant("tenant_a").await, hub.tenant("a_broken_one").await);
        let mut stored = store(hub, rng, &a, 400).await;
        let elsewhere = store(hub, rng, &broken, 10).await;
        add_up(hub).await;
        // By somebody's hand: the counts know nothing of the rows, and some of them are lost as well.
        let lost: HashSet<LogId> = stored.iter().step_by(3).map(|row| row.id).collect();
        for id in &lost {
            hub.logs_sql(&format!("delete from tenant_a.log_rows where id = '{}'", id.uuid())).await;
        }
        hub.logs_sql("delete from a_broken_one.log_rows; delete from public.hourly_counts where level = 5").await;
        assert_eq!(hub.app.rows.remake(&a, &stored).await.expect("Postgres answers"), lost.len() as u64);
        assert_eq!(hub.app.rows.remake(&broken, &elsewhere).await.expect("Postgres answers"), 10);
        compare(hub, rng, &a, &stored).await;

        // A tenant whose rows cannot be counted keeps nobody waiting who comes after it.
        hub.logs_sql("alter table a_broken_one.log_rows rename to elsewhere").await;
        assert!(add_up_hours(&hub.app, BUDGET).await.is_err());
        hub.logs_sql("do $$ begin assert not exists (select 1 from public.hourly_counts_new where tenant = 'tenant_a'); end $$").await;
        compare(hub, rng, &a, &stored).await;
        hub.logs_sql("alter table a_broken_one.elsewhere rename to log_rows").await;
        assert_eq!(add_up(hub).await.counts, 0);

        // What is stored while hours are counted anew stays counted.
        hub.logs_sql("insert into public.hourly_counts_new select distinct tenant, hour, '', 0, null, null::int8 from public.hourly_counts").await;
        let storing = async {
            for _ in 0..10 {
                stored.extend(store(hub, rng, &a, 50).await);
            }
        };
        let (one, two, ()) = tokio::join!(add_up(hub), add_up(hub), storing);
        assert!(one.hours + two.hours > 0, "{one:?} {two:?}");
        compare(hub, rng, &a, &stored).await;
        add_up(hub).await;
        hub.logs_sql("do $$ begin assert (select sum(logs) from public.hourly_counts where tenant = 'tenant_a') = (select count(*) from tenant_a.log_rows); end $$").await;
        compare(hub, rng, &a, &stored).await;

        hub.app.rows.drop_schema(&a).await.expect("Postgres answers");
        hub.logs_sql("do $$ begin assert not exists (select 1 from public.hourly_counts where tenant = 'tenant_a'); end $$").await;
    })
    .await;
}
