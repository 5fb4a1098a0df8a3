//! The browser's module in Node and in Chromium, over each of the three ways: it reads from a hub that is
//! killed and comes back, and it writes.

use std::process::Stdio;

use serde_json::json;
use tests::http::Http;
use tests::relay::Relay;
use tests::{Device, Hub, PATIENCE, within};
use tokio::process::Command;

use super::page::{Page, Runtime, SDK};

/// A channel whose content is checked.
const TYPED: &str = "[[channel]]\npattern = \"typed.*\"\ntypes = [\"lighting.v1.DeviceConfig\"]\n";

/// What is refused to an operator, and as what: the same over each way.
const REFUSED: &[&str] = &[
    "a stale revision: CONFLICT publish.expected_revision",
    "none expected: CONFLICT publish.expected_revision",
    "a wish without revision: CONFLICT publish.expected_revision",
    "a patch that is none: BAD_VALUE publish.data",
    "a patch of no type: BAD_VALUE publish.data",
    "a channel: BAD_CHANNEL publish.channel",
    "dots: BAD_CHANNEL publish.channel",
    "a type: BAD_VALUE publish.type",
    "content: BAD_VALUE publish.data",
    "a channel of a device: NOT_PERMITTED publish.channel",
    "an unknown device: NOT_FOUND send.device",
    "no device: BAD_VALUE send.device",
    "a command: BAD_VALUE send.data",
    "a lifetime: BAD_VALUE send.ttl_s",
    "other content: CONFLICT send.request_id",
    "an ended command: CONFLICT cancel.command",
    "no command: BAD_VALUE cancel.command",
    "an unknown command: NOT_FOUND cancel.command",
];

/// What is refused to somebody who may only look.
const LOOKING: &[&str] = &[
    "publish: NOT_PERMITTED publish.channel",
    "send: NOT_PERMITTED send.device",
    "cancel: NOT_PERMITTED cancel.command",
    "subscribe: BAD_CHANNEL subscribe.pattern",
];

#[tokio::test]
async fn the_module_is_served_to_everybody_and_revalidated() {
    let hub = Hub::builder().plain().memory().start().await;
    let stranger = Http::new(&hub, "");
    let first = stranger.open("/sdk/lamplighter.js", &[]).await;
    assert_eq!(first.headers()["content-type"], "text/javascript; charset=utf-8");
    let tag = first.headers()["etag"].to_str().expect("text").to_owned();
    let held = stranger.open("/sdk/lamplighter.js", &[("if-none-match", &tag)]).await;
    assert_eq!(held.status().as_u16(), 304);
    assert_eq!(stranger.get("/sdk/lamplighter.d.ts").await.status, 200);
    assert_eq!(stranger.get("/sdk/other.js").await.status, 404);
}

#[tokio::test]
async fn the_parts_of_the_module_hold_by_themselves() {
    let tests = Command::new("node")
        .args(["--test", "test/parts.test.js"])
        .current_dir(SDK)
        .stdin(Stdio::null())
        .output();
    let ran = within(PATIENCE, "the tests in Node", tests).await.expect("Node 20 or later is here");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
}

#[tokio::test]
async fn a_page_in_node_sees_everything_once_over_the_websocket_through_a_crash() {
    through_a_crash(Runtime::Node, "websocket").await;
}

#[tokio::test]
async fn a_page_in_node_sees_everything_once_in_protobuf_through_a_crash() {
    through_a_crash(Runtime::Node, "protobuf").await;
}

#[tokio::test]
async fn a_page_in_chromium_sees_everything_once_in_protobuf_through_a_crash() {
    through_a_crash(Runtime::Chromium, "protobuf").await;
}

#[tokio::test]
async fn a_page_in_node_sees_everything_once_over_events_through_a_crash() {
    through_a_crash(Runtime::Node, "events").await;
}

#[tokio::test]
async fn a_page_in_node_sees_everything_once_over_polling_through_a_crash() {
    through_a_crash(Runtime::Node, "poll").await;
}

#[tokio::test]
async fn a_page_in_chromium_sees_everything_once_over_events_through_a_crash() {
    through_a_crash(Runtime::Chromium, "events").await;
}

#[tokio::test]
async fn a_page_in_chromium_sees_everything_once_over_polling_through_a_crash() {
    through_a_crash(Runtime::Chromium, "poll").await;
}

#[tokio::test]
async fn a_page_falls_back_when_the_websocket_is_blocked() {
    let hub = Hub::builder().plain().memory().start().await;
    for runtime in [Runtime::Node, Runtime::Chromium] {
        let mut page = Page::open(runtime, "watch", "blocked", &place(&hub, "operator")).await;
        assert_eq!(page.hears("open").await, "events");
    }
}

#[tokio::test]
async fn a_page_in_node_writes_over_the_websocket_and_is_refused_by_name() {
    writes(Runtime::Node, "websocket").await;
}

#[tokio::test]
async fn a_page_in_node_writes_over_http_beside_protobuf_and_is_refused_the_same() {
    writes(Runtime::Node, "protobuf").await;
}

#[tokio::test]
async fn a_page_in_node_writes_over_http_beside_events_and_is_refused_the_same() {
    writes(Runtime::Node, "events").await;
}

#[tokio::test]
async fn a_page_in_node_writes_over_http_beside_polling_and_is_refused_the_same() {
    writes(Runtime::Node, "poll").await;
}

#[tokio::test]
async fn a_page_in_chromium_writes_over_the_websocket_and_beside_events_and_polling() {
    for way in ["websocket", "events", "poll"] {
        writes(Runtime::Chromium, way).await;
    }
}

