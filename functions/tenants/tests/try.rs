
#![allow(missing_docs, clippy::unwrap_used)]
use axum::body::Body; use axum::http::{Request}; use serde_json::{Value, json}; use tower::ServiceExt;
use shared::settings::Env;
async fn call(app: &tenants::App, who: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value, Option<String>) {
    let mut r = Request::builder().method(method).uri(path);
    if !who.is_empty() { r = r.header("authorization", format!("Bearer {who}")); }
    let r = r.body(body.map_or(Body::empty(), |b| Body::from(b.to_string()))).unwrap();
    let a = shared::http::dress(tenants::router(app.clone())).oneshot(r).await.unwrap();
    let s = a.status().as_u16();
    let loc = a.headers().get("location").map(|l| l.to_str().unwrap().to_owned());
    let b = axum::body::to_bytes(a.into_body(), 1<<20).await.unwrap();
    let v = serde_json::from_slice(&b).unwrap_or(Value::Null);
    eprintln!("{method} {path} -> {s} {v}");
    (s, v, loc)
}
#[tokio::test(flavor = "multi_thread")]
async fn try_it() {
    let name = format!("lh_try_{}", uuid::Uuid::new_v4().simple());
    let mut env = Env::from_process();
    let url = env.text("LOGGERHUB_LOGS_DATABASE_URL").unwrap();
    let (head, _) = url.rsplit_once('/').unwrap();
    let server = sqlx::PgPool::connect(&format!("{head}/postgres")).await.unwrap();
    for (v, k) in [("LOGGERHUB_CONTROL_DATABASE_URL","control"),("LOGGERHUB_LOGS_DATABASE_URL","logs")] {
        sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}_{k}"))).execute(&server).await.unwrap();
        env = env.with(v, format!("{head}/{name}_{k}"));
    }
    let op = "operator-token-of-the-try";
    env = env.with("LOGGERHUB_REDIS_PREFIX", format!("{name}:")).with("LOGGERHUB_OPERATOR_TOKEN", op);
    let app = tenants::App::connect(&tenants::config::Settings::from_env(&env).unwrap()).unwrap();
    app.registry.migrate().await.unwrap(); app.rows.migrate().await.unwrap();
    let c = async |who: &str, m: &str, p: &str, b: Option<Value>| call(&app, who, m, p, b).await;
    assert_eq!(c("", "GET", "/v1/tenants", None).await.0, 401);
    let (s, _, l) = c(op, "POST", "/v1/tenants", Some(json!({"id":"acme","name":" Acme "}))).await;
    assert_eq!((s, l.as_deref()), (201, Some("/v1/tenants/acme")));
    c(op, "POST", "/v1/tenants", Some(json!({"id":"globex","name":"G"}))).await;
    assert_eq!(c(op, "POST", "/v1/tenants", Some(json!({"id":"acme","name":"x"}))).await.0, 409);
    assert_eq!(c(op, "POST", "/v1/tenants", Some(json!({"id":"Pg","nam":"x"}))).await.0, 422);
    let page = c(op, "GET", "/v1/tenants?limit=1", None).await.1;
    let cur = page["next_cursor"].as_str().unwrap();
    c(op, "GET", &format!("/v1/tenants?limit=1&cursor={cur}"), None).await;
    assert_eq!(c(op, "GET", "/v1/tenants?cursor=%20", None).await.0, 422);
    assert_eq!(c(op, "GET", "/v1/tenants/No", None).await.0, 404);
    let k = c(op, "POST", "/v1/tenants/acme/keys", Some(json!({"name":"admin","scopes":["keys:manage","logs:read"],"expires_at":"2099-01-01T00:00:00Z"}))).await.1;
    let key = k["key"].as_str().unwrap().to_owned();
    assert_eq!(c(&key, "POST", "/v1/tenants/acme/keys", Some(json!({"name":"a","scopes":["billing:read"]}))).await.0, 403);
    assert_eq!(c(&key, "POST", "/v1/tenants/globex/keys", Some(json!({"name":"a"}))).await.0, 404);
    let k2 = c(&key, "POST", "/v1/tenants/acme/keys", Some(json!({"name":"a"}))).await.1;
    assert_eq!(c(k2["key"].as_str().unwrap(), "GET", "/v1/tenants/acme/keys", None).await.0, 403);
    assert_eq!(c(&key, "GET", "/v1/tenants/acme/keys", None).await.0, 200);
    let p = format!("/v1/tenants/acme/keys/{}", k2["id"].as_str().unwrap());
    assert_eq!(c(op, "DELETE", &p.replace("acme", "globex"), None).await.0, 404);
    assert_eq!(c(&key, "DELETE", &p, None).await.0, 204);
    assert_eq!(c(&key, "DELETE", &p, None).await.0, 204);
    assert_eq!(c(op, "PATCH", "/v1/tenants/acme", Some(json!({"status":"suspended"}))).await.0, 200);
    assert_eq!(c(&key, "GET", "/v1/tenants/acme/keys", None).await.0, 200);
    assert_eq!(c(op, "PUT", "/v1/tenants/acme", None).await.0, 405);
    let left: i64 = sqlx::query_scalar("select count(*) from api_keys where published_version is distinct from version").fetch_one(&sqlx::PgPool::connect(&format!("{head}/{name}_control")).await.unwrap()).await.unwrap();
    assert_eq!(left, 0);
    assert_eq!(c(op, "DELETE", "/v1/tenants/acme", None).await.0, 204);
    assert_eq!(c(op, "DELETE", "/v1/tenants/acme", None).await.0, 404);
    assert_eq!(c(op, "GET", "/v1/tenants/acme/keys", None).await.0, 404);
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    assert_eq!(c(&key, "GET", "/v1/tenants/acme/keys", None).await.0, 401);
    // Redis down
    let dead = env.clone().with("LOGGERHUB_REDIS_URL", "redis://127.0.0.1:1/0");
    let down = tenants::App::connect(&tenants::config::Settings::from_env(&dead).unwrap()).unwrap();
    let begin = std::time::Instant::now();
    assert_eq!(call(&down, op, "POST", "/v1/tenants/globex/keys", Some(json!({"name":"n"}))).await.0, 503);
    eprintln!("{:?}", begin.elapsed());
    c(op, "GET", "/v1/tenants/globex/keys", None).await;
    assert_eq!(call(&down, op, "PATCH", "/v1/tenants/globex", Some(json!({"status":"suspended"}))).await.0, 503);
    c(op, "GET", "/v1/tenants/globex", None).await;
    println!("{}", serde_json::to_string(&tenants::openapi()).unwrap());
    app.registry.close().await; app.rows.close().await; down.registry.close().await; down.rows.close().await;
    for k in ["control","logs"] { sqlx::query(sqlx::AssertSqlSafe(format!("drop database {name}_{k} with (force)"))).execute(&server).await.unwrap(); }
}
