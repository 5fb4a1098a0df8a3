//! Parts of the hub, run so many times under an instruction counter: a figure that doesn't move with the
//! machine's mood, so that a regression shows as a diff of `instructions.txt`.
//!
//! `deploy/bench-instructions.sh` lists the parts, runs each under callgrind with fixed numbers of rounds,
//! and counts what happens inside [`counted`] only.

use std::hint::black_box;

use super::{codec, conversion, ledger, mailbox, matching};

/// Rounds before the count: tables have grown, and branches of the first time are behind us.
const WARM_UP: u32 = 100;

/// One operation that is counted: its name, how many operations a round is, and how to make a round.
struct Part {
    name: &'static str,
    operations: u32,
    prepare: fn() -> Box<dyn FnMut()>,
}

const PARTS: [Part; 18] = [
    Part { name: "codec: report in, binary", operations: 1, prepare: codec::binary_in },
    Part { name: "codec: report in, JSON", operations: 1, prepare: codec::json_in },
    Part { name: "codec: payload checked", operations: 1, prepare: codec::payload_checked },
    Part { name: "codec: report drafted and placed", operations: 1, prepare: codec::placed },
    Part {
        name: "codec: made JSON for the first reader",
        operations: 1,
        prepare: codec::made_json,
    },
    Part {
        name: "codec: joined for a reader, binary",
        operations: codec::BURST,
        prepare: codec::joined_binary,
    },
    Part {
        name: "codec: joined for a reader, JSON",
        operations: codec::BURST,
        prepare: codec::joined_json,
    },
    Part { name: "conversion: protobuf to JSON", operations: 1, prepare: conversion::to_json },
    Part { name: "conversion: JSON to protobuf", operations: 1, prepare: conversion::from_json },
    Part { name: "matching: trie with 10,000 patterns", operations: 1, prepare: matching::asked },
    Part { name: "matching: receivers remembered", operations: 1, prepare: matching::recalled },
    Part { name: "matching: receivers after a change", operations: 2, prepare: matching::changed },
    Part { name: "matching: walk over 1,000 receivers", operations: 1, prepare: matching::walked },
    Part { name: "mailbox: one offered and taken", operations: 1, prepare: mailbox::one },
    Part {
        name: "mailbox: bursts of 32 offered and taken",
        operations: 32,
        prepare: mailbox::burst,
    },
    Part { name: "mailbox: acknowledged and taken", operations: 1, prepare: mailbox::acked },
    Part {
        name: "mailbox: offered to one that lags",
        operations: 1,
        prepare: mailbox::offered_to_lagging,
    },
    Part { name: "ledger: a command's whole life", operations: 1, prepare: ledger::life },
];

/// What there is, one line each: number, operations of a round, name.
pub(crate) fn list() -> String {
    let parts = PARTS.iter().enumerate();
    parts.map(|(number, part)| format!("{number}\t{}\t{}\n", part.operations, part.name)).collect()
}

/// Runs a part, as in `3,1000`: its number in the list, and for how many rounds.
pub(crate) fn run(wanted: &str) {
    let (number, rounds) = wanted.split_once(',').expect("number and rounds");
    let number: usize = number.parse().expect("a number of the list");
    let rounds: u32 = rounds.parse().expect("a number of rounds");
    let mut round = (PARTS[number].prepare)();
    (0..WARM_UP).for_each(|_| round());
    counted(&mut *round, rounds);
}

/// What the counter sees; found by its name.
#[inline(never)]
fn counted(round: &mut dyn FnMut(), rounds: u32) {
    for _ in 0..black_box(rounds) {
        round();
    }
}
