//! A night's plan: lit from sunset to sunrise, at levels that change by the clock.

use std::sync::Arc;

use super::{Night, UnixMillis};

/// A plan for every night, shared by the lamps that follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Names it in the switching log.
    pub id: Arc<str>,
    /// %, 0 to 100: from sunset until the first switch point of the night.
    pub first_level_pct: u8,
    /// In the order of a night that begins at noon; no two at one time.
    pub points: Vec<SwitchPoint>,
}

/// From this time of day on, this level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchPoint {
    /// s after local midnight, 0 to 86399.
    pub local_s: u32,
    /// %, 0 to 100.
    pub level_pct: u8,
}

const DAY_S: u32 = 86_400;

impl Program {
    /// 100 % at sunset, 70 % from 22:00, 50 % from midnight, 70 % from 5:00, 100 % from 6:00: saves
    /// a third of the energy of a year.
    pub fn residential() -> Self {
        let at = |hour: u32, level_pct| SwitchPoint { local_s: hour * 3600, level_pct };
        Self {
            id: Arc::from("residential-70-50"),
            first_level_pct: 100,
            points: vec![at(22, 70), at(0, 50), at(5, 70), at(6, 100)],
        }
    }

    /// The level at a moment that `night` covers, and until when it stays.
    pub(super) fn level_at(&self, night: &Night, now: UnixMillis) -> (u8, UnixMillis) {
        if now < night.sunset {
            return (0, night.sunset);
        }
        if now >= night.sunrise {
            return (0, night.ends());
        }
        let mut level_pct = self.first_level_pct;
        for point in &self.points {
            let since_noon_s = (point.local_s + DAY_S / 2) % DAY_S;
            let at = night.noon.plus_ms(u64::from(since_noon_s) * 1000);
            if at > now {
                return (level_pct, at.min(night.sunrise));
            }
            level_pct = point.level_pct;
        }
        (level_pct, night.sunrise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::Place;

    #[test]
    fn the_night_goes_through_all_levels() {
        let place = Place { utc_offset_s: 3600, ..Place::new(52.52, 13.405) };
        // Noon of 21 November 2025 in Berlin.
        let noon = UnixMillis(1_763_722_800_000);
        let night = place.night(noon);
        assert_eq!(night.noon, noon);
        let program = Program::residential();
        let level = |hour: u64| program.level_at(&night, noon.plus_ms(hour * 3_600_000)).0;
        let levels: Vec<u8> = (0..24).map(level).collect();
        assert_eq!(levels[..4], [0, 0, 0, 0], "day until 16:06");
        assert_eq!(levels[5..10], [100; 5]);
        assert_eq!(levels[10..12], [70; 2], "from 22:00");
        assert_eq!(levels[12..17], [50; 5], "from midnight");
        assert_eq!(levels[17], 70, "from 5:00");
        assert_eq!(levels[18..20], [100; 2], "from 6:00");
        assert_eq!(levels[20..], [0; 4], "day from 7:39");
    }

    #[test]
    fn a_level_holds_until_the_next_change() {
        let place = Place::new(52.52, 13.405);
        let night = place.night(UnixMillis(1_763_722_800_000));
        let program = Program::residential();
        let (mut now, mut changes) = (night.noon, 0);
        while now < night.ends() {
            let (_, until) = program.level_at(&night, now);
            assert!(until > now);
            now = until;
            changes += 1;
        }
        assert_eq!(changes, 7);
    }
}
