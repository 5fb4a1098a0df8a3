//! Simulated street lamps: real physics, the real firmware client, and ledgers that judge the hub.
//!
//! Every lamp of a fleet is a task with the very machine that a controller's firmware runs, and with
//! a physical lamp behind it. Beside the fleet stands an observer, as a dashboard would, and whoever
//! sends commands. All of them write into ledgers that the hub can't reach, and at the end the
//! ledgers say whether the hub kept its word.
//!
//! ```text
//!   schedule ─▶ lamp ─┬─ firmware-client ── wss ──▶ hub ── wss ──▶ observer ─┐
//!               │     └─ physics, encode             ▲                      │
//!               │                                    └── console (commands) │
//!               └───────────▶ ledger ◀──────────────────────────────────────┘ ──▶ report
//! ```
//!
//! Read in this order: `args`, `run`, `scenario`, `lamp`, `ledger`, `observer`, `verify`, `report`.
//! `physics`, `bench` and `peers` stand alone.

pub mod args;

pub mod run;

pub mod scenario;

pub mod schedule;

pub mod lamp;

pub mod physics;

pub mod encode;

pub mod city;

pub mod town;

pub mod ledger;

pub mod observer;

pub mod console;

pub mod verify;

pub mod provision;

pub mod hub;

pub mod link;

pub mod metrics;

mod spread;

pub mod progress;

pub mod report;

pub mod processes;

pub mod bench;

pub mod peers;

pub mod clock;
