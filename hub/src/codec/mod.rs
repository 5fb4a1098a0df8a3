//! From WebSocket messages to checked requests, and from answers to WebSocket messages.
//!
//! ```text
//!   binary message ─▶ Batch::parse ─┐
//!   text message ──▶ JSON ─▶ bytes ─┴─▶ Envelope (raw) ─▶ Request (checked)
//! ```
//!
//! Both encodings meet in the bytes of an envelope, so there is one place that checks. Read
//! [`request`] for what a peer can ask, [`inbound`] for the way in, [`types`] for what payloads are,
//! [`frame`] for messages that many receive, and [`outbound`] for the way out.
//!
//! # Cost
//!
//! A binary request borrows everything from the received bytes. A message is encoded once when it is
//! published, and converted to JSON once if any reader wants that.

pub mod frame;
pub mod inbound;
pub mod outbound;
pub mod request;
pub mod types;

pub use frame::{Draft, Frame};
pub use inbound::Inbound;
pub use outbound::{Outbound, encode};
pub use request::{Publication, Refusal, Request, Sending};
pub use types::LiveTypes;

/// How a peer writes and reads envelopes: as the kind of its HELLO's message. The content in them is
/// written the same way, unless a subscription asks for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Length-delimited protobuf in binary messages.
    Protobuf,
    /// proto3 JSON in text messages, one envelope a line.
    Json,
}
