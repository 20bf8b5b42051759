//! The end of a tenant: gone at once for everyone who looks, and behind that all that it had.

use reqwest::Method;
use serde_json::json;
use shared::queue::LEFT_BEHIND_AFTER;

use crate::harness::{Caller, SOON, Seen, Sending, World, eventually, log_id, logs, numbered, plain, sample, story, story_with, texts};

#[test]
fn a_deleted_tenant_can_be_restored_until_its_grace_is_over() {
    story_with(&[("LOGGERHUB_DELETION_GRACE_SECONDS", "604800")], async |world| {
        let (acme, operator) = (world.tenant("acme").await, world.operator());
        let admin = world.key_of("acme", &["tenant:admin"]).await;
        let batch = acme.stored(&[plain("kept through it all")]).await;
        operator.post("/v1/tenants/acme/restore", &json!({})).await.problem(404, "not_found");
        for suspended in [false, true] {
            if suspended {
                operator.patch("/v1/tenants/acme", &json!({ "status": "suspended" })).await.ok(200);
            }
            operator.delete("/v1/tenants/acme").await.empty(204);
            expect_locked_out(&acme).await;
            maintenance::run_all(&world.doors.maintenance()).await;
            operator.get("/v1/tenants/acme", &[]).await.problem(404, "not_found");
            operator.post("/v1/tenants", &json!({ "id": "acme", "name": "again" })).await.problem(409, "tenant_exists");
            let restored = operator.post("/v1/tenants/acme/restore", &json!({})).await.ok(200);
            assert_eq!(restored["status"], if suspended { "suspended" } else { "active" }, "it is as it was");
            let look = async || {
                let answer = acme.get("/v1/logs", &[]).await;
                if answer.status == 200 { Ok(()) } else { Err(answer.status) }
            };
            eventually(SOON, "its key opens again", look).await;
            assert_eq!(acme.batch(&batch).await["stored"], 1);
            assert_eq!(texts(&acme.search("kept").await, "message"), ["kept through it all"]);
        }
        let page = admin.get("/v1/audit", &[("action", "tenant.restored")]).await.ok(200);
        assert_eq!(page["entries"].as_array().map(Vec::len), Some(2), "{page}");

        // Its grace is over.
        operator.delete("/v1/tenants/acme").await.empty(204);
        world.control_sql("update tenants set delete_at = now() where id = 'acme'").await;
        until_removed(world, "acme").await;
        operator.post("/v1/tenants/acme/restore", &json!({})).await.problem(409, "tenant_erased");
    });
}

/// Runs maintenance until a tenant has no schema, no documents and no raw object of its own.
async fn until_removed(world: &World, tenant: &str) {
    let look = async || -> Result<(), Seen> {
        maintenance::run_all(&world.doors.maintenance()).await;
        let schemas = world.sql(&format!("select 1 from pg_namespace where nspname = '{tenant}'")).await.len();
        let receipts = world.sql(&format!("select 1 from public.receipts where tenant = '{tenant}'")).await.len();
        let pattern = format!("{}-*/_count", world.setting("LOGGERHUB_INDEX_PREFIX"));
        let documents = world.opensearch(Method::POST, &pattern, &json!({ "query": { "term": { "tenant": tenant } } })).await["count"].clone();
        let objects = world.doors.archive.list("").await.map_err(|e| e.to_string())?.into_iter().filter(|path| path.contains(&format!("/{tenant}/"))).count();
        if (schemas, receipts, objects) == (0, 0, 0) && documents == 0 {
            Ok(())
        } else {
            Err(format!("{schemas} schemas, {receipts} receipts, {documents} documents, {objects} objects"))
        }
    };
    eventually(SOON, &format!("{tenant} has left nothing"), look).await;
}

async fn expect_locked_out(gone: &Caller) {
    let look = async || -> Result<(), Seen> {
        let answers = [gone.send(Sending::json(&plain("m"))).await, gone.get("/v1/logs", &[]).await, gone.get("/v1/search", &[("q", "m")]).await];
        let open = answers.iter().find(|answer| answer.status != 401);
        open.map_or(Ok(()), |answer| Err(format!("{}: {}", answer.asked, answer.status)))
    };
    eventually(SOON, "its key opens nothing", look).await;
}

