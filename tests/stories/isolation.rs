//! Two tenants who must never see each other.

use serde_json::{Value, json};

use crate::harness::{Caller, Sending, World, ids, log_id, logs, numbered, plain, sample, story, story_with, texts};

/// Both tenants with logs that look alike, in the same drains, in shared raw objects.
async fn neighbours(world: &World) -> [(Caller, Vec<String>); 2] {
    let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
    let records = |word: &str| numbered(&format!("shared words {word}"), 30);
    let batches = futures::future::join_all([acme.accepted(&records("acmeonly")), globex.accepted(&records("globexonly"))]).await;
    let of = |batch: &str| (0..30).map(|position| log_id(batch, position)).rev().collect();
    acme.wait_until_indexed(&batches[0]).await;
    globex.wait_until_indexed(&batches[1]).await;
    [(acme, of(&batches[0])), (globex, of(&batches[1]))]
}

#[test]
fn lists_and_searches_show_a_tenant_its_own_logs_only() {
    story(async |world| {
        let pair = neighbours(world).await;
        for ((caller, own), other_word) in pair.iter().zip(["globexonly", "acmeonly"]) {
            assert_eq!(&ids(&caller.list(&[]).await), own);
            assert_eq!(&ids(&caller.list(&[("service", "billing"), ("level", "warn")]).await), own);
            let found = caller.search("shared words").await;
            assert_eq!((&ids(&found), &found["total"]), (own, &json!({ "value": 30, "relation": "eq" })));
            let others = caller.search(other_word).await;
            assert_eq!((logs(&others).len(), &others["total"]["value"]), (0, &json!(0)), "{other_word}");
            assert_eq!(&ids(&caller.search(&format!("-{other_word}")).await), own);
        }
    });
}

#[test]
fn what_belongs_to_the_other_is_not_there() {
    story(async |world| {
        let [(acme, _), (globex, theirs)] = neighbours(world).await;
        let batch = shared::ids::LogId::parse(&theirs[0]).expect("an id").batch().to_string();
        for source in [&[][..], &[("source", "raw")], &[("source", "auto")]] {
            for id in &theirs[..3] {
                acme.get(&format!("/v1/logs/{id}"), source).await.problem(404, "not_found");
                assert_eq!(globex.get(&format!("/v1/logs/{id}"), source).await.status, 200);
            }
        }
        acme.get(&format!("/v1/batches/{batch}"), &[]).await.problem(404, "not_found");
        assert_eq!(globex.batch(&batch).await["stored"], 30);
        let manager = world.key_of("acme", &["keys:manage", "tenant:admin"]).await;
        manager.get("/v1/tenants/globex/keys", &[]).await.problem(404, "not_found");
        manager.get("/v1/tenants/globex", &[]).await.problem(401, "unauthenticated");
        // The words are the same for what is not there at all.
        let absent = acme.get(&format!("/v1/logs/{}", log_id(&shared::ids::BatchId::new(1_790_000_000_000).to_string(), 0)), &[]).await.problem(404, "not_found");
        let theirs = acme.get(&format!("/v1/logs/{}", theirs[0]), &[]).await.problem(404, "not_found");
        assert_eq!(absent["detail"], theirs["detail"]);
    });
}

#[test]
fn a_cursor_of_the_one_shows_the_other_nothing_but_its_own() {
    story(async |world| {
        let [(acme, own), (globex, _)] = neighbours(world).await;
        for (path, parameters) in [("/v1/logs", vec![("limit", "10")]), ("/v1/search", vec![("q", "shared"), ("limit", "10")])] {
            let cursor = globex.get(path, &parameters).await.ok(200)["next_cursor"].as_str().expect("a cursor").to_owned();
            let parameters: Vec<_> = parameters.into_iter().chain([("cursor", cursor.as_str())]).collect();
            let answer = acme.get(path, &parameters).await;
            if answer.status == 200 {
                assert!(ids(&answer.ok(200)).iter().all(|id| own.contains(id)), "{}", answer.text);
            } else {
                answer.problem(422, "invalid_cursor");
            }
            assert!(!answer.text.contains("globexonly"), "{}", answer.text);
        }
    });
}

