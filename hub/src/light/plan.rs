//! A calendar that makes sense: `lighting.v1.Calendar`, checked where it comes in.
//!
//! A calendar that says what only the lamp can know, a photocell, is refused here: then the hub leaves the
//! night to the lamp. Sensors inside a program add to its levels in the street; the hub computes without.

use jiff::civil::Date;
use proto::messages::lighting::v1 as wire;
use proto::messages::lighting::v1::time_of_day::At;

use super::place::Edge;

/// Which program rules which night, and what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The calendar's id, for people.
    pub id: String,
    rules: Vec<Rule>,
    default_program: Option<usize>,
    /// The hour at which a day of this calendar begins: 0 or 12.
    pub(super) begins_h: u32,
    programs: Vec<Program>,
}

/// One night's plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Its id, for people.
    pub id: String,
    /// Start and end; where nothing is said, the day's own.
    pub(super) periods: Vec<(Option<Time>, Option<Time>)>,
    pub(super) points: Vec<Point>,
}

/// A moment of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// s after local midnight.
    Clock(u32),
    /// s after an edge of daylight; before it if negative.
    Sun(Edge, i32),
}

/// From here on this level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) at: Time,
    level_pct: u8,
    operation: wire::EffectOperation,
}

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    from_mmdd: u32,
    to_mmdd: u32,
    dates: Vec<u32>,
    weekdays: u32,
    occurrences: u32,
    program: usize,
}

/// Why a calendar can't be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct PlanError {
    /// The way to it, as in `programs[0].switch_points[2].level_pct`.
    pub field: String,
    /// What is wrong, and the way out.
    pub problem: String,
}

const RULES_MAX: usize = 64;
const PROGRAMS_MAX: usize = 16;
const PERIODS_MAX: usize = 4;
const POINTS_MAX: usize = 32;
const OFFSET_S_MAX: i32 = 14_400;
const NO_DATE_MMDD: u32 = 1231;
const LAST_OCCURRENCE: u32 = 1 << 5;

fn wrong<T>(field: impl Into<String>, problem: impl Into<String>) -> Result<T, PlanError> {
    Err(PlanError { field: field.into(), problem: problem.into() })
}

fn at_most(field: &str, count: usize, max: usize) -> Result<(), PlanError> {
    if count <= max { Ok(()) } else { wrong(field, format!("has {count}; at most {max}")) }
}

impl Plan {
    /// Takes a calendar that can be followed.
    ///
    /// # Errors
    /// Names the field that can't.
    pub fn new(calendar: &wire::Calendar) -> Result<Self, PlanError> {
        at_most("rules", calendar.rules.len(), RULES_MAX)?;
        at_most("programs", calendar.programs.len(), PROGRAMS_MAX)?;
        let begins_h = calendar.day_offset_h.unwrap_or(12);
        if begins_h != 0 && begins_h != 12 {
            return wrong("day_offset_h", format!("is {begins_h}; use 0 or 12"));
        }
        let programs = calendar.programs.iter().enumerate().map(|(at, program)| {
            Program::new(program).map_err(|error| within(&format!("programs[{at}]"), error))
        });
        let programs = programs.collect::<Result<Vec<_>, _>>()?;
        let find = |id: &str, field: String| match programs.iter().position(|p| p.id == id) {
            Some(found) => Ok(found),
            None => wrong(field, format!("names `{id}`, which is none of the calendar's programs")),
        };
        let rules = calendar.rules.iter().enumerate().map(|(at, rule)| {
            let field = format!("rules[{at}]");
            let program = find(&rule.program_id, format!("{field}.program_id"))?;
            Rule::new(rule, program).map_err(|error| within(&field, error))
        });
        let rules = rules.collect::<Result<_, _>>()?;
        let default_program = match calendar.default_program_id.as_str() {
            "" => None,
            id => Some(find(id, "default_program_id".to_owned())?),
        };
        Ok(Self { id: calendar.calendar_id.clone(), rules, default_program, begins_h, programs })
    }

    /// The program of a day; none if no rule is for it and there is no default.
    pub fn program_on(&self, date: Date) -> Option<&Program> {
        let rule = self.rules.iter().find(|rule| rule.is_for(date));
        rule.map(|rule| rule.program).or(self.default_program).map(|at| &self.programs[at])
    }
}

fn within(outer: &str, PlanError { field, problem }: PlanError) -> PlanError {
    PlanError { field: format!("{outer}.{field}"), problem }
}

