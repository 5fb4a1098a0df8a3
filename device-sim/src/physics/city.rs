//! A believable city: which lamp hangs where, how large, how old, on which cable.
//!
//! Streets lie on a grid around the centre. Each has its own cabinet, one class of luminaire and
//! up to 55 lamps, 32 m apart, dealt to three phases. Everything follows from seed and number, so
//! lamp 4711 of a seed is the same whether ten lamps are simulated or a hundred thousand.

use std::sync::Arc;

use super::random::{Draws, Stream, hash};
use super::{
    ControllerKind, FaultPlan, Feeder, LampSpec, LuminaireClass, Place, Program, UnixMillis,
};

const LAMPS_PER_STREET: u64 = 55;
const SPACING_M: f64 = 32.0;
/// m between streets: the blocks are longer than a street, so no two streets touch.
const BLOCK_M: f64 = 2000.0;
const STREETS_PER_BLOCK: u64 = 12;
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
        let (street, along) = (number / LAMPS_PER_STREET, number % LAMPS_PER_STREET);
        let mut of_street = Draws::new(hash(seed, Stream::City, [0, street]));
        let class = match of_street.between(0.0, 1.0) {
            part if part < 0.55 => LuminaireClass::Residential,
            part if part < 0.88 => LuminaireClass::Collector,
            _ => LuminaireClass::Arterial,
        };
        let age_ms = of_street.between(0.0, AGE_MS);
        let constant_light = of_street.between(0.0, 1.0) < 0.3;

        let mut of_lamp = Draws::new(hash(seed, Stream::City, [1, number]));
        let d4i = of_lamp.between(0.0, 1.0) < 0.6;
        Self {
            seed,
            id: number,
            place: place_of(centre, street, along),
            class,
            controller: if d4i { ControllerKind::D4i } else { ControllerKind::Nema },
            feeder: Feeder {
                cabinet: u32::try_from(street).unwrap_or(u32::MAX),
                phase: (along % 3) as u8,
                position: along as f32 / LAMPS_PER_STREET as f32,
            },
            constant_light,
            installed: UnixMillis(now.0.saturating_sub(age_ms as u64)),
            faults,
            program: Some(program),
        }
    }
}

/// Streets run east, block after block on a spiral of squares around the centre.
fn place_of(centre: Place, street: u64, along: u64) -> Place {
    let (block_east, block_north) = spiral(street / STREETS_PER_BLOCK);
    let row = (street % STREETS_PER_BLOCK) as f64;
    let east_m = block_east * BLOCK_M + along as f64 * SPACING_M - BLOCK_M / 2.0;
    let north_m = block_north * BLOCK_M + (row - 5.5) * BLOCK_M / STREETS_PER_BLOCK as f64;
    let latitude_deg = centre.latitude_deg + north_m / METRES_PER_DEGREE;
    let shrink = centre.latitude_deg.to_radians().cos().max(0.01);
    let longitude_deg = centre.longitude_deg + east_m / (METRES_PER_DEGREE * shrink);
    Place { utc_offset_s: centre.utc_offset_s, ..Place::new(latitude_deg, longitude_deg) }
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
    fn the_city_draws_the_power_of_its_mix() {
        let watts: f64 = (0..100_000).map(|number| lamp(number).class.nominal_power_w()).sum();
        assert!((watts / 100_000.0 - 56.3).abs() < 2.0, "{watts}");
    }
}
