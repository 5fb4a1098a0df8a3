//! Resources: their versions, their changes, their lists.

use serde_json::{Value, json};
use tests::http::Http;
use tests::{Device, Hub};

const NONE: Value = Value::Null;
const PATCH: &[(&str, &str)] = &[("content-type", "application/merge-patch+json")];

async fn hub() -> (Hub, Http) {
    let hub = Hub::builder().plain().memory().start().await;
    let http = hub.http();
    (hub, http)
}

#[tokio::test]
async fn a_device_is_created_replaced_changed_and_removed_in_the_version_that_was_meant() {
    let (_hub, http) = hub().await;
    let path = "/v1/devices/lamp-0042";
    let create = [("if-none-match", "*")];
    let device = json!({"labels": {"street": "Queen St", "feeder": "F1"}, "profile": "led-65"});
    let created = http.call("PUT", path, &create, &device).await;
    assert_eq!(created.status, 201, "{}", created.body);
    assert!(created.json()["token"].as_str().is_some_and(|token| token.starts_with("ll_")));
    assert_eq!(http.call("PUT", path, &create, &device).await.status, 412, "it exists now");

    let first = http.get(path).await;
    let known = http.call("GET", path, &[("if-none-match", &first.etag)], &NONE).await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));

    let moved = json!({"labels": {"street": "King St"}});
    let replaced = http.call("PUT", path, &[("if-match", &first.etag)], &moved).await;
    assert_eq!(replaced.status, 200, "{}", replaced.body);
    assert_eq!(replaced.json()["profile"], "", "what the document leaves out is gone");
    assert_ne!(replaced.etag, first.etag);

    let stale = http.call("PATCH", path, &[("if-match", &first.etag), PATCH[0]], &moved).await;
    assert_eq!(stale.status, 412);
    assert_eq!(stale.etag, replaced.etag, "412 names the current version");
    assert_eq!(stale.json()["current"]["labels"]["street"], "King St", "and shows it");

    let patch = json!({"labels": {"street": null, "feeder": "F2"}, "profile": "led-40"});
    let changed = http.call("PATCH", path, PATCH, &patch).await;
    assert_eq!(changed.json()["labels"], json!({"feeder": "F2"}), "{}", changed.body);
    assert_eq!(changed.json()["profile"], "led-40");

    assert_eq!(http.call("DELETE", path, &[("if-match", &first.etag)], &NONE).await.status, 412);
    assert_eq!(http.call("DELETE", path, &[("if-match", "*")], &NONE).await.status, 204);
    assert_eq!(http.get(path).await.status, 404);
}

#[tokio::test]
async fn a_bad_change_names_the_field_and_changes_nothing() {
    let (_hub, http) = hub().await;
    let path = "/v1/devices/lamp-0042";
    assert_eq!(http.call("PUT", path, &[], &json!({})).await.status, 201);
    let before = http.get(path).await;
    for (body, status, field) in [
        (json!({"labels": {"a=b": "c"}}), 400, "labels"),
        (json!({"latitude_e7": 1}), 400, "latitude_e7"),
        (json!({"latitude_e7": "north", "longitude_e7": 1}), 400, "latitude_e7"),
        (json!({"colour": "red"}), 400, "colour"),
        (json!([1]), 400, ""),
    ] {
        let refused = http.call("PATCH", path, PATCH, &body).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.body);
        assert_eq!(refused.json()["field"].as_str().unwrap_or_default(), field, "{body}");
    }
    let wrong = http.call("PATCH", path, &[("content-type", "text/plain")], &json!({})).await;
    assert_eq!(wrong.status, 415);
    assert_eq!(http.get(path).await.etag, before.etag);
}