impl Program {
    fn new(program: &wire::ControlProgram) -> Result<Self, PlanError> {
        at_most("active_periods", program.active_periods.len(), PERIODS_MAX)?;
        at_most("switch_points", program.switch_points.len(), POINTS_MAX)?;
        let mut periods = Vec::new();
        for (at, period) in program.active_periods.iter().enumerate() {
            let field = format!("active_periods[{at}]");
            if period.photocell_on_lx.is_some() || period.photocell_off_lx.is_some() {
                let problem = "needs a photocell, which only the lamp has";
                return wrong(format!("{field}.photocell_on_lx"), problem);
            }
            let start = Time::new(period.start.as_ref(), &format!("{field}.start"))?;
            periods.push((start, Time::new(period.end.as_ref(), &format!("{field}.end"))?));
        }
        if periods.is_empty() {
            return wrong("active_periods", "is empty; one at least");
        }
        let mut points = Vec::new();
        for (at, point) in program.switch_points.iter().enumerate() {
            let field = format!("switch_points[{at}]");
            let Some(time) = Time::new(point.at.as_ref(), &format!("{field}.at"))? else {
                return wrong(format!("{field}.at"), "is missing");
            };
            let level_pct = point.level_pct.and_then(|level| u8::try_from(level).ok());
            let Some(level_pct) = level_pct.filter(|level| *level <= 100) else {
                return wrong(format!("{field}.level_pct"), "is no level; use 0 to 100");
            };
            points.push(Point { at: time, level_pct, operation: point.operation() });
        }
        Ok(Self { id: program.program_id.clone(), periods, points })
    }
}

impl Time {
    fn new(time: Option<&wire::TimeOfDay>, field: &str) -> Result<Option<Self>, PlanError> {
        match time.and_then(|time| time.at.as_ref()) {
            None => Ok(None),
            Some(At::LocalS(local_s @ ..86_400)) => Ok(Some(Self::Clock(*local_s))),
            Some(At::LocalS(local_s)) => {
                wrong(format!("{field}.local_s"), format!("is {local_s}; use 0 to 86399"))
            }
            Some(At::Solar(solar)) => {
                let edge = match solar.event() {
                    wire::SolarEvent::Sunrise => Edge::Sunrise,
                    wire::SolarEvent::Sunset => Edge::Sunset,
                    wire::SolarEvent::CivilDawn => Edge::CivilDawn,
                    wire::SolarEvent::CivilDusk => Edge::CivilDusk,
                    wire::SolarEvent::Unspecified => {
                        return wrong(format!("{field}.solar.event"), "is missing");
                    }
                };
                if solar.offset_s.abs() > OFFSET_S_MAX {
                    let problem = format!("is {}; use ±{OFFSET_S_MAX}", solar.offset_s);
                    return wrong(format!("{field}.solar.offset_s"), problem);
                }
                Ok(Some(Self::Sun(edge, solar.offset_s)))
            }
        }
    }
}

impl Point {
    /// What it makes of the level that runs, both in %.
    pub(super) fn apply(&self, running: u8) -> u8 {
        use wire::EffectOperation as Operation;
        let level = self.level_pct;
        match self.operation {
            Operation::Unspecified | Operation::Set => level,
            Operation::Max => running.max(level),
            Operation::Min => running.min(level),
            Operation::Add => running.saturating_add(level).min(100),
            Operation::Sub => running.saturating_sub(level),
            // At most 100 · 100 / 100.
            Operation::Mul => (u16::from(running) * u16::from(level) / 100) as u8,
        }
    }
}

impl Rule {
    fn new(rule: &wire::CalendarRule, program: usize) -> Result<Self, PlanError> {
        for (field, mmdd) in [("start_mmdd", rule.start_mmdd), ("end_mmdd", rule.end_mmdd)] {
            let (month, day) = (mmdd / 100, mmdd % 100);
            if mmdd != 0 && !((1..=12).contains(&month) && (1..=31).contains(&day)) {
                return wrong(
                    field,
                    format!("is {mmdd}; use 101 to {NO_DATE_MMDD}, month and day"),
                );
            }
        }
        Ok(Self {
            from_mmdd: rule.start_mmdd,
            to_mmdd: rule.end_mmdd,
            dates: rule.dates_yyyymmdd.clone(),
            weekdays: rule.weekday_mask,
            occurrences: rule.occurrence_mask,
            program,
        })
    }

