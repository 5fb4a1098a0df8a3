//! Two clocks: the device's, which never jumps, and the hub's, which is learned.
//!
//! Every function of the machine takes the device's time as an argument. The hub's time is known
//! only as a distance from it, learned from `Welcome` and `Pong`; nothing but the times of reports
//! depends on it, and no deadline does.

/// ms since some moment that stays the same while the device runs; never goes backwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// This moment and `ms` more.
    pub const fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// ms from `earlier` to this moment; 0 if that was later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// How far times since 1970 can be trusted; the words of `lighting.v1.TimeQuality`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeQuality {
    /// Never learned since the boot.
    Unsynced,
    /// Learned over 24 h ago.
    Holdover,
    /// Learned within 24 h.
    Synced,
}

/// A time that the hub may say: 2020 to 2100. Anything else is a hub without a clock.
const UNIX_MS_MIN: u64 = 1_577_836_800_000;
const UNIX_MS_MAX: u64 = 4_102_444_800_000;
/// After so long on its own, a clock is no longer called synchronised.
const HOLDOVER_AFTER_MS: u64 = 24 * 3600 * 1000;

/// The distance between the device's clock and the hub's.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HubClock {
    learned: Option<Learned>,
}

#[derive(Debug, Clone, Copy)]
struct Learned {
    at: Millis,
    unix_ms: u64,
}

impl HubClock {
    /// Takes what the hub said that the time is now. False if that can't be.
    pub(crate) fn learn(&mut self, now: Millis, unix_ms: u64) -> bool {
        let plausible = (UNIX_MS_MIN..UNIX_MS_MAX).contains(&unix_ms);
        if plausible {
            self.learned = Some(Learned { at: now, unix_ms });
        }
        plausible
    }

    /// ms since 1970 at a moment of the device's clock, before or after the learning.
    pub(crate) fn unix_ms(&self, moment: Millis) -> Option<u64> {
        let learned = self.learned?;
        Some(
            learned.unix_ms.saturating_add(moment.since(learned.at))
                - learned.at.since(moment).min(learned.unix_ms),
        )
    }

    pub(crate) fn quality(&self, now: Millis) -> TimeQuality {
        match self.learned.map(|learned| now.since(learned.at)) {
            None => TimeQuality::Unsynced,
            Some(age) if age > HOLDOVER_AFTER_MS => TimeQuality::Holdover,
            Some(_) => TimeQuality::Synced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_800_000_000_000;

    #[test]
    fn moments_before_and_after_the_learning_have_their_time() {
        let mut clock = HubClock::default();
        assert_eq!(clock.unix_ms(Millis(5)), None);
        assert!(clock.learn(Millis(1_000), NOON));
        assert_eq!(clock.unix_ms(Millis(400)), Some(NOON - 600));
        assert_eq!(clock.unix_ms(Millis(1_700)), Some(NOON + 700));
        assert_eq!(clock.quality(Millis(1_700)), TimeQuality::Synced);
        assert_eq!(clock.quality(Millis(100_000_000)), TimeQuality::Holdover);
    }

    #[test]
    fn a_hub_that_lives_in_1970_teaches_nothing() {
        let mut clock = HubClock::default();
        assert!(!clock.learn(Millis(1), 0));
        assert!(!clock.learn(Millis(1), u64::MAX));
        assert_eq!(clock.quality(Millis(1)), TimeQuality::Unsynced);
    }
}
