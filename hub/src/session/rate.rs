//! What a peer may send: token buckets in a few bytes of its session.
//!
//! A bucket that runs into debt says how long it takes to get out of it. The driver doesn't read for
//! that long: back-pressure slows an honest peer down, and one whose debt is too long is cut.

use std::time::{Duration, Instant};

/// Allowances of one kind of peer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Envelopes a second.
    pub messages_per_s: f32,
    /// Envelopes at once.
    pub messages_burst: f32,
    /// Bytes a second.
    pub bytes_per_s: f32,
    /// Bytes at once.
    pub bytes_burst: f32,
    /// Pings and pongs of WebSocket a second.
    pub controls_per_s: f32,
    /// Pings and pongs at once.
    pub controls_burst: f32,
    /// Subscriptions begun and ended a second.
    pub changes_per_s: f32,
    /// The same at once: [`Rates::changes_at_once`].
    pub changes_burst: f32,
}

impl Rates {
    /// Of a device.
    pub const DEVICE: Self = Self {
        messages_per_s: 20.0,
        messages_burst: 100.0,
        bytes_per_s: 64.0 * 1024.0,
        bytes_burst: 256.0 * 1024.0,
        controls_per_s: 1.0,
        controls_burst: 10.0,
        // Below its messages, or it would be slowed down forever instead.
        changes_per_s: 5.0,
        changes_burst: Self::changes_at_once(64),
    };

    /// Of an operator or a dashboard: whole streets are commanded at once.
    pub const PERSON: Self = Self {
        messages_per_s: 10_000.0,
        messages_burst: 20_000.0,
        bytes_per_s: 8.0 * 1024.0 * 1024.0,
        bytes_burst: 16.0 * 1024.0 * 1024.0,
        controls_per_s: 1.0,
        controls_burst: 10.0,
        changes_per_s: 100.0,
        changes_burst: Self::changes_at_once(256),
    };

    /// How many subscriptions one that may have `subscriptions` may begin and end at once: it exchanges all
    /// of them, and none of those that it may have is ever one too many.
    pub const fn changes_at_once(subscriptions: usize) -> f32 {
        2.0 * subscriptions as f32
    }
}

/// What is left of a peer's allowances.
#[derive(Debug)]
pub struct Buckets {
    at: Instant,
    messages: f32,
    bytes: f32,
    controls: f32,
    changes: f32,
}

impl Buckets {
    /// Full ones.
    pub fn new(rates: &Rates, now: Instant) -> Self {
        Self {
            at: now,
            messages: rates.messages_burst,
            bytes: rates.bytes_burst,
            controls: rates.controls_burst,
            changes: rates.changes_burst,
        }
    }

    /// Takes one envelope; zero, or how long until it is paid for.
    pub fn message(&mut self, rates: &Rates, now: Instant, bytes: usize) -> Duration {
        self.refill(rates, now);
        self.messages -= 1.0;
        self.bytes -= bytes as f32;
        let wait = (-self.messages / rates.messages_per_s).max(-self.bytes / rates.bytes_per_s);
        Duration::from_secs_f32(wait.clamp(0.0, 3600.0))
    }

    /// Takes one control frame; false if there is none left.
    pub fn control(&mut self, rates: &Rates, now: Instant) -> bool {
        self.refill(rates, now);
        self.controls -= 1.0;
        self.controls >= 0.0
    }

    /// Takes one change of subscriptions; false if there is none left. The envelope that asks for it was
    /// charged before.
    pub fn change(&mut self) -> bool {
        self.changes -= 1.0;
        self.changes >= 0.0
    }

    fn refill(&mut self, rates: &Rates, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f32();
        self.at = now;
        self.messages = (self.messages + passed * rates.messages_per_s).min(rates.messages_burst);
        self.bytes = (self.bytes + passed * rates.bytes_per_s).min(rates.bytes_burst);
        self.controls = (self.controls + passed * rates.controls_per_s).min(rates.controls_burst);
        self.changes = (self.changes + passed * rates.changes_per_s).min(rates.changes_burst);
    }
}
