//! The operator's routes: who may use them, and what they answer to what.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Sending, plain, story, texts};

#[test]
fn only_the_operators_token_opens_the_operators_doors() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let all_scopes = world.key_of("acme", &["logs:write", "logs:read", "keys:manage", "billing:read", "tenant:admin"]).await;
        let token = world.operator_token();
        let strangers = [
            ("nobody", world.anyone()),
            ("a wrong token", world.anyone().bearing("operator-of-another-world")),
            ("half of the token", world.anyone().bearing(&token[..token.len() - 1])),
            ("more than the token", world.anyone().bearing(&format!("{token}x"))),
            ("the token in capitals", world.anyone().bearing(&token.to_uppercase())),
            ("the token in the other header", world.anyone().with_credential("x-api-key", &token)),
            ("half of the token in its own header", world.anyone().with_credential("x-operator-token", &token[..token.len() - 1])),
            ("a key in that header", world.anyone().with_credential("x-operator-token", &acme.key)),
            ("the token without a scheme", world.anyone().with_credential("authorization", &token)),
            ("a key", acme.clone()),
            ("a key with every scope", all_scopes),
        ];
        let routes = [
            (Method::POST, "/v1/tenants"),
            (Method::GET, "/v1/tenants"),
            (Method::GET, "/v1/tenants/acme"),
            (Method::PATCH, "/v1/tenants/acme"),
            (Method::DELETE, "/v1/tenants/acme"),
        ];
        for (who, stranger) in strangers {
            for (method, path) in &routes {
                let answer = stranger.call(method.clone(), path, &[], Sending::json(&json!({ "id": "intruder", "name": "n", "status": "suspended" }))).await;
                assert_eq!(answer.status, 401, "{who}: {} {}", answer.asked, answer.text);
                answer.problem(401, "unauthenticated");
            }
        }
        world.operator().get("/v1/tenants/intruder", &[]).await.problem(404, "not_found");
        for operator in [world.operator(), world.anyone().with_credential("x-operator-token", &token)] {
            assert_eq!(operator.get("/v1/tenants/acme", &[]).await.ok(200)["status"], "active");
        }
    });
}

#[test]
fn a_hub_without_an_operators_token_has_no_operator() {
    story(async |world| {
        let hub = world.another_hub(&[("LOGGERHUB_OPERATOR_TOKEN", "")]).await;
        for token in ["", &world.operator_token()] {
            world.anyone().at(&hub).bearing(token).get("/v1/tenants", &[]).await.problem(401, "unauthenticated");
        }
    });
}

#[test]
fn a_tenant_is_created_read_and_changed() {
    story(async |world| {
        let operator = world.operator();
        let made = operator.post("/v1/tenants", &json!({ "id": "tenant_a", "name": "  Größe & Söhne  " })).await;
        assert_eq!(made.header("location"), Some("/v1/tenants/tenant_a"));
        let made = made.ok(201);
        assert_eq!((&made["id"], &made["name"], &made["status"]), (&json!("tenant_a"), &json!("Größe & Söhne"), &json!("active")));
        assert_eq!(operator.get("/v1/tenants/tenant_a", &[]).await.ok(200), made);
        for field in ["created_at", "updated_at"] {
            assert!(made[field].as_str().is_some_and(|at| at.ends_with('Z')), "{field}: {made}");
        }

        let renamed = operator.patch("/v1/tenants/tenant_a", &json!({ "name": "A" })).await.ok(200);
        assert_eq!((&renamed["name"], &renamed["status"], &renamed["created_at"]), (&json!("A"), &json!("active"), &made["created_at"]));
        let suspended = operator.patch("/v1/tenants/tenant_a", &json!({ "status": "suspended" })).await.ok(200);
        assert_eq!((&suspended["name"], &suspended["status"]), (&json!("A"), &json!("suspended")));
        let both = operator.patch("/v1/tenants/tenant_a", &json!({ "name": "B", "status": "active" })).await.ok(200);
        assert_eq!((&both["name"], &both["status"]), (&json!("B"), &json!("active")));
        assert_eq!(operator.get("/v1/tenants/tenant_a", &[]).await.ok(200), both);
    });
}

#[test]
fn an_id_is_given_out_once() {
    story(async |world| {
        let operator = world.operator();
        let body = json!({ "id": "acme", "name": "Acme" });
        operator.post("/v1/tenants", &body).await.ok(201);
        operator.post("/v1/tenants", &body).await.problem(409, "tenant_exists");
        operator.post("/v1/tenants", &json!({ "id": "acme", "name": "Another" })).await.problem(409, "tenant_exists");
        assert_eq!(operator.get("/v1/tenants/acme", &[]).await.ok(200)["name"], "Acme");
        let bodies = [json!({ "id": "race", "name": "One" }), json!({ "id": "race", "name": "Two" })];
        let answers = futures::future::join_all((0..6).map(|n| operator.post("/v1/tenants", &bodies[n % 2]))).await;
        assert!(answers.iter().all(|answer| [201, 409].contains(&answer.status)), "{answers:?}");
        assert!(answers.iter().any(|answer| answer.status == 201), "{answers:?}");
        assert_eq!(operator.get("/v1/tenants/race", &[]).await.ok(200)["status"], "active");
    });
}

#[test]
fn tenants_whose_ids_are_words_of_sql_work_like_any_other() {
    story(async |world| {
        let long = "z".repeat(47);
        for id in ["user", "select", "table", "order", "default", "pg", "logs", "objects", "receipts", "a_1", "a_1_", long.as_str()] {
            let tenant = world.tenant(id).await;
            tenant.stored(&[plain("the same words")]).await;
            for page in [tenant.list(&[]).await, tenant.search("words").await] {
                assert_eq!(texts(&page, "message"), ["the same words"], "{id}");
            }
            assert_eq!(world.sql(&format!("select message from \"{id}\".logs")).await.len(), 1, "{id}");
        }
        let kept = maintenance::keep_partitions(&world.doors.maintenance()).await.expect("all engines answer");
        assert_eq!(kept.tenants, 0, "each has its partitions");
    });
}

