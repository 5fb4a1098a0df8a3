//! Publishing and watching: what devices report reaches everybody who watches, in order, without a
//! gap and without a double, also across lost connections.

use std::collections::BTreeMap;

use proto::messages::lamplighter::v1::Message;
use tests::{Device, Hub, Person, lamp, person};

const REPORTS: u32 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_a_binary_device_reaches_a_dashboard() {
    let hub = Hub::in_memory().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let mut viewer = Person::viewer(&hub).await;
    viewer.watch("devices.*.telemetry").await;
    let seq = lamp.report(7).await;
    let message = viewer.message().await;
    assert_eq!(message.channel, "devices.lamp-1.telemetry");
    assert_eq!(message.r#type, "lighting.v1.TelemetryBatch");
    assert_eq!((message.boot, message.seq), (1, seq));
    assert_eq!(person::payload(&message), lamp::telemetry(7), "bit-identical");
    lamp.durable(seq).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_and_what_follows_have_every_report_exactly_once_while_devices_publish() {
    let hub = Hub::in_memory().await;
    let ids: Vec<String> = (0..10).map(|at| format!("lamp-{at}")).collect();
    let tokens = hub.register_many(&ids).await;
    let mut devices = Vec::new();
    for (id, token) in ids.iter().zip(&tokens) {
        devices.push(Device::connect(&hub, id, token, 1).await);
    }
    let mut witness = Person::viewer(&hub).await;
    witness.watch("devices.*.telemetry").await;
    let mut views = Vec::new();
    let publishing: Vec<_> = devices
        .into_iter()
        .map(|mut device| {
            tokio::spawn(async move {
                for number in 1..=REPORTS {
                    device.report_durably(number).await;
                }
                device
            })
        })
        .collect();
    for _ in 0..8 {
        let mut viewer = Person::viewer(&hub).await;
        let ack = viewer.subscribe("devices.*.telemetry", None, true).await;
        let position = ack.position.expect("a position").offset;
        let snapshot = viewer.snapshot().await;
        let snapshot: Seen = snapshot.iter().map(|value| (value.offset, report(value))).collect();
        let mut live = Seen::new();
        let mut newest = position;
        let mut last: BTreeMap<String, u32> = snapshot.values().cloned().collect();
        while last.len() < ids.len() || last.values().any(|number| *number < REPORTS) {
            let message = viewer.message().await;
            assert!(message.offset > newest, "in order, each once");
            newest = message.offset;
            let (channel, number) = report(&message);
            last.insert(channel.clone(), number);
            live.insert(newest, (channel, number));
        }
        views.push((position, snapshot, live));
    }
    for task in publishing {
        task.await.expect("the device published");
    }
    let mut all = Seen::new();
    while all.len() < ids.len() * REPORTS as usize {
        let message = witness.message().await;
        all.insert(message.offset, report(&message));
    }
    for (position, snapshot, live) in views {
        let after: Seen = all.range(position + 1..).map(|(at, seen)| (*at, seen.clone())).collect();
        assert_eq!(live, after, "everything after the position, and nothing else");
        // A value that was overtaken while the snapshot was taken comes as the newer one, live.
        let before = all.range(..=position).map(|(at, (channel, _))| (channel, *at));
        for (channel, offset) in before.collect::<BTreeMap<_, _>>() {
            let overtaken = after.values().any(|(other, _)| other == channel);
            let held = snapshot.get(&offset) == Some(&all[&offset]);
            assert!(held || overtaken, "the last value of {channel} before the position");
        }
        assert!(snapshot.iter().all(|(at, seen)| *at <= position && all[at] == *seen));
    }
}

/// Reports by their offset: channel and number.
type Seen = BTreeMap<u64, (String, u32)>;

fn report(message: &Message) -> (String, u32) {
    (message.channel.clone(), lamp::number(person::payload(message)))
}

/// Fault 6.1.
#[tokio::test(flavor = "multi_thread")]
async fn subscribe_receive_nothing_drop_publish_3_reconnect_all_3_recovered() {
    let hub = Hub::in_memory().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let mut viewer = Person::viewer(&hub).await;
    let position = viewer.watch("devices.lamp-1.telemetry").await;
    drop(viewer);
    for number in 1..=3 {
        lamp.report_durably(number).await;
    }
    let mut viewer = Person::viewer(&hub).await;
    let ack = viewer.subscribe("devices.lamp-1.telemetry", Some(position), true).await;
    assert!(ack.recovered);
    assert_eq!(viewer.numbers(3).await, [1, 2, 3]);
    lamp.report(4).await;
    assert_eq!(viewer.numbers(1).await, [4]);
}

/// Fault 6.2, without the 24 hours: other channels are busy meanwhile, so the position is old.
#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_then_a_drop_is_recovered() {
    let hub = Hub::in_memory().await;
    let mut quiet = Device::start(&hub, "lamp-quiet").await;
    let mut busy = Device::start(&hub, "lamp-busy").await;
    quiet.report_durably(1).await;
    let mut viewer = Person::viewer(&hub).await;
    let position = viewer.watch("devices.lamp-quiet.telemetry").await;
    for number in 0..50 {
        busy.report_durably(number).await;
    }
    drop(viewer);
    let mut viewer = Person::viewer(&hub).await;
    let ack = viewer.subscribe("devices.lamp-quiet.telemetry", Some(position), true).await;
    assert!(ack.recovered, "nothing was missed, which is all of it");
    quiet.report(2).await;
    assert_eq!(viewer.numbers(1).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_partly_forgotten_is_not_recovered_at_all() {
    let hub = Hub::in_memory().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let mut viewer = Person::viewer(&hub).await;
    let position = viewer.watch("devices.lamp-1.telemetry").await;
    drop(viewer);
    for number in 1..=20 {
        lamp.report_durably(number).await;
    }
    let mut viewer = Person::viewer(&hub).await;
    let ack = viewer.subscribe("devices.lamp-1.telemetry", Some(position), true).await;
    assert!(!ack.recovered);
    let values = viewer.snapshot().await;
    assert_eq!(values.len(), 1);
    assert_eq!(lamp::number(person::payload(&values[0])), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_of_another_epoch_is_not_recovered() {
    let hub = Hub::in_memory().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    lamp.report_durably(1).await;
    let mut viewer = Person::viewer(&hub).await;
    let mut position = viewer.watch("devices.lamp-1.telemetry").await;
    position.epoch += 1;
    let ack = viewer.subscribe("devices.lamp-1.telemetry", Some(position), true).await;
    assert!(!ack.recovered);
    assert_eq!(viewer.snapshot().await.len(), 1);
}

/// Fault 6.11 and promise P10.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_or_doubled_report_does_not_overwrite_the_last_value() {
    let hub = Hub::in_memory().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    for (seq, number) in [(1, 1), (3, 3), (2, 2), (3, 99), (5, 5), (4, 4), (1, 98)] {
        lamp.report_as(0, seq, number).await;
        lamp.durable(seq).await;
    }
    let twin = hub.http().get("/v1/devices/lamp-1/twin").await.json();
    let values = twin["values"].as_array().expect("values");
    let value = values.iter().find(|one| one["type"] == "lighting.v1.TelemetryBatch");
    let value = value.expect("telemetry");
    assert_eq!((&value["seq"], &value["data"]["logger_id"]), (&"5".into(), &5.into()));
    assert!(value["age_ms"].is_u64());
}

/// Fault 6.13.
#[tokio::test(flavor = "multi_thread")]
async fn a_zero_length_payload_is_legal_and_two_types_on_one_channel_decode_separately() {
    let hub = Hub::in_memory().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let mut viewer = Person::viewer(&hub).await;
    let channel = "devices.lamp-1.diagnostics";
    viewer.watch(channel).await;
    for (seq, name) in [(1, "lighting.v1.DriverDiagnostics"), (2, "lighting.v1.ConnectivityReport")]
    {
        lamp.report_typed(channel, name, seq, Vec::new()).await;
        let message = viewer.message().await;
        assert_eq!(message.r#type, name);
        assert_eq!(person::payload(&message), b"");
    }
    lamp.durable(2).await;
    viewer.subscribe(channel, None, true).await;
    let types: Vec<String> = viewer.snapshot().await.into_iter().map(|one| one.r#type).collect();
    assert_eq!(types, ["lighting.v1.DriverDiagnostics", "lighting.v1.ConnectivityReport"]);
}
