//! Measures parts of the hub by themselves: `cargo bench --package hub --bench parts [part of a name]`.
//!
//! Read with the whole-system figures of `deploy/bench.sh`: these here say which part has moved. All
//! together they take a bit over a minute. With `--instructions` the program serves an instruction
//! counter instead; see `instructions`.

use std::io::Write as _;
use std::time::Duration;

use criterion::{Criterion, criterion_group};

mod codec;
mod conversion;
mod instructions;
mod ledger;
mod mailbox;
mod matching;
mod series;

criterion_group! {
    name = parts;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1_500));
    targets = codec::measure, conversion::measure, matching::measure, mailbox::measure, ledger::measure, series::measure
}

fn main() {
    for argument in std::env::args().skip(1) {
        if argument == "--instructions" {
            let mut out = std::io::stdout();
            // Who closed the other end wants no list.
            drop(out.write_all(instructions::list().as_bytes()));
            return;
        }
        if let Some(wanted) = argument.strip_prefix("--instructions=") {
            return instructions::run(wanted);
        }
    }
    parts();
    Criterion::default().configure_from_args().final_summary();
}
