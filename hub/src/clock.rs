//! The one place where the hub reads a clock; everywhere else time is an argument.
//!
//! Promises are kept on monotonic time. Wall-clock time goes into records for people, and into the
//! deadlines of commands that outlive a restart.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub mono: Instant,
    /// ms since 1970, UTC; may jump either way.
    pub unix_ms: u64,
}

impl Now {
    /// This moment.
    #[expect(clippy::disallowed_methods, reason = "the clock module")]
    pub fn read() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { mono: Instant::now(), unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX) }
    }

    /// A later moment; for tests and for looking ahead.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self { mono: self.mono + wait, unix_ms: self.unix_ms.saturating_add(ms) }
    }
}

/// This moment on the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the clock module")]
pub fn mono() -> Instant {
    Instant::now()
}
