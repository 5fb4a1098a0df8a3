//! A dashboard that speaks JSON, written with a WebSocket library of another language.

use std::process::Stdio;

use tests::{Device, Hub, within};
use tokio::io::{AsyncBufReadExt as _, BufReader};

const SCRIPT: &str = r#"
import json, sys
from websockets.sync.client import connect
with connect(sys.argv[1] + "/v1/ws", subprotocols=["lamplighter.v1"], proxy=None) as hub:
    hub.send(json.dumps({"hello": {"protocol": 1, "token": sys.argv[2]}}))
    hub.send(json.dumps({"request": "2", "subscribe": {"pattern": "devices.*.telemetry", "snapshot": True}}))
    for text in hub:
        print(text, flush=True)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_text_client_gets_a_snapshot_and_then_live_values_of_a_binary_device() {
    let hub = Hub::builder().memory().plain().start().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    lamp.report_durably(7).await;
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/bin/python");
    let mut client = tokio::process::Command::new(python)
        .args(["-c", SCRIPT, &hub.url(), &hub.dev_token("viewer")])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python is there: run `make tools`");
    let mut lines = BufReader::new(client.stdout.take().expect("a pipe")).lines();
    let mut next = async |what: &str, key: &str| loop {
        let line = within(tests::PATIENCE, what, lines.next_line()).await.expect("text");
        let line = line.unwrap_or_else(|| panic!("the client ended before {what}"));
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        if !value[key].is_null() {
            break value[key].clone();
        }
    };
    let page = next("a snapshot", "snapshot").await;
    assert_eq!(page["values"][0]["data"]["logger_id"], 7, "{page}");
    lamp.report(8).await;
    let live = next("a live value", "message").await;
    assert_eq!(live["data"]["logger_id"], 8, "{live}");
    assert_eq!(live["channel"], "devices.lamp-1.telemetry");
}
