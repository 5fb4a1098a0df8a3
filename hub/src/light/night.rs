//! What a calendar says at a moment: the program of that night, and its level until the next change.
//!
//! A day of a calendar runs from noon to noon, or from midnight if it says so. All of its moments are
//! computed each time, since a lamp asks seven times a night; none is kept.

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::place::{Moment, Place};
use super::plan::{Plan, Program, Time};

/// What a calendar says at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// %, 0 to 100, and the id of the program; or why it says nothing.
    pub level: Result<(u8, String), String>,
    /// ms since 1970: it says so at least until then, which is later.
    pub until_unix_ms: u64,
}

/// One day of a calendar.
#[derive(Debug, Clone, Copy)]
struct Night {
    date: Date,
    begins: u64,
    ends: u64,
}

const HOUR_S: u32 = 3600;
const DAY_MS: u64 = 86_400_000;

impl Plan {
    /// What the calendar says to a lamp at this place. `default_pct` is the level inside of active
    /// periods until the first switch point.
    pub fn at(&self, place: &Place, default_pct: u8, unix_ms: u64) -> Word {
        let Some(night) = self.night(place, unix_ms) else {
            let level = Err("the time is beyond all calendars".to_owned());
            return Word { level, until_unix_ms: unix_ms.saturating_add(DAY_MS) };
        };
        let Some(program) = self.program_on(night.date) else {
            return Word { level: Err("no program tonight".to_owned()), until_unix_ms: night.ends };
        };
        match program.spans(&night, place, self.begins_h) {
            Some(spans) => {
                let (level, until_unix_ms) = spans.level_at(default_pct, unix_ms, night.ends);
                Word { level: Ok((level, program.id.clone())), until_unix_ms }
            }
            None => Word {
                level: Err("goes by the sun, and nobody said where the lamp stands".to_owned()),
                until_unix_ms: night.ends,
            },
        }
    }

    fn night(&self, place: &Place, unix_ms: u64) -> Option<Night> {
        let begins_s = self.begins_h * HOUR_S;
        let local = place.local(unix_ms)?;
        let date = local.checked_sub(i64::from(self.begins_h).hours()).ok()?.date();
        let begins = place.moment(date, begins_s)?;
        let ends = place.moment(date.tomorrow().ok()?, begins_s)?;
        // A change of clocks at the border must not make a night without this moment.
        Some(Night { date, begins: begins.min(unix_ms), ends: ends.max(unix_ms + 1) })
    }
}

/// A program on one night, in ms since 1970.
#[derive(Debug)]
struct Spans<'p> {
    lit: Vec<(u64, u64)>,
    /// In the order of time.
    points: Vec<(u64, &'p super::plan::Point)>,
}

impl Program {
    /// `None` if it goes by the sun, and the place is unknown.
    fn spans(&self, night: &Night, place: &Place, begins_h: u32) -> Option<Spans<'_>> {
        let mut lit = Vec::new();
        for (start, end) in &self.periods {
            let start = match start {
                None => Some(night.begins),
                Some(time) => match night.moment(*time, place, begins_h)? {
                    Moment::At(at) => Some(at),
                    Moment::StaysDark => Some(night.begins),
                    Moment::StaysLight => None,
                },
            };
            let end = match end {
                None => night.ends,
                Some(time) => match night.moment(*time, place, begins_h)? {
                    Moment::At(at) => at,
                    Moment::StaysDark => night.ends,
                    // The last night before the sun stays up ends where the two twilights meet.
                    Moment::StaysLight => night.begins + (night.ends - night.begins) / 2,
                },
            };
            match start {
                Some(start) if start < end => lit.push((start, end)),
                Some(start) if start > end => {
                    lit.extend([(night.begins, end), (start, night.ends)]);
                }
                Some(_) | None => {}
            }
        }
        let mut points = Vec::new();
        for point in &self.points {
            if let Moment::At(at) = night.moment(point.at, place, begins_h)? {
                points.push((at, point));
            }
        }
        points.sort_by_key(|(at, _)| *at);
        Some(Spans { lit, points })
    }
}

impl Night {
    fn moment(&self, time: Time, place: &Place, begins_h: u32) -> Option<Moment> {
        let on_the_second = |is_late: bool| {
            if is_late { self.date.tomorrow().ok() } else { Some(self.date) }
        };
        match time {
            Time::Clock(local_s) => {
                let date = on_the_second(local_s < begins_h * HOUR_S)?;
                Some(Moment::At(place.moment(date, local_s)?))
            }
            Time::Sun(edge, offset_s) => {
                let date = on_the_second(begins_h > 0 && edge.is_of_morning())?;
                match place.edge(date, edge)? {
                    Moment::At(at) => {
                        let at = at.saturating_add_signed(i64::from(offset_s) * 1000);
                        Some(Moment::At(at.clamp(self.begins, self.ends)))
                    }
                    stays @ (Moment::StaysLight | Moment::StaysDark) => Some(stays),
                }
            }
        }
    }
}

