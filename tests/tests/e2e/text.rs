//! Dashboards that speak text: they see in JSON what devices said in protobuf.

use std::process::Stdio;

use proto::messages::lamplighter::v1::Message;
use serde_json::{Value, json};
use tests::{Client, Device, Event, Hub, PATIENCE, Person, Via, lamp, person, within};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const TELEMETRY: &str = "devices.*.telemetry";

#[tokio::test]
async fn a_dashboard_in_json_sees_what_one_in_protobuf_sees() {
    let hub = Hub::in_memory().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    lamp.report_durably(1).await;
    let mut binary = Person::viewer(&hub).await;
    binary.subscribe(TELEMETRY, None, true).await;
    let mut text = greeted(&hub).await;
    text.text(&wish(2, "subscribe", &json!({ "pattern": TELEMETRY, "snapshot": true }))).await;

    let page = heard(&mut text, "snapshot").await;
    assert_eq!(page["last"], true);
    let [held] = page["values"].as_array().expect("a list").as_slice() else { panic!("{page}") };
    check_same(&binary.snapshot().await[0], held);

    for number in 2..50 {
        lamp.report(number).await;
    }
    for number in 2..50 {
        let (said, shown) = (binary.message().await, heard(&mut text, "message").await);
        assert_eq!(lamp::number(person::payload(&said)), number);
        check_same(&said, &shown);
    }
}

#[tokio::test]
async fn a_dashboard_in_json_sends_a_command_and_follows_it_to_its_end() {
    let hub = Hub::in_memory().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let mut text = greeted(&hub).await;
    text.text(&wish(2, "subscribe", &json!({ "pattern": "devices.lamp-1.commands" }))).await;
    let identify = json!({ "cms_ref_id": "ticket-7", "identify": { "duration_s": 3 } });
    let send = json!({ "device": "lamp-1", "type": "lighting.v1.Command", "data": identify, "ttl_s": 600 });
    text.text(&wish(3, "send", &send)).await;

    let command = lamp.command().await;
    assert_eq!(lamp::reference(&command.payload), "ticket-7");
    lamp.obey(&command.command).await;

    let mut states = Vec::new();
    while states.last().is_none_or(|state| state != "COMMAND_STATE_SUCCEEDED") {
        let update = heard(&mut text, "message").await["data"].clone();
        assert_eq!(update["command"], command.command.as_str());
        states.push(update["state"].as_str().expect("a state").to_owned());
    }
    let order = ["ACCEPTED", "SENT", "DELIVERED", "RUNNING", "SUCCEEDED"];
    assert_eq!(states, order.map(|state| format!("COMMAND_STATE_{state}")));
}

#[tokio::test]
async fn a_client_in_python_gets_a_snapshot_and_then_live_values() {
    let hub = Hub::start().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    lamp.report_durably(1).await;

    let (_python, mut lines) = python(&hub);
    assert_eq!(told(&mut lines, "welcome").await["identity"], "viewer dev");
    let page = told(&mut lines, "snapshot").await;
    assert_eq!(number(&page["values"][0]), 1);
    for live in 2..10 {
        lamp.report(live).await;
        assert_eq!(number(&told(&mut lines, "message").await), live);
    }
}

/// A dashboard that said HELLO as text, and so is answered in text.
async fn greeted(hub: &Hub) -> Client {
    let mut client = Client::dial(&Via::of(hub)).await;
    let hello = json!({ "protocol": 1, "token": hub.dev_token("operator") });
    client.text(&wish(1, "hello", &hello)).await;
    heard(&mut client, "welcome").await;
    client
}

fn wish(request: u64, kind: &str, body: &Value) -> String {
    json!({ "request": request.to_string(), kind: body }).to_string()
}

/// The next envelope of this kind.
async fn heard(client: &mut Client, kind: &str) -> Value {
    loop {
        match client.hear().await {
            Event::Json(envelope) => {
                if let Some(body) = envelope.get(kind) {
                    return body.clone();
                }
                assert!(envelope.get("error").is_none(), "{envelope}");
            }
            other => panic!("{other:?} instead of text with `{kind}`"),
        }
    }
}

/// All that a message says, in both encodings.
#[track_caller]
fn check_same(binary: &Message, text: &Value) {
    assert_eq!(text["channel"], binary.channel.as_str());
    assert_eq!(text["offset"], binary.offset.to_string());
    assert_eq!(text["time_unix_ms"], binary.time_unix_ms.to_string());
    assert_eq!(text["seq"], binary.seq.to_string());
    assert_eq!(text["boot"], binary.boot);
    assert_eq!(text["type"], binary.r#type.as_str());
    assert_eq!(number(text), lamp::number(person::payload(binary)));
}

fn number(message: &Value) -> u32 {
    let number = message["data"]["logger_id"].as_u64();
    let number = number.unwrap_or_else(|| panic!("no telemetry: {message}"));
    u32::try_from(number).expect("as it was sent")
}

/// The client in Python; it ends with its value.
fn python(hub: &Hub) -> (Child, Lines<BufReader<ChildStdout>>) {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/watch.py");
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/bin/python");
    let mut child = Command::new(program)
        .arg(here)
        .arg(hub.url())
        .args([hub.dev_file("ca.pem"), hub.dev_file("viewer.token")])
        .arg(TELEMETRY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("tests/tools/install.sh puts Python and websockets there");
    let out = child.stdout.take().expect("stdout is a pipe");
    (child, BufReader::new(out).lines())
}

/// The next envelope of this kind that the client in Python shows.
async fn told(lines: &mut Lines<BufReader<ChildStdout>>, kind: &str) -> Value {
    loop {
        let line = within(PATIENCE, "a line of the client in Python", lines.next_line()).await;
        let line = line.expect("text").expect("the client in Python goes on");
        let envelope: Value = serde_json::from_str(&line).expect("JSON");
        if let Some(body) = envelope.get(kind) {
            return body.clone();
        }
    }
}
