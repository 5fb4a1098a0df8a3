//! Descriptor sets over HTTP and by the shell: for the next message, over a restart, and never against
//! what was written before.

use serde_json::json;
use tests::cli::Cli;
use tests::{Hub, Person, person};

use crate::{BIN, BINS, bin, fleet, greeted, heard, say};

const KIND: &str = "application/x-protobuf";

#[tokio::test]
async fn a_schema_is_added_while_messages_flow_and_holds_for_the_next_one() {
    let rule = format!("{BINS}undecodable = \"quarantine\"\n");
    let hub = Hub::builder().memory().config_text(&rule).start().await;
    let mut sender = Person::operator(&hub).await;
    let mut binary = Person::viewer(&hub).await;
    binary.watch("site.*.bins").await;
    let mut text = greeted(&hub).await;
    say(&mut text, 2, "subscribe", &json!({ "pattern": "site.*.bins" })).await;
    heard(&mut text, "ack").await;

    for fill in 0..10 {
        sender.publish("site.1.bins", bin("a", fill)).await.expect("it goes on as bytes");
        let shown = heard(&mut text, "message").await;
        assert!(shown["problem"].as_str().expect("a reason").contains("no type `fleet.v1.Bin`"));
        assert!(shown["payload"].is_string() && shown.get("data").is_none(), "{shown}");
    }
    let added = hub.http().post_bytes("/v1/schemas?name=fleet", KIND, fleet(BIN)).await;
    assert_eq!(added.status, 201, "{}", added.body);
    assert_eq!(added.json()["messages"], json!(["fleet.v1.Bin"]));
    for fill in 10..20 {
        sender.publish("site.1.bins", bin("a", fill)).await.expect("it is of its type");
        let shown = heard(&mut text, "message").await;
        assert_eq!(shown["data"], json!({ "id": "a", "fill_pct": fill }), "{shown}");
    }
    for fill in 0..20 {
        assert_eq!(person::payload(&binary.message().await), bin("a", fill));
    }
}

#[tokio::test]
async fn a_value_that_came_before_its_schema_becomes_readable_with_it() {
    let rule = format!("{BINS}undecodable = \"quarantine\"\n");
    let hub = Hub::builder().memory().config_text(&rule).start().await;
    let mut sender = Person::operator(&hub).await;
    sender.publish("site.1.bins", bin("a", 7)).await.expect("it goes on as bytes");
    let wish = json!({ "pattern": "site.1.bins", "snapshot": true });
    let mut before = greeted(&hub).await;
    say(&mut before, 2, "subscribe", &wish).await;
    assert!(heard(&mut before, "snapshot").await["values"][0]["problem"].is_string());

    let added = hub.http().post_bytes("/v1/schemas?name=fleet", KIND, fleet(BIN)).await;
    assert_eq!(added.status, 201, "{}", added.body);
    let mut after = greeted(&hub).await;
    say(&mut after, 2, "subscribe", &wish).await;
    let page = heard(&mut after, "snapshot").await;
    assert_eq!(page["values"][0]["data"], json!({ "id": "a", "fill_pct": 7 }), "{page}");
}

#[tokio::test]
async fn a_schema_is_there_after_kill_9_with_its_version() {
    let mut hub = Hub::builder().config_text(BINS).start().await;
    let http = hub.http();
    let first = http.post_bytes("/v1/schemas?name=fleet", KIND, fleet(BIN)).await;
    let more = format!("{BIN} message Truck {{ Bin bin = 1; }}");
    let second = http.post_bytes("/v1/schemas?name=fleet", KIND, fleet(&more)).await;
    assert_eq!((first.status, second.status), (201, 201), "{}", second.body);
    let same = http.post_bytes("/v1/schemas?name=fleet", KIND, fleet(&more)).await;
    assert_eq!((same.status, same.json()), (200, second.json()), "the same is no new version");
    hub.kill().await;
    hub.restart().await;

    let held = hub.http().get("/v1/schemas").await.json();
    assert_eq!(held["schemas"], json!([second.json()]));
    assert_eq!(held["schemas"][0]["version"], 2);
    assert_eq!(held["schemas"][0]["past"][0]["hash"], first.json()["hash"]);
    assert_eq!(held["schemas"][0]["by"], "operator dev");
    let mut text = greeted(&hub).await;
    say(&mut text, 2, "subscribe", &json!({ "pattern": "site.1.bins" })).await;
    let data = json!({ "id": "b", "fill_pct": 3 });
    say(&mut text, 3, "publish", &json!({ "channel": "site.1.bins", "data": data })).await;
    assert_eq!(heard(&mut text, "message").await["data"], data);
}

