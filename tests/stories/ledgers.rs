//! The ledgers of a tenant's making and removal: whoever dies between two steps is followed by somebody who goes on, and what was removed can be
//! read when the tenant is gone.

use std::time::Duration;

use maintenance::{Patience, finish_tenants};
use reqwest::Method;
use serde_json::{Value, json};
use shared::fault::POINTS;
use shared::ids::TenantId;
use shared::tenants::{FORGOTTEN, KEPT};

use crate::harness::{SOON, Sending, World, log_id, plain, sample, story, story_with, texts};

/// Maintenance runs when a process starts, and where an engine was too busy then, a minute later.
const NEXT_RUN: Duration = Duration::from_secs(60 + SOON.as_secs());
const AT_ONCE: Patience = Patience { making: Duration::ZERO, writing: Duration::ZERO };

/// Name, state and attempts of each step.
async fn steps(world: &World, tenant: &str) -> Vec<(String, String, i32)> {
    let id = TenantId::parse(tenant).expect("an id");
    let steps = world.doors.registry.steps(&id).await.expect("Postgres answers").steps;
    steps.into_iter().map(|step| (step.step, step.state, step.attempts)).collect()
}

/// The same as short words, for comparison.
fn short(steps: &[(String, String, i32)]) -> Vec<(&str, &str, i32)> {
    steps.iter().map(|(step, state, attempts)| (step.as_str(), state.as_str(), *attempts)).collect()
}

#[test]
fn the_making_of_a_tenant_may_break_off_at_any_point() {
    story(async |world| {
        // Whoever does maintenance would be quicker than who looks.
        world.stop_hub().await;
        let points: Vec<&str> = POINTS.iter().copied().filter(|point| point.starts_with("provisioning.")).collect();
        let id_of = |point: &str| point.replace('.', "_");
        for point in &points {
            let mut process = world.process(&[("LOGGERHUB_ABORT_AT", point)]).await;
            let body = Sending::json(&json!({ "id": id_of(point), "name": point }));
            let answer = world.operator().at_url(process.url()).try_call(Method::POST, "/v1/tenants", &[], body).await;
            assert!(answer.is_err(), "the connection broke: {answer:?}");
            process.ended_at(point).await;
            let expected = match *point {
                "provisioning.registered" => [("make_schema", "pending", 0), ("activate", "pending", 0)],
                "provisioning.schema_made" => [("make_schema", "running", 1), ("activate", "pending", 0)],
                _ => [("make_schema", "done", 1), ("activate", "done", 1)],
            };
            assert_eq!(short(&steps(world, &id_of(point)).await), expected, "{point}");
        }
        let finished = finish_tenants(&world.doors.maintenance(), AT_ONCE).await.expect("it runs");
        assert_eq!((finished.made, finished.failed), (2, 0));
        let living = world.another_hub(&[]).await;
        let operator = world.operator().at(&living);
        for point in &points {
            let id = id_of(point);
            let attempts = if *point == "provisioning.schema_made" { 2 } else { 1 };
            assert_eq!(short(&steps(world, &id).await), [("make_schema", "done", attempts), ("activate", "done", 1)], "{point}");
            assert_eq!(operator.get(&format!("/v1/tenants/{id}"), &[]).await.ok(200)["status"], "active");
            let key = world.anyone().of(&id).at(&living).key_made_by(&operator, &json!({ "name": "k" })).await;
            key.stored(&[plain("it works")]).await;
        }
    });
}

