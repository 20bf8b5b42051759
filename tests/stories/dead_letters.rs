//! Dead letters: who sees them, what a redrive makes of each kind, and what discarding leaves.

use processor::open;
use reqwest::Method;
use serde_json::{Value, json};
use shared::queue::TakeBudget;
use shared::rows::StoreBatch;

use crate::harness::{Answer, Caller, SOON, Seen, Sending, World, eventually, log_id, numbered, story, story_with};

/// Puts a batch of three into the queue, whose second record cannot be read, and waits until the rest of it is indexed.
async fn with_a_bad_record(world: &World, tenant: &Caller) -> String {
    let (batch, header) = tenant.header_by_hand(|header| header["accepted"] = json!(3));
    let lines = b"{\"message\":\"first\"}\n{\"message\":kanarienvogel}\n{\"message\":\"third\"}\n".as_slice();
    world.add_by_hand(&[("u", b"60"), ("h", &header), ("p", lines)]).await;
    let look = async || -> Result<(), Seen> {
        let seen = tenant.get(&format!("/v1/batches/{batch}"), &[]).await;
        if seen.status == 200 && seen.json()["state"] == "indexed" { Ok(()) } else { Err(seen.text) }
    };
    eventually(SOON, "the good records are indexed", look).await;
    batch
}

fn path(letter: &str) -> String {
    format!("/v1/dead-letters/{letter}")
}

/// Ids of the letters that a caller is shown, in order.
async fn listed(caller: &Caller, parameters: &[(&str, &str)]) -> Vec<String> {
    let page = caller.get("/v1/dead-letters", parameters).await.ok(200);
    let letters = page["dead_letters"].as_array().unwrap_or_else(|| panic!("no page of letters: {page}"));
    letters.iter().map(|letter| letter["id"].as_str().expect("an id").to_owned()).collect()
}

async fn redrive(caller: &Caller, letter: &str) -> Answer {
    caller.post(&format!("{}/redrive", path(letter)), &json!({})).await
}

/// Asks for a redrive, and waits until its letter is gone.
async fn redriven(caller: &Caller, letter: &str) {
    assert!(redrive(caller, letter).await.ok(202)["redrive_at"].is_string());
    let look = async || {
        let answer = caller.get(&path(letter), &[]).await;
        if answer.status == 404 { Ok(()) } else { Err(answer.text) }
    };
    eventually(SOON, "its letter is gone", look).await;
}

/// Asks for a redrive, and waits until the try has failed. Answers what the letter says then.
async fn refused(caller: &Caller, letter: &str) -> Value {
    let before = redrive(caller, letter).await.ok(202)["attempts"].clone();
    let look = async || {
        let seen = caller.get(&path(letter), &[]).await.ok(200);
        if seen["redrive_at"].is_null() && seen["attempts"] != before { Ok(seen) } else { Err(seen.to_string()) }
    };
    eventually(SOON, "the try has failed", look).await
}

/// Waits until a batch is indexed with these counts.
async fn counts(caller: &Caller, batch: &str, accepted: u64, dead: u64) {
    let became = caller.wait_until(batch, "indexed", SOON).await;
    let wanted = json!([accepted, accepted - dead, accepted - dead, 0, dead]);
    assert_eq!(json!([became["accepted"], became["stored"], became["indexed"], became["pending"], became["dead"]]), wanted, "{became}");
}

#[test]
fn a_record_that_was_mended_is_stored_once_under_its_old_id() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = with_a_bad_record(world, &acme).await;
        let letter = log_id(&batch, 1);
        assert_eq!(listed(&acme, &[]).await, [letter.as_str()]);
        let seen = acme.get(&path(&letter), &[]).await.ok(200);
        assert_eq!(json!([seen["tenant"], seen["batch_id"], seen["records"], seen["stage"], seen["code"]]), json!(["acme", batch, 1, "parse", "invalid_json"]));
        assert_eq!((&seen["text"], &seen["bytes"], &seen["truncated"]), (&json!("{\"message\":kanarienvogel}"), &Value::Null, &json!(false)));
        assert_eq!((&seen["attempts"], &seen["redrive_at"], &seen["size"]), (&json!(0), &Value::Null, &json!(25)));

        // As long as it is what it was, a try changes nothing but what is said of it.
        let still = refused(&acme, &letter).await;
        assert_eq!((&still["attempts"], &still["code"]), (&json!(1), &json!("invalid_json")));
        counts(&acme, &batch, 3, 1).await;

        world.sql("update public.dead_letters set bytes = '{\n  \"message\": \"mended\"\r\n}'").await;
        redrive(&acme, &letter).await.ok(202);
        redriven(&acme, &letter).await;
        counts(&acme, &batch, 3, 0).await;
        let all: Vec<String> = (0..3).map(|position| log_id(&batch, position)).collect();
        world.in_stores("acme").await.hold_exactly(&all);
        for source in ["auto", "raw"] {
            let log = acme.get(&format!("/v1/logs/{letter}"), &[("source", source)]).await.ok(200);
            assert_eq!((&log["message"], &log["record"]), (&json!("mended"), &json!({ "message": "mended" })), "{source}");
        }
        redrive(&acme, &letter).await.problem(404, "not_found");
    });
}

