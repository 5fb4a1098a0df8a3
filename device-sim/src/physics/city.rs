//! A believable town: which lamp hangs where, how large, how old, on which cable.
//!
//! A cabinet feeds the up to 55 lamps of its quarter: two streets and two roads that cross, 30 m from lamp to lamp.
//! Quarters lie on a spiral of squares around the centre, with a park now and then; streets go on from quarter to
//! quarter. The whole is turned and bent a little, as towns are. Everything follows from seed and number, so
//! lamp 4711 of a seed is the same whether ten lamps are simulated or a hundred thousand.

use std::sync::Arc;

use super::random::{Draws, Stream, hash};
use super::{
    ControllerKind, FaultPlan, Feeder, LampSpec, LuminaireClass, Place, Program, UnixMillis,
};

const LAMPS_PER_CABINET: u64 = 55;
const LAMPS_PER_STREET: u64 = 14;
const SPACING_M: f64 = 30.0;
/// m along the side of a cabinet's quarter: a street of it is as long.
const QUARTER_M: f64 = LAMPS_PER_STREET as f64 * SPACING_M;
/// m from the middle of a street to its lamps, which stand on both sides in turn.
const KERB_M: f64 = 4.0;
/// m by which the lamps of roads are moved along, so that none stands in a crossing with one of a street.
const ROAD_SHIFT_M: f64 = 9.0;
/// Quarters from one park to the next, and the first.
const PARK_EVERY: u64 = 13;
const PARK_FIRST: u64 = 9;
/// Radians by which the grid is turned.
const TURN: f64 = 0.31;
/// How streets bend: m to the side, and m along for a radian of the wave.
const BENDS: [(f64, f64); 2] = [(70.0, 620.0), (95.0, 840.0)];
const METRES_PER_DEGREE: f64 = 111_320.0;
/// Luminaires are up to this old.
const AGE_MS: f64 = 8.0 * 365.25 * 86_400_000.0;

impl LampSpec {
    /// Lamp `number` of the city around `centre`, as it stands at `now`.
    pub fn in_city(
        seed: u64,
        number: u64,
        centre: Place,
        now: UnixMillis,
        faults: FaultPlan,
        program: Arc<Program>,
    ) -> Self {
        let (cabinet, along) = (number / LAMPS_PER_CABINET, number % LAMPS_PER_CABINET);
        let mut of_quarter = Draws::new(hash(seed, Stream::City, [0, cabinet]));
        let class = match of_quarter.between(0.0, 1.0) {
            part if part < 0.55 => LuminaireClass::Residential,
            part if part < 0.88 => LuminaireClass::Collector,
            _ => LuminaireClass::Arterial,
        };
        let age_ms = of_quarter.between(0.0, AGE_MS);
        let constant_light = of_quarter.between(0.0, 1.0) < 0.3;

        let mut of_lamp = Draws::new(hash(seed, Stream::City, [1, number]));
        let d4i = of_lamp.between(0.0, 1.0) < 0.6;
        Self {
            seed,
            id: number,
            place: place_of(centre, cabinet, along),
            class,
            controller: if d4i { ControllerKind::D4i } else { ControllerKind::Nema },
            feeder: Feeder {
                cabinet: u32::try_from(cabinet).unwrap_or(u32::MAX),
                phase: (along % 3) as u8,
                position: along as f32 / LAMPS_PER_CABINET as f32,
            },
            constant_light,
            installed: UnixMillis(now.0.saturating_sub(age_ms as u64)),
            faults,
            program: Some(program),
        }
    }
}

/// A street or road of the town, wherever it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Runs east, so many streets north of the first one.
    Street(i64),
    /// Runs north, so many roads east of the first one.
    Road(i64),
}

/// Where lamp `number` stands: on which way.
pub fn way_of(number: u64) -> Way {
    let (cabinet, along) = (number / LAMPS_PER_CABINET, number % LAMPS_PER_CABINET);
    let (east, north) = quarter(cabinet);
    let (east, north) = (east as i64, north as i64);
    match along / LAMPS_PER_STREET {
        0 => Way::Street(2 * north),
        1 => Way::Street(2 * north - 1),
        2 => Way::Road(2 * east),
        _ => Way::Road(2 * east + 1),
    }
}

