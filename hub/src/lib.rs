//! The hub between street-lamp controllers and the people who run them.
//!
//! The modules stand in the order of their layers; each uses only those above it in this list.
//! `docs/architecture.md` has the picture and the way of a telemetry report, file by file.

pub mod clock;
pub mod metrics;

pub mod access;
pub mod codec;
pub mod selector;

pub mod audit;
pub mod fleet;
pub mod ledger;
pub mod light;
pub mod mailbox;
pub mod series;
pub mod session;
pub mod twin;

pub mod router;
pub mod store;

pub mod broker;

pub mod http;
pub mod transport;

pub mod config;

pub mod server;

pub mod cli;
