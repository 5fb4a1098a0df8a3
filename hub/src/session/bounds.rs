//! The bounds of a session that an operator may tune; their ranges stand in the configuration.

use std::time::Duration;

use proto::limits;

use super::rate;

/// Bounds that the operator may tune.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the upgrade to a valid HELLO.
    pub greeting_timeout: Duration,
    /// Silence after which the hub pings.
    pub ping_interval: Duration,
    /// How long an answer to a ping may take.
    pub pong_timeout: Duration,
    /// What a device may send.
    pub device_rate: rate::Rates,
    /// What an operator or a dashboard may send.
    pub person_rate: rate::Rates,
    /// How long the hub stops reading a peer that sends too much, before it cuts it.
    pub pause_max: Duration,
    /// Subscriptions of a device.
    pub device_subscriptions_max: usize,
    /// Subscriptions of an operator or a dashboard.
    pub person_subscriptions_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            greeting_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(u64::from(limits::PING_INTERVAL_S_DEFAULT)),
            pong_timeout: Duration::from_secs(u64::from(limits::PONG_TIMEOUT_S)),
            device_rate: rate::Rates::DEVICE,
            person_rate: rate::Rates::PERSON,
            pause_max: Duration::from_secs(5),
            device_subscriptions_max: 64,
            person_subscriptions_max: 256,
        }
    }
}
