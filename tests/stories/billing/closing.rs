//! From a plan to a payment, and what may break off on the way.

use reqwest::Method;
use serde_json::{Value, json};
use shared::billing::month::Month;
use shared::tenants::By;

use super::{after, close, list, plan, text, this_month, whole};
use crate::harness::{Caller, SOON, Seen, Sending, World, eventually, numbered, plain, story};

async fn give_plan(operator: &Caller, tenant: &str, body: &Value) -> crate::harness::Answer {
    operator.call(Method::PUT, &format!("/v1/tenants/{tenant}/plan"), &[], Sending::json(body)).await
}

/// The invoice of a tenant that has one.
async fn only_invoice(bills: &Caller) -> Value {
    let page = bills.get("/v1/invoices", &[]).await.ok(200);
    let [one] = list(&page, "invoices") else { panic!("not one invoice: {page}") };
    whole(bills, text(one, "id")).await
}

#[test]
fn a_month_goes_from_its_plan_to_its_payment() {
    story(async |world| {
        let (acme, operator, month) = (world.tenant("acme").await, world.operator(), this_month());
        let (bills, auditor) = (world.key_of("acme", &["billing:read"]).await, world.key_of("acme", &["tenant:admin"]).await);
        world.tenant("globex").await;
        let stranger = world.key_of("globex", &["billing:read"]).await;
        let answer = operator.post("/v1/plans", &plan("team")).await;
        answer.ok(201);
        assert_eq!(answer.header("location"), Some("/v1/plans/team"));
        operator.post("/v1/plans", &plan("team")).await.problem(409, "plan_exists");
        give_plan(&operator, "acme", &json!({ "plan": "team" })).await.ok(200);
        let credit = json!({ "tenant": "acme", "currency": "EUR", "amount": "1.50", "reason": "welcome", "id": uuid::Uuid::now_v7() });
        let granted = operator.post("/v1/credits", &credit).await.ok(201);
        assert_eq!(operator.post("/v1/credits", &credit).await.ok(201), granted, "granted once");
        operator.post("/v1/credits", &json!({ "tenant": "acme", "currency": "USD", "amount": 5, "reason": "in another currency" })).await.ok(201);
        acme.stored(&numbered("a log", 35)).await;

        let forecast = bills.get("/v1/usage/forecast", &[]).await.ok(200);
        let so_far = &forecast["so_far"]["bill"];
        // 35 logs: 10 are included, 20 cost 0.10 each, and 5 cost 0.05 each.
        assert_eq!((&so_far["subtotal"], &so_far["credit"], &so_far["total"]), (&json!("12.25"), &json!("1.50"), &json!("10.75")), "{forecast}");
        assert!(forecast["expected"]["usage"]["logs"].as_i64().is_some_and(|logs| logs >= 35), "{forecast}");

        assert_eq!(close(world, month).await.finalized, 1);
        assert_eq!(close(world, month).await.finalized, 0);
        let invoice = only_invoice(&bills).await;
        let lines: Vec<_> = list(&invoice, "lines").iter().map(|line| json!([line["description"], line["quantity"], line["price"], line["amount"]])).collect();
        let expected = json!([
            ["Base price", "1", "10.00", "10.00"],
            ["Logs stored: included", "0.00001", "0.00", "0.00"],
            ["Logs stored: the first 0.00002", "0.00002", "100000.00", "2.00"],
            ["Logs stored: past 0.00002", "0.000005", "50000.00", "0.25"],
        ]);
        assert_eq!(json!(lines), expected, "{invoice}");
        assert_eq!(json!([invoice["subtotal"], invoice["credit"], invoice["total"], invoice["number"], invoice["status"]]), json!(["12.25", "1.50", "10.75", 1, "finalized"]));
        let path = format!("/v1/invoices/{}", text(&invoice, "id"));
        let hours = bills.get(&format!("{path}/lines/3/hours"), &[]).await.ok(200);
        assert_eq!((&hours["meter"], &hours["quantity"]), (&json!("logs"), &json!("0.000035")), "{hours}");
        assert_eq!(list(&bills.get(&format!("{path}/lines/1/hours"), &[]).await.ok(200), "hours").len(), 0, "the base price is of no hour");
        bills.get(&format!("{path}/lines/5/hours"), &[]).await.problem(404, "not_found");

        // Nobody else's.
        stranger.get(&path, &[]).await.problem(404, "not_found");
        stranger.get(&format!("{path}/lines/1/hours"), &[]).await.problem(404, "not_found");
        assert_eq!(list(&stranger.get("/v1/invoices", &[]).await.ok(200), "invoices").len(), 0);
        acme.get(&path, &[]).await.problem(403, "missing_scope");
        bills.post(&format!("{path}/pay"), &json!({})).await.problem(401, "unauthenticated");

        // Never changed, by whoever.
        let id = text(&invoice, "id");
        for statement in [
            format!("update invoices set total = 0, subtotal = credit where id = '{id}'"),
            format!("update invoices set status = 'draft', number = null where id = '{id}'"),
            format!("update invoices set number = 7, status = 'paid' where id = '{id}'"),
            format!("delete from invoices where id = '{id}'"),
            format!("update invoice_lines set amount = 0 where invoice_id = '{id}'"),
            format!("delete from invoice_lines where invoice_id = '{id}'"),
            format!("insert into invoice_lines select invoice_id, 9, meter, description, unit, quantity, price, amount from invoice_lines where invoice_id = '{id}' limit 1"),
            "update plan_versions set terms = '{}'".to_owned(),
            "delete from plan_versions".to_owned(),
            "truncate invoices cascade".to_owned(),
            "truncate invoice_lines".to_owned(),
        ] {
            assert!(world.is_refused(&statement).await, "{statement}");
        }
        assert_eq!(whole(&bills, id).await, invoice);

        operator.post(&format!("{path}/pay"), &json!({ "payment": "pi_1" })).await.ok(200);
        assert_eq!(operator.post(&format!("{path}/pay"), &json!({ "payment": "pi_1" })).await.ok(200)["status"], "paid");
        operator.post(&format!("{path}/pay"), &json!({ "payment": "pi_2" })).await.problem(409, "invoice_not_payable");
        operator.post(&format!("{path}/void"), &json!({})).await.problem(409, "invoice_not_voidable");
        assert!(world.is_refused(&format!("update invoices set status = 'finalized', paid_at = null where id = '{id}'")).await);

        let trail = auditor.get("/v1/audit", &[]).await.ok(200);
        let actions: Vec<_> = list(&trail, "entries").iter().map(|entry| text(entry, "action")).filter(|action| !action.starts_with("apikey")).collect();
        let expected = ["invoice.paid", "invoice.finalized", "invoice.drawn_up", "credit.granted", "credit.granted", "tenant.plan_set", "tenant.provisioned", "tenant.created"];
        assert_eq!(actions, expected);
        let told = world.control_sql(&format!("select type, data::text from outbox where subject = '{id}' order by position")).await;
        let types: Vec<String> = told.iter().map(|row| sqlx::Row::get(row, 0)).collect();
        assert_eq!(types, ["io.loggerhub.invoice.finalized.v1", "io.loggerhub.invoice.paid.v1"]);
        let data: Value = serde_json::from_str(sqlx::Row::get(&told[0], 1)).expect("JSON");
        assert_eq!(data, json!({ "invoice_id": id, "number": 1, "month": month.to_string(), "currency": "EUR", "total": "10.75" }));
    });
}