#[tokio::test]
async fn a_list_is_walked_in_pages_in_any_order_without_a_gap_or_a_double() {
    let (_hub, http) = hub().await;
    let street = |number: usize| if number.is_multiple_of(2) { "Queen St" } else { "King St" };
    let devices: Vec<Value> = (0..25)
        .map(|number| json!({"id": format!("lamp-{number:04}"), "labels": {"street": street(number)}}))
        .collect();
    assert_eq!(http.post("/v1/devices", &json!(devices)).await.status, 201);

    for (query, expected) in
        [("sort=-id", 25), ("where=street%3DQueen%20St", 13), ("text=KING", 12)]
    {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/devices?{query}&limit=4&fields=id,labels.street{cursor}");
            let page = http.get(&path).await.json();
            assert_eq!(page["total"], expected, "{page}");
            let devices = page["devices"].as_array().expect("devices");
            for device in devices {
                assert_eq!(device.as_object().map(|members| members.len()), Some(2), "{device}");
                seen.push(device["id"].as_str().expect("an id").to_owned());
            }
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!((seen.len(), sorted.len()), (expected, expected), "{query}: {seen:?}");
        if query == "sort=-id" {
            sorted.reverse();
            assert_eq!(seen, sorted);
        }
    }
    for bad in ["sort=name", "limit=0", "cursor=x", "fields=", "where=street", "colour=red"] {
        assert_eq!(http.get(&format!("/v1/devices?{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_channel_is_read_in_both_encodings_each_with_its_own_version() {
    let (_hub, http) = hub().await;
    assert_eq!(http.call("PUT", "/v1/devices/lamp-0042", &[], &json!({})).await.status, 201);
    let path = "/v1/channels/devices.lamp-0042.desired";
    let config = json!({"version": "7", "lamp": {"wattage_w": 65}});
    let unconditional = http.call("PUT", path, &[], &config).await;
    assert_eq!(unconditional.status, 428, "desired wants a version: {}", unconditional.body);
    let published = http.call("PUT", path, &[("if-none-match", "*")], &config).await;
    assert_eq!(published.status, 200, "{}", published.body);

    let shown = http.get(path).await;
    assert_eq!(shown.json()["data"], config);
    assert_eq!(shown.etag, published.etag);
    let accept = [("accept", "application/x-protobuf")];
    let bytes = http.call("GET", path, &accept, &NONE).await;
    assert_eq!(bytes.status, 200);
    assert_ne!(bytes.etag, shown.etag, "each encoding has a tag of its own");
    assert_eq!(http.call("GET", path, &[("accept", "text/html")], &NONE).await.status, 406);

    let patch = json!({"lamp": {"wattage_w": null, "min_level_pct": 20}});
    let patched = http.call("PATCH", path, &[("if-match", &shown.etag), PATCH[0]], &patch).await;
    assert_eq!(patched.status, 200, "{}", patched.body);
    let data = http.get(path).await.json()["data"].clone();
    assert_eq!(data, json!({"version": "7", "lamp": {"min_level_pct": 20}}));

    let history = http.get(&format!("{path}/history")).await.json();
    assert_eq!(
        (history["complete"].as_bool(), history["messages"].as_array().map(Vec::len)),
        (Some(true), Some(2))
    );
    let list = http.get("/v1/channels?pattern=devices.*.desired").await.json();
    assert_eq!(list["values"][0]["channel"], "devices.lamp-0042.desired", "{list}");
    assert_eq!(http.get("/v1/channels/devices.lamp-0042.nothing").await.status, 404);
    assert_eq!(http.get("/v1/channels/a..b").await.status, 400);
}

#[tokio::test]
async fn a_command_is_sent_listed_followed_and_withdrawn_over_http() {
    let (_hub, http) = hub().await;
    assert_eq!(http.call("PUT", "/v1/devices/lamp-0042", &[], &json!({})).await.status, 201);
    let new = json!({"device": "lamp-0042", "data": {"override": {"level_pct": 40}}, "ttl_s": 600, "request_id": "one"});
    let sent = http.post("/v1/commands", &new).await;
    assert_eq!(sent.status, 202, "{}", sent.body);
    let id = sent.json()["command"].as_str().expect("an id").to_owned();
    let again = http.post("/v1/commands", &new).await.json();
    assert_eq!((again["command"].as_str(), again["duplicate"].as_bool()), (Some(&*id), Some(true)));
    let other =
        json!({"device": "lamp-0042", "data": {"resume": {}}, "ttl_s": 600, "request_id": "one"});
    assert_eq!(http.post("/v1/commands", &other).await.status, 409, "another under the same id");

    let path = format!("/v1/commands/{id}");
    let shown = http.get(&path).await;
    assert_eq!(shown.json()["state"], "ACCEPTED");
    let known = http.call("GET", &path, &[("if-none-match", &shown.etag)], &NONE).await;
    assert_eq!(known.status, 304);
    let list = http.get("/v1/commands?device=lamp-0042&state=ACCEPTED").await.json();
    assert_eq!(list["commands"][0]["command"], json!(id));
    assert_eq!(http.get("/v1/commands?state=DONE").await.status, 400);

    assert_eq!(http.delete(&path).await.status, 204);
    assert_eq!(http.get(&path).await.json()["state"], "CANCELED");
    for (bad, status, field) in [
        (json!({"device": "lamp-0042", "ttl_s": 600}), 400, "data"),
        (json!({"device": "lamp-9999", "data": {}, "ttl_s": 600}), 404, "device"),
        (json!({"device": "lamp-0042", "data": {}, "ttl_s": 1}), 400, "ttl_s"),
        (json!({"device": "lamp-0042", "data": {"dim": 1}, "ttl_s": 600}), 400, "data"),
    ] {
        let refused = http.post("/v1/commands", &bad).await;
        assert_eq!(refused.status, status, "{bad}: {}", refused.body);
        assert_eq!(refused.json()["field"], field, "{bad}: {}", refused.body);
    }
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let (hub, http) = hub().await;
    let mut device = Device::start(&hub, "lamp-0042").await;
    let sessions = http.get("/v1/sessions?identity=lamp-0042").await.json();
    assert_eq!(sessions["total"], 1, "{sessions}");
    let id = sessions["sessions"][0]["session"].as_str().expect("an id").to_owned();
    assert_eq!(http.delete(&format!("/v1/sessions/{id}")).await.status, 204);
    assert_eq!(device.client.close_code().await, 4000);
    assert_eq!(http.delete(&format!("/v1/sessions/{id}")).await.status, 404);
}

#[tokio::test]
async fn a_viewer_reads_and_changes_nothing() {
    let (hub, http) = hub().await;
    assert_eq!(http.call("PUT", "/v1/devices/lamp-0042", &[], &json!({})).await.status, 201);
    let viewer = Http::new(&hub, &hub.dev_token("viewer"));
    assert_eq!(viewer.get("/v1/devices/lamp-0042").await.status, 200);
    let command = json!({"device": "lamp-0042", "data": {"resume": {}}, "ttl_s": 600});
    assert_eq!(viewer.post("/v1/commands", &command).await.status, 403);
    for (method, path) in [
        ("PUT", "/v1/devices/lamp-0042"),
        ("PATCH", "/v1/devices/lamp-0042"),
        ("DELETE", "/v1/devices/lamp-0042"),
        ("PUT", "/v1/channels/devices.lamp-0042.desired"),
        ("PUT", "/v1/channels/city.news"),
        ("DELETE", "/v1/sessions/1"),
        ("GET", "/v1/config"),
        ("GET", "/v1/tokens"),
    ] {
        let answer = viewer.call(method, path, &[("if-match", "*")], &json!({})).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.body);
    }
}

/// A list is no object, though its items could be taken for the members in their order.
#[tokio::test]
async fn a_list_where_an_object_belongs_is_refused() {
    let hub = Hub::builder().plain().memory().start().await;
    let http = hub.http();
    for (method, path, body) in [
        ("PUT", "/v1/profiles/control-room", json!([])),
        ("PUT", "/v1/devices/lamp-7", json!([{}, "led"])),
        ("POST", "/v1/devices", json!([["lamp-7", {}, "led", null, null]])),
        ("POST", "/v1/tokens", json!(["viewer", "wall"])),
    ] {
        let refused = http.call(method, path, &[], &body).await;
        assert_eq!(refused.status, 400, "{method} {path}: {}", refused.body);
    }
}