/// The place of a cabinet's quarter on the spiral; parks are left out.
fn quarter(cabinet: u64) -> (f64, f64) {
    let parks = (cabinet + PARK_EVERY - PARK_FIRST) / PARK_EVERY;
    spiral(cabinet + parks)
}

fn place_of(centre: Place, cabinet: u64, along: u64) -> Place {
    let (east, north) = quarter(cabinet);
    let at = (along % LAMPS_PER_STREET) as f64;
    let length = (at + 0.5).mul_add(SPACING_M, -QUARTER_M / 2.0);
    let kerb = if along.is_multiple_of(2) { KERB_M } else { -KERB_M };
    let side = QUARTER_M / 4.0;
    let (x, y) = match along / LAMPS_PER_STREET {
        0 => (length, side + kerb),
        1 => (length, kerb - side),
        2 => (kerb - side, length + ROAD_SHIFT_M),
        _ => (kerb + side, length + ROAD_SHIFT_M),
    };
    let (x, y) = bent(east.mul_add(QUARTER_M, x), north.mul_add(QUARTER_M, y));
    let latitude_deg = centre.latitude_deg + y / METRES_PER_DEGREE;
    let shrink = centre.latitude_deg.to_radians().cos().max(0.01);
    let longitude_deg = centre.longitude_deg + x / (METRES_PER_DEGREE * shrink);
    Place { utc_offset_s: centre.utc_offset_s, ..Place::new(latitude_deg, longitude_deg) }
}

/// The grid, bent like the streets of an old town and turned. The waves are long against their height, so no
/// two places fall together.
fn bent(x: f64, y: f64) -> (f64, f64) {
    let [(aside, along), (across, reach)] = BENDS;
    let (x, y) = (x + aside * (y / along).sin(), y + across * (x / reach).sin());
    let (sine, cosine) = TURN.sin_cos();
    (x.mul_add(cosine, -y * sine), x.mul_add(sine, y * cosine))
}

/// The n-th cell of a square spiral: 0 in the middle, then ring after ring.
fn spiral(cell: u64) -> (f64, f64) {
    let ring = (((cell as f64).sqrt() + 1.0) / 2.0).floor();
    if ring < 1.0 {
        return (0.0, 0.0);
    }
    let side = 2.0 * ring;
    let on_ring = cell as f64 - (side - 1.0).powi(2);
    let (edge, step) = ((on_ring / side).floor(), on_ring % side);
    match edge as u8 {
        0 => (ring, step + 1.0 - ring),
        1 => (ring - step - 1.0, ring),
        2 => (-ring, ring - step - 1.0),
        _ => (step + 1.0 - ring, -ring),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn lamp(number: u64) -> LampSpec {
        let program = Arc::new(Program::residential());
        let now = UnixMillis(1_763_000_000_000);
        LampSpec::in_city(7, number, Place::new(52.52, 13.405), now, FaultPlan::NONE, program)
    }

    #[test]
    fn no_two_lamps_stand_at_one_place_and_all_stand_near_the_centre() {
        let places: HashSet<(i64, i64)> = (0..20_000)
            .map(|number| lamp(number).place)
            .inspect(|place| assert!((place.latitude_deg - 52.52).abs() < 0.1))
            .map(|place| ((place.latitude_deg * 1e6) as i64, (place.longitude_deg * 1e6) as i64))
            .collect();
        assert_eq!(places.len(), 20_000);
    }

    #[test]
    fn neighbours_of_a_way_stand_some_thirty_metres_apart() {
        let metres = |one: Place, other: Place| {
            let north = (one.latitude_deg - other.latitude_deg) * METRES_PER_DEGREE;
            let shrink = one.latitude_deg.to_radians().cos();
            let east = (one.longitude_deg - other.longitude_deg) * METRES_PER_DEGREE * shrink;
            north.hypot(east)
        };
        for number in (0..5_500).filter(|number| way_of(*number) == way_of(number + 1)) {
            let distance = metres(lamp(number).place, lamp(number + 1).place);
            assert!((24.0..40.0).contains(&distance), "{number}: {distance} m");
        }
    }

    #[test]
    fn the_city_draws_the_power_of_its_mix() {
        let watts: f64 = (0..100_000).map(|number| lamp(number).class.nominal_power_w()).sum();
        assert!((watts / 100_000.0 - 56.3).abs() < 2.0, "{watts}");
    }
}
