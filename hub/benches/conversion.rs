//! What a message costs whose reader wants it in another form: protobuf to JSON and back, beside what any
//! server does that only hands JSON on, to read it and to write it again.
//!
//! The report is that of `codec`. A conversion is paid once a message and form; a reader more costs what
//! `codec` shows under *joined for one reader*.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use hub::codec::LiveTypes;
use serde_json::Value;

use super::codec::{TYPE, frame, payload};

/// Readers of one message.
const READERS: u64 = 1_000;

/// All of this file.
pub(crate) fn measure(criterion: &mut Criterion) {
    let (payload, types) = (payload(), LiveTypes::built_in());
    let json = types.payload_to_json(TYPE, &payload).expect("our own payload");
    let value: Value = serde_json::from_str(&json).expect("our own JSON");
    let mut group = criterion.benchmark_group("conversion");
    group.throughput(Throughput::Elements(1));
    group.bench_function(
        format!("{} bytes of protobuf to {} of JSON", payload.len(), json.len()),
        |bench| {
            bench.iter(|| types.payload_to_json(TYPE, black_box(&payload)).expect("of its type"));
        },
    );
    group.bench_function("JSON text to protobuf", |bench| {
        bench.iter(|| {
            let value = proto::json::parse(black_box(&json)).expect("strict JSON");
            types.payload_from_json(TYPE, &value).expect("of its type")
        });
    });
    group.bench_function("beside it: JSON read and written again by serde_json", |bench| {
        bench.iter(|| {
            let value: Value = serde_json::from_str(black_box(&json)).expect("JSON");
            value.to_string()
        });
    });
    group.bench_function("beside it: JSON written by serde_json", |bench| {
        bench.iter(|| black_box(&value).to_string());
    });
    group.bench_function(format!("one message for {READERS} readers of JSON"), |bench| {
        bench.iter_batched(
            || frame(&payload),
            |frame| {
                for _ in 0..READERS {
                    black_box(frame.text(&types));
                }
                frame
            },
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("one message as JSON in protobuf", |bench| {
        bench.iter_batched(
            || frame(&payload),
            |frame| {
                black_box(frame.json(&types));
                frame
            },
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Rounds for the instruction counter.
pub(crate) fn to_json() -> Box<dyn FnMut()> {
    let (payload, types) = (payload(), LiveTypes::built_in());
    Box::new(move || {
        black_box(types.payload_to_json(TYPE, black_box(&payload)).expect("of its type"));
    })
}

pub(crate) fn from_json() -> Box<dyn FnMut()> {
    let types = LiveTypes::built_in();
    let json = types.payload_to_json(TYPE, &payload()).expect("our own payload");
    Box::new(move || {
        let value = proto::json::parse(black_box(&json)).expect("strict JSON");
        black_box(types.payload_from_json(TYPE, &value).expect("of its type"));
    })
}
