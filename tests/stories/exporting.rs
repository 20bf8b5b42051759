//! Exports: whole records, each once, in one stream that can be taken up again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Caller, NOWHERE, Wire, log_id, numbered, plain, sample, story};

/// The lines of an export, and the cursor that fixes it.
async fn exported(caller: &Caller, parameters: &[(&str, &str)]) -> (Vec<Value>, String) {
    let answer = caller.get("/v1/export", parameters).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")), "{}", answer.text);
    let lines = answer.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (lines, answer.header("x-export-cursor").expect("a cursor").to_owned())
}

fn ids_in(lines: &[Value]) -> Vec<String> {
    lines.iter().map(|line| line["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn an_export_holds_every_record_as_it_was_sent_in_order() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let sent = [sample("kafka"), sample("openstack")].concat();
        let mut by_id = BTreeMap::new();
        for chunk in sent.chunks(700) {
            let batch = acme.stored(chunk).await;
            by_id.extend((0..).zip(chunk).map(|(position, record)| (log_id(&batch, position), record.clone())));
        }
        let (lines, _) = exported(&acme, &[]).await;
        assert_eq!(lines.len(), sent.len());
        for line in &lines {
            assert_eq!(&line["record"], &by_id[line["id"].as_str().expect("an id")]);
        }
        let listed = acme.all_pages("/v1/logs", &[("sort", "oldest"), ("limit", "1000"), ("fields", "id")]).await;
        assert_eq!(ids_in(&lines), ids_in(&listed));
        let (newest, _) = exported(&acme, &[("sort", "newest")]).await;
        assert!(ids_in(&newest).iter().eq(ids_in(&lines).iter().rev()));
        let detail = acme.get(&format!("/v1/logs/{}", lines[5]["id"].as_str().expect("an id")), &[("source", "raw")]).await.ok(200);
        assert_eq!(lines[5], detail);
        // Queries mean the same as for searches, with and without an index.
        let without_index = acme.at(&world.another_hub(&[("LOGGERHUB_OPENSEARCH_URL", &format!("http://{NOWHERE}"))]).await);
        for parameters in
            [&[("q", "level>=warn")][..], &[("q", "partition OR instance"), ("from", "2016-01-01T00:00:00Z")], &[("q", "full_log:kafka -level:info")], &[("q", "nowhere")]]
        {
            let found = acme.all_pages("/v1/search", &[parameters, &[("sort", "oldest"), ("limit", "1000"), ("fields", "id")]].concat()).await;
            for caller in [&acme, &without_index] {
                assert_eq!(ids_in(&exported(caller, parameters).await.0), ids_in(&found), "{parameters:?}");
            }
        }
        for (name, value) in [("format", "xml"), ("sort", "relevance"), ("after", "nobody"), ("after", "0199cd9c-4d20-7000-8000-000000000003"), ("from", "soon")] {
            assert_eq!(acme.get("/v1/export", &[(name, value)]).await.fault(422, "invalid_parameter").0, name);
        }
        acme.get("/v1/export", &[("cursor", "x")]).await.fault(422, "invalid_cursor");
        let others = world.tenant("globex").await;
        assert_eq!(exported(&others, &[]).await.0, [] as [Value; 0]);
    });
}

