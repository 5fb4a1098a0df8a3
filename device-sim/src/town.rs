//! A town to show: its name and clock for dashboards, and a few lamps that are broken from the start.
//!
//! A demo wants to see dusk and night within minutes. So the town's time may begin before dusk and run faster;
//! sun, programs and counters follow it, while every time on the wire stays real. What dashboards need to
//! show the town's time is in the channel `city.about`.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::args::RunSettings;
use crate::city::City;
use crate::clock::{CityTime, Clock};
use crate::hub::{Hub, HubError};
use crate::physics::{FaultKind, Place, UnixMillis};

/// Where a town stands that was given no place: in the middle of England.
const PLACE: (f64, f64) = (52.95, -1.15);
/// ms before sunset at which a faster time begins.
const BEFORE_DUSK_MS: u64 = 600_000;
/// What is broken in a town, in this order: dark lamps first, as they are what people look for.
const KINDS: [FaultKind; 5] = [
    FaultKind::DriverDead,
    FaultKind::LowPowerFactor,
    FaultKind::LedOpen,
    FaultKind::DimmingBroken,
    FaultKind::WrongAssetData,
];
/// Broken lamps stand apart by a share of the fleet that has no short period (the golden ratio).
const APART: f64 = 0.618_033_988_75;

/// The clock of a run: real, unless the town's time is to run faster.
pub fn clock(settings: &RunSettings, clock: Clock) -> Clock {
    let Some(speed) = settings.speed else { return clock };
    let (latitude, longitude) = place(settings);
    let real_unix_ms = clock.unix_ms();
    let night = Place::new(latitude, longitude).night(UnixMillis(real_unix_ms));
    let city_unix_ms = night.sunset.0.saturating_sub(BEFORE_DUSK_MS);
    clock.with_city(CityTime { city_unix_ms, real_unix_ms, speed: f64::from(speed) })
}

/// Where the town stands. Only a time of its own needs a place of its own: else it stands where it is evening.
pub fn place(settings: &RunSettings) -> (f64, f64) {
    settings.place.unwrap_or(PLACE)
}

/// Publishes what the town is called and how its time runs, if it has a name.
///
/// # Errors
/// The hub can't be reached, or refuses.
pub async fn tell(
    settings: &RunSettings,
    hub: &Hub,
    city: &City,
    clock: Clock,
) -> Result<(), HubError> {
    let Some(name) = &settings.town else { return Ok(()) };
    hub.put("/v1/channels/city.about", &about(name, city, clock)).await.map(drop)
}

fn about(name: &str, city: &City, clock: Clock) -> Value {
    let program = city.program();
    let points: Vec<Value> = program
        .points
        .iter()
        .map(|point| json!({"local_s": point.local_s, "level_pct": point.level_pct}))
        .collect();
    let mut about = json!({
        "name": name,
        "time_zone": zone(city.utc_offset_s()),
        "program": {"name": *program.id, "first_level_pct": program.first_level_pct, "points": points},
    });
    let time = clock.city();
    if time != CityTime::REAL {
        about["clock"] = json!({
            "city_unix_ms": time.city_unix_ms, "unix_ms": time.real_unix_ms, "speed": time.speed,
        });
    }
    about
}

/// The zone of whole hours without summer time. The names count the other way round.
fn zone(utc_offset_s: i32) -> String {
    match utc_offset_s / 3600 {
        0 => "Etc/GMT".to_owned(),
        hours => format!("Etc/GMT{:+}", -hours),
    }
}

/// Which lamps are broken, and how.
pub fn broken(count: u32, devices: u32) -> HashMap<u32, FaultKind> {
    let place = |number: u32| {
        let share = (f64::from(number + 1) * APART).fract();
        (f64::from(devices) * share) as u32
    };
    let kinds = KINDS.iter().cycle().copied();
    (0..count.min(devices)).map(place).zip(kinds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_lamps_stand_apart_and_within_the_fleet() {
        let broken = broken(5, 330);
        assert_eq!(broken.len(), 5);
        assert!(broken.keys().all(|index| *index < 330));
        assert!(broken.values().any(|kind| *kind == FaultKind::DriverDead));
    }

    #[test]
    fn zones_are_named_as_the_database_does() {
        assert_eq!([zone(0), zone(3600), zone(-18_000)], ["Etc/GMT", "Etc/GMT-1", "Etc/GMT+5"]);
    }
}
