//! Each step of maintenance against the real engines (`eval "$(scripts/engines env)"`), on names of its own.

mod fresh;
mod hours;
mod redrive;

use std::time::Duration;

use maintenance::{Patience, finish_tenants, forget_consumers, index_missed, keep_partitions, republish_keys, run_all};
use shared::error::{Engine, Error};
use shared::grant::Scope;
use shared::ids::{ApiKey, BatchId, TenantId};
use shared::keys::Lookup;
use shared::queue::TakeBudget;
use shared::rows::{IndexState, SchemaState};
use shared::tenants::{By, NewKey, Standing, TenantStatus};

use fresh::{Fresh, fresh};

const BUDGET: Duration = Duration::from_secs(60);
const AT_ONCE: Patience = Patience { making: Duration::ZERO, writing: Duration::ZERO };

fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).expect("an id")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_indexed_and_counted_once_by_two_runs_at_once() {
    fresh(async |hub: &Fresh| {
        let (a, b) = (hub.tenant("tenant_a").await, hub.tenant("tenant_b").await);
        let batches = [hub.missed(&a, 1200).await, hub.missed(&b, 7).await, hub.missed(&a, 1).await, hub.missed(&b, 5000).await];
        let (one, other) = tokio::join!(index_missed(&hub.app, BUDGET), index_missed(&hub.app, BUDGET));
        let (one, other) = (one.expect("it runs"), other.expect("it runs"));
        assert_eq!((one.waiting + one.lost + one.broken, other.waiting + other.lost + other.broken), (0, 0), "{one:?} {other:?}");

        for (tenant, batch, logs) in [(&a, batches[0], 1200), (&b, batches[1], 7), (&a, batches[2], 1), (&b, batches[3], 5000)] {
            let receipt = hub.app.rows.receipt(tenant, batch).await.expect("Postgres answers").expect("it is stored");
            assert_eq!((receipt.indexed, receipt.pending, receipt.refused), (logs, 0, 0));
        }
        assert_eq!((hub.documents(&a).await, hub.documents(&b).await), (1201, 5007));
        assert_eq!(index_missed(&hub.app, BUDGET).await.expect("it runs"), maintenance::Indexed::default(), "nothing is left");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_object_that_is_gone_or_damaged_holds_up_nobody_else() {
    fresh(async |hub: &Fresh| {
        let a = hub.tenant("tenant_a").await;
        let (gone, damaged, short, well) = (hub.missed(&a, 3).await, hub.missed(&a, 4).await, hub.missed(&a, 5).await, hub.missed(&a, 6).await);
        hub.app.archive.delete(&hub.path_of(&a, gone).await).await.expect("the store answers");
        hub.app.archive.put(&hub.path_of(&a, damaged).await, vec![7; 5000].into()).await.expect("the store answers");
        hub.app.archive.put(&hub.path_of(&a, short).await, vec![7; 5].into()).await.expect("the store answers");
        for _ in 0..2 {
            assert_eq!(index_missed(&hub.app, BUDGET).await.expect("it runs").lost, 12);
        }
        let receipt = hub.app.rows.receipt(&a, well).await.expect("Postgres answers").expect("it is stored");
        assert_eq!((receipt.indexed, receipt.pending), (6, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_rows_are_broken_holds_up_no_other() {
    fresh(async |hub: &Fresh| {
        let (a, b) = (hub.tenant("tenant_a").await, hub.tenant("tenant_b").await);
        hub.missed(&a, 3).await;
        let well = hub.missed(&b, 4).await;
        hub.logs_sql("drop table tenant_a.log_rows cascade").await;
        let report = index_missed(&hub.app, BUDGET).await.expect("it runs");
        assert_eq!((report.indexed, report.broken), (4, 1));
        assert_eq!(hub.app.rows.receipt(&b, well).await.expect("Postgres answers").expect("it is stored").pending, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_opensearch_a_run_stops_at_once_and_says_so() {
    fresh(async |hub: &Fresh| {
        let a = hub.tenant("tenant_a").await;
        let batch = hub.missed(&a, 10).await;
        let report = index_missed(&hub.without_opensearch().await, BUDGET).await.expect("it runs");
        assert_eq!((report.stopped_by, report.indexed), (Some(Engine::OpenSearch), 0));
        assert_eq!(hub.app.rows.receipt(&a, batch).await.expect("Postgres answers").expect("it is stored").pending, 10);
        assert_eq!(index_missed(&hub.app, BUDGET).await.expect("it runs").indexed, 10, "once it is back");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_takes_nothing_is_left_for_the_next_run() {
    fresh(async |hub: &Fresh| {
        let a = hub.tenant("tenant_a").await;
        let yesterday = hub.missed_at(&a, 10, hub.now_ms() - 24 * 3600 * 1000).await;
        let today = hub.missed(&a, 11).await;
        let index = hub.app.index.name("standard", yesterday.unix_ms());
        hub.app.index.ensure(&index).await.expect("OpenSearch answers");
        hub.opensearch(reqwest::Method::POST, &format!("{index}/_close")).await;
        let report = index_missed(&hub.app, BUDGET).await.expect("it runs");
        assert_eq!((report.indexed, report.waiting, report.stopped_by), (11, 10, None));
        assert_eq!(hub.app.rows.receipt(&a, today).await.expect("Postgres answers").expect("it is stored").pending, 0);
        hub.opensearch(reqwest::Method::POST, &format!("{index}/_open")).await;
        assert_eq!(index_missed(&hub.app, BUDGET).await.expect("it runs").indexed, 10);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_the_same_logs_at_once_counts_them_once() {
    fresh(async |hub: &Fresh| {
        let a = hub.tenant("tenant_a").await;
        let batches = [hub.missed(&a, 300).await, hub.missed(&a, 200).await];
        let all: Vec<_> = [(batches[0], 300), (batches[1], 200)].into_iter().flat_map(|(batch, logs): (BatchId, u16)| (0..logs).map(move |n| batch.log(n))).collect();
        let settling = (0..12_usize).map(|n| {
            // Overlapping, in different orders, some of them refused.
            let state = |at: usize| if at.is_multiple_of(10) { IndexState::Refused } else { IndexState::Indexed };
            let mut some: Vec<_> = all.iter().enumerate().filter(|(at, _)| at % 12 >= n / 2 && at % 12 <= n / 2 + 6).map(|(at, id)| (*id, state(at))).collect();
            if n % 2 == 1 {
                some.reverse();
            }
            let (rows, a) = (hub.app.rows.clone(), a.clone());
            tokio::spawn(async move { rows.settle(&a, &some).await })
        });
        for done in settling.collect::<Vec<_>>() {
            done.await.expect("no panic").expect("it is settled");
        }
        let mut sum = (0, 0, 0);
        for batch in batches {
            let receipt = hub.app.rows.receipt(&a, batch).await.expect("Postgres answers").expect("it is stored");
            assert_eq!(receipt.stored, receipt.indexed + receipt.pending + receipt.refused + receipt.not_wanted);
            sum = (sum.0 + receipt.indexed, sum.1 + receipt.refused, sum.2 + receipt.pending);
        }
        assert_eq!(sum, (450, 50, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_redis_lost_or_never_got_are_published() {
    fresh(async |hub: &Fresh| {
        let a = hub.tenant("tenant_a").await;
        let (key, registry, ring) = (ApiKey::generate(), &hub.app.registry, &hub.app.ring);
        let new =
            NewKey { name: "k".to_owned(), scopes: vec![Scope::LogsRead], expires_at: None, limits: shared::limits::Rate::default(), allowed: shared::grant::Allowed::default() };
        let kept = registry.add_key(&a, &key, &new, &By::SYSTEM).await.expect("Postgres answers");
        assert!(matches!(ring.look_up(&key.hash()).await, Ok(Lookup::Lost)));

        assert_eq!(republish_keys(&hub.app).await.expect("it runs").parts, 16);
        assert!(matches!(ring.look_up(&key.hash()).await, Ok(Lookup::Found(grant)) if grant.key_id == kept.id && !grant.suspended));
        assert!(matches!(ring.look_up(&ApiKey::generate().hash()).await, Ok(Lookup::Unknown)));
        assert_eq!(republish_keys(&hub.app).await.expect("it runs"), maintenance::Republished::default());

        // Recorded, not published.
        registry.change(&a, None, Some(Standing::Suspended), &By::SYSTEM).await.expect("Postgres answers");
        assert_eq!(republish_keys(&hub.app).await.expect("it runs").grants, 1);
        assert!(matches!(ring.look_up(&key.hash()).await, Ok(Lookup::Found(grant)) if grant.suspended));
        registry.revoke_key(&a, kept.id, &By::SYSTEM).await.expect("Postgres answers");
        republish_keys(&hub.app).await.expect("it runs");
        assert!(matches!(ring.look_up(&key.hash()).await, Ok(Lookup::Found(grant)) if grant.revoked));

        hub.wipe_redis().await;
        assert!(matches!(ring.look_up(&key.hash()).await, Ok(Lookup::Lost)));
        assert_eq!(republish_keys(&hub.app).await.expect("it runs"), maintenance::Republished { parts: 16, grants: 1 });
        assert!(matches!(ring.look_up(&key.hash()).await, Ok(Lookup::Found(grant)) if grant.revoked));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_lost_again_while_it_is_made_stays_lost() {
    fresh(async |hub: &Fresh| {
        let making = hub.app.ring.begin_part(3).await.expect("Redis answers");
        hub.wipe_redis().await;
        assert!(!hub.app.ring.mark_whole(making).await.expect("Redis answers"));
        assert!(hub.app.ring.lost_parts().await.expect("Redis answers").contains(&3));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_whose_making_broke_off_are_finished() {
    fresh(async |hub: &Fresh| {
        let a = tenant("tenant_a");
        hub.app.registry.register(&a, "A", &By::SYSTEM).await.expect("Postgres answers");
        assert_eq!(finish_tenants(&hub.app, Patience::default()).await.expect("it runs").made, 0, "someone may be at it");
        assert_eq!(finish_tenants(&hub.app, AT_ONCE).await.expect("it runs").made, 1);
        assert_eq!(hub.app.registry.tenant(&a).await.expect("it is there").status, TenantStatus::Active);
        assert_eq!(hub.app.rows.schema_state(&a).await.expect("Postgres answers"), SchemaState::Present);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_deleted_tenant_nothing_is_left_but_its_id() {
    fresh(async |hub: &Fresh| {
        let (a, b) = (hub.tenant("tenant_a").await, hub.tenant("tenant_b").await);
        let (gone, stays) = (hub.missed(&a, 30).await, hub.missed(&b, 40).await);
        index_missed(&hub.app, BUDGET).await.expect("it runs");
        hub.app.registry.begin_deletion(&a, Duration::ZERO, &By::SYSTEM).await.expect("Postgres answers");

        // Removed at once, but not believed to be all: a processor may still write.
        assert_eq!(finish_tenants(&hub.app, Patience::default()).await.expect("it runs").removed, 0);
        assert_eq!(hub.app.rows.schema_state(&a).await.expect("Postgres answers"), SchemaState::Dropped);
        assert!(hub.app.rows.receipt(&a, gone).await.expect("Postgres answers").is_none());
        assert_eq!((hub.documents(&a).await, hub.documents(&b).await), (0, 40));
        let left = hub.app.archive.list("").await.expect("the store answers");
        assert!(left.iter().all(|path| path.contains("/tenant_b/")) && left.len() == 1, "{left:?}");

        let late = hub.app.archive.fresh_path("standard", time::OffsetDateTime::now_utc(), Some(&a));
        hub.app.archive.put(&late, vec![1].into()).await.expect("the store answers");
        assert_eq!(finish_tenants(&hub.app, AT_ONCE).await.expect("it runs").removed, 1);
        assert_eq!(hub.app.archive.list("").await.expect("the store answers"), left);
        assert_eq!(hub.app.registry.in_status(TenantStatus::Deleted, Duration::ZERO, 10).await.expect("Postgres answers"), std::slice::from_ref(&a));
        assert!(matches!(hub.app.rows.ensure_schema(&a).await, Err(Error::NotFound(_))), "it is not made again");
        assert!(matches!(hub.app.registry.register(&a, "A", &By::SYSTEM).await, Err(Error::Conflict { .. })));
        assert_eq!(hub.app.rows.receipt(&b, stays).await.expect("Postgres answers").expect("it is stored").indexed, 40);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_made_where_they_lack() {
    fresh(async |hub: &Fresh| {
        hub.tenant("tenant_a").await;
        hub.tenant("tenant_b").await;
        assert_eq!(keep_partitions(&hub.app).await.expect("it runs").tenants, 0);
        let made = hub.logs_sql("do $$ declare p regclass; begin for p in select inhrelid from pg_inherits where inhparent = 'tenant_a.log_rows'::regclass loop execute 'drop table ' || p; end loop; end $$");
        made.await;
        assert_eq!(keep_partitions(&hub.app).await.expect("it runs").tenants, 1);
        assert_eq!(keep_partitions(&hub.app).await.expect("it runs").tenants, 0);
        hub.missed(&tenant("tenant_a"), 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_consumers_that_hold_nothing_are_forgotten() {
    fresh(async |hub: &Fresh| {
        assert_eq!(forget_consumers(&hub.app).await.expect("it runs").consumers, 0, "there is no queue yet");
        for (consumer, done) in [("idle", true), ("busy", false)] {
            hub.queue_something(&tenant("tenant_a")).await;
            let taken = hub.app.queue.take(consumer, TakeBudget { bytes: 1, entries: 1 }).await.expect("Redis answers");
            assert_eq!(taken.len(), 1);
            if done {
                hub.app.queue.ack(&[(&taken[0].held, None)]).await.expect("Redis answers");
            }
        }
        assert_eq!(forget_consumers(&hub.app).await.expect("it runs").consumers, 0, "neither has been silent for long");
        while hub.app.queue.forget_consumers(Duration::ZERO).await.expect("Redis answers") == 0 {}
        assert_eq!(hub.consumers().await, ["busy"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_does_everything_and_reports_it() {
    fresh(async |hub: &Fresh| {
        let a = hub.tenant("tenant_a").await;
        hub.missed(&a, 20).await;
        let report = run_all(&hub.app).await;
        assert_eq!(report.indexed.as_ref().map(|indexed| indexed.indexed), Some(20));
        assert_eq!(report.keys.map(|keys| keys.parts), Some(16));
        assert!(report.partitions.is_some() && report.tenants.is_some() && report.consumers.is_some() && report.redriven.is_some(), "{report:?}");
    })
    .await;
}
