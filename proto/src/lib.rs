//! The wire of Lamplighter: what goes over the sockets between devices, dashboards, operators and
//! the hub, and the names and bounds that both ends must agree on.
//!
//! Without features the crate is `no_std` and never allocates: it is what a street-lamp controller
//! links. Values come in two kinds. *Raw* ones ([`envelope`]) are views of received bytes that are
//! well-formed but say nothing about sense; *checked* ones ([`name`], [`id`]) exist only if they are
//! valid, and only those travel inwards.
//!
//! Read in this order: [`limits`], [`name`], [`id`], [`channels`], [`close`], [`wire`], [`envelope`];
//! then, with feature `messages`, the generated types of `messages`, and with feature `json`, `json`.
//!
//! What is absent on purpose: sockets, clocks, and any state.

#![cfg_attr(not(any(feature = "std", test)), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod limits;

pub mod name;

pub mod id;

pub mod channels;

pub mod close;

pub mod wire;

pub mod envelope;

#[cfg(feature = "messages")]
pub mod messages;

#[cfg(feature = "json")]
pub mod json;

pub use close::CloseCode;
pub use envelope::{CommandState, ErrorCode};
pub use id::CommandId;
#[cfg(feature = "alloc")]
pub use id::DeviceId;
#[cfg(feature = "alloc")]
pub use name::{ChannelName, ChannelPattern};

/// The version of the protocol that this crate speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// The WebSocket subprotocol (RFC 6455, section 1.9) of this version.
pub const SUBPROTOCOL: &str = "lamplighter.v1";

/// The path of the WebSocket endpoint.
pub const WEBSOCKET_PATH: &str = "/v1/ws";
