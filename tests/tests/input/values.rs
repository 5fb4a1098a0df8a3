//! BP, continued: envelopes in good form whose values are wrong.

use prost::Message as _;
use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::publish::Content;
use proto::messages::lamplighter::v1::{CommandReport, CommandState, Error, ErrorCode, Publish};
use proto::messages::lighting::v1::{LampSample, TelemetryBatch};
use tests::{Client, Device, Hub, Person, lamp, person};

use crate::hostile;

#[tokio::test]
async fn bp10_a_device_that_names_another_is_closed() {
    let hub = hostile::hub().await;
    hub.register("lamp-victim").await;
    let mut device = Device::start(&hub, "lamp-liar").await;
    let publish = telemetry("devices.lamp-victim.telemetry", 1, 7);
    device.client.say(2, Kind::Publish(publish)).await;
    assert_eq!(device.client.close_code().await, 4505, "BP10");
    let twin = hub.http().get("/v1/devices/lamp-victim/twin").await;
    assert!(!twin.body.contains("telemetry"), "BP10: {}", twin.body);
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bp12_sequences_repeated_and_jumping() {
    let hub = hostile::hub().await;
    let token = hub.register("lamp-seq").await;
    let mut device = Device::connect(&hub, "lamp-seq", &token, 5).await;
    // Repeated: acknowledged again. Gaps: recorded, and passed over.
    for seq in [1, 1, 2, 2 + (1 << 32), 2 + (1 << 32), u64::MAX, u64::MAX] {
        device.report_as(0, seq, 1).await;
        device.durable(seq).await;
    }
    // Without a number there is no cumulative ack, but its own answer.
    device.client.say(9, Kind::Publish(telemetry("", 0, 3))).await;
    let answer = device.client.answer(9).await;
    assert!(matches!(answer, Kind::Ack(_)), "BP12 seq 0: {answer:?}");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bp12_a_boot_counter_that_goes_back_is_told() {
    let hub = hostile::hub().await;
    let token = hub.register("lamp-boot").await;
    let mut device = Device::connect(&hub, "lamp-boot", &token, 5).await;
    device.report_durably(1).await;
    let mut old = Device::connect(&hub, "lamp-boot", &token, 4).await;
    old.client.say(2, Kind::Publish(telemetry("", 2, 2))).await;
    let error = refusal(&mut old.client, 2).await;
    assert_eq!(error.code(), ErrorCode::StaleEpoch, "BP12: {error:?}");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bp13_a_time_that_can_not_be_is_no_time() {
    let hub = hostile::hub().await;
    let mut device = Device::start(&hub, "lamp-time").await;
    for (id, time_unix_ms) in [
        ("BP13 i64::MIN", i64::MIN.cast_unsigned()),
        ("BP13 u64::MAX", u64::MAX),
        ("BP13 the year 9999", 253_402_300_799_000),
    ] {
        let publish = Publish { time_unix_ms, ..telemetry("", 0, 1) };
        let request = device.client.next_request();
        device.client.say(request, Kind::Publish(publish)).await;
        let answer = device.client.answer(request).await;
        assert!(matches!(answer, Kind::Ack(_)), "{id}: {answer:?}");
        let twin = hub.http().get("/v1/devices/lamp-time/twin").await.json();
        let values = twin["values"].as_array().expect("a list");
        let value = values.iter().find(|value| value["channel"] == "devices.lamp-time.telemetry");
        let measured = &value.expect("it was reported")["measured_unix_ms"];
        assert!(measured.is_null() || measured == 0, "{id}: {measured}");
    }
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bp14_floats_that_are_no_numbers() {
    let hub = hostile::hub().await;
    let mut device = Device::start(&hub, "lamp-float").await;
    for (id, watts, good) in [
        ("BP14 NaN", f32::NAN, false),
        ("BP14 Inf", f32::INFINITY, false),
        ("BP14 -Inf", f32::NEG_INFINITY, false),
        ("BP14 -0.0", -0.0, true),
        ("BP14 subnormal", f32::MIN_POSITIVE / 2.0, true),
    ] {
        let sample = LampSample { active_power_w: Some(watts), ..LampSample::default() };
        let batch = TelemetryBatch { samples: vec![sample], ..TelemetryBatch::default() };
        let content = Some(Content::Payload(batch.encode_to_vec()));
        let request = device.client.next_request();
        device.client.say(request, Kind::Publish(Publish { content, ..Publish::default() })).await;
        match device.client.answer(request).await {
            Kind::Ack(_) => assert!(good, "{id}: accepted"),
            Kind::Error(error) => {
                assert!(!good && error.code() == ErrorCode::BadValue, "{id}: {error:?}");
            }
            other => panic!("{id}: {other:?}"),
        }
    }
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bp16_reports_on_commands_that_are_not_the_devices_to_report_on() {
    let hub = hostile::hub().await;
    let mut device = Device::start(&hub, "lamp-one").await;
    let mut other = Device::start(&hub, "lamp-two").await;
    let mut person = Person::operator(&hub).await;
    let command = person.send(person::command("lamp-one", "a")).await;
    assert_eq!(device.command().await.command, command);

    // Foreign, and unknown.
    say(&mut other.client, &command, CommandState::Failed).await;
    say(&mut other.client, "01890000-0000-7000-8000-000000000000", CommandState::Failed).await;
    other.client.barrier().await;
    assert_ne!(state(&hub, &command).await, "FAILED", "BP16 foreign");

    // Final: what comes later doesn't change it.
    device.say_durably(&command, CommandState::Succeeded).await;
    say(&mut device.client, &command, CommandState::Failed).await;
    say(&mut device.client, &command, CommandState::Running).await;
    device.client.barrier().await;
    assert_eq!(state(&hub, &command).await, "SUCCEEDED", "BP16 final");

    // No id at all, and a state that is not a device's to say.
    for (id, command, state) in [
        ("BP16 no id", "nonsense", CommandState::Failed),
        ("BP16 accepted", command.as_str(), CommandState::Accepted),
        ("BP16 canceled", command.as_str(), CommandState::Canceled),
    ] {
        let request = device.client.next_request();
        let report = CommandReport {
            command: command.to_owned(),
            state: state.into(),
            ..Default::default()
        };
        device.client.say(request, Kind::CommandReport(report)).await;
        let error = refusal(&mut device.client, request).await;
        assert_eq!(error.code(), ErrorCode::BadValue, "{id}: {error:?}");
    }
    hostile::serves(&hub).await;
}

fn telemetry(channel: &str, seq: u64, number: u32) -> Publish {
    let content = Some(Content::Payload(lamp::telemetry(number)));
    Publish { channel: channel.to_owned(), seq, content, ..Publish::default() }
}

async fn say(client: &mut Client, command: &str, state: CommandState) {
    let report =
        CommandReport { command: command.to_owned(), state: state.into(), ..Default::default() };
    client.say(0, Kind::CommandReport(report)).await;
}

async fn state(hub: &Hub, command: &str) -> String {
    let answer = hub.http().get(&format!("/v1/commands/{command}")).await.json();
    answer["state"].as_str().expect("a state").to_owned()
}

async fn refusal(client: &mut Client, request: u64) -> Error {
    match client.answer(request).await {
        Kind::Error(error) => error,
        other => panic!("no refusal but {other:?}"),
    }
}
