//! The one place where the hub reads a clock; everywhere else time is an argument.
//!
//! Promises are kept on monotonic time. Wall-clock time goes into records for people, and into the
//! deadlines of commands that outlive a restart.

use std::sync::LazyLock;
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

/// The first moment not before `deadline` that is a whole number of `every` after the hub first asked. What
/// is due at about the same time is then due together, and one waking does for all of it.
pub fn together(deadline: Instant, every: Duration) -> Instant {
    static FIRST: LazyLock<Instant> = LazyLock::new(mono);
    let since = deadline.saturating_duration_since(*FIRST).as_nanos();
    let beyond = since % every.as_nanos().max(1);
    let missing = if beyond == 0 { 0 } else { every.as_nanos() - beyond };
    deadline + Duration::from_nanos(u64::try_from(missing).unwrap_or(0))
}

/// This moment on the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the clock module")]
pub fn mono() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_within_one_step_is_due_together_and_never_early() {
        let every = Duration::from_millis(50);
        let first = together(mono() + Duration::from_secs(1), every);
        assert_eq!(together(first, every), first);
        let just_after = first + Duration::from_nanos(1);
        assert_eq!(together(just_after, every), first + every);
        assert_eq!(together(first + every, every), first + every);
    }
}