#[test]
fn csv_is_read_again_by_any_reader_of_csv() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let hard = ["plain", "comma, and \"quotes\"", "two\nlines\r\nthree", "", "=1+1", "é日\u{1f600}", "trailing\n"];
        let records: Vec<Value> = hard.iter().enumerate().map(|(n, text)| json!({ "message": format!("m{n}"), "full_log": text, "user": { "name": text } })).collect();
        acme.stored(&records).await;
        let answer = acme.get("/v1/export", &[("format", "csv")]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/csv; charset=utf-8")));
        let mut reader = csv::Reader::from_reader(answer.text.as_bytes());
        let columns = reader.headers().expect("a header").clone();
        let rows: Vec<BTreeMap<String, String>> =
            reader.records().map(|row| columns.iter().map(str::to_owned).zip(row.expect("a row").iter().map(str::to_owned)).collect()).collect();
        assert_eq!(rows.len(), hard.len());
        for (row, record) in rows.iter().zip(&records) {
            assert_eq!(row["message"], record["message"].as_str().expect("a text"));
            assert_eq!(row["full_log"], record["full_log"].as_str().expect("a text"));
            assert_eq!(&serde_json::from_str::<Value>(&row["record"]).expect("JSON"), record);
            assert_eq!(serde_json::from_str::<Value>(&row["attributes"]).expect("JSON")["user"], record["user"]);
        }
        let empty = acme.get("/v1/export", &[("format", "csv"), ("q", "nowhere")]).await.text;
        assert_eq!(empty.lines().count(), 1, "{empty}");
    });
}

#[test]
fn an_export_is_taken_up_behind_the_last_log_that_came() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(&numbered("line", 300)).await;
        let (all, cursor) = exported(&acme, &[("q", "line")]).await;
        // What comes later does not belong to it, wherever it stands in time.
        acme.stored(&[plain("line too late")]).await;
        let ids = ids_in(&all);
        for at in [0, 150, 299] {
            let (rest, again) = exported(&acme, &[("q", "line"), ("cursor", &cursor), ("after", &ids[at])]).await;
            assert_eq!((ids_in(&rest), &again), (ids[at + 1..].to_vec(), &cursor));
        }
        assert_eq!(ids_in(&exported(&acme, &[("q", "line"), ("cursor", &cursor)]).await.0), ids);
        assert_eq!(exported(&acme, &[("q", "line")]).await.0.len(), 301);
        acme.get("/v1/export", &[("q", "other"), ("cursor", &cursor)]).await.fault(422, "invalid_cursor");
        let headed = acme.get("/v1/export", &[("q", "line"), ("format", "csv"), ("cursor", &cursor), ("after", &ids[298])]).await.text;
        assert_eq!(headed.lines().count(), 1, "no header within an export: {headed}");
    });
}

#[test]
fn an_export_that_cannot_go_on_breaks_off_instead_of_ending() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        // More than a connection and both its ends hold, so that it is still under way when the engine goes.
        let records: Vec<Value> = (0..3_000).map(|n| json!({ "message": format!("m {n}"), "full_log": format!("{n:08}").repeat(2_000) })).collect();
        for chunk in records.chunks(200) {
            acme.stored(chunk).await;
        }
        let (wire, url) = Wire::over(&world.setting("LOGGERHUB_S3_ENDPOINT")).await;
        let hub = world.another_hub(&[("LOGGERHUB_S3_ENDPOINT", &url)]).await;
        let mut answer = reqwest::Client::new().get(format!("{}/v1/export", hub.url())).bearer_auth(&acme.key).send().await.expect("an answer");
        let cursor = answer.headers()["x-export-cursor"].to_str().expect("a cursor").to_owned();
        let mut text = answer.chunk().await.expect("a piece").expect("a piece").to_vec();
        wire.cut();
        let broke = loop {
            match answer.chunk().await {
                Ok(Some(piece)) => text.extend_from_slice(&piece),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(broke, "it must not look complete");
        acme.at(&hub).get("/v1/export", &[]).await.problem(503, "object_store_unavailable");
        wire.mend();
        let whole = &text[..text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1)];
        let mut seen = ids_in(&std::str::from_utf8(whole).expect("UTF-8").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<_>>());
        let last = seen.last().cloned().expect("some came");
        seen.extend(ids_in(&exported(&acme.at(&hub), &[("cursor", &cursor), ("after", &last)]).await.0));
        let listed = acme.all_pages("/v1/logs", &[("sort", "oldest"), ("limit", "1000"), ("fields", "id")]).await;
        assert_eq!(seen, ids_in(&listed));
    });
}