#[tokio::test]
async fn without_its_schema_a_channel_refuses_what_it_can_not_check() {
    let hub = Hub::builder().memory().config_text(BINS).start().await;
    let mut sender = Person::operator(&hub).await;
    let error = sender.publish("site.1.bins", bin("a", 1)).await.expect_err("refused");
    assert!(error.message.contains("fleet.v1.Bin"), "{error:?}");
    assert!(hub.metric("lamplighter_undecodable_total{reason=\"UnknownType\"}").await > 0.0);
}

#[tokio::test]
async fn what_breaks_is_refused_by_name_and_taken_by_force_only() {
    let hub = Hub::in_memory().await;
    let http = hub.http();
    let add = async |query: &str, source: &str| {
        http.post_bytes(&format!("/v1/schemas?{query}"), KIND, fleet(source)).await
    };
    assert_eq!(add("name=fleet", BIN).await.status, 201);
    let broken = BIN.replace("uint32 fill_pct", "string fill_pct");
    let refused = add("name=fleet", &broken).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains("fleet.v1.Bin.fill_pct was uint32 and is string"));
    assert_eq!(http.get("/v1/schemas").await.json()["schemas"][0]["version"], 1);
    assert_eq!(add("name=fleet&force=true", &broken).await.json()["version"], 2);

    let built_in = "package lighting.v1; message RecordHeader { string x = 1; }";
    for query in ["name=other", "name=other&force=true"] {
        let refused = add(query, built_in).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert!(refused.body.contains("lighting.v1.RecordHeader"), "{}", refused.body);
    }
    for (query, kind, body, status) in [
        ("", KIND, fleet(BIN), 400),
        ("?name=a%20b", KIND, fleet(BIN), 400),
        ("?name=a&more=1", KIND, fleet(BIN), 400),
        ("?name=a", "application/json", fleet(BIN), 415),
        ("?name=a", KIND, b"\xff".to_vec(), 400),
        ("?name=a", KIND, Vec::new(), 400),
        ("?name=a", KIND, vec![0; 600 * 1024], 413),
    ] {
        let refused = http.post_bytes(&format!("/v1/schemas{query}"), kind, body).await;
        assert_eq!(refused.status, status, "{query} {}", refused.body);
    }
    let viewer = tests::http::Http::new(&hub, &hub.dev_token("viewer"));
    assert_eq!(viewer.post_bytes("/v1/schemas?name=v", KIND, fleet(BIN)).await.status, 403);
    assert_eq!(viewer.get("/v1/schemas").await.status, 200);
}

#[tokio::test]
async fn a_schema_that_is_used_is_removed_by_force_only() {
    let hub = Hub::builder().memory().config_text(BINS).start().await;
    let http = hub.http();
    http.post_bytes("/v1/schemas?name=fleet", KIND, fleet(BIN)).await;
    let refused = http.delete("/v1/schemas/fleet").await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains("site.*.bins"), "{}", refused.body);
    assert_eq!(http.delete("/v1/schemas/fleet?force=true").await.status, 204);
    assert_eq!(http.delete("/v1/schemas/fleet").await.status, 404);
    assert_eq!(http.get("/v1/schemas/fleet").await.status, 404);
    let mut sender = Person::operator(&hub).await;
    sender.publish("site.1.bins", bin("a", 1)).await.expect_err("the type is gone");
}

#[tokio::test]
async fn the_shell_adds_lists_and_removes() {
    let hub = Hub::in_memory().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("fleet.binpb"), fleet(BIN)).expect("a file");
    let broken = fleet(&BIN.replace("fill_pct", "full_pct"));
    std::fs::write(folder.path().join("broken.binpb"), broken).expect("a file");
    let shell = Cli::of(&hub).folder(folder.path().to_owned());

    let added = shell.run(&["schema", "add", "fleet.binpb"]).await;
    assert_eq!(added.code, 0, "{}", added.err);
    assert!(added.out.contains("fleet version 1 holds: fleet.v1.Bin"), "{}", added.out);
    let refused = shell.run(&["schema", "add", "broken.binpb", "--name", "fleet"]).await;
    assert_eq!(refused.code, 7, "{}", refused.err);
    assert!(refused.err.contains("`fill_pct` and is `full_pct`"), "{}", refused.err);
    let listed = shell.run(&["schema", "list"]).await;
    assert!(listed.out.contains("fleet") && listed.out.contains("operator dev"), "{}", listed.out);
    let missing = shell.run(&["schema", "add", "no.binpb"]).await;
    assert_eq!(missing.code, 2, "{}", missing.err);
    assert_eq!(shell.run(&["schema", "remove", "fleet"]).await.code, 0);
    assert_eq!(shell.run(&["schema", "remove", "fleet"]).await.code, 4);
}
