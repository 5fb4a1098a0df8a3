//! The fleet's paper: names, labels and places of lamps, as a city's asset register has them.
//!
//! The physics decide where a lamp stands (`physics::LampSpec::in_city`); this file gives the street
//! its name, the cable its feeder, and the lamp its id. Everything follows from seed and number.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::physics::{
    ControllerKind, FaultPlan, LampSpec, LuminaireClass, Place, Program, UnixMillis, Way, way_of,
};

/// Ways have these names, in this order from the middle of the town; `Queen St` is the first street, so that even
/// the smallest town has one.
const NAMES: [&str; 24] = [
    "Queen", "King", "Station", "Church", "Mill", "Park", "Victoria", "Bridge", "School", "Market",
    "Garden", "River", "Castle", "North", "South", "Chestnut", "Linden", "Maple", "Harbour",
    "Abbey", "Orchard", "Tower", "Meadow", "Spring",
];
/// What a name is followed by, once all names were used.
const STREETS: [&str; 3] = ["St", "Lane", "Row"];
const ROADS: [&str; 3] = ["Rd", "Ave", "Walk"];
/// Roads begin elsewhere in the names, so that the middle has no Queen Rd beside its Queen St.
const ROADS_BEGIN: usize = 7;
/// Cabinets that hang on one feeder of the grid.
const CABINETS_PER_FEEDER: u32 = 4;
/// Local hour at which a city without a place is begun: dark in every season, and not yet dimmed.
const EVENING_HOUR: f64 = 21.0;
const EVENING_LATITUDE: f64 = 48.0;

/// The city of one run.
#[derive(Debug, Clone)]
pub struct City {
    seed: u64,
    prefix: Arc<str>,
    centre: Place,
    program: Arc<Program>,
    now: UnixMillis,
    faults: FaultPlan,
}

/// What the register says of a lamp.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// `lamp-0042`.
    pub id: String,
    /// Street, feeder, cabinet, phase, class.
    pub labels: BTreeMap<&'static str, String>,
    /// What kind of controller it is.
    pub profile: &'static str,
    /// 1e-7 degrees, WGS 84.
    pub latitude_e7: i32,
    /// 1e-7 degrees, WGS 84.
    pub longitude_e7: i32,
}

impl City {
    /// A city as it stands at `now`. Without a centre it stands where it is evening.
    pub fn new(
        seed: u64,
        prefix: &str,
        centre: Option<(f64, f64)>,
        now: UnixMillis,
        faults: FaultPlan,
    ) -> Self {
        let (latitude, longitude) =
            centre.unwrap_or_else(|| (EVENING_LATITUDE, evening_longitude(now)));
        let centre = Place::new(latitude, longitude);
        Self {
            seed,
            prefix: prefix.into(),
            centre,
            program: Arc::new(Program::residential()),
            now,
            faults,
        }
    }

    /// The id of lamp `number`, counted from 1.
    pub fn id(&self, number: u32) -> String {
        format!("{}{number:04}", self.prefix)
    }

    /// What all its lamps follow.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// s by which its clock is ahead of UTC.
    pub const fn utc_offset_s(&self) -> i32 {
        self.centre.utc_offset_s
    }

    /// Everything that makes lamp `number` what it is.
    pub fn spec(&self, number: u32) -> LampSpec {
        let number = u64::from(number.saturating_sub(1));
        LampSpec::in_city(
            self.seed,
            number,
            self.centre,
            self.now,
            self.faults,
            self.program.clone(),
        )
    }