#[test]
fn the_command_writes_a_whole_file_however_often_the_answer_breaks_off() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let records: Vec<Value> = (0..3_000).map(|n| json!({ "message": format!("m {n}"), "full_log": format!("{n:08}").repeat(2_000) })).collect();
        for chunk in records.chunks(200) {
            acme.stored(chunk).await;
        }
        let folder = std::env::temp_dir().join(format!("loggerhub-export-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
        // The way to the hub is cut again and again while it writes.
        let hub = world.process(&[("LOGGERHUB_LINGER_MS", "3600000")]).await;
        let (wire, url) = Wire::over(hub.url()).await;
        let cutting = tokio::spawn(async move {
            // An export begins two seconds after it was asked for.
            for _ in 0..40 {
                tokio::time::sleep(std::time::Duration::from_millis(700)).await;
                wire.cut();
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                wire.mend();
            }
            // The wire ends with what holds it.
            std::future::pending::<()>().await;
        });
        let export = async |url: &str, more: &[&str]| world.command(&[&["export", "--url", url, "--key", &acme.key][..], more].concat()).await;
        let (ndjson, csv) = (file("all.ndjson"), file("all.csv"));
        let mut said = String::new();
        for (path, more) in [(&ndjson, vec![]), (&csv, vec!["--format", "csv"])] {
            let done = export(&url, &[&["--output", path][..], &more].concat()).await;
            said += &String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{said}");
        }
        assert!(said.contains("going on in"), "it never broke off: {said}");
        cutting.abort();
        let listed = ids_in(&acme.all_pages("/v1/logs", &[("sort", "oldest"), ("limit", "1000"), ("fields", "id")]).await);
        let text = std::fs::read_to_string(&ndjson).expect("a file");
        assert_eq!(ids_in(&text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<_>>()), listed);
        let ids: Vec<String> = csv::Reader::from_path(&csv).expect("a file").records().map(|row| row.expect("a row")[0].to_owned()).collect();
        assert_eq!(ids, listed);
        let peak = hub.peak_memory_mib();
        assert!(peak < 192, "{peak} MiB for an export of {} MB", text.len() / 1_000_000);

        // A file that is there is left alone; a query that is none is told; what is printed is the same.
        let again = export(hub.url(), &["--output", &ndjson]).await;
        assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("is there already"), "{again:?}");
        let wrong = export(hub.url(), &["--q", "a AND"]).await;
        assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("422"), "{wrong:?}");
        let printed = export(hub.url(), &["--q", "m"]).await;
        assert_eq!(printed.stdout.iter().filter(|b| **b == b'\n').count(), 3_000);
        // What another run left is gone on with; part of something else is not.
        let cut = text.lines().take(1_000).map(|line| format!("{line}\n")).collect::<String>();
        let cursor = acme.get("/v1/export", &[("q", "nothing")]).await.header("x-export-cursor").expect("a cursor").to_owned();
        let mark =
            json!({ "filters": format!("ndjson {}/?q=nothing&sort=oldest {}", hub.url(), &acme.key[..12]), "cursor": cursor, "after": null, "bytes": cut.len(), "logs": 1_000 });
        std::fs::write(file("half.ndjson.part"), cut + "{\"id\":\"half a l").expect("a file");
        std::fs::write(file("half.ndjson.part.cursor"), mark.to_string()).expect("a file");
        let other = export(hub.url(), &["--output", &file("half.ndjson")]).await;
        assert!(!other.status.success() && String::from_utf8_lossy(&other.stderr).contains("part of another export"), "{other:?}");
        let same = export(hub.url(), &["--output", &file("half.ndjson"), "--q", "nothing"]).await;
        assert!(same.status.success(), "{same:?}");
        assert_eq!(std::fs::read_to_string(file("half.ndjson")).expect("a file").lines().count(), 1_000, "half a line is no log");
        std::fs::remove_dir_all(&folder).expect("it was made");
    });
}
