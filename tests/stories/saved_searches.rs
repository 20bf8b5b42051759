//! Searches that people keep.

use serde_json::{Value, json};

use crate::harness::{Caller, plain, story};

const PATH: &str = "/v1/saved-searches";

async fn names(caller: &Caller) -> Vec<Value> {
    let all = caller.get(PATH, &[]).await.ok(200);
    all["saved_searches"].as_array().expect("a list").iter().map(|saved| saved["name"].clone()).collect()
}

#[test]
fn a_search_is_saved_changed_run_and_deleted() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let answer = acme.post(PATH, &json!({ "name": " Failures ", "q": "level>=error", "from": "now-1d", "service": ["billing"], "level": ["err"] })).await;
        let saved = answer.ok(201);
        let path = answer.header("location").expect("where it is").to_owned();
        assert_eq!(path, format!("{PATH}/{}", saved["id"].as_str().expect("an id")));
        let expected = json!({
            "id": saved["id"], "name": "Failures", "q": "level>=error", "from": "now-1d", "to": null, "service": ["billing"], "level": ["ERROR"], "sort": "newest",
            "created_at": saved["created_at"], "updated_at": saved["updated_at"],
        });
        assert_eq!(saved, expected);
        assert_eq!(acme.get(&path, &[]).await.ok(200), saved);
        let changed = acme.patch(&path, &json!({ "q": "refund", "from": "", "level": [], "sort": "relevance" })).await.ok(200);
        assert_eq!(
            (&changed["q"], &changed["from"], &changed["level"], &changed["sort"], &changed["name"]),
            (&json!("refund"), &Value::Null, &json!([]), &json!("relevance"), &json!("Failures"))
        );
        // What was saved is what a search takes.
        acme.stored(&[plain("a refund"), plain("something else")]).await;
        let found = acme.get("/v1/search", &[("q", changed["q"].as_str().expect("a query")), ("service", "billing"), ("sort", "relevance")]).await.ok(200);
        assert_eq!(found["total"]["value"], 1);
        acme.post(PATH, &json!({ "name": "Another", "q": "x" })).await.ok(201);
        assert_eq!(names(&acme).await, ["Another", "Failures"]);
        acme.post(PATH, &json!({ "name": "Failures", "q": "x" })).await.problem(409, "saved_search_exists");
        acme.patch(&path, &json!({ "name": "Another" })).await.problem(409, "saved_search_exists");
        acme.delete(&path).await.empty(204);
        acme.get(&path, &[]).await.problem(404, "not_found");
        acme.delete(&path).await.problem(404, "not_found");
        acme.patch(&path, &json!({ "q": "x" })).await.problem(404, "not_found");
        assert_eq!(names(&acme).await, ["Another"]);
    });
}

#[test]
fn what_could_not_be_run_is_not_saved() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        for (body, field) in [
            (json!({ "q": "x" }), "name"),
            (json!({ "name": "n", "q": "a", "from": "soon" }), "from"),
            (json!({ "name": "n", "q": "a", "level": ["loud"] }), "level"),
            (json!({ "name": "n", "q": "a", "service": "one" }), "service"),
            (json!({ "name": "n", "q": "a", "sort": "best" }), "sort"),
        ] {
            assert_eq!(acme.post(PATH, &body).await.fault(422, "invalid_parameter").0, field, "{body}");
        }
        let refused = acme.post(PATH, &json!({ "name": "n", "q": "a AND" })).await.problem(422, "invalid_parameter");
        assert_eq!((&refused["errors"][0]["code"], &refused["errors"][0]["place"]["offset"]), (&json!("invalid_query"), &json!(5)), "{refused}");
        let saved = acme.post(PATH, &json!({ "name": "n", "q": "a" })).await.ok(201);
        let path = format!("{PATH}/{}", saved["id"].as_str().expect("an id"));
        acme.patch(&path, &json!({})).await.problem(422, "nothing_to_change");
        acme.patch(&path, &json!({ "from": "now", "to": "now-1h" })).await.fault(422, "invalid_parameter");
        assert_eq!(acme.get(&path, &[]).await.ok(200), saved);
    });
}

#[test]
fn changes_of_one_search_at_once_all_stay() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        for _ in 0..10 {
            let saved = acme.post(PATH, &json!({ "name": "n", "q": "a", "from": "now-1h" })).await.ok(201);
            let path = format!("{PATH}/{}", saved["id"].as_str().expect("an id"));
            let (q, sort, service, from) = (json!({ "q": "b" }), json!({ "sort": "oldest" }), json!({ "service": ["x"] }), json!({ "from": null }));
            let changes = tokio::join!(acme.patch(&path, &q), acme.patch(&path, &sort), acme.patch(&path, &service), acme.patch(&path, &from));
            for change in [changes.0, changes.1, changes.2, changes.3] {
                change.ok(200);
            }
            let now = acme.get(&path, &[]).await.ok(200);
            assert_eq!((&now["q"], &now["sort"], &now["service"], &now["from"]), (&json!("b"), &json!("oldest"), &json!(["x"]), &json!(null)), "{now}");
            acme.delete(&path).await.empty(204);
        }
    });
}

#[test]
fn saved_searches_belong_to_their_tenant_and_to_those_who_read() {
    story(async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        let saved = acme.post(PATH, &json!({ "name": "mine", "q": "a" })).await.ok(201);
        let path = format!("{PATH}/{}", saved["id"].as_str().expect("an id"));
        globex.post(PATH, &json!({ "name": "mine", "q": "b" })).await.ok(201);
        globex.get(&path, &[]).await.problem(404, "not_found");
        globex.patch(&path, &json!({ "q": "c" })).await.problem(404, "not_found");
        globex.delete(&path).await.problem(404, "not_found");
        assert_eq!(acme.get(&path, &[]).await.ok(200)["q"], "a");
        let sender = world.key_of("acme", &["logs:write"]).await;
        sender.get(PATH, &[]).await.problem(403, "missing_scope");
        sender.post(PATH, &json!({ "name": "no", "q": "a" })).await.problem(403, "missing_scope");
        world.anyone().get(&path, &[]).await.problem(401, "unauthenticated");
    });
}
