//! The one place of the crate that reads a clock.

use std::time::Duration;

use tokio::time::Instant;

use crate::time::Millis;

/// Counts milliseconds from a start that several devices may share. Follows tokio's paused time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that shows 0 now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The time.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Millis {
        Millis(
            u64::try_from(Instant::now().duration_since(self.start).as_millis())
                .unwrap_or(u64::MAX),
        )
    }

    /// The runtime's word for a moment, at most a century after the start.
    pub(super) fn instant(&self, moment: Millis) -> Instant {
        const CENTURY_MS: u64 = 100 * 365 * 24 * 3600 * 1000;
        self.start + Duration::from_millis(moment.0.min(CENTURY_MS))
    }
}
