//! Payloads that are not of their channel's type: refused by default; where the rule says so, bytes for
//! those who read bytes, and shown with the reason.

use prost::Message as _;
use proto::messages::lamplighter::v1::Quarantined;
use serde_json::json;
use tests::{Device, Hub, Person, person};

use crate::{greeted, heard, say};

const RULE: &str = "[[channel]]
pattern = \"devices.*.diagnostics\"
types = [\"lighting.v1.DriverDiagnostics\"]
undecodable = \"quarantine\"

[[channel]]
pattern = \"site.>\"
types = [\"lighting.v1.LampSample\"]
undecodable = \"quarantine\"
";
/// A length that goes beyond the end.
const BROKEN: &[u8] = &[0x0a, 0x7f, 1];

#[tokio::test]
async fn what_can_not_be_decoded_goes_on_as_bytes_is_counted_and_shown() {
    let hub = Hub::builder().config_text(RULE).start().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let channel = "devices.lamp-1.diagnostics";
    let mut binary = Person::viewer(&hub).await;
    binary.watch(channel).await;
    let mut text = greeted(&hub).await;
    say(&mut text, 2, "subscribe", &json!({ "pattern": channel })).await;
    heard(&mut text, "ack").await;
    let mut guard = Person::viewer(&hub).await;
    guard.watch("quarantine.>").await;

    lamp.report_typed(channel, "", 1, BROKEN.to_vec()).await;
    lamp.report_typed(channel, "", 2, vec![0x0a, 0]).await;
    lamp.durable(2).await;
    assert_eq!(person::payload(&binary.message().await), BROKEN);
    assert_eq!(person::payload(&binary.message().await), [0x0a, 0]);
    let told = heard(&mut text, "message").await;
    assert!(told["problem"].is_string() && told["payload"].is_string(), "{told}");
    assert_eq!(heard(&mut text, "message").await["data"], json!({ "header": {} }));

    let shown = guard.message().await;
    assert_eq!(shown.channel, format!("quarantine.{channel}"));
    assert_eq!(shown.r#type, "lamplighter.v1.Quarantined");
    let said = Quarantined::decode(person::payload(&shown)).expect("the hub's own");
    assert_eq!((said.channel.as_str(), said.sender.as_str()), (channel, "device lamp-1"));
    assert_eq!((said.payload.as_slice(), said.payload_bytes), (BROKEN, 3));
    assert_eq!(
        (said.boot, said.seq, said.r#type.as_str()),
        (1, 1, "lighting.v1.DriverDiagnostics")
    );
    assert!(!said.problem.is_empty());
    assert!(hub.metric("lamplighter_undecodable_total{reason=\"Malformed\"}").await == 1.0);
}

#[tokio::test]
async fn only_the_beginning_of_a_long_payload_is_shown_and_a_repeated_report_once() {
    let hub = Hub::builder().memory().config_text(RULE).start().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let mut guard = Person::viewer(&hub).await;
    guard.watch("quarantine.>").await;
    let long = vec![0xff; 20_000];
    let channel = "devices.lamp-1.diagnostics";
    for seq in [1, 1, 2] {
        lamp.report_typed(channel, "", seq, long.clone()).await;
    }
    for seq in [1, 2] {
        let said = Quarantined::decode(person::payload(&guard.message().await)).expect("the hub's");
        assert_eq!((said.seq, said.payload.len(), said.payload_bytes), (seq, 1024, 20_000));
    }
}

#[tokio::test]
async fn a_channel_without_the_rule_refuses_and_shows_nothing() {
    let hub = Hub::builder().memory().config_text(RULE).start().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let mut guard = Person::viewer(&hub).await;
    guard.watch("quarantine.>").await;
    lamp.report_typed("devices.lamp-1.faults", "", 1, BROKEN.to_vec()).await;
    lamp.report_typed("devices.lamp-1.diagnostics", "", 2, BROKEN.to_vec()).await;
    let shown = guard.message().await;
    assert_eq!(shown.channel, "quarantine.devices.lamp-1.diagnostics", "the first was refused");
}

#[tokio::test]
async fn a_number_that_is_not_finite_is_refused_also_there() {
    let hub = Hub::builder().memory().config_text(RULE).start().await;
    let mut sender = Person::operator(&hub).await;
    // A float in a field of LampSample that is one.
    let nan = [&[0x3d][..], &f32::NAN.to_le_bytes()].concat();
    let error = sender.publish("site.1.lamp", nan).await.expect_err("refused");
    assert!(error.message.contains("not a finite number"), "{error:?}");
}

#[tokio::test]
async fn nobody_but_the_hub_writes_into_quarantine() {
    let hub = Hub::in_memory().await;
    let mut sender = Person::operator(&hub).await;
    sender.publish("quarantine.site.1", Vec::new()).await.expect_err("not permitted");
}

#[tokio::test]
async fn a_name_without_room_for_quarantine_is_shown_elsewhere() {
    let hub = Hub::builder().memory().config_text(RULE).start().await;
    let mut sender = Person::operator(&hub).await;
    let mut guard = Person::viewer(&hub).await;
    guard.watch("quarantine.>").await;
    sender.publish("site.b.c.d.e.f.g.h", BROKEN.to_vec()).await.expect("it goes on");
    let shown = guard.message().await;
    assert_eq!(shown.channel, "quarantine.elsewhere");
    let said = Quarantined::decode(person::payload(&shown)).expect("the hub's own");
    assert_eq!(
        (said.channel.as_str(), said.sender.as_str()),
        ("site.b.c.d.e.f.g.h", "operator dev")
    );
}
