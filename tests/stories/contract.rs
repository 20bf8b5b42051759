//! What the served OpenAPI document says is what the hub does: schemathesis makes requests from it, right and wrong ones, and holds every
//! answer against it.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::harness::{log_id, numbered, story};

/// Seconds that the run may take: generated requests go on until then. One worker, because Python 3.11 breaks off in several ("AST constructor
/// recursion depth mismatch").
const SECONDS: u32 = 60;

/// What the tool cannot know from the document.
fn config(key: &str, operator: &str, log: &str, batch: &str) -> String {
    format!(
        r#"
        # A query, a cursor or a time is more than its schema can say: what is wrong with it is told by 422, and that is no refusal of good data.
        # Nor is it where somebody has tried to log in too often.
        [checks.positive_data_acceptance]
        expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429, "5xx"]

        [auth.openapi.api_key]
        bearer = "{key}"
        [auth.openapi.operator]
        bearer = "{operator}"

        # What waits for something new is asked for what is there.
        [[operations]]
        include-path = "/v1/tail"
        parameters = {{ wait = "0" }}
        [[operations]]
        include-path = "/v1/batches/{{batch_id}}"
        parameters = {{ batch_id = "{batch}", wait = "stored" }}
        [[operations]]
        include-path-regex = "^/v1/logs/\\{{id\\}}"
        parameters = {{ id = "{log}" }}
        # The tool does not pack what it sends.
        [[operations]]
        include-path-regex = "^(/v1)?/logs$"
        parameters = {{ "header.Content-Encoding" = "identity" }}
        # What is deleted on the way is not what everything else is asked with.
        [[operations]]
        include-path-regex = "^/v1/tenants/\\{{id\\}}"
        parameters = {{ id = "other" }}
        "#
    )
}

#[test]
fn every_answer_is_what_the_openapi_document_says() {
    let Some(tools) = std::env::var_os("SCHEMATHESIS").map(PathBuf::from) else { panic!("SCHEMATHESIS is not set: run this by scripts/test, which fetches the tool") };
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.stored(&numbered("line", 50)).await;
        world.tenant("other").await;
        let all = world.key_of("acme", &["logs:write", "logs:read", "keys:manage", "billing:read", "tenant:admin"]).await;
        all.post("/v1/saved-searches", &json!({ "name": "one", "q": "line" })).await.ok(201);
        let folder = std::env::temp_dir().join(format!("loggerhub-contract-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("schemathesis.toml"), config(&all.key, &world.operator_token(), &log_id(&batch, 7), &batch)).expect("a file");
        // Its script is run by name of its Python: its first line names the folder where it was made.
        let mut command = Command::new(tools.join("python"));
        command.current_dir(&folder).arg(tools.join("schemathesis")).args([
            "--no-color",
            "run",
            &format!("{}/openapi.json", world.anyone().url()),
            "--checks",
            "all",
            "--seed",
            "1",
            "--workers",
            "1",
        ]);
        command.args(["--max-time", &SECONDS.to_string(), "--request-timeout", "20", "--generation-deterministic"]);
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("the tool runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        std::fs::remove_dir_all(&folder).expect("it was made");
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        println!("{}", said.lines().rev().take(30).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n"));
    });
}
