//! Schemas are changed by those who may, on the condition of a version, with a record; and they move with
//! the hub's state.

use std::fs;
use std::path::Path;

use serde_json::json;
use tests::Hub;
use tests::cli::Cli;
use tests::http::Http;

use crate::{BIN, BINS, fleet};

const KIND: &str = "application/x-protobuf";

#[tokio::test]
async fn who_adds_and_who_removes_a_schema_is_recorded() {
    let hub = Hub::start().await;
    let http = hub.http();
    let added = http.post_bytes("/v1/schemas?name=fleet", KIND, fleet(BIN)).await;
    assert_eq!(added.status, 201, "{}", added.body);
    let same = http.post_bytes("/v1/schemas?name=fleet", KIND, fleet(BIN)).await;
    assert_eq!(same.status, 200, "nothing is done, and nothing recorded");
    assert_eq!(http.delete("/v1/schemas/fleet").await.status, 204);
    let viewer = Http::new(&hub, &hub.dev_token("viewer"));
    assert_eq!(viewer.post_bytes("/v1/schemas?name=v", KIND, fleet(BIN)).await.status, 403);

    let page = http.get("/v1/audit?what=change-schema").await.json();
    let records = page["records"].as_array().expect("a list");
    let [add, remove] = &records[..] else { panic!("{page}") };
    for record in records {
        assert_eq!((&record["object"], &record["result"]), (&json!("fleet"), &json!("done")));
        assert_eq!((&record["who"], &record["door"]), (&json!("operator dev"), &json!("http")));
    }
    let hash = added.json()["hash"].as_str().expect("a hash").to_owned();
    assert_eq!(add["detail"], format!("version 1 {hash}"));
    assert_eq!(remove["detail"], "removed");
    let proof = Cli::of(&hub).ok(&["audit", "verify"]).await;
    assert!(proof.starts_with("intact from record 1 "), "{proof}");
}

#[tokio::test]
async fn a_schema_has_a_version_that_a_change_can_depend_on() {
    let hub = Hub::in_memory().await;
    let http = hub.http();
    let add = async |headers: &[(&str, &str)], source: &str| {
        http.send_bytes("POST", "/v1/schemas?name=fleet", KIND, headers, fleet(source)).await
    };
    let first = add(&[("if-none-match", "*")], BIN).await;
    assert_eq!(first.status, 201, "{}", first.body);
    assert_eq!(http.get("/v1/schemas/fleet").await.etag, first.etag);
    let again = http.open("/v1/schemas/fleet", &[("if-none-match", &first.etag)]).await;
    assert_eq!(again.status().as_u16(), 304);

    let more = format!("{BIN} message Truck {{ Bin bin = 1; }}");
    assert_eq!(add(&[("if-none-match", "*")], &more).await.status, 412);
    let second = add(&[("if-match", &first.etag)], &more).await;
    assert_eq!(second.status, 201, "{}", second.body);
    let stale = add(&[("if-match", &first.etag)], BIN).await;
    assert_eq!((stale.status, &stale.etag), (412, &second.etag), "{}", stale.body);
    assert_eq!(stale.json()["current"]["version"], 2);
    let delete = async |tag: &str| {
        http.call("DELETE", "/v1/schemas/fleet", &[("if-match", tag)], &json!(null)).await
    };
    assert_eq!(delete(&first.etag).await.status, 412);
    assert_eq!(delete(&second.etag).await.status, 204);
    let gone = http.post_bytes("/v1/schemas?name=fleet", KIND, fleet(BIN)).await;
    assert_eq!(gone.json()["version"], 1, "it begins anew");
}

#[tokio::test]
async fn a_role_that_has_only_schemas_changes_only_schemas() {
    let role = "[[role]]
name = \"integrator\"

[[role.grant]]
verbs = [\"manage\", \"subscribe\"]
pattern = \"hub.schemas\"
";
    let hub = Hub::builder().plain().memory().config_text(role).start().await;
    let issued = hub.http().post("/v1/tokens", &json!({ "role": "integrator", "name": "x" })).await;
    let http = Http::new(&hub, issued.json()["token"].as_str().expect("a token"));
    let added = http.post_bytes("/v1/schemas?name=fleet", KIND, fleet(BIN)).await;
    assert_eq!(added.status, 201, "{}", added.body);
    assert_eq!(http.get("/v1/schemas").await.status, 200);
    assert_eq!(http.get("/v1/tokens").await.status, 403);
}

#[tokio::test]
async fn schemas_are_in_an_export_come_back_with_it_and_are_merged_as_wholes() {
    let mut first = Hub::builder().plain().config_text(BINS).start().await;
    let mut second = Hub::builder().plain().config_text(BINS).start().await;
    // Long enough for several records of the store.
    let long: String =
        (0..3000).map(|at| format!("message Message{at} {{ Bin bin = 1; }}")).collect();
    for (hub, name, source) in [
        (&first, "fleet", format!("{BIN} {long}")),
        (&first, "other", BIN.replace("fleet.v1", "other.v1")),
        (&second, "fleet", BIN.to_owned()),
    ] {
        let set = tests::schema::descriptor_set(&[(&format!("{name}.proto"), source.as_str())]);
        let path = format!("/v1/schemas?name={name}");
        let added = hub.http().post_bytes(&path, KIND, set).await;
        assert_eq!(added.status, 201, "{}", added.body);
    }
    let whole = first.http().get("/v1/schemas").await.json();
    assert!(whole["schemas"][0]["bytes"].as_u64().expect("a size") > 64 * 1024);
    let kept = second.http().get("/v1/schemas").await.json()["schemas"][0].clone();

    let folder = tempfile::tempdir().expect("a folder");
    let [file, data] = ["a.jsonl", "data"].map(|name| folder.path().join(name));
    Cli::of(&first).ok(&["export", "--out", text(&file)]).await;
    let operator = first.dev_token("operator");
    first.terminate().await;
    Cli::default().ok(&["import", text(&file), "--data-dir", text(&data)]).await;
    let moved = Hub::builder().plain().config_text(BINS).data_folder(&data).start().await;
    assert_eq!(Http::new(&moved, &operator).get("/v1/schemas").await.json(), whole);

    second.terminate().await;
    let data = second.data_folder();
    Cli::default().ok(&["import", text(&file), "--merge", "--data-dir", text(&data)]).await;
    second.restart().await;
    let merged = second.http().get("/v1/schemas").await.json();
    assert_eq!(merged["schemas"], json!([kept, whole["schemas"][1]]), "its own stays whole");
    assert!(fs::read_to_string(&file).expect("text").contains("\"table\":\"schema\""));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}
