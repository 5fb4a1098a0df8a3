//! What one telemetry report costs on its way through the codec, in both encodings.
//!
//! The report is that of a lamp at night: about 100 bytes with its envelope. Each part stands alone, so
//! that a change shows where it is.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use hub::codec::{Draft, Encoding, Frame, Inbound, LiveTypes, Outbound};
use prost::Message as _;
use proto::envelope::{Envelope, Kind, Message, Publish};
use proto::messages::lighting::v1::{LampSample, RecordHeader, TelemetryBatch};

const CHANNEL: &str = "devices.lamp-00042.telemetry";
pub(crate) const TYPE: &str = "lighting.v1.TelemetryBatch";
const TIME_UNIX_MS: u64 = 1_800_000_000_000;
/// As many as a busy receiver finds when it wakes up.
pub(crate) const BURST: u32 = 32;

/// All of this file.
pub(crate) fn measure(criterion: &mut Criterion) {
    way_in(criterion);
    way_out(criterion);
}

pub(crate) fn payload() -> Vec<u8> {
    let sample = LampSample {
        state: 3,
        reason: 2,
        target_level_pct: Some(70),
        actual_level_pct: Some(70),
        supply_voltage_v: Some(230.1),
        supply_current_a: Some(0.21),
        active_power_w: Some(48.2),
        power_factor: Some(0.97),
        active_energy_wh: Some(123_456),
        burn_time_s: Some(9_876_543),
        driver_temperature_c: Some(41.5),
        ..LampSample::default()
    };
    let header = RecordHeader { time_unix_ms: TIME_UNIX_MS, ..RecordHeader::default() };
    TelemetryBatch { header: Some(header), samples: vec![sample], logger_id: 0 }.encode_to_vec()
}

/// What a lamp sends: one report, its channel understood.
fn report(payload: &[u8]) -> Vec<u8> {
    let publish = Publish {
        boot: 7,
        seq: 12_345,
        time_unix_ms: TIME_UNIX_MS,
        payload: Some(payload),
        ..Publish::default()
    };
    let mut bytes = Vec::new();
    Envelope { request: 0, kind: Kind::Publish(publish) }.encode_delimited(&mut bytes);
    bytes
}

/// The same as text, with its payload as JSON.
fn report_text(data: &str) -> String {
    format!(
        r#"{{"publish":{{"boot":7,"seq":"12345","timeUnixMs":"{TIME_UNIX_MS}","data":{data}}}}}"#
    )
}

/// What its readers get, but for the offset.
fn message(payload: &[u8]) -> Message<'_> {
    Message {
        channel: CHANNEL,
        type_name: TYPE,
        payload: Some(payload),
        boot: 7,
        seq: 12_345,
        measured_unix_ms: TIME_UNIX_MS,
        ..Message::default()
    }
}

pub(crate) fn frame(payload: &[u8]) -> Frame {
    Draft::new(&message(payload)).place(1 << 40)
}

fn each_request(mut inbound: Inbound<'_>) {
    let done: Result<(), ()> = inbound.for_each(|id, request| {
        black_box((id, request));
        Ok(())
    });
    done.expect("nothing stops the walk");
}

fn way_in(criterion: &mut Criterion) {
    let (payload, types) = (payload(), LiveTypes::built_in());
    let binary = report(&payload);
    let data = types.payload_to_json(TYPE, &payload).expect("our own payload");
    let text = report_text(&data);
    let mut group = criterion.benchmark_group("codec: report in");
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("binary, {} bytes, parsed and checked", binary.len()), |bench| {
        bench.iter(|| each_request(Inbound::binary(black_box(&binary)).expect("well-formed")));
    });
    group.bench_function(format!("JSON, {} bytes, parsed and checked", text.len()), |bench| {
        bench.iter(|| each_request(Inbound::text(black_box(&text)).expect("well-formed")));
    });
    group.bench_function("payload checked against its type", |bench| {
        bench.iter(|| types.check_payload(TYPE, black_box(&payload)).expect("of its type"));
    });
    let value = serde_json::from_str(&data).expect("our own JSON");
    group.bench_function("payload from JSON", |bench| {
        bench.iter(|| types.payload_from_json(TYPE, black_box(&value)).expect("of its type"));
    });
    group.finish();
}

fn way_out(criterion: &mut Criterion) {
    let (payload, types) = (payload(), LiveTypes::built_in());
    let mut group = criterion.benchmark_group("codec: report out");
    group.throughput(Throughput::Elements(1));
    group.bench_function("drafted and placed", |bench| {
        bench.iter(|| frame(black_box(&payload)));
    });
    // The line is made once a frame, so each round needs a fresh one.
    group.bench_function("made JSON for the first reader", |bench| {
        bench.iter_batched(
            || frame(&payload),
            |frame| {
                black_box(frame.text(&types));
                frame
            },
            criterion::BatchSize::SmallInput,
        );
    });
    group.throughput(Throughput::Elements(u64::from(BURST)));
    let frames: Vec<Frame> = (0..BURST).map(|_| frame(&payload)).collect();
    for (name, encoding) in [("binary", Encoding::Protobuf), ("JSON", Encoding::Json)] {
        group.bench_function(format!("{BURST} joined for one reader, {name}"), |bench| {
            bench.iter(|| {
                let mut outbound = Outbound::new(encoding, 10);
                frames.iter().for_each(|frame| outbound.frame(frame, &types));
                outbound
            });
        });
    }
    group.finish();
}

/// Rounds for the instruction counter; the same operations as above.
pub(crate) fn binary_in() -> Box<dyn FnMut()> {
    let bytes = report(&payload());
    Box::new(move || each_request(Inbound::binary(black_box(&bytes)).expect("well-formed")))
}

pub(crate) fn json_in() -> Box<dyn FnMut()> {
    let data = LiveTypes::built_in().payload_to_json(TYPE, &payload()).expect("our own payload");
    let text = report_text(&data);
    Box::new(move || each_request(Inbound::text(black_box(&text)).expect("well-formed")))
}

pub(crate) fn payload_checked() -> Box<dyn FnMut()> {
    let (payload, types) = (payload(), LiveTypes::built_in());
    Box::new(move || types.check_payload(TYPE, black_box(&payload)).expect("of its type"))
}

pub(crate) fn placed() -> Box<dyn FnMut()> {
    let payload = payload();
    Box::new(move || drop(black_box(frame(black_box(&payload)))))
}

pub(crate) fn made_json() -> Box<dyn FnMut()> {
    let (payload, types) = (payload(), LiveTypes::built_in());
    Box::new(move || {
        black_box(frame(black_box(&payload)).text(&types));
    })
}

pub(crate) fn joined_binary() -> Box<dyn FnMut()> {
    joined(Encoding::Protobuf)
}

pub(crate) fn joined_json() -> Box<dyn FnMut()> {
    joined(Encoding::Json)
}

fn joined(encoding: Encoding) -> Box<dyn FnMut()> {
    let (payload, types) = (payload(), LiveTypes::built_in());
    let frames: Vec<Frame> = (0..BURST).map(|_| frame(&payload)).collect();
    Box::new(move || {
        let mut outbound = Outbound::new(encoding, 10);
        frames.iter().for_each(|frame| outbound.frame(frame, &types));
        black_box(&outbound);
    })
}