    /// What the register says of lamp `number`.
    pub fn registration(&self, number: u32) -> Registration {
        let spec = self.spec(number);
        let cabinet = spec.feeder.cabinet;
        let phase = format!("L{}", spec.feeder.phase + 1);
        let labels = [
            ("street", way_name(way_of(u64::from(number.saturating_sub(1))))),
            ("feeder", format!("F{}", cabinet / CABINETS_PER_FEEDER + 1)),
            ("cabinet", format!("C{}", cabinet + 1)),
            ("phase", phase),
            ("class", class_name(spec.class).to_owned()),
        ];
        Registration {
            id: self.id(number),
            labels: labels.into(),
            profile: match spec.controller {
                ControllerKind::D4i => "d4i",
                ControllerKind::Nema => "nema",
            },
            latitude_e7: e7(spec.place.latitude_deg),
            longitude_e7: e7(spec.place.longitude_deg),
        }
    }
}

/// The meridian where it is evening.
fn evening_longitude(now: UnixMillis) -> f64 {
    let hour = (now.0 % 86_400_000) as f64 / 3.6e6;
    (EVENING_HOUR - hour + 12.0).rem_euclid(24.0).mul_add(15.0, -180.0)
}

fn way_name(way: Way) -> String {
    let (kinds, place) = match way {
        Way::Street(place) => (STREETS, from_the_middle(place)),
        Way::Road(place) => (ROADS, from_the_middle(place) + ROADS_BEGIN),
    };
    let (name, round) = (NAMES[place % NAMES.len()], place / NAMES.len());
    let kind = kinds[round % kinds.len()];
    match round / kinds.len() {
        0 => format!("{name} {kind}"),
        district => format!("{name} {kind} {}", district + 1),
    }
}

/// 0, 1, -1, 2, … as 0, 1, 2, 3, …
const fn from_the_middle(place: i64) -> usize {
    let away = place.unsigned_abs() as usize * 2;
    if place > 0 { away - 1 } else { away }
}

const fn class_name(class: LuminaireClass) -> &'static str {
    match class {
        LuminaireClass::Residential => "residential",
        LuminaireClass::Collector => "collector",
        LuminaireClass::Arterial => "arterial",
    }
}

fn e7(degrees: f64) -> i32 {
    (degrees * 1e7).round() as i32
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

    fn city(centre: Option<(f64, f64)>) -> City {
        City::new(7, "lamp-", centre, NOW, FaultPlan::NONE)
    }

    #[test]
    fn the_first_lamp_stands_in_queen_street() {
        let first = city(None).registration(1);
        assert_eq!(first.id, "lamp-0001");
        assert_eq!(first.labels["street"], "Queen St");
        assert_eq!(
            (first.labels["feeder"].as_str(), first.labels["cabinet"].as_str()),
            ("F1", "C1")
        );
    }

    #[test]
    fn every_way_has_a_name_of_its_own() {
        let ways = (-300..300).flat_map(|place| [Way::Street(place), Way::Road(place)]);
        let names: HashSet<String> = ways.map(way_name).collect();
        assert_eq!(names.len(), 1_200);
    }

    #[test]
    fn lamps_of_a_cabinet_stand_apart_in_its_few_streets() {
        let city = city(Some((52.52, 13.405)));
        let all: Vec<Registration> = (1..=220).map(|number| city.registration(number)).collect();
        for cabinet in ["C1", "C2", "C3", "C4"] {
            let here = all.iter().filter(|lamp| lamp.labels["cabinet"] == cabinet);
            let streets: HashSet<&String> = here.map(|lamp| &lamp.labels["street"]).collect();
            assert_eq!(streets.len(), 4, "{cabinet}: {streets:?}");
        }
        let places: HashSet<(i32, i32)> =
            all.iter().map(|lamp| (lamp.latitude_e7, lamp.longitude_e7)).collect();
        assert_eq!(places.len(), 220);
    }

    #[test]
    fn a_city_without_a_place_is_dark_in_every_season_and_at_every_hour() {
        for hour in 0..24 {
            for day in [0, 90, 180, 270] {
                let now = UnixMillis(1_767_225_600_000 + day * 86_400_000 + hour * 3_600_000);
                let place = Place::new(EVENING_LATITUDE, evening_longitude(now));
                let night = place.night(now);
                assert!((night.sunset..night.sunrise).contains(&now), "day {day}, {hour}:00");
            }
        }
    }
}
