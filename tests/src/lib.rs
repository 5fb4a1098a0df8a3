//! Starts the real hub and speaks the product's words to it: what the end-to-end tests are written in.
//!
//! ```text
//!   test ─▶ Hub ──────── the process: start, kill, terminate, restart; its log on failure
//!        ─▶ Device ─┐
//!        ─▶ Person ─┴─▶ Client ─▶ Stream    envelopes, each frame under the test's control
//!        ─▶ Raw ──────────────▶ Stream      bytes: for what no client would send
//!        ─▶ Http, cli, python               the other doors
//! ```
//!
//! Read in this order: [`deadline`], [`binaries`], [`hub`], [`stream`], [`client`], [`device`],
//! [`person`]; then [`raw`], [`relay`], [`http`], [`events`], [`schema`], [`cli`], [`authority`], [`lamp`].
//!
//! # Guarantees
//!
//! - Nothing waits for a fixed time: every wait is for a fact, and ends the test with the name of that
//!   fact when it doesn't come in time.
//! - Every process ends with the value that owns it; every port is 0; every folder is temporary.

pub mod deadline;

pub mod binaries;

pub mod hub;

pub mod stream;

pub mod client;

pub mod lamp;

pub mod device;

pub mod person;

pub mod http;

pub mod events;

pub mod issuer;

pub mod schema;

pub mod raw;

pub mod relay;

pub mod cli;

pub use client::{Client, Event};
pub use deadline::{PATIENCE, within};
pub use device::Device;
pub use events::Events;
pub use hub::{Hub, HubBuilder};
pub use person::Person;
pub use stream::Via;