#[tokio::test]
async fn a_page_in_node_chooses_devices_and_a_rate_over_each_way() {
    for way in ["websocket", "protobuf", "events", "poll"] {
        chooses(Runtime::Node, way).await;
    }
}

#[tokio::test]
async fn a_page_in_chromium_chooses_devices_and_a_rate_over_each_way() {
    for way in ["websocket", "events", "poll"] {
        chooses(Runtime::Chromium, way).await;
    }
}

/// The page sees the lamps of one street only, and of what comes fast the newest at last.
async fn chooses(runtime: Runtime, way: &str) {
    let hub = Hub::builder().plain().memory().start().await;
    let mut lamps = Vec::new();
    for (id, street) in [("lamp-1", "Queen St"), ("lamp-2", "King St")] {
        let new = json!({ "id": id, "labels": { "street": street } });
        let made = hub.http().post("/v1/devices", &new).await.json();
        let token = made["devices"][0]["token"].as_str().expect("shown once").to_owned();
        lamps.push(Device::connect(&hub, id, &token, 1).await);
    }
    for lamp in &mut lamps {
        lamp.report_durably(1).await;
    }
    let mut page = Page::open(runtime, "choose", way, &place(&hub, "operator")).await;
    assert_eq!(page.hears("seen").await, "devices.lamp-1.telemetry 1", "over {way}");
    for refused in [
        "an overlap: UNSUPPORTED subscribe.pattern",
        "labels: BAD_VALUE subscribe.labels",
        "a rate: BAD_VALUE subscribe.max_rate",
    ] {
        assert_eq!(page.hears("refused").await, refused, "over {way}");
    }
    page.hears("end").await;
    for number in 2..50 {
        for lamp in &mut lamps {
            lamp.report_durably(number).await;
        }
    }
    let mut seen = 1;
    while seen < 49 {
        let said = page.hears("seen").await;
        let number = said.strip_prefix("devices.lamp-1.telemetry ").expect("of that street");
        let number: u32 = number.parse().expect("a number");
        assert!(number > seen, "over {way}: {number} after {seen}");
        seen = number;
    }
}

/// Where a page finds a hub that stays, and as whom.
fn place(hub: &Hub, role: &str) -> String {
    format!("{} {}", hub.url().replacen("ws", "http", 1), hub.dev_token(role))
}

/// The page prints each number that it sees in its collection; none may be missing or come twice.
async fn through_a_crash(runtime: Runtime, way: &str) {
    let mut hub = Hub::builder().plain().start().await;
    let relay = Relay::to(hub.plain_address().expect("it is plain")).await;
    let token = hub.register("lamp-1").await;
    let mut lamp = Device::connect(&hub, "lamp-1", &token, 1).await;
    lamp.report_durably(1).await;
    let place = format!("http://{} {}", relay.address(), hub.dev_token("operator"));
    let mut page = Page::open(runtime, "watch", way, &place).await;
    assert_eq!(page.hears("open").await, way);
    assert_eq!(page.hears("snapshot").await, "lamp-1 1");
    for number in 2..20 {
        lamp.report_durably(number).await;
        assert_eq!(page.hears("update").await, format!("lamp-1 {number}"));
    }
    hub.kill().await;
    hub.restart().await;
    let mut lamp = Device::connect(&hub, "lamp-1", &token, 2).await;
    // While the page is away; after its return it is in the snapshot or comes live.
    lamp.report_durably(100).await;
    relay.turn(hub.plain_address().expect("it is plain"));
    assert_eq!(page.hears("reload").await, "restart");
    assert_eq!(page.hears("update").await, "lamp-1 100");
    for number in 101..120 {
        lamp.report_durably(number).await;
        assert_eq!(page.hears("update").await, format!("lamp-1 {number}"));
    }
}

/// An operator's page does all that one can; then somebody tries who may only look.
async fn writes(runtime: Runtime, way: &str) {
    let hub = Hub::builder().plain().memory().config_text(TYPED).start().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    hub.register("lamp-2").await;
    let mut page = Page::open(runtime, "write", way, &place(&hub, "operator")).await;
    assert_eq!(page.hears("open").await, way);
    let command = lamp.command().await;
    assert_eq!(page.hears("sent").await, command.command);
    lamp.obey(&command.command).await;
    let mut steps = vec![page.hears("step").await];
    while steps.last().is_none_or(|step| step != "SUCCEEDED") {
        steps.push(page.hears("step").await);
    }
    // What it was before the page listened may be said again.
    steps.retain(|step| step != "ACCEPTED" && step != "SENT");
    assert_eq!(steps, ["DELIVERED", "RUNNING", "SUCCEEDED"], "over {way}");
    assert_eq!(page.hears("done").await, "SUCCEEDED");
    assert_eq!(page.hears("done").await, "CANCELED");
    for _ in 0..4 {
        assert_eq!(page.hears("published").await, "true");
    }
    let patched = "true {\"calendar_id\":\"night\",\"version\":\"1\"}";
    assert_eq!(page.hears("patched").await, patched, "over {way}");
    for refused in REFUSED {
        assert_eq!(page.hears("refused").await, *refused, "over {way}");
    }
    page.hears("end").await;

    let mut viewer = Page::open(runtime, "look", way, &place(&hub, "viewer")).await;
    for refused in LOOKING {
        assert_eq!(viewer.hears("refused").await, *refused, "over {way}");
    }
    // One refused subscription is no matter of the connection.
    assert_eq!(viewer.hears("end").await, "open");
}