#[test]
fn an_entry_that_killed_its_processors_is_stored_whole() {
    // The first hub never drains: the entry is buried here, as a processor would that is handed it once too often.
    story_with(&[("LOGGERHUB_LINGER_MS", "3600000")], async |world| {
        let acme = world.tenant("acme").await;
        let records = [&numbered("good", 20)[..], &[json!({ "nothing": "in it" })], &numbered("more", 20)].concat();
        let receipt = acme.send(Sending::ndjson(&records)).await.ok(202);
        let batch = receipt["batch_id"].as_str().expect("an id").to_owned();
        assert_eq!(receipt["accepted"], 40);
        let app = world.doors.processor();
        let mut taken = app.queue.take(&app.consumer, TakeBudget { bytes: usize::MAX, entries: 1 }).await.expect("Redis answers");
        taken[0].held.deliveries = 5;
        let (_, lost) = open(taken);
        let [lost] = lost.as_slice() else { panic!("it was not buried") };
        let buried = StoreBatch { receipt: lost.receipt().expect("its header can be read"), rows: Vec::new(), dead: vec![lost.letter.clone()] };
        app.rows.store(&[&buried]).await.expect("Postgres answers");
        app.queue.ack(&[(&lost.held, lost.header.as_ref())]).await.expect("Redis answers");
        counts(&acme, &batch, 40, 40).await;

        let letter = lost.letter.id.to_string();
        let seen = acme.get(&path(&letter), &[]).await.ok(200);
        assert_eq!(json!([seen["code"], seen["records"], seen["text"]]), json!(["killed_its_processors", 40, null]));
        assert!(seen["bytes"].as_str().is_some_and(|bytes| !bytes.is_empty()), "{seen}");
        redriven(&acme, &letter).await;
        counts(&acme, &batch, 40, 0).await;
        let all: Vec<String> = (0..41).filter(|position| *position != 20).map(|position| log_id(&batch, position)).collect();
        world.in_stores("acme").await.hold_exactly(&all);
        assert_eq!(acme.detail(&log_id(&batch, 40)).await["message"], "more 19", "positions count what was refused at the door");
    });
}

#[test]
fn an_entry_that_belonged_to_nobody_finds_its_tenant_once_its_header_is_mended() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let (batch, header) = acme.header_by_hand(|header| header["accepted"] = json!(2));
        let garbled = [b"kanarienvogel".as_slice(), &header].concat();
        let lines = b"{\"message\":\"good\"}\n{\"message\":kanarienvogel}\n".as_slice();
        world.add_by_hand(&[("u", b"60"), ("h", &garbled), ("p", lines)]).await;
        let operator = world.operator();
        let look = async || listed(&operator, &[]).await.pop().ok_or("no letter");
        let letter = eventually(SOON, "it is buried", look).await;
        assert_eq!(listed(&acme, &[]).await, [] as [String; 0]);
        acme.get(&path(&letter), &[]).await.problem(404, "not_found");
        redrive(&acme, &letter).await.problem(404, "not_found");
        assert_eq!(refused(&operator, &letter).await["code"], "unreadable_entry");

        let header = String::from_utf8(header).expect("JSON");
        let nobody = header.replace("\"acme\"", "\"nobody\"");
        let mend = async |header: &str| {
            world.sql(&format!("update public.dead_letters set bytes = convert_to($h${header}$h$ || E'\\n', 'UTF8') || substring(bytes from position('\\x0a' in bytes) + 1)")).await
        };
        mend(&nobody).await;
        assert_eq!(refused(&operator, &letter).await["code"], "tenant_gone");
        mend(&header).await;
        redriven(&operator, &letter).await;
        counts(&acme, &batch, 2, 1).await;
        world.in_stores("acme").await.hold_exactly(&[log_id(&batch, 0)]);
        assert_eq!(listed(&acme, &[]).await, [log_id(&batch, 1)], "a bad record of it is a letter of its own");
    });
}

