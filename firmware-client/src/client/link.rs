//! What the machine knows of the connection that stands: who spoke when, and what is owed.
//!
//! All timers of an open connection:
//!
//! | timer | starts | fires | then |
//! |---|---|---|---|
//! | silence | the hub speaks | 1.5 ping intervals + 10 s | the hub is dead |
//! | answer | a question leaves, and the hub owes no older answer | `answer_timeout_ms` | the hub is dead |
//! | keepalive | something leaves | `keepalive_s`, or the ping interval | a ping |
//! | resync | a ping leaves | `resync_after_ms` | a ping, for its pong's time |
//! | send | the pace or the hub says "later" | then | reports go on |

use proto::limits;

use crate::time::Millis;

/// State that ends with the connection.
#[derive(Debug)]
pub(super) struct Link {
    heard_at: Millis,
    sent_at: Millis,
    /// When the oldest question left that nothing was heard after.
    asked_at: Option<Millis>,
    pub(super) ping_interval_s: u32,
    /// Bytes: the longest message that the hub takes.
    pub(super) message_size_max: usize,
    /// A ping is under way since then; its pong tells the time.
    pub(super) pinged_at: Option<Millis>,
    pub(super) owes_ping: bool,
    /// The hub's time is asked for again then.
    pub(super) resync_at: Millis,
    pub(super) owes_ready: bool,
    /// The light is still to be asked for.
    pub(super) owes_subscribe: bool,
    /// Reports wait until then.
    pub(super) send_at: Option<Millis>,
    /// The hub asked for peace until then.
    pub(super) retry_at: Millis,
    last_request: u64,
}

impl Link {
    pub(super) const fn new(now: Millis) -> Self {
        Self {
            heard_at: now,
            sent_at: now,
            asked_at: None,
            ping_interval_s: limits::PING_INTERVAL_S_DEFAULT,
            message_size_max: limits::MESSAGE_BYTES_MAX,
            pinged_at: None,
            owes_ping: false,
            resync_at: Millis(u64::MAX),
            owes_ready: false,
            owes_subscribe: false,
            send_at: None,
            retry_at: Millis(0),
            last_request: 0,
        }
    }

    pub(super) fn heard(&mut self, now: Millis) {
        self.heard_at = now;
        self.asked_at = None;
    }

    pub(super) fn sent(&mut self, now: Millis, asks: bool) {
        self.sent_at = now;
        if asks {
            self.asked_at.get_or_insert(now);
        }
    }

    /// A number for a question, never 0.
    pub(super) fn next_request(&mut self) -> u64 {
        self.last_request += 1;
        self.last_request
    }

    /// What `Welcome` says of silence; values outside the protocol's range are brought into it.
    pub(super) fn set_ping_interval(&mut self, seconds: u32) {
        self.ping_interval_s = match seconds {
            0 => limits::PING_INTERVAL_S_DEFAULT,
            _ => seconds.clamp(limits::KEEPALIVE_S_MIN, limits::KEEPALIVE_S_MAX),
        };
    }

    /// When the hub counts as dead if it says nothing.
    pub(super) fn dead_at(&self, answer_timeout_ms: u64) -> Millis {
        let silence_ms =
            u64::from(self.ping_interval_s) * 1500 + u64::from(limits::PONG_TIMEOUT_S) * 1000;
        let silence = self.heard_at.after(silence_ms);
        self.asked_at.map_or(silence, |asked_at| silence.min(asked_at.after(answer_timeout_ms)))
    }

    /// When a ping is due if nothing else leaves.
    pub(super) fn ping_due_at(&self, keepalive_s: u32) -> Millis {
        let seconds = if keepalive_s == 0 { self.ping_interval_s } else { keepalive_s };
        self.sent_at.after(u64::from(seconds) * 1000).min(self.resync_at)
    }
}
