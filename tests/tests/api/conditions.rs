//! Conditions and merge patches on the socket: as over HTTP.

use prost::Message as _;
use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::publish::Content;
use proto::messages::lamplighter::v1::{Ack, Error, ErrorCode, Publish};
use proto::messages::lighting::v1::DeviceConfig;
use serde_json::json;
use tests::{Device, Event, Hub, Person};

const DESIRED: &str = "devices.lamp-1.desired";
const EXPECTED: &str = "publish.expected_revision";
const TYPED: &str = "[[channel]]\npattern = \"typed.*\"\ntypes = [\"lighting.v1.DeviceConfig\"]\n";

#[tokio::test]
async fn desired_is_replaced_only_by_who_names_the_revision_that_stands() {
    let hub = Hub::builder().plain().start().await;
    hub.register("lamp-1").await;
    let mut person = Person::operator(&hub).await;
    let missing = person.publish(DESIRED, config(1)).await.expect_err("blind");
    assert_eq!((missing.code(), missing.field.as_str()), (ErrorCode::Conflict, EXPECTED));

    let none = person.replace(DESIRED, config(1), 7).await.expect_err("none stands");
    assert_eq!((none.code(), none.revision), (ErrorCode::Conflict, 0), "{none:?}");
    let first = person.replace(DESIRED, config(1), 0).await.expect("none stands");
    assert!(first.durable, "{first:?}");
    let again = person.replace(DESIRED, config(2), 0).await.expect_err("one stands");
    assert_eq!((again.code(), again.field.as_str()), (ErrorCode::Conflict, EXPECTED));
    assert_eq!(again.revision, first.revision, "what stands: {again:?}");
    let second = person.replace(DESIRED, config(2), again.revision).await.expect("as it was read");
    assert!(second.revision > first.revision);

    // Elsewhere a blind write is fine, and a condition counts.
    let blind = person.publish("site.a", b"1".to_vec()).await.expect("no condition");
    person.replace("site.a", b"2".to_vec(), blind.revision - 1).await.expect_err("stale");
    person.replace("site.a", b"2".to_vec(), blind.revision).await.expect("as it was read");
}

#[tokio::test]
async fn a_patch_on_the_socket_is_a_merge_patch_in_both_encodings() {
    let hub = Hub::builder().plain().memory().config_text(TYPED).start().await;
    let mut person = Person::operator(&hub).await;
    // Field 2000, which the hub doesn't know.
    let unknown = [0x82, 0x7d, 2, 0xff, 0xfe];
    let whole = [config(7), unknown.to_vec()].concat();
    let first = person.publish("typed.a", whole).await.expect("of its type");

    let patched = patch(&mut person, "typed.a", r#"{"calendar_id":"night"}"#, None).await;
    let second = patched.expect("merged").revision;
    let stale = patch(&mut person, "typed.a", r#"{"version":null}"#, Some(first.revision)).await;
    let stale = stale.expect_err("another one stands");
    assert_eq!((stale.code(), stale.revision), (ErrorCode::Conflict, second), "{stale:?}");
    let gone = patch(&mut person, "typed.a", r#"{"version":null}"#, Some(second)).await;
    let third = gone.expect("as it was read").revision;

    let text = json!({"channel": "typed.a", "data": {"groups": ["all"]}, "patch": true,
        "expected_revision": third.to_string()});
    let ack = in_json(&hub, &json!({"request": "2", "publish": text})).await;
    assert!(ack["ack"]["revision"].is_string(), "{ack}");

    let http = hub.http();
    let last = http.get("/v1/channels/typed.a").await.json();
    assert_eq!(last["data"], json!({"calendar_id": "night", "groups": ["all"]}), "{last}");
    person.subscribe("typed.a", None, true).await;
    let held = person.snapshot().await;
    let kept = tests::person::payload(&held[0]).windows(5).any(|bytes| bytes == unknown);
    assert!(kept, "what the schema doesn't know stays");
    // Of nothing it makes what it says.
    patch(&mut person, "typed.b", r#"{"version":"3"}"#, Some(0)).await.expect("none stands");
    assert_eq!(http.get("/v1/channels/typed.b").await.json()["data"]["version"], "3");
}

#[tokio::test]
async fn patches_that_are_none_are_refused_by_name_and_devices_have_neither() {
    let hub = Hub::builder().plain().memory().config_text(TYPED).start().await;
    let mut device = Device::start(&hub, "lamp-1").await;
    let mut person = Person::operator(&hub).await;
    for (channel, text, field) in [
        ("typed.a", "[1]", "publish.payload"),
        ("typed.a", "{", "publish.payload"),
        ("typed.a", "\u{1}", "publish.payload"),
        ("typed.a", r#"{"unheard_of":1}"#, "publish.data"),
        ("typed.a", r#"{"version":"x"}"#, "publish.data"),
        ("site.a", r#"{"a":1}"#, "publish.data"),
    ] {
        let refused = patch(&mut person, channel, text, None).await.expect_err(text);
        assert_eq!(refused.code(), ErrorCode::BadValue, "{text}: {refused:?}");
        assert_eq!(refused.field, field, "{text}: {refused:?}");
    }
    let blind = patch(&mut person, DESIRED, "{}", None).await.expect_err("blind");
    assert_eq!((blind.code(), blind.field.as_str()), (ErrorCode::Conflict, EXPECTED));

    for (publish, field) in [
        (Publish { seq: 1, expected_revision: Some(0), ..Publish::default() }, EXPECTED),
        (
            Publish {
                seq: 2,
                patch: true,
                content: Some(Content::Payload(b"{}".to_vec())),
                ..Publish::default()
            },
            "publish.patch",
        ),
    ] {
        let (request, seq) = (device.client.next_request(), publish.seq);
        device.client.say(request, Kind::Publish(publish)).await;
        let Kind::Error(error) = device.client.answer(request).await else { panic!("refused") };
        assert_eq!((error.code(), error.field.as_str()), (ErrorCode::BadValue, field));
        assert_eq!(error.seq, seq, "the device drops it");
    }
}

fn config(version: u64) -> Vec<u8> {
    DeviceConfig { version, ..DeviceConfig::default() }.encode_to_vec()
}

async fn patch(
    person: &mut Person,
    channel: &str,
    text: &str,
    expected_revision: Option<u64>,
) -> Result<Ack, Error> {
    let (channel, content) = (channel.to_owned(), Content::Payload(text.as_bytes().to_vec()));
    let content = Some(content);
    let publish =
        Publish { channel, content, expected_revision, patch: true, ..Publish::default() };
    person.ask(Kind::Publish(publish)).await
}

/// What the hub answers to an operator's line of text.
async fn in_json(hub: &Hub, line: &serde_json::Value) -> serde_json::Value {
    let mut client = tests::Client::dial(&tests::Via::of(hub)).await;
    let hello = json!({"hello": {"protocol": 1, "token": hub.dev_token("operator")}});
    client.text(&hello.to_string()).await;
    client.text(&line.to_string()).await;
    loop {
        match client.hear().await {
            Event::Json(heard) if heard["request"] == line["request"] => return heard,
            Event::Json(_) | Event::Envelope(_) => {}
            end @ (Event::Closed(_) | Event::Lost) => panic!("{end:?} instead of an answer"),
        }
    }
}