#[test]
fn a_letter_says_why_it_cannot_come_back() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = with_a_bad_record(world, &acme).await;
        let letter = log_id(&batch, 1);
        world.sql("update public.dead_letters set bytes = '{\"message\":\"mended\"}'").await;
        world.sql("delete from public.receipts").await;
        assert_eq!(refused(&acme, &letter).await["code"], "receipt_gone");
        world.sql("update public.dead_letters set batch_id = null").await;
        assert_eq!(refused(&acme, &letter).await["code"], "not_a_log");
    });
}

#[test]
fn letters_are_filtered_and_paged() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let (one, other) = (with_a_bad_record(world, &acme).await, with_a_bad_record(world, &acme).await);
        // So many that a page ends, buried an hour ago.
        world
            .sql(
                "insert into public.dead_letters (id, tenant, stage, code, reason, bytes, created_at) \
                  select ('0197' || lpad(to_hex(n), 4, '0') || '-0000-7000-8000-000000000000')::uuid, 'acme', 'open', 'unreadable_entry', 'by hand', 'x', now() - interval '1 h' \
                  from generate_series(1, 25) n",
            )
            .await;
        let newest_first = [log_id(&other, 1), log_id(&one, 1)];
        assert_eq!(listed(&acme, &[("stage", "parse")]).await, newest_first);
        assert_eq!(listed(&acme, &[("code", "invalid_json"), ("from", "now-30m")]).await, newest_first);
        assert_eq!(listed(&acme, &[("batch_id", &one)]).await, newest_first[1..]);
        assert_eq!(listed(&acme, &[("to", "now-30m")]).await.len(), 25);
        assert_eq!(listed(&acme, &[("stage", "store")]).await.len(), 0);

        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut parameters = vec![("limit", "10")];
            parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = acme.get("/v1/dead-letters", &parameters).await.ok(200);
            all.extend(page["dead_letters"].as_array().expect("letters").iter().map(|letter| letter["id"].as_str().expect("an id").to_owned()));
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((all.len(), &all[..2]), (27, &newest_first[..]));
        assert!(all.is_sorted_by(|a, b| a > b), "newest first, each once");
        for (name, value) in [("limit", "0"), ("limit", "1001"), ("batch_id", "x"), ("from", "yesterday"), ("cursor", "x")] {
            let code = if name == "cursor" { "invalid_cursor" } else { "invalid_parameter" };
            assert_eq!(acme.get("/v1/dead-letters", &[(name, value)]).await.fault(422, code).0, name);
        }
        acme.get("/v1/dead-letters", &[("stages", "parse")]).await.problem(422, "invalid_parameter");
        acme.get("/v1/dead-letters/nonsense", &[]).await.problem(404, "not_found");

        // A redrive by filter takes what the filter shows, and nothing else.
        world.sql("update public.dead_letters set bytes = '{\"message\":\"mended\"}' where stage = 'parse'").await;
        let asked = acme.post("/v1/dead-letters/redrive", &json!({ "stage": "parse", "from": "now-30m" })).await.ok(202);
        assert_eq!(asked, json!({ "requested": 2 }));
        eventually(SOON, "both are stored", async || Some(listed(&acme, &[]).await.len()).filter(|left| *left == 25).ok_or("not yet")).await;
        counts(&acme, &one, 3, 0).await;
        counts(&acme, &other, 3, 0).await;
        let untouched = world.sql("select 1 from public.dead_letters where attempts = 0 and redrive_at is null").await;
        assert_eq!(untouched.len(), 25);
        acme.post("/v1/dead-letters/redrive", &json!({ "stages": "parse" })).await.problem(422, "invalid_parameter");
        acme.call(Method::POST, "/v1/dead-letters/redrive", &[], Sending::bytes("{")).await.problem(400, "invalid_json");
    });
}