#[test]
fn an_invoice_is_shown_as_csv_and_as_a_page() {
    story(async |world| {
        let (acme, operator) = (world.tenant("acme").await, world.operator());
        let bills = world.key_of("acme", &["billing:read"]).await;
        operator.post("/v1/plans", &plan("team")).await.ok(201);
        give_plan(&operator, "acme", &json!({ "plan": "team" })).await.ok(200);
        acme.stored(&numbered("a log", 12)).await;
        close(world, this_month()).await;
        let invoice = only_invoice(&bills).await;
        let path = format!("/v1/invoices/{}", text(&invoice, "id"));

        let answer = bills.get(&path, &[("format", "csv")]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/csv; charset=utf-8")));
        assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"invoice-1.csv\""));
        let mut csv = csv::Reader::from_reader(answer.text.as_bytes());
        let records: Vec<csv::StringRecord> = csv.records().collect::<Result<_, _>>().expect("CSV");
        let header = csv.headers().expect("a header").clone();
        let column = |name: &str| header.iter().position(|column| column == name).expect("a column");
        let (description, amount) = (column("description"), column("amount"));
        let rows: Vec<_> = records.iter().map(|record| (&record[description], &record[amount])).collect();
        let expected =
            [("Base price", "10.00"), ("Logs stored: included", "0.00"), ("Logs stored: the first 0.00002", "0.20"), ("Subtotal", "10.20"), ("Credit", "0.00"), ("Total", "10.20")];
        assert_eq!(rows, expected);

        let browser = bills.call(Method::GET, &path, &[], Sending::default().header("accept", "text/html,*/*;q=0.8")).await;
        assert_eq!((browser.status, browser.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(browser.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")));
        for shown in ["Invoice 1", "acme", "Logs stored: included", "10.20", "To be paid"] {
            assert!(browser.text.contains(shown), "{shown} in {}", browser.text);
        }
        assert_eq!(bills.get(&path, &[("format", "pdf")]).await.fault(422, "invalid_parameter").0, "format");
    });
}

#[test]
fn another_price_is_another_version_and_past_months_stay_as_they_were() {
    story(async |world| {
        let (acme, operator, month) = (world.tenant("acme").await, world.operator(), this_month());
        let bills = world.key_of("acme", &["billing:read"]).await;
        operator.post("/v1/plans", &plan("team")).await.ok(201);
        give_plan(&operator, "acme", &json!({ "plan": "team" })).await.ok(200);
        let past = month.previous().to_string();
        assert_eq!(give_plan(&operator, "acme", &json!({ "plan": "team", "from": past })).await.fault(422, "invalid_parameter").0, "from");
        assert_eq!(give_plan(&operator, "acme", &json!({ "plan": "nothing" })).await.fault(422, "invalid_parameter").0, "plan");
        give_plan(&operator, "nobody", &json!({ "plan": "team" })).await.problem(404, "not_found");
        assert_eq!(operator.patch("/v1/plans/team", &json!({ "base_price": "99.00", "from": past })).await.fault(422, "invalid_parameter").0, "from");
        operator.patch("/v1/plans/team", &json!({ "from": month.to_string() })).await.problem(422, "nothing_to_change");
        operator.patch("/v1/plans/nothing", &json!({ "name": "n" })).await.problem(404, "not_found");
        let changed = operator.patch("/v1/plans/team", &json!({ "base_price": "99.00" })).await.ok(200);
        assert_eq!(json!([changed["versions"][1]["version"], changed["versions"][1]["from"], changed["versions"][1]["base_price"]]), json!([2, month.next().to_string(), "99.00"]));
        assert_eq!(changed["versions"][1]["meters"], changed["versions"][0]["meters"], "the rest is as it was");
        acme.stored(&[plain("one")]).await;

        assert_eq!(close(world, month.next()).await.finalized, 2);
        let page = bills.get("/v1/invoices", &[]).await.ok(200);
        let totals: Vec<_> = list(&page, "invoices").iter().map(|invoice| json!([invoice["month"], invoice["plan_version"], invoice["total"]])).collect();
        assert_eq!(json!(totals), json!([[month.next().to_string(), 2, "99.00"], [month.to_string(), 1, "10.00"]]));
        give_plan(&operator, "acme", &json!({ "plan": "team", "from": month.next().to_string() })).await.problem(409, "month_closed");
        assert_eq!(list(&operator.get("/v1/plans", &[]).await.ok(200), "plans").len(), 1);
        assert_eq!(list(&operator.get("/v1/tenants/acme/plan", &[]).await.ok(200), "plans"), [json!({ "plan": "team", "from": month.to_string() })]);
    });
}

#[test]
fn a_draft_waits_for_an_operator_and_a_void_invoice_gives_its_credit_back() {
    story(async |world| {
        let (acme, operator, month) = (world.tenant("acme").await, world.operator(), this_month());
        let bills = world.key_of("acme", &["billing:read"]).await;
        operator.post("/v1/plans", &plan("team")).await.ok(201);
        give_plan(&operator, "acme", &json!({ "plan": "team" })).await.ok(200);
        acme.stored(&numbered("a log", 20)).await;
        let app = world.doors_with(&[("LOGGERHUB_FINALIZE_INVOICES", "false")]).maintenance();
        for _ in 0..2 {
            let closed = maintenance::close_months(&app, after(month)).await.expect("both databases answer");
            assert_eq!((closed.finalized, closed.drafts), (0, 1));
        }
        let draft = only_invoice(&bills).await;
        assert_eq!(json!([draft["status"], draft["number"], draft["total"]]), json!(["draft", null, "11.00"]), "{draft}");
        let path = format!("/v1/invoices/{}", text(&draft, "id"));
        operator.post(&format!("{path}/pay"), &json!({})).await.problem(409, "invoice_not_payable");
        operator.post(&format!("{path}/void"), &json!({})).await.problem(409, "invoice_not_voidable");
        operator.post("/v1/credits", &json!({ "tenant": "acme", "currency": "EUR", "amount": "4.00", "reason": "in time" })).await.ok(201);
        assert_eq!(whole(&bills, text(&draft, "id")).await["total"], "7.00", "it is computed when it is read");

        let (finalize, nothing) = (format!("{path}/finalize"), json!({}));
        let (one, other) = (operator.post(&finalize, &nothing), operator.post(&finalize, &nothing));
        let (one, other) = tokio::join!(one, other);
        assert_eq!(one.ok(200), other.ok(200), "one of the two did it");
        let left = async || bills.get("/v1/credits", &[]).await.ok(200)["credits"][0]["remaining"].clone();
        assert_eq!((left().await, whole(&bills, text(&draft, "id")).await["total"].clone()), (json!("0.00"), json!("7.00")));
        for _ in 0..2 {
            assert_eq!(operator.post(&format!("{path}/void"), &json!({})).await.ok(200)["status"], "void");
        }
        assert_eq!(left().await, json!("4.00"));
        operator.post(&format!("{path}/pay"), &json!({})).await.problem(409, "invoice_not_payable");
        assert_eq!(close(world, month).await.finalized, 0, "what it took is not billed again");
        assert_eq!(list(&bills.get("/v1/invoices", &[("status", "void")]).await.ok(200), "invoices").len(), 1);
    });
}

/// Gives a tenant a plan from a month on that has ended, as no route does.
async fn had_plan(world: &World, tenant: &str, from: Month) {
    let day = from.first_day();
    world
        .control_sql(&format!("insert into plan_versions (plan_id, version, from_month, terms) select plan_id, 2, '{day}', terms from plan_versions where plan_id = 'team'"))
        .await;
    world.control_sql(&format!("insert into tenant_plans (tenant_id, from_month, plan_id) values ('{tenant}', '{day}', 'team')")).await;
}

/// Counts logs in the first hour of a month.
async fn used(world: &World, month: Month, logs: i64) {
    world.sql(&format!("insert into usage_new (tenant, hour, key_id, service, logs) values ('acme', '{}T00:00:00Z', gen_random_uuid(), 'web', {logs})", month.first_day())).await;
}

#[test]
fn a_closing_may_end_at_any_point_and_makes_one_invoice() {
    story(async |world| {
        world.tenant("acme").await;
        let operator = world.operator();
        operator.post("/v1/plans", &plan("team")).await.ok(201);
        world.stop_hub().await;
        let month = this_month().previous().previous();
        had_plan(world, "acme", month).await;
        used(world, month, 20).await;
        for (nth, point) in ["billing.after_draft", "billing.after_take", "billing.after_finalize"].into_iter().enumerate() {
            // It closes as soon as it starts, and may end before it has answered anything.
            let settings = [("LOGGERHUB_ABORT_AT", point), ("LOGGERHUB_CLOSE_MONTH_AFTER_HOURS", "0"), ("LOGGERHUB_LISTEN", "127.0.0.1:0")];
            let ended = tokio::time::timeout(SOON, world.command_with(&settings, &["serve"])).await.expect("it gets there");
            assert!(String::from_utf8_lossy(&ended.stderr).contains(point), "{ended:?}");
            // What comes once its usage was taken counts in the next month.
            if nth == 1 {
                used(world, month, 1000).await;
            }
        }
        let living = world.another_hub(&[("LOGGERHUB_CLOSE_MONTH_AFTER_HOURS", "0")]).await;
        let operator = operator.at(&living);
        let look = async || -> Result<Vec<Value>, Seen> {
            let page = operator.get("/v1/invoices", &[("status", "finalized")]).await.ok(200);
            if list(&page, "invoices").len() == 2 { Ok(list(&page, "invoices").to_vec()) } else { Err(page.to_string()) }
        };
        let invoices = eventually(SOON, "both months are closed", look).await;
        let totals: Vec<_> = invoices.iter().rev().map(|invoice| json!([invoice["month"], invoice["number"], invoice["total"]])).collect();
        // 20 logs: 10 included, 10 x 0.10. 1000 logs: 10 included, 20 x 0.10, 970 x 0.05.
        assert_eq!(json!(totals), json!([[month.to_string(), 1, "11.00"], [month.next().to_string(), 2, "60.50"]]));
        let told = world.control_sql("select 1 from outbox where type = 'io.loggerhub.invoice.finalized.v1'").await;
        assert_eq!(told.len(), 2, "each is told once");
    });
}

#[test]
fn what_two_steps_left_behind_is_finished_in_the_order_of_the_months() {
    story(async |world| {
        let (acme, operator, month) = (world.tenant("acme").await, world.operator(), this_month());
        let bills = world.key_of("acme", &["billing:read"]).await;
        operator.post("/v1/plans", &plan("team")).await.ok(201);
        give_plan(&operator, "acme", &json!({ "plan": "team" })).await.ok(200);
        acme.stored(&numbered("a log", 20)).await;
        // Who died after the draft: the next month must not take what is this one's.
        let tenant = shared::ids::TenantId::parse("acme").expect("an id");
        let registry = &world.doors.registry;
        let (one, other) = tokio::join!(registry.open_invoice(&tenant, month, &By::SYSTEM), registry.open_invoice(&tenant, month, &By::SYSTEM));
        assert_eq!(one.expect("Postgres answers"), other.expect("Postgres answers"), "there is one draft");
        assert_eq!(close(world, month.next()).await.finalized, 2);
        let page = bills.get("/v1/invoices", &[]).await.ok(200);
        let totals: Vec<_> = list(&page, "invoices").iter().map(|invoice| invoice["total"].clone()).collect();
        assert_eq!(totals, ["10.00", "11.00"]);
    });
}
