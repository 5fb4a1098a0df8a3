//! Measures parts of the hub by themselves: `cargo bench --package hub --bench parts [part of a name]`.
//!
//! Read with the whole-system figures of `deploy/bench.sh`: these here say which part has moved. All
//! together they take a bit over a minute.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

mod codec;
mod ledger;
mod mailbox;
mod matching;

criterion_group! {
    name = parts;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1_500));
    targets = codec::measure, matching::measure, mailbox::measure, ledger::measure
}
criterion_main!(parts);