impl Spans<'_> {
    /// The level, and the next moment at which it may change.
    fn level_at(&self, default_pct: u8, unix_ms: u64, night_ends: u64) -> (u8, u64) {
        let edges = self.lit.iter().flat_map(|(start, end)| [*start, *end]);
        let changes = edges.chain(self.points.iter().map(|(at, _)| *at));
        let until = changes.filter(|at| *at > unix_ms).min().unwrap_or(night_ends);
        if !self.lit.iter().any(|(start, end)| (*start..*end).contains(&unix_ms)) {
            return (0, until);
        }
        let past = self.points.iter().take_while(|(at, _)| *at <= unix_ms);
        (past.fold(default_pct, |running, (_, point)| point.apply(running)), until)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use proto::messages::lighting::v1 as wire;
    use proto::messages::lighting::v1::time_of_day::At;

    use super::*;

    /// From sunset to sunrise: 100 %, 70 % from 22:00, 50 % from midnight, 70 % from 5:00, 100 % from 6:00.
    pub(in crate::light) fn residential() -> wire::Calendar {
        let solar = |event: wire::SolarEvent| {
            let solar = wire::SolarOffset { event: event.into(), offset_s: 0 };
            Some(wire::TimeOfDay { at: Some(At::Solar(solar)) })
        };
        let point = |hour: u32, level| wire::SwitchPoint {
            at: Some(wire::TimeOfDay { at: Some(At::LocalS(hour * HOUR_S)) }),
            level_pct: Some(level),
            ..wire::SwitchPoint::default()
        };
        let period = wire::ActivePeriod {
            start: solar(wire::SolarEvent::Sunset),
            end: solar(wire::SolarEvent::Sunrise),
            ..wire::ActivePeriod::default()
        };
        let program = wire::ControlProgram {
            program_id: "residential".to_owned(),
            active_periods: vec![period],
            switch_points: vec![point(22, 70), point(0, 50), point(5, 70), point(6, 100)],
            ..wire::ControlProgram::default()
        };
        wire::Calendar {
            calendar_id: "all-year".to_owned(),
            default_program_id: "residential".to_owned(),
            programs: vec![program],
            ..wire::Calendar::default()
        }
    }

    pub(in crate::light) fn berlin() -> Place {
        let zone = TimeZone::get("Europe/Berlin").expect("a zone");
        Place::new(Some((525_200_000, 134_050_000)), Some(zone))
    }

    pub(in crate::light) fn unix_ms(text: &str) -> u64 {
        let time: Timestamp = text.parse().expect("a time");
        time.as_millisecond() as u64
    }

    /// The figures of the simulated lamp's own program, in `device-sim`.
    #[test]
    fn the_night_goes_through_all_levels() {
        let plan = Plan::new(&residential()).expect("a calendar");
        let noon = unix_ms("2025-11-21T11:00:00Z");
        let level = |hour: u64| {
            let word = plan.at(&berlin(), 100, noon + hour * 3_600_000);
            word.level.expect("a program").0
        };
        let levels: Vec<u8> = (0..24).map(level).collect();
        assert_eq!(levels[..4], [0; 4], "day until 16:06");
        assert_eq!(levels[5..10], [100; 5]);
        assert_eq!(levels[10..12], [70; 2], "from 22:00");
        assert_eq!(levels[12..17], [50; 5], "from midnight");
        assert_eq!(levels[17], 70, "from 5:00");
        assert_eq!(levels[18..20], [100; 2], "from 6:00");
        assert_eq!(levels[20..], [0; 4], "day from 7:39");
    }

    #[test]
    fn a_level_holds_until_the_next_change_and_a_year_has_no_stall() {
        let plan = Plan::new(&residential()).expect("a calendar");
        let (mut now, end) = (unix_ms("2025-01-01T11:00:00Z"), unix_ms("2026-01-01T11:00:00Z"));
        let mut changes = 0;
        while now < end {
            let until = plan.at(&berlin(), 100, now).until_unix_ms;
            assert!(until > now, "at {now}");
            assert_eq!(
                plan.at(&berlin(), 100, until - 1).level,
                plan.at(&berlin(), 100, now).level
            );
            (now, changes) = (until, changes + 1);
        }
        assert!((365 * 6..365 * 9).contains(&changes), "{changes}");
    }

    #[test]
    fn a_calendar_that_goes_by_the_sun_says_nothing_without_a_place() {
        let plan = Plan::new(&residential()).expect("a calendar");
        let word = plan.at(&Place::new(None, None), 100, unix_ms("2025-11-21T20:00:00Z"));
        assert!(word.level.is_err_and(|why| why.contains("where the lamp stands")));
    }

    #[test]
    fn the_polar_summer_is_dark_and_the_polar_winter_lit() {
        let plan = Plan::new(&residential()).expect("a calendar");
        let tromso = Place::new(Some((696_492_000, 189_553_000)), None);
        let level = |text| plan.at(&tromso, 100, unix_ms(text)).level.expect("a program").0;
        assert_eq!(level("2025-06-21T23:30:00Z"), 0);
        assert_eq!(level("2025-12-21T12:30:00Z"), 100);
    }

    #[test]
    fn a_span_over_the_border_of_the_day_counts_on_both_sides() {
        let mut calendar = residential();
        calendar.day_offset_h = Some(0);
        calendar.programs[0].switch_points.clear();
        let plan = Plan::new(&calendar).expect("a calendar");
        let level = |text| plan.at(&berlin(), 60, unix_ms(text)).level.expect("a program").0;
        assert_eq!(level("2025-11-21T03:00:00Z"), 60, "before sunrise");
        assert_eq!(level("2025-11-21T12:00:00Z"), 0);
        assert_eq!(level("2025-11-21T20:00:00Z"), 60, "after sunset");
    }
}