#[test]
fn a_tenant_sees_and_touches_its_own_letters_and_the_operator_all() {
    story(async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        let (ours, theirs) = (with_a_bad_record(world, &acme).await, with_a_bad_record(world, &globex).await);
        let (ours, theirs) = (log_id(&ours, 1), log_id(&theirs, 1));
        world.add_by_hand(&[("u", b"20"), ("h", b"kanarienvogel"), ("p", b"kanarienvogel")]).await;
        let operator = world.operator();
        let of_nobody = eventually(SOON, "three letters", async || {
            let all = listed(&operator, &[]).await;
            if all.len() == 3 { Ok(all.into_iter().find(|id| *id != ours && *id != theirs).expect("a third")) } else { Err(all.len()) }
        })
        .await;
        let admin = world.key_of("acme", &["logs:read", "logs:write", "tenant:admin"]).await;
        assert_eq!((listed(&admin, &[]).await, listed(&globex, &[]).await), (vec![ours.clone()], vec![theirs.clone()]));
        for other in [&theirs, &of_nobody] {
            admin.get(&path(other), &[]).await.problem(404, "not_found");
            redrive(&admin, other).await.problem(404, "not_found");
            admin.delete(&path(other)).await.problem(404, "not_found");
        }
        assert_eq!(admin.get("/v1/dead-letters", &[("tenant", "globex")]).await.fault(422, "invalid_parameter").0, "tenant");
        assert_eq!(admin.post("/v1/dead-letters/redrive", &json!({ "tenant": "globex" })).await.fault(422, "invalid_parameter").0, "tenant");
        assert_eq!(admin.post("/v1/dead-letters/redrive", &json!({})).await.ok(202), json!({ "requested": 1 }));
        let touched =
            world.sql("select 1 from public.dead_letters where tenant is distinct from 'acme' and (attempts > 0 or redrive_at is not null or discarded_at is not null)").await;
        assert_eq!(touched.len(), 0);

        assert_eq!(listed(&operator, &[("tenant", "globex")]).await, std::slice::from_ref(&theirs));
        assert_eq!(operator.get(&path(&of_nobody), &[]).await.ok(200)["text"], "kanarienvogel\nkanarienvogel");
        assert_eq!(operator.post("/v1/dead-letters/redrive", &json!({ "tenant": "globex" })).await.ok(202), json!({ "requested": 1 }));
        operator.delete(&path(&theirs)).await.empty(204);
        globex.get(&path(&theirs), &[]).await.problem(404, "not_found");
    });
}

#[test]
fn what_is_discarded_is_gone_and_stays_counted() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let admin = world.key_of("acme", &["tenant:admin"]).await;
        let batch = with_a_bad_record(world, &acme).await;
        let letter = log_id(&batch, 1);
        acme.delete(&path(&letter)).await.problem(403, "missing_scope");
        admin.delete(&path(&letter)).await.empty(204);
        assert_eq!(listed(&acme, &[]).await, [] as [String; 0]);
        acme.get(&path(&letter), &[]).await.problem(404, "not_found");
        redrive(&acme, &letter).await.problem(404, "not_found");
        admin.delete(&path(&letter)).await.problem(404, "not_found");
        assert_eq!(acme.post("/v1/dead-letters/redrive", &json!({})).await.ok(202), json!({ "requested": 0 }));
        counts(&acme, &batch, 3, 1).await;
        let left = world.sql("select 1 from public.dead_letters where bytes = '' and records = 1 and discarded_at is not null").await;
        assert_eq!(left.len(), 1, "its line says that it was");
    });
}

#[test]
fn a_suspended_tenant_reads_its_letters_and_does_not_redrive_them() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = with_a_bad_record(world, &acme).await;
        let letter = log_id(&batch, 1);
        world.operator().patch("/v1/tenants/acme", &json!({ "status": "suspended" })).await.ok(200);
        // A change of status is known everywhere within five seconds.
        let look = async || {
            let answer = redrive(&acme, &letter).await;
            if answer.status == 403 { Ok(answer) } else { Err(answer.text) }
        };
        eventually(SOON, "it is known that it is suspended", look).await.problem(403, "tenant_suspended");
        assert_eq!(listed(&acme, &[]).await, [letter.as_str()]);
        acme.post("/v1/dead-letters/redrive", &json!({})).await.problem(403, "tenant_suspended");
    });
}
