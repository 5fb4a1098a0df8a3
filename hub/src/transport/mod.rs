//! Sockets: accepted, wrapped in TLS, taken over from HTTP, and driven through their life.
//!
//! ```text
//!   listener ─▶ wire (TLS: records) ─▶ HTTP ─▶ upgrade ─▶ connection ◀─▶ session, broker
//!                                                           │  ▲
//!                                              line ◀───────┘  └─── websocket
//! ```
//!
//! Read [`listener`] for what happens before a byte is trusted, [`upgrade`] for how a request becomes a
//! WebSocket, then [`connection`]: the one loop that hears a peer and answers; [`line`] is how messages
//! leave, also from other tasks. [`wire`] holds no buffer while it waits; [`buffers`] lends them.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::broker::Broker;
use crate::session;

pub mod address;
mod audited;
pub mod buffers;
pub mod connection;
pub mod crl;
mod early;
mod farewell;
mod gathering;
mod incoming;
mod line;
pub mod listener;
pub mod records;
pub mod tls;
pub mod upgrade;
pub mod websocket;
pub mod wire;

/// Bounds of sockets that the operator may tune.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// TLS handshakes at once.
    pub handshakes_max: usize,
    /// For the head of an HTTP request; also the idle time of a connection that is kept alive.
    pub head_timeout: Duration,
    /// New connections a second, and at once.
    pub accept_rate: u32,
    /// Connections at once; found from the descriptor limit if 0.
    pub connections_max: usize,
    /// Connections at once from one address.
    pub address_connections_max: usize,
    /// New connections a second from one address.
    pub address_rate: u32,
    /// Refused credentials a minute from one address.
    pub address_failures_max: u32,
    /// Gateways and load generators, which the limits of an address don't hold for.
    pub address_exempt: Vec<IpNet>,
    /// How long a write may make no progress.
    pub write_stall: Duration,
    /// Bounds of sessions.
    pub session: session::Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            handshakes_max: 64,
            head_timeout: Duration::from_secs(5),
            accept_rate: 500,
            connections_max: 0,
            address_connections_max: 256,
            address_rate: 20,
            address_failures_max: 10,
            address_exempt: Vec::new(),
            write_stall: Duration::from_secs(30),
            session: session::Limits::default(),
        }
    }
}

/// What every connection needs.
#[derive(Debug)]
pub struct Shared {
    /// The hub's heart.
    pub broker: Arc<Broker>,
    /// Bounds.
    pub settings: Settings,
}