#[test]
fn a_tenant_that_is_asked_for_wrongly_is_not_created() {
    story(async |world| {
        let operator = world.operator();
        let long = "a".repeat(48);
        for id in ["", "a", "Acme", "1acme", "_acme", "ac-me", "ac me", "acmé", "acme;drop", "\"acme\"", &long, "public", "pg_acme", "pg_catalog", "information_schema"] {
            let fault = operator.post("/v1/tenants", &json!({ "id": id, "name": "n" })).await.fault(422, "invalid_parameter");
            assert_eq!(fault, ("id".to_owned(), "invalid_parameter".to_owned()), "{id}");
        }
        let cases = [
            (json!({ "name": "n" }), "id", "required"),
            (json!({ "id": "acme" }), "name", "required"),
            (json!({ "id": 7, "name": "n" }), "id", "invalid_parameter"),
            (json!({ "id": "acme", "name": "" }), "name", "invalid_parameter"),
            (json!({ "id": "acme", "name": "n".repeat(201) }), "name", "invalid_parameter"),
            (json!({ "id": "acme", "name": "a\u{0}b" }), "name", "invalid_parameter"),
            (json!({ "id": "acme", "name": "n", "status": "suspended" }), "status", "unknown_field"),
        ];
        for (body, field, code) in cases {
            assert_eq!(operator.post("/v1/tenants", &body).await.fault(422, "invalid_parameter"), (field.to_owned(), code.to_owned()), "{body}");
        }
        let both = operator.post("/v1/tenants", &json!({})).await.problem(422, "invalid_parameter");
        assert_eq!(both["errors"].as_array().map(Vec::len), Some(2), "all that is wrong is told at once");
        for body in ["", "{", "not json", r#"{"id":"acme","name":"n"} and more"#] {
            operator.call(Method::POST, "/v1/tenants", &[], Sending::bytes(body)).await.problem(400, "invalid_json");
        }
        operator.call(Method::POST, "/v1/tenants", &[], Sending::bytes("[]")).await.problem(422, "invalid_parameter");
        operator.post("/v1/tenants", &json!({ "id": "acme", "name": "n".repeat(70_000) })).await.problem(413, "body_too_large");
        assert_eq!(operator.get("/v1/tenants", &[]).await.ok(200)["tenants"], json!([]));
        operator.post("/v1/tenants", &json!({ "id": "a".repeat(47), "name": "as long as it may be" })).await.ok(201);
    });
}

#[test]
fn a_change_that_makes_no_sense_changes_nothing() {
    story(async |world| {
        world.tenant("acme").await;
        let operator = world.operator();
        let before = operator.get("/v1/tenants/acme", &[]).await.ok(200);
        operator.patch("/v1/tenants/acme", &json!({})).await.problem(422, "nothing_to_change");
        operator.patch("/v1/tenants/acme", &json!({ "name": null })).await.problem(422, "nothing_to_change");
        for (body, field) in [
            (json!({ "status": "deleted" }), "status"),
            (json!({ "status": "provisioning" }), "status"),
            (json!({ "name": 7 }), "name"),
            (json!({ "id": "other" }), "id"),
            (json!({ "name": "n", "plan": "free" }), "plan"),
        ] {
            assert_eq!(operator.patch("/v1/tenants/acme", &body).await.fault(422, "invalid_parameter").0, field, "{body}");
        }
        operator.call(Method::PATCH, "/v1/tenants/acme", &[], Sending::bytes("{")).await.problem(400, "invalid_json");
        for path in ["/v1/tenants/nobody", "/v1/tenants/public", "/v1/tenants/Not%20An%20Id", "/v1/tenants/%00"] {
            operator.get(path, &[]).await.problem(404, "not_found");
            operator.patch(path, &json!({ "name": "n" })).await.problem(404, "not_found");
            operator.delete(path).await.problem(404, "not_found");
        }
        assert_eq!(operator.get("/v1/tenants/acme", &[]).await.ok(200), before);
    });
}

#[test]
fn tenants_are_listed_page_by_page_in_the_order_of_their_ids() {
    story(async |world| {
        let operator = world.operator();
        for id in ["delta", "alpha", "charlie", "bravo", "echo"] {
            operator.post("/v1/tenants", &json!({ "id": id, "name": id })).await.ok(201);
        }
        operator.delete("/v1/tenants/charlie").await.empty(204);
        let (mut seen, mut cursor) = (Vec::new(), Value::Null);
        loop {
            let parameters: Vec<(&str, &str)> = [("limit", "2")].into_iter().chain(cursor.as_str().map(|cursor| ("cursor", cursor))).collect();
            let page = operator.get("/v1/tenants", &parameters).await.ok(200);
            seen.push(page["tenants"].as_array().expect("tenants").iter().map(|tenant| tenant["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>());
            cursor = page["next_cursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        assert_eq!(seen, [["alpha", "bravo"], ["delta", "echo"]]);
        for limit in ["0", "1001", "ten"] {
            assert_eq!(operator.get("/v1/tenants", &[("limit", limit)]).await.fault(422, "invalid_parameter").0, "limit");
        }
        assert_eq!(operator.get("/v1/tenants", &[("cursor", "damaged!")]).await.fault(422, "invalid_cursor").0, "cursor");
        operator.get("/v1/tenants", &[("status", "active")]).await.problem(422, "invalid_parameter");
    });
}