#[test]
fn a_deleted_tenant_is_gone_with_all_that_it_had_and_its_id_is_never_given_again() {
    story(async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        // So much that acme gets raw objects of its own beside the shared ones.
        let large: Vec<_> = sample("openstack").to_vec();
        let batch = acme.stored(&large).await;
        let (small, stays) = ([plain("small, beside globex")], [plain("stays")]);
        let (_, kept) = tokio::join!(acme.stored(&small), globex.stored(&stays));
        assert!(world.doors.archive.list("").await.expect("it answers").iter().any(|path| path.contains("/acme/")), "acme has objects of its own");

        let operator = world.operator();
        operator.delete("/v1/tenants/acme").await.empty(204);
        operator.get("/v1/tenants/acme", &[]).await.problem(404, "not_found");
        operator.patch("/v1/tenants/acme", &json!({ "name": "back" })).await.problem(404, "not_found");
        operator.delete("/v1/tenants/acme").await.problem(404, "not_found");
        operator.get("/v1/tenants/acme/keys", &[]).await.problem(404, "not_found");
        operator.post("/v1/tenants/acme/keys", &json!({ "name": "k" })).await.problem(404, "not_found");
        operator.delete(&format!("/v1/tenants/acme/keys/{}", acme.key_id)).await.problem(404, "not_found");
        operator.post("/v1/tenants", &json!({ "id": "acme", "name": "again" })).await.problem(409, "tenant_exists");
        let listed = operator.get("/v1/tenants", &[]).await.ok(200);
        assert_eq!(listed["tenants"].as_array().map(Vec::len), Some(1), "{listed}");
        expect_locked_out(&acme).await;

        until_removed(world, "acme").await;
        operator.post("/v1/tenants", &json!({ "id": "acme", "name": "again" })).await.problem(409, "tenant_exists");
        assert_eq!(texts(&globex.search("stays").await, "id"), [log_id(&kept, 0)]);
        assert_eq!(globex.get(&format!("/v1/logs/{}", log_id(&kept, 0)), &[("source", "raw")]).await.ok(200)["message"], "stays", "its line in a shared object is untouched");
        let owners: Vec<String> = world.raw_lines().await.into_iter().map(|(_, line)| line.tenant).collect();
        assert_eq!(owners, ["globex"], "nothing of the tenant is left, in no object that it shared either");
        globex.get(&format!("/v1/batches/{batch}"), &[]).await.problem(404, "not_found");
    });
}

#[test]
fn what_was_still_queued_for_a_deleted_tenant_stops_nobody() {
    story_with(&[("LOGGERHUB_LINGER_MS", "3600000")], async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        acme.accepted(&numbered("too late", 20)).await;
        let batch = globex.accepted(&numbered("in time", 20)).await;
        acme.accepted(&numbered("too late again", 20)).await;
        world.operator().delete("/v1/tenants/acme").await.empty(204);
        until_removed(world, "acme").await;
        let draining = world.another_hub(&[]).await;
        globex.at(&draining).wait_until_indexed(&batch).await;
        assert_eq!(logs(&globex.list(&[]).await).len(), 20);
        world.until_queue_holds(0, SOON).await;
        until_removed(world, "acme").await;
    });
}

#[test]
fn deleting_a_tenant_in_the_middle_of_its_traffic_disturbs_nobody() {
    story(async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        acme.stored(&[plain("it was busy")]).await;
        let until_locked_out = async |word: &str| {
            for n in 0.. {
                let answer = acme.send(Sending::ndjson(&numbered(&format!("{word} {n}"), 10))).await;
                match answer.status {
                    202 => {}
                    _ => return drop(answer.problem(401, "unauthenticated")),
                }
            }
        };
        let beside = async {
            let mut batches = Vec::new();
            for n in 0..30 {
                batches.push(globex.stored(&numbered(&format!("beside {n}"), 10)).await);
            }
            batches
        };
        let ending = async {
            world.operator().delete("/v1/tenants/acme").await.empty(204);
            until_removed(world, "acme").await;
        };
        let (batches, ..) = tokio::join!(beside, ending, until_locked_out("a"), until_locked_out("b"), until_locked_out("c"));
        // What a drain had in hand while the schema went is put aside once, and dropped when it is taken up again.
        world.until_queue_holds(0, LEFT_BEHIND_AFTER + SOON).await;
        until_removed(world, "acme").await;
        world.in_stores("globex").await.hold_exactly(&batches.iter().flat_map(|batch| (0..10).map(|position| log_id(batch, position))).collect::<Vec<_>>());
    });
}

#[test]
fn a_tenant_whose_making_broke_off_is_finished_by_whoever_asks_again() {
    story(async |world| {
        let id = shared::ids::TenantId::parse("broken_off").expect("an id");
        world.doors.registry.register(&id, "Broken off", &shared::tenants::By::SYSTEM).await.expect("Postgres answers");
        let operator = world.operator();
        assert_eq!(operator.get("/v1/tenants/broken_off", &[]).await.ok(200)["status"], "provisioning");
        operator.post("/v1/tenants/broken_off/keys", &json!({ "name": "k" })).await.problem(409, "tenant_provisioning");
        operator.patch("/v1/tenants/broken_off", &json!({ "status": "suspended" })).await.problem(409, "tenant_provisioning");
        assert_eq!(operator.post("/v1/tenants", &json!({ "id": "broken_off", "name": "Whole" })).await.ok(201)["status"], "active");
        let tenant = world.key_of("broken_off", &["logs:write", "logs:read"]).await;
        tenant.stored(&[plain("it works")]).await;
        assert_eq!(operator.get("/v1/tenants/broken_off", &[]).await.ok(200)["name"], "Whole");
    });
}
