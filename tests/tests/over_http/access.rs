//! Readers over HTTP see what their role allows, as long as their credential lasts.

use serde_json::{Value, json};
use tests::http::Http;
use tests::issuer::{Issuer, unix_s};
use tests::{Hub, PATIENCE, within};

use super::{poll, stream};

const NORTH: &str = r#"
[[role]]
name = "north"
[[role.grant]]
verbs = ["subscribe"]
pattern = "devices.>"
labels = "district=North"
"#;

#[tokio::test]
async fn a_reader_with_labels_gets_only_what_is_of_its_devices_over_each_way() {
    let hub = Hub::builder().plain().memory().config_text(NORTH).start().await;
    let http = hub.http();
    for (id, district) in [("lamp-n", "North"), ("lamp-s", "South")] {
        let device = json!({"id": id, "labels": {"district": district}});
        assert_eq!(http.post("/v1/devices", &device).await.status, 201);
        put(&http, id, 1).await;
    }
    let issued = http.post("/v1/tokens", &json!({"role": "north", "name": "ann"})).await.json();
    let ann = Http::new(&hub, issued["token"].as_str().expect("a token"));

    let pattern = "pattern=devices.*.desired";
    let first = poll(&ann, pattern, 0).await;
    assert_eq!(channels(&first["snapshot"]), ["devices.lamp-n.desired"]);
    for id in ["lamp-s", "lamp-n"] {
        put(&http, id, 2).await;
    }
    let position = first["position"].as_str().expect("text");
    let second = poll(&ann, &format!("{pattern}&since={position}"), 0).await;
    assert_eq!(second["recovered"], true);
    assert_eq!(channels(&second["messages"]), ["devices.lamp-n.desired"]);

    let mut events = stream(&ann, pattern, Some(position)).await;
    let missed = events.find("message").await.data["message"]["channel"].clone();
    assert_eq!(missed, "devices.lamp-n.desired");
    for id in ["lamp-s", "lamp-n"] {
        put(&http, id, 3).await;
    }
    let live = events.next().await.expect("an event").data["message"]["channel"].clone();
    assert_eq!(live, "devices.lamp-n.desired");

    for path in ["events", "poll"] {
        let refused = ann.get(&format!("/v1/{path}?pattern=city.*")).await;
        assert_eq!((refused.status, &refused.json()["field"]), (403, &json!("pattern")));
    }
}

#[tokio::test]
async fn a_token_that_expires_takes_its_streams_and_waits_with_it() {
    let issuer = Issuer::default();
    let hub = Hub::builder().plain().memory().config_text(&issuer.section()).start().await;
    let token = issuer.token(|_, claims| claims["exp"] = json!(unix_s() + 4));
    let ann = Http::new(&hub, &token);
    let first = poll(&ann, "pattern=city.*", 0).await;
    let since = format!("pattern=city.*&since={}", first["position"].as_str().expect("text"));
    let mut events = stream(&ann, "pattern=city.*", None).await;
    let path = format!("/v1/poll?{since}");
    let (waits, end) = tokio::join!(ann.open(&path, &[("prefer", "wait=60")]), async {
        within(PATIENCE, "the end", events.find("go_away")).await
    });
    assert_eq!(waits.status().as_u16(), 401);
    assert_eq!(end.data["go_away"]["code"], 4005);
    assert_eq!(events.next().await, None);
}

/// The next version of what a device is to be.
async fn put(http: &Http, id: &str, version: u32) {
    let path = format!("/v1/channels/devices.{id}.desired");
    let wanted = json!({"version": version.to_string()});
    let headers = [if version == 1 { ("if-none-match", "*") } else { ("if-match", "*") }];
    let answer = http.call("PUT", &path, &headers, &wanted).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn channels(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|one| one["channel"].as_str().expect("a channel")).collect()
}
