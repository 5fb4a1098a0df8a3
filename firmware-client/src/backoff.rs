//! When to knock again after a lost or refused connection.
//!
//! | what happened | the wait |
//! |---|---|
//! | an admitted connection was lost | uniform in \[0, W\]; W is the hub's, from `Welcome` or `GoAway` |
//! | a try failed | uniform in \[0, step\]; step is 2 s and doubles up to 120 s |
//! | the hub said `retry_after` | that, and uniform in \[0, step\] more |
//! | closed with 4500 to 4999 | uniform in \[10 min, 20 min\] |
//!
//! The step falls back to its start when a connection lived for 60 s. Nothing makes it give up. A
//! connection that is lost soon after each admission waits for the larger of W and step.

use proto::limits;

use crate::random::Random;

const RETRY_AFTER_MS_MAX: u64 = 3600 * 1000;

/// The spans of the table above; the defaults are those of `proto::limits`.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// ms: W before any hub has said one, and the window of the first try after the start.
    pub first_window_ms: u64,
    /// ms: a hub that says a larger W is not followed that far.
    pub window_max_ms: u64,
    /// ms: the first step.
    pub step_min_ms: u64,
    /// ms: the last step.
    pub step_max_ms: u64,
    /// ms: how long a connection must live to count as healthy.
    pub healthy_after_ms: u64,
    /// ms: the least time away after a close code of the second range.
    pub stay_away_ms: u64,
}

impl Backoff {
    /// Those of the protocol.
    pub const DEFAULT: Self = Self {
        first_window_ms: limits::RECONNECT_WINDOW_S_MIN as u64 * 1000,
        window_max_ms: limits::RECONNECT_WINDOW_S_MAX as u64 * 1000,
        step_min_ms: limits::BACKOFF_MS_MIN,
        step_max_ms: limits::BACKOFF_MS_MAX,
        healthy_after_ms: limits::HEALTHY_AFTER_S * 1000,
        stay_away_ms: limits::STAY_AWAY_S_MIN * 1000,
    };
}

/// How a connection, or the try to get one, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The hub had not admitted the device.
    Failed,
    /// It was admitted so long ago (ms).
    Lost { lived_ms: u64 },
    /// The close code tells to stay away.
    SentAway,
}

/// Counts tries and draws waits.
#[derive(Debug, Clone)]
pub(crate) struct Retry {
    settings: Backoff,
    random: Random,
    failures: u32,
    window_ms: u64,
    /// ms that the hub asked to wait for; counts once.
    retry_after_ms: u64,
}

impl Retry {
    pub(crate) fn new(settings: Backoff, seed: u64) -> Self {
        let window_ms = settings.first_window_ms;
        Self { settings, random: Random::new(seed), failures: 0, window_ms, retry_after_ms: 0 }
    }

    /// The wait before the first try of this boot (ms): all lamps of a street start at once.
    pub(crate) fn at_start(&mut self) -> u64 {
        self.random.up_to(self.window_ms)
    }

    /// The hub's window (s). 0 says nothing; more than the protocol allows is cut.
    pub(crate) fn window(&mut self, seconds: u32) {
        if seconds != 0 {
            self.window_ms = (u64::from(seconds) * 1000).min(self.settings.window_max_ms);
        }
    }

    /// The hub asks to wait for so long (ms) before the next try; at most an hour is granted, so that
    /// no slip of an operator takes a street away for a month.
    pub(crate) fn retry_after(&mut self, ms: u64) {
        self.retry_after_ms = ms.min(RETRY_AFTER_MS_MAX);
    }

    /// The wait until the next try (ms).
    pub(crate) fn after(&mut self, ending: Ending) -> u64 {
        if matches!(ending, Ending::Lost { lived_ms } if lived_ms >= self.settings.healthy_after_ms)
        {
            self.failures = 0;
        }
        let doublings = self.failures.min(32);
        self.failures = self.failures.saturating_add(1);
        let step =
            self.settings.step_min_ms.saturating_mul(1 << doublings).min(self.settings.step_max_ms);
        let asked = core::mem::take(&mut self.retry_after_ms);
        match ending {
            Ending::SentAway => {
                let least = self.settings.stay_away_ms.max(asked);
                least + self.random.up_to(self.settings.stay_away_ms)
            }
            Ending::Failed | Ending::Lost { .. } if asked > 0 => asked + self.random.up_to(step),
            Ending::Failed => self.random.up_to(step),
            Ending::Lost { .. } if doublings == 0 => self.random.up_to(self.window_ms),
            Ending::Lost { .. } => self.random.up_to(self.window_ms.max(step)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Ending = Ending::Lost { lived_ms: 3_000 };
    const HEALTHY: Ending = Ending::Lost { lived_ms: 60_000 };

    /// The largest of many waits after the same history.
    fn longest(history: &[Ending], prepare: impl Fn(&mut Retry)) -> u64 {
        let waits = (0..2_000).map(|seed| {
            let mut retry = Retry::new(Backoff::DEFAULT, seed);
            prepare(&mut retry);
            history.iter().map(|ending| retry.after(*ending)).last().unwrap_or_default()
        });
        waits.max().unwrap_or_default()
    }

    #[track_caller]
    fn check(history: &[Ending], window_s: u32, bound_ms: u64) {
        let longest = longest(history, |retry| retry.window(window_s));
        let fills = longest <= bound_ms && longest > bound_ms * 9 / 10;
        assert!(fills, "{history:?} in {window_s} s: {longest}, not {bound_ms}");
    }

    #[test]
    fn a_lost_connection_comes_back_somewhere_in_the_window() {
        check(&[HEALTHY], 0, 5_000);
        check(&[HEALTHY], 54, 54_000);
        check(&[HEALTHY], u32::MAX, 300_000);
    }

    #[test]
    fn failed_tries_double_up_to_two_minutes() {
        use Ending::Failed;
        check(&[Failed], 0, 2_000);
        check(&[Failed, Failed], 0, 4_000);
        check(&[HEALTHY, Failed, Failed], 0, 8_000);
        check(&[Failed; 30], 0, 120_000);
        check(&[Failed; 100], 0, 120_000);
    }

    #[test]
    fn a_healthy_minute_forgets_the_failures_and_a_short_life_does_not() {
        check(&[Ending::Failed, Ending::Failed, Ending::Failed, HEALTHY], 9, 9_000);
        check(&[QUICK; 8], 9, 120_000);
    }

    #[test]
    fn the_hubs_word_comes_before_the_window() {
        for seed in 0..1_000 {
            let mut retry = Retry::new(Backoff::DEFAULT, seed);
            retry.retry_after(300_000);
            let wait = retry.after(HEALTHY);
            assert!((300_000..=302_000).contains(&wait), "{wait}");
            assert!(retry.after(HEALTHY) <= 5_000, "it counts once");
        }
    }

    #[test]
    fn sent_away_means_ten_minutes_at_least() {
        for seed in 0..1_000 {
            let wait = Retry::new(Backoff::DEFAULT, seed).after(Ending::SentAway);
            assert!((600_000..=1_200_000).contains(&wait), "{wait}");
        }
    }
}