    fn is_for(&self, date: Date) -> bool {
        let (month, day) =
            (u32::from(date.month().unsigned_abs()), u32::from(date.day().unsigned_abs()));
        let mmdd = month * 100 + day;
        let to_mmdd = if self.to_mmdd == 0 { NO_DATE_MMDD } else { self.to_mmdd };
        let in_season = if self.from_mmdd <= to_mmdd {
            (self.from_mmdd..=to_mmdd).contains(&mmdd)
        } else {
            // Over New Year.
            mmdd >= self.from_mmdd || mmdd <= to_mmdd
        };
        let yyyymmdd = u32::from(date.year().unsigned_abs()) * 10_000 + mmdd;
        let weekday = 1 << date.weekday().to_monday_zero_offset();
        // The fifth of its kind is often the last, too.
        let is_last = day + 7 > u32::from(date.days_in_month().unsigned_abs());
        let kind = 1 << ((day - 1) / 7) | if is_last { LAST_OCCURRENCE } else { 0 };
        in_season
            && (self.dates.is_empty() || self.dates.contains(&yyyymmdd))
            && (self.weekdays == 0 || self.weekdays & weekday != 0)
            && (self.occurrences == 0 || self.occurrences & kind != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_for_its_season_its_weekdays_and_its_occurrences() {
        let none = wire::CalendarRule::default();
        let winter = wire::CalendarRule { start_mmdd: 1101, end_mmdd: 228, ..none.clone() };
        check(&winter, &["2026-11-01", "2026-12-31", "2026-02-28"], &["2026-10-31", "2026-03-01"]);
        let from_may = wire::CalendarRule { start_mmdd: 501, ..none.clone() };
        check(&from_may, &["2026-05-01", "2026-12-31"], &["2026-04-30"]);
        let weekend = wire::CalendarRule { weekday_mask: 0b110_0000, ..none.clone() };
        check(&weekend, &["2026-11-21", "2026-11-22"], &["2026-11-23"]);
        let last_friday =
            wire::CalendarRule { weekday_mask: 1 << 4, occurrence_mask: 1 << 5, ..none.clone() };
        check(&last_friday, &["2026-11-27", "2026-01-30"], &["2026-11-20", "2026-11-28"]);
        let second = wire::CalendarRule { occurrence_mask: 1 << 1, ..none.clone() };
        check(&second, &["2026-11-08", "2026-11-14"], &["2026-11-07", "2026-11-15"]);
        let new_year = wire::CalendarRule { dates_yyyymmdd: vec![20_261_231], ..none };
        check(&new_year, &["2026-12-31"], &["2025-12-31"]);
    }

    #[track_caller]
    fn check(rule: &wire::CalendarRule, days: &[&str], others: &[&str]) {
        let rule = Rule::new(rule, 0).expect("a rule");
        let is_for = |text: &&str| rule.is_for(text.parse().expect("a date"));
        assert!(days.iter().all(is_for) && !others.iter().any(is_for), "{rule:?}");
    }

    #[test]
    fn what_can_not_be_followed_is_named() {
        let calendar = |program: wire::ControlProgram| wire::Calendar {
            default_program_id: program.program_id.clone(),
            programs: vec![program],
            ..wire::Calendar::default()
        };
        let lit = vec![wire::ActivePeriod::default()];
        let dark = wire::ControlProgram::default();
        let error = Plan::new(&calendar(dark)).expect_err("no period");
        assert_eq!(error.field, "programs[0].active_periods");
        let point = wire::SwitchPoint {
            at: Some(wire::TimeOfDay { at: Some(At::LocalS(0)) }),
            ..wire::SwitchPoint::default()
        };
        let without_level = wire::ControlProgram {
            active_periods: lit.clone(),
            switch_points: vec![point],
            ..wire::ControlProgram::default()
        };
        let error = Plan::new(&calendar(without_level)).expect_err("no level");
        assert_eq!(error.field, "programs[0].switch_points[0].level_pct");
        let period =
            wire::ActivePeriod { photocell_on_lx: Some(35), ..wire::ActivePeriod::default() };
        let by_photocell = wire::ControlProgram {
            active_periods: vec![period],
            ..wire::ControlProgram::default()
        };
        assert!(Plan::new(&calendar(by_photocell)).is_err());
        let unknown =
            wire::Calendar { default_program_id: "x".into(), ..wire::Calendar::default() };
        assert_eq!(Plan::new(&unknown).expect_err("no such program").field, "default_program_id");
    }
}
