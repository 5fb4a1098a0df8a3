//! Words of the command line that stand for quantities: durations, moments, places, labels.
//!
//! Each parser is strict: no sign, no fraction, no exponent, and a duration has a unit, because
//! `--ttl 10` means ten of something to everybody, but not of the same thing.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Parses `5s`, `10m`, `2h`, `7d`, `500ms`, and sequences as in `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || "a duration is a whole number with a unit, as in 30s, 10m, 2h, 1h30m or 7d".to_owned();
    let mut rest = text;
    let mut total_ms = 0_u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit_ms));
        let sum = part.and_then(|part| total_ms.checked_add(part));
        total_ms = sum.ok_or_else(wrong)?;
        rest = tail;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_millis(total_ms)) }
}

/// A duration within bounds, both inclusive.
pub(crate) fn duration_between(
    text: &str,
    least: Duration,
    most: Duration,
) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    Err(format!("must be {} to {}", short(least), short(most)))
}

/// `90000 ms` as `1m30s`: what [`parse_duration`] takes.
pub(crate) fn short(duration: Duration) -> String {
    const UNITS: [(u128, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let mut left = duration.as_millis();
    let mut text = String::new();
    for (size, unit) in UNITS {
        if left >= size {
            text.push_str(&format!("{}{unit}", left / size));
            left %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// When something ends: a time of day, or a moment with date and zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// The next time that the clock on the wall shows this.
    Clock(Time),
    /// This moment.
    Moment(Timestamp),
}

impl Until {
    /// ms since 1970, UTC. `zone` is that of the clock on the wall.
    pub(crate) fn unix_ms(self, now_unix_ms: u64, zone: &TimeZone) -> Result<u64, String> {
        let now = moment(now_unix_ms)?;
        let end = match self {
            Self::Moment(end) => end,
            Self::Clock(time) => next(&now.to_zoned(zone.clone()), time)?,
        };
        if end <= now {
            return Err(format!("--until: {end} is in the past"));
        }
        u64::try_from(end.as_millisecond()).map_err(|_| "--until: before 1970".to_owned())
    }
}

impl Until {
    /// The same word about the past: the last time that the wall showed this, or the moment.
    pub(crate) fn last_unix_ms(self, now_unix_ms: u64, zone: &TimeZone) -> Result<u64, String> {
        const DAY_MS: u64 = 24 * 3600 * 1000;
        let at = match self {
            Self::Moment(moment) => moment,
            Self::Clock(time) => {
                next(&moment(now_unix_ms.saturating_sub(DAY_MS))?.to_zoned(zone.clone()), time)?
            }
        };
        let ms = u64::try_from(at.as_millisecond()).map_err(|_| "--at: before 1970".to_owned())?;
        if ms <= now_unix_ms { Ok(ms) } else { Err(format!("--at: {at} is in the future")) }
    }
}

/// Parses `22:30`, `22:30:15`, `2026-11-21T22:30:00Z`.
pub(crate) fn parse_until(text: &str) -> Result<Until, String> {
    let clock = matches!(text.len(), 5 | 8) && text.is_ascii() && text.as_bytes()[2] == b':';
    if clock && let Ok(time) = text.parse::<Time>() {
        return Ok(Until::Clock(time));
    }
    let wrong = "a time of day as in 22:30, or a moment as in 2026-11-21T22:30:00Z";
    text.parse::<Timestamp>().map(Until::Moment).map_err(|_| wrong.to_owned())
}

/// The moment, to the second, as RFC 3339 in UTC.
pub(crate) fn rfc3339(unix_ms: u64) -> String {
    moment(unix_ms).map_or_else(|_| format!("{unix_ms} ms"), |moment| moment.to_string())
}

/// The time of day by the clock on the wall, to the millisecond.
pub(crate) fn wall_time(unix_ms: u64, zone: &TimeZone) -> String {
    match moment(unix_ms) {
        Ok(moment) => moment.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string(),
        Err(_) => "--:--:--.---".to_owned(),
    }
}

/// Date and time by the clock on the wall, to the second.
pub(crate) fn wall_date(unix_ms: u64, zone: &TimeZone) -> String {
    match moment(unix_ms) {
        Ok(moment) => moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "no date".to_owned(),
    }
}

fn moment(unix_ms: u64) -> Result<Timestamp, String> {
    let ms = i64::try_from(unix_ms).map_err(|_| "no such moment".to_owned())?;
    Timestamp::from_millisecond(ms).map_err(|_| "no such moment".to_owned())
}

/// The next moment after `now` at which the wall shows `time`.
fn next(now: &Zoned, time: Time) -> Result<Timestamp, String> {
    let no_such = |_| "--until: no such time of day".to_owned();
    let today = now.with().time(time).build().map_err(no_such)?;
    if today > *now {
        return Ok(today.timestamp());
    }
    let tomorrow = now.date().tomorrow().map_err(no_such)?;
    let end = tomorrow.to_datetime(time).to_zoned(now.time_zone().clone()).map_err(no_such)?;
    Ok(end.timestamp())
}

/// Parses `key=value`; both non-empty.
pub(crate) fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err("a label is key=value, as in street='Queen St'".to_owned()),
    }
}

/// A place on the map, in 1e-7 degrees, WGS 84.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// -900,000,000 to 900,000,000: north is positive.
    pub(crate) latitude_e7: i32,
    /// -1,800,000,000 to 1,800,000,000: east is positive.
    pub(crate) longitude_e7: i32,
}

/// Parses `51.5007,-0.1246`: latitude, longitude in degrees.
pub(crate) fn parse_position(text: &str) -> Result<Position, String> {
    let wrong = || "a position is latitude,longitude in degrees, as in 51.5007,-0.1246".to_owned();
    let (latitude, longitude) = text.split_once(',').ok_or_else(wrong)?;
    Ok(Position {
        latitude_e7: degrees_e7(latitude, 90).ok_or_else(wrong)?,
        longitude_e7: degrees_e7(longitude, 180).ok_or_else(wrong)?,
    })
}

/// Decimal degrees as an integer: no float in between, so nothing is rounded but digits past the
/// seventh, which are refused.
fn degrees_e7(text: &str, most: i64) -> Option<i32> {
    let text = text.trim();
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || fraction.len() > 7 {
        return None;
    }
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let value = format!("{whole}{fraction:0<7}").parse::<i64>().ok()?;
    (value <= most * 10_000_000).then(|| i32::try_from(sign * value).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_units() {
        for (text, ms) in [
            ("5s", 5_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("500ms", 500),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
            assert_eq!(short(Duration::from_millis(ms)), text);
        }
        for text in [
            "",
            "-1",
            "1e9",
            "5x",
            "5",
            "s",
            "1.5s",
            "5 s",
            "99999999999999999999s",
            "999999999999999999d",
            "５s",
            "5sé",
        ] {
            assert!(parse_duration(text).is_err(), "`{text}` is no duration");
        }
    }

    #[test]
    fn a_time_of_day_is_the_next_one_on_the_wall() {
        let zone = TimeZone::get("Europe/London").expect("bundled");
        // 2026-11-21 21:30:00 UTC.
        let now = 1_795_296_600_000;
        let end =
            |text: &str| parse_until(text).and_then(|until| until.unix_ms(now, &zone)).map(rfc3339);
        assert_eq!(end("22:30").as_deref(), Ok("2026-11-21T22:30:00Z"));
        assert_eq!(end("21:30").as_deref(), Ok("2026-11-22T21:30:00Z"));
        assert_eq!(end("2026-11-22T06:00:00Z").as_deref(), Ok("2026-11-22T06:00:00Z"));
        assert!(end("2026-11-20T06:00:00Z").is_err(), "in the past");
        for text in ["25:00", "22", "tomorrow", "", "é2:30", "2026-11-22"] {
            assert!(parse_until(text).is_err(), "`{text}`");
        }
    }

    #[test]
    fn positions_are_exact_to_the_seventh_digit() {
        let place = |text| parse_position(text).map(|p| (p.latitude_e7, p.longitude_e7));
        assert_eq!(place("51.5007,-0.1246"), Ok((515_007_000, -1_246_000)));
        assert_eq!(place("-90,180"), Ok((-900_000_000, 1_800_000_000)));
        for text in ["90.0000001,0", "1", "1,", "a,b", "1e1,2", "1.00000001,2", "--1,2", "+1,2"] {
            assert!(place(text).is_err(), "`{text}` is no position");
        }
    }

    #[test]
    fn labels_have_a_key_and_a_value() {
        assert_eq!(parse_pair("street=Queen St"), Ok(("street".to_owned(), "Queen St".to_owned())));
        assert!(["street", "=x", "street=", ""].iter().all(|text| parse_pair(text).is_err()));
    }
}
