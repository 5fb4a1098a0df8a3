//! When the next commit may start: a window after the last one, and later where many wait.
//!
//! What a commit costs beside its records is shared by all that wait for it: waking the engine's threads, two
//! writes, a sync. So a crowd is let in together. With the default window of 5 ms, 2,000 tickets a second
//! and fewer are committed every 5 ms, and 8,000 and more every 20 ms, which takes an eighth less CPU time: 10,000
//! a second come to the disk in 55 commits of two writes each. A crowd is what lasts: a burst, however
//! large, as of devices that were held back and go on together, makes nobody else wait.

use std::time::{Duration, Instant};

/// Tickets in a window from which on it is stretched, in proportion.
const CROWD: f64 = 10.0;
/// How many times its length a window becomes at most.
const STRETCH_MAX: u32 = 4;
/// As how many tickets in a window more of them count: twice what makes it as long as it becomes.
const CROWD_MAX: f64 = CROWD * STRETCH_MAX as f64 * 2.0;
/// Over which the tickets of a window are averaged.
const AVERAGED_OVER: Duration = Duration::from_millis(200);
/// A window that is this long, or longer, is not stretched.
const STRETCHED_MAX: Duration = Duration::from_millis(20);

/// The rhythm of commits.
#[derive(Debug)]
pub(super) struct Pace {
    last_start: Option<Instant>,
    /// Tickets that came in a window, on the average.
    crowd: f64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { last_start: None, crowd: 0.0 }
    }

    /// When the last commit started.
    pub(super) fn last_start(&self) -> Option<Instant> {
        self.last_start
    }

    /// How long the next commit has yet to wait.
    pub(super) fn wait(&self, now: Instant, window: Duration) -> Duration {
        let stretch = ((self.crowd / CROWD) as u32).clamp(1, STRETCH_MAX);
        let stretched = (window * stretch).min(window.max(STRETCHED_MAX));
        self.last_start
            .map_or(Duration::ZERO, |last| (last + stretched).saturating_duration_since(now))
    }

    /// A commit starts, and so many tickets wait for it. `window` is the least time between two.
    pub(super) fn start(&mut self, now: Instant, window: Duration, tickets: usize) {
        let Some(last) = self.last_start.replace(now) else { return };
        let since = now - last;
        let over = since.max(AVERAGED_OVER).as_secs_f64();
        let share = since.as_secs_f64() / over;
        // Many at once count as a crowd of that size, and for a window at most, also if they end a rest.
        let came_max = CROWD_MAX * since.min(STRETCHED_MAX).as_secs_f64() / over;
        let came = (tickets as f64 * window.as_secs_f64() / over).min(came_max);
        self.crowd = self.crowd * (1.0 - share) + came;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_millis(5);

    struct Crowd {
        now: Instant,
        pace: Pace,
    }

    impl Crowd {
        fn new() -> Self {
            Self { now: crate::clock::mono(), pace: Pace::new() }
        }

        /// Commits for a second at this rate of tickets; how long the next one waits.
        fn wait_at(&mut self, rate: u32) -> Duration {
            let end = self.now + Duration::from_secs(1);
            while self.now < end {
                let wait = self.pace.wait(self.now, WINDOW);
                self.now += wait;
                self.pace.start(self.now, WINDOW, (wait * rate).as_secs() as usize);
            }
            self.pace.wait(self.now, WINDOW)
        }
    }

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
        let mut crowd = Crowd::new();
        assert_eq!(crowd.wait_at(1_000), WINDOW);
        assert_eq!(crowd.wait_at(2_100), WINDOW);
        assert_eq!(crowd.wait_at(4_500), 2 * WINDOW);
        assert_eq!(crowd.wait_at(10_000), 4 * WINDOW);
        assert_eq!(crowd.wait_at(80_000), 4 * WINDOW);
        assert_eq!(crowd.wait_at(500), WINDOW);
    }

    #[test]
    fn a_burst_is_no_crowd() {
        let mut crowd = Crowd::new();
        for _ in 0..10 {
            assert_eq!(crowd.wait_at(1_000), WINDOW);
            crowd.now += WINDOW;
            crowd.pace.start(crowd.now, WINDOW, 100_000);
            assert_eq!(crowd.pace.wait(crowd.now, WINDOW), WINDOW);
        }
        for rest in [20, 50, 200, 1000].map(Duration::from_millis) {
            let mut crowd = Crowd::new();
            crowd.pace.start(crowd.now, WINDOW, 1);
            crowd.now += rest;
            crowd.pace.start(crowd.now, WINDOW, 100_000);
            assert_eq!(crowd.pace.wait(crowd.now, WINDOW), WINDOW, "after {rest:?} of nothing");
        }
        assert_eq!(crowd.wait_at(10_000), 4 * WINDOW);
        crowd.now += Duration::from_secs(1);
        crowd.pace.start(crowd.now, WINDOW, 1);
        assert_eq!(crowd.pace.wait(crowd.now, WINDOW), WINDOW, "a rest ends it at once");
    }

    #[test]
    fn commits_of_one_moment_are_one_to_the_average() {
        let mut crowd = Crowd::new();
        for _ in 0..2 {
            crowd.pace.start(crowd.now, WINDOW, 1_000_000);
        }
        assert_eq!(crowd.pace.wait(crowd.now, WINDOW), WINDOW);
        assert_eq!(crowd.wait_at(10_000), 4 * WINDOW);
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
