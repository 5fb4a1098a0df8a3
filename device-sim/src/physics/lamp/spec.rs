//! What makes a lamp what it is: what the runner states, and what chance adds to each piece.

use std::sync::Arc;

use crate::physics::counters::Totals;
use crate::physics::faults::FaultPlan;
use crate::physics::random::{Draws, Stream, hash};
use crate::physics::{Feeder, LuminaireClass, Place, Program, UnixMillis};

/// What controls the luminaire, and so what can be known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControllerKind {
    /// In a Zhaga socket: data from the driver over DALI, standby at level 0.
    D4i,
    /// In a NEMA socket: own meter and relay, photocell; sees nothing inside the driver.
    Nema,
}

/// Everything that makes a lamp what it is.
#[derive(Debug, Clone)]
pub struct LampSpec {
    /// Of the whole simulation: weather, feeders and fates follow from it.
    pub seed: u64,
    /// Unique among the lamps of a seed.
    pub id: u64,
    /// Where it stands.
    pub place: Place,
    /// How large it is.
    pub class: LuminaireClass,
    /// What controls it.
    pub controller: ControllerKind,
    /// Where its power comes from.
    pub feeder: Feeder,
    /// It begins its life dimmed to 90 % and gives more as the LEDs fade.
    pub constant_light: bool,
    /// When it was put up; its counters begin with the nights since then.
    pub installed: UnixMillis,
    /// How it breaks by chance.
    pub faults: FaultPlan,
    /// Its nights; without one it burns at 100 % day and night.
    pub program: Option<Arc<Program>>,
}

/// What makes this piece differ from its data sheet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traits {
    pub(super) power_spread: f32,
    pub(super) meter_gain: f32,
    pub(super) thermal_spread: f32,
    pub(super) standby_w: f32,
    /// 0.1 W: what a dead driver still takes.
    pub(super) dead_tenth_w: u8,
    /// 0.1 degree: how the pole was set.
    pub(super) tilt_tenth_deg: u8,
    pub(super) constant_light: bool,
}

const YEAR_MS: f64 = 365.25 * 86_400_000.0;
/// Nights of a year in h, and the mean power in them with the usual dimming.
const BURN_HOURS_A_YEAR: f64 = 4280.0;
const MEAN_POWER: f64 = 0.69;
/// Times a year that a lamp is lit: every night, and after a power cut now and then.
const STARTS_A_YEAR: f64 = 368.0;

impl Traits {
    pub(super) fn draw(spec: &LampSpec) -> Self {
        let mut draws = Draws::new(hash(spec.seed, Stream::Traits, [spec.id]));
        let meter_error = match spec.controller {
            ControllerKind::D4i => 0.004,
            ControllerKind::Nema => 0.0015,
        };
        Self {
            power_spread: draws.normal(1.0, 0.012) as f32,
            meter_gain: draws.normal(1.0, meter_error) as f32,
            thermal_spread: draws.normal(1.0, 0.03) as f32,
            standby_w: (draws.between(0.3, 0.5) + draws.between(0.6, 1.2)) as f32,
            dead_tenth_w: draws.between(5.0, 20.0) as u8,
            tilt_tenth_deg: draws.between(1.0, 15.0) as u8,
            constant_light: spec.constant_light,
        }
    }
}

/// What a lamp has counted since it was put up.
pub(super) fn totals_since(spec: &LampSpec, now: UnixMillis) -> Totals {
    let years = now.since_ms(spec.installed) as f64 / YEAR_MS;
    let mean_w = spec.class.nominal_power_w() * MEAN_POWER;
    Totals::aged(years * BURN_HOURS_A_YEAR, mean_w, (years * STARTS_A_YEAR) as u32)
}
