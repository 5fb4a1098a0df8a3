//! The hub does what its own description says, for whatever input, and nothing else.

use std::process::Stdio;

use serde_json::json;
use tests::Hub;
use tests::http::Http;
use tokio::process::Command;

/// Cases of each operation and phase. Together with the seed it makes the run the same each time.
const EXAMPLES: &str = "12";
const SEED: &str = "1";

/// Every operation is tried with what its description allows and with what it doesn't; the answers are
/// compared with the description.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_keeps_to_its_description() {
    let hub = Hub::builder()
        .plain()
        .memory()
        .set("log.filter", "warn")
        .set("limits.address_per_s", "100000")
        .start()
        .await;
    let http = hub.http();
    for device in ["lamp-0042", "lamp-0043"] {
        assert_eq!(http.post("/v1/devices", &json!({"id": device})).await.status, 201);
    }
    let description = format!("{}/v1/openapi.json", http.base());
    let authorization = format!("Authorization: Bearer {}", hub.dev_token("operator"));
    let folder = tempfile::tempdir().expect("a folder");
    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/bin/schemathesis");
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/schemathesis.toml");
    let output = Command::new(tool)
        .args(["--config-file", config, "run", &description, "--header", &authorization])
        .args(["--checks", "all", "--max-examples", EXAMPLES, "--seed", SEED, "--no-color"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .await
        .expect("schemathesis is installed by `make test`");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(cases(&said) > 500, "too few cases prove nothing: {said}");
}

/// How many cases were made, by the line `1373 generated, 1373 passed, …`.
fn cases(said: &str) -> usize {
    let line = said.lines().find(|line| line.contains(" generated, "));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn who_is_not_known_gets_401_everywhere_but_from_health() {
    let hub = Hub::builder().plain().memory().start().await;
    let description = hub.http().get("/v1/openapi.json").await.json();
    let nobody = Http::new(&hub, "");
    let paths = description["paths"].as_object().expect("paths");
    assert!(paths.len() > 10, "{paths:?}");
    for (path, operations) in paths {
        let path = path.replace("{id}", "lamp-0042").replace("{name}", "a.b");
        for method in operations.as_object().expect("operations").keys() {
            let method = method.to_uppercase();
            let answer = nobody.call(&method, &path, &[], &json!({})).await;
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.body);
            let token = [("authorization", "Bearer ll_nobody-issued-this")];
            let answer = nobody.call(&method, &path, &token, &json!({})).await;
            assert_eq!(answer.status, 401, "{method} {path} with a wrong token");
        }
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(nobody.get(path).await.status, 200, "{path}");
    }
}
