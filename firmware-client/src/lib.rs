//! The device's side of Lamplighter, for firmware: a state machine without heap, sockets or clock.
//!
//! Link the crate without features: `no_std`, no allocator. Your firmware brings the socket (TLS and
//! WebSocket, the modem's or a library's), a monotonic clock in milliseconds, some bytes of memory, and
//! a few bytes of non-volatile storage ([`Journal`]).
//!
//! Read in this order: [`client`] (the machine and its contract with the driver), `event`, `light`, `config`,
//! [`journal`] (what survives a loss of power), `outbox` and `ring` (what waits for the hub),
//! `commands`; then `examples/lamp.rs`.
//!
//! With the feature `host` there is also a driver for computers, `driver`: tokio, rustls, WebSocket.
//! Simulators and gateways use it, so that they run the very machine that lamps run.

#![cfg_attr(not(any(feature = "host", test)), no_std)]

pub mod client;

mod event;

mod light;

mod config;

pub mod journal;

mod commands;

mod outbox;

mod ring;

mod backoff;

mod pace;

mod random;

mod time;

#[cfg(feature = "host")]
pub mod driver;

pub use backoff::Backoff;
pub use client::Client;
pub use commands::{Outcome, OutcomeError, Verdict};
pub use config::{Buffers, Config};
pub use event::{Admission, Event, Stats};
pub use journal::{Durability, Journal, MemoryJournal};
pub use light::Light;
pub use outbox::{Lane, Report, ReportError};
pub use pace::Pace;
pub use time::{Millis, TimeQuality};

/// The wire of the protocol, for encoding payloads and reading close codes.
pub use proto;