#[test]
fn the_removal_of_a_tenant_may_break_off_at_any_point_and_its_receipts_stay() {
    story(async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        let large = sample("openstack").to_vec();
        acme.stored(&large).await;
        acme.stored(&[plain("small, beside globex")]).await;
        let kept = globex.stored(&[plain("stays")]).await;
        acme.post("/v1/saved-searches", &json!({ "name": "mine", "q": "small" })).await.ok(201);
        let objects = world.doors.archive.list("").await.expect("it answers").iter().filter(|path| path.contains("/acme/")).count();
        assert!(objects > 0, "acme has objects of its own");
        world.until_queue_holds(0, SOON).await;
        world.stop_hub().await;

        let mut process = world.process(&[("LOGGERHUB_ABORT_AT", "deletion.begun")]).await;
        let answer = world.operator().at_url(process.url()).try_call(Method::DELETE, "/v1/tenants/acme", &[], Sending::default()).await;
        assert!(answer.is_err(), "the connection broke: {answer:?}");
        process.ended_at("deletion.begun").await;
        let of_deletion = async || steps(world, "acme").await.into_iter().skip(2).collect::<Vec<_>>();
        let names = ["close_keys", "grace", "drop_schema", "remove_documents", "remove_objects", "remove_late", "forget"];
        assert_eq!(short(&of_deletion().await), names.map(|name| (name, "pending", 0)));

        // As if the request had been made a while ago: somebody else takes it up.
        world.control_sql("update tenant_steps set created_at = now() - interval '1 hour'").await;
        let points = ["keys_closed", "schema_dropped", "documents_removed", "objects_removed", "late_removed"];
        for (point, step) in points.into_iter().zip(["close_keys", "drop_schema", "remove_documents", "remove_objects", "remove_late"]) {
            let point = format!("deletion.{point}");
            world.process(&[("LOGGERHUB_ABORT_AT", &point)]).await.ended_at_within(&point, NEXT_RUN).await;
            let seen = of_deletion().await;
            let broken_off = seen.iter().position(|(name, ..)| name == step).expect("a step");
            assert_eq!(short(&seen)[broken_off], (step, "running", 1), "{seen:?}");
            assert!(seen[..broken_off].iter().all(|(_, state, _)| state == "done"), "{seen:?}");
            assert!(seen[broken_off + 1..].iter().all(|(name, state, _)| state == "pending" || name == "grace"), "{seen:?}");
        }
        // No processor writes any more that looked before the schema went.
        world.sql("update public.schemas set dropped_at = now() - interval '1 hour' where tenant = 'acme'").await;
        world.process(&[("LOGGERHUB_ABORT_AT", "deletion.forgotten")]).await.ended_at_within("deletion.forgotten", NEXT_RUN).await;

        let living = world.another_hub(&[]).await;
        let operator = world.operator().at(&living);
        let ledger = operator.get("/v1/tenants/acme/steps", &[]).await.ok(200);
        assert_eq!(ledger["status"], "deleted", "{ledger}");
        let done = ledger["steps"].as_array().expect("steps");
        assert!(done.iter().all(|step| step["state"] == "done" && step["last_error"].is_null() && step["done_at"].is_string()), "{ledger}");
        let receipt = |name: &str| done.iter().find(|step| step["step"] == name).map(|step| (step["attempts"].clone(), step["receipt"].clone())).expect("a step");
        let logs = large.len() + 1;
        assert_eq!(receipt("close_keys"), (json!(2), json!({})));
        assert_eq!(receipt("drop_schema"), (json!(2), json!({ "batches": 2, "logs": logs, "dead_letters": 0, "shared_objects": 1 })));
        assert_eq!(receipt("remove_documents"), (json!(2), json!({ "documents": logs })));
        assert_eq!(receipt("remove_objects"), (json!(2), json!({ "objects": objects })));
        assert_eq!(receipt("forget"), (json!(1), json!({ "keys": 1, "saved_searches": 1, "invitations": 0, "members": 0, "quota_notices": 0 })));
        operator.post("/v1/tenants/acme/restore", &json!({})).await.problem(409, "tenant_erased");
        operator.get("/v1/tenants/nobody/steps", &[]).await.problem(404, "not_found");
        let told = world.control_sql("select 1 from audit_trail where tenant_id = 'acme' and action = 'tenant.deleted'").await.len();
        assert_eq!(told, 1, "its end is told once");
        assert_eq!(texts(&globex.at(&living).search("stays").await, "id"), [log_id(&kept, 0)]);
    });
}

#[test]
fn a_step_that_fails_says_why_until_it_is_mended() {
    story_with(&[("LOGGERHUB_DELETION_GRACE_SECONDS", "604800")], async |world| {
        let operator = world.operator();
        // A table of the schema's is there already, by somebody's hand.
        world.sql("create schema acme").await;
        world.sql("create table acme.objects (of_somebody text)").await;
        operator.post("/v1/tenants", &json!({ "id": "acme", "name": "Acme" })).await.problem(500, "internal");
        let step = |ledger: &Value, at: usize| ledger["steps"][at].clone();
        let failed = step(&operator.get("/v1/tenants/acme/steps", &[]).await.ok(200), 0);
        assert_eq!((&failed["step"], &failed["state"], &failed["attempts"], &failed["done_at"]), (&json!("make_schema"), &json!("failed"), &json!(1), &Value::Null), "{failed}");
        assert!(failed["last_error"].as_str().is_some_and(|error| error.contains("\"objects\" already exists")), "{failed}");
        let app = world.doors.maintenance();
        let finished = finish_tenants(&app, AT_ONCE).await.expect("one tenant stops nobody");
        assert_eq!((finished.made, finished.failed), (0, 1));

        world.sql("drop schema acme cascade").await;
        assert_eq!(finish_tenants(&app, AT_ONCE).await.expect("it runs").made, 1);
        let ledger = operator.get("/v1/tenants/acme/steps", &[]).await.ok(200);
        let mended = step(&ledger, 0);
        assert_eq!((&mended["state"], &mended["attempts"], &mended["last_error"]), (&json!("done"), &json!(3), &Value::Null), "{ledger}");

        // A deletion that is taken back leaves no ledger; the audit trail tells of it.
        operator.delete("/v1/tenants/acme").await.empty(204);
        let ledger = operator.get("/v1/tenants/acme/steps", &[]).await.ok(200);
        assert_eq!(
            (ledger["steps"].as_array().map(Vec::len), &ledger["steps"][2]["state"], &ledger["steps"][3]["state"]),
            (Some(9), &json!("done"), &json!("pending")),
            "{ledger}"
        );
        assert!(ledger["delete_at"].is_string(), "{ledger}");
        operator.post("/v1/tenants/acme/restore", &json!({})).await.ok(200);
        assert_eq!(steps(world, "acme").await.len(), 2);
    });
}

#[test]
fn of_every_table_it_is_decided_whether_its_rows_go_with_their_tenant() {
    story(async |world| {
        let rows = world.control_sql("select table_name::text from information_schema.columns where table_schema = 'public' and column_name = 'tenant_id' order by 1").await;
        let tables: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, 0)).collect();
        let mut decided: Vec<&str> = FORGOTTEN.iter().map(|(table, _)| *table).chain(KEPT.iter().copied()).collect();
        decided.sort_unstable();
        assert_eq!(tables, decided, "list a new table in FORGOTTEN or KEPT of shared/src/tenants/deletion.rs");
    });
}