#[test]
fn a_record_that_names_another_tenant_is_refused_and_one_that_names_its_own_is_kept() {
    story(async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        let named = |tenant: &str| json!({ "tenant_id": tenant, "message": format!("for {tenant}") });
        let receipt = acme.send(Sending::json(&json!([named("globex"), named("acme"), named("nobody")]))).await.ok(202);
        let codes: Vec<&str> = receipt["errors"].as_array().expect("errors").iter().filter_map(|fault| fault["code"].as_str()).collect();
        assert_eq!((codes, &receipt["accepted"]), (vec!["tenant_mismatch"; 2], &json!(1)));
        assert!(!receipt.to_string().contains("globex"), "{receipt}");
        let batch = receipt["batch_id"].as_str().expect("an id");
        acme.wait_until_indexed(batch).await;
        assert_eq!(acme.detail(&log_id(batch, 1)).await["record"], named("acme"));
        assert_eq!(logs(&globex.list(&[]).await), [] as [Value; 0]);
        assert_eq!(texts(&acme.list(&[]).await, "message"), ["for acme"]);
    });
}

#[test]
fn the_same_record_of_two_tenants_is_two_logs() {
    story(async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        let records = &sample("lnav-mixed")[..50];
        let (of_acme, of_globex) = tokio::join!(acme.stored(records), globex.stored(records));
        assert_ne!(of_acme, of_globex);
        for (caller, batch) in [(&acme, &of_acme), (&globex, &of_globex)] {
            let own: Vec<String> = (0..50).map(|position| log_id(batch, position)).collect();
            world.in_stores(&caller.tenant).await.hold_exactly(&own);
        }
        // Every line of a shared object says whose it is.
        let lines = world.raw_lines().await;
        assert_eq!((lines.len(), lines.iter().filter(|(_, line)| line.tenant == "acme").count()), (100, 50));
        acme.stored(&[plain("one more")]).await;
        assert_eq!(logs(&globex.list(&[("limit", "1000")]).await).len(), 50);
    });
}

/// Every route that the hub describes, by every kind of caller: a route is covered when it is born.
#[test]
fn no_route_shows_or_changes_what_another_tenant_has() {
    story_with(&[("LOGGERHUB_DELETION_GRACE_SECONDS", "604800")], async |world| {
        let anyone = world.anyone();
        let done = world.command(&["isolation-check", "--within", "240", "--url", anyone.url()]).await;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&done.stderr));
        let document = anyone.get("/openapi.json", &[]).await.ok(200);
        for (path, item) in document["paths"].as_object().expect("paths") {
            for method in item.as_object().expect("methods").keys() {
                let name = format!("{} {path} ", method.to_uppercase());
                let line = said.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("{name}is not in the table: {said}"));
                assert!(line.ends_with("  ok"), "{line}");
            }
        }
        assert!(said.lines().last().is_some_and(|line| line.starts_with("clean: ")), "{said}");
        let left = world.operator().get("/v1/tenants", &[]).await.ok(200);
        assert_eq!(left["tenants"], json!([]), "nothing is left of the throw-away tenants");
        let users = world.operator().get("/v1/users", &[("limit", "1000")]).await.ok(200);
        let users = users["users"].as_array().expect("users");
        assert!(users.len() >= 10 && users.iter().all(|user| user["disabled_at"].is_string()), "accounts stay, and open nothing: {users:?}");
    });
}

#[test]
fn the_check_starts_a_hub_of_its_own_and_tidies_up_where_it_cannot_end_in_time() {
    story(async |world| {
        let done = world.command(&["isolation-check", "--within", "240", "--json"]).await;
        let said: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
        assert_eq!((done.status.code(), &said["clean"], &said["wrong"], &said["notes"]), (Some(0), &json!(true), &json!([]), &json!([])), "{said}");
        assert!(said["requests"].as_array().is_some_and(|requests| requests.len() > 500), "{said}");
        let broken_off = world.command(&["isolation-check", "--within", "1"]).await;
        assert_eq!(broken_off.status.code(), Some(2), "{broken_off:?}");
        assert_eq!(world.operator().get("/v1/tenants", &[]).await.ok(200)["tenants"], json!([]));
    });
}
