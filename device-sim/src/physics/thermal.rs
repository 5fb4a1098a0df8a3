//! Heat in a luminaire: four nodes, each a first-order lag behind what feeds it.
//!
//! ```text
//!   air, sun, power ─▶ housing (45 min) ─┬─▶ driver (20 min) ◀─ its loss
//!                                        ├─▶ LED board (8 min) ◀─ power
//!                                        └─▶ controller (30 min)
//! ```
//!
//! A step takes the exact exponential, so any length of step is stable. Resistances stand for a
//! luminaire of 65 W and shrink with size: a larger lamp has a larger housing.

use super::LuminaireClass;

/// What heats a luminaire during a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heat {
    /// °C of the air.
    pub(super) ambient_c: f64,
    /// K that the sun adds to the housing.
    pub(super) sun_k: f64,
    /// W into the luminaire.
    pub(super) power_w: f64,
    /// W that stay in the driver.
    pub(super) loss_w: f64,
}

/// How well a luminaire gets rid of its heat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paths {
    housing_k_per_w: f64,
    driver_k_per_w: f64,
    board_k_per_w: f64,
}

/// °C of the nodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thermal {
    pub(super) housing_c: f32,
    pub(super) driver_c: f32,
    pub(super) board_c: f32,
    pub(super) controller_c: f32,
}

/// Share of the input that heats the housing; the rest leaves as light or along the pole.
const HEAT_SHARE: f64 = 0.62;
const REFERENCE_W: f64 = 65.0;
/// °C: here the driver begins to dim, 3 % a kelvin.
const DERATE_C: f64 = 80.0;
const DERATE_PER_K: f64 = 0.03;
/// °C: here the driver switches off, and comes back `RECOVER_K` below.
const SHUTDOWN_C: f32 = 95.0;
const RECOVER_K: f32 = 10.0;

impl Paths {
    /// `spread` scales all resistances of this piece, 1 by design; `blocked` is a driver whose
    /// heat path is broken or buried in leaves.
    pub(super) fn new(class: LuminaireClass, spread: f64, blocked: bool) -> Self {
        let size = REFERENCE_W / class.nominal_power_w() * spread;
        Self {
            housing_k_per_w: 0.35 * size,
            driver_k_per_w: 2.6 * size * if blocked { 2.5 } else { 1.0 },
            board_k_per_w: 0.12 * size,
        }
    }
}

impl Thermal {
    /// Where everything ends up if the heat stays as it is.
    pub(super) fn settled(paths: &Paths, heat: Heat) -> Self {
        let start = heat.ambient_c as f32;
        let mut nodes =
            Self { housing_c: start, driver_c: start, board_c: start, controller_c: start };
        for _ in 0..2 {
            nodes.step(paths, heat, f64::INFINITY);
        }
        nodes
    }

    /// Goes on by `seconds` of constant heat.
    pub(super) fn step(&mut self, paths: &Paths, heat: Heat, seconds: f64) {
        let housing =
            heat.ambient_c + paths.housing_k_per_w * HEAT_SHARE * heat.power_w + heat.sun_k;
        approach(&mut self.housing_c, housing, 45.0, seconds);
        let housing = f64::from(self.housing_c);
        approach(&mut self.driver_c, housing + paths.driver_k_per_w * heat.loss_w, 20.0, seconds);
        approach(&mut self.board_c, housing + paths.board_k_per_w * heat.power_w, 8.0, seconds);
        let controller = 0.6 * housing + 0.4 * heat.ambient_c + 4.0;
        approach(&mut self.controller_c, controller, 30.0, seconds);
    }

    /// The share of its light that the hot driver still allows, 0.4 to 1.
    pub(super) fn derating(&self) -> f64 {
        (1.0 - DERATE_PER_K * (f64::from(self.driver_c) - DERATE_C)).clamp(0.4, 1.0)
    }

    /// Whether the driver is off because of heat, given whether it was.
    pub(super) fn is_shut_down(&self, before: bool) -> bool {
        let limit = if before { SHUTDOWN_C - RECOVER_K } else { SHUTDOWN_C };
        self.driver_c > limit
    }
}

fn approach(node: &mut f32, target: f64, tau_min: f64, seconds: f64) {
    let keep = (-seconds / (tau_min * 60.0)).exp();
    *node = (target + (f64::from(*node) - target) * keep) as f32;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::electrical::Driver;

    fn heat(class: LuminaireClass, ambient_c: f64) -> Heat {
        let load = Driver::new(class, 1.0, 0.0).load(1.0, 230.0, 50.0);
        Heat { ambient_c, sun_k: 0.0, power_w: load.power_w.into(), loss_w: load.loss_w.into() }
    }

    #[test]
    fn a_collector_lamp_settles_where_its_data_sheet_says() {
        let paths = Paths::new(LuminaireClass::Collector, 1.0, false);
        for (ambient, driver, board) in
            [(25.0, 53.0, 47.0), (40.0, 68.0, 62.0), (-10.0, 18.0, 12.0)]
        {
            let nodes = Thermal::settled(&paths, heat(LuminaireClass::Collector, ambient));
            assert!((nodes.driver_c - driver).abs() < 1.0, "{nodes:?}");
            assert!((nodes.board_c - board).abs() < 1.0, "{nodes:?}");
        }
    }

    #[test]
    fn many_small_steps_end_where_one_large_step_ends() {
        let paths = Paths::new(LuminaireClass::Collector, 1.0, false);
        let mut once = Thermal::settled(
            &paths,
            Heat { power_w: 0.0, loss_w: 0.0, ..heat(LuminaireClass::Collector, 10.0) },
        );
        let mut often = once;
        once.step(&paths, heat(LuminaireClass::Collector, 10.0), 1800.0);
        for _ in 0..1800 {
            often.step(&paths, heat(LuminaireClass::Collector, 10.0), 1.0);
        }
        // Only the housing is a lag behind a constant; it must be exact.
        assert!((once.housing_c - often.housing_c).abs() < 0.01, "{once:?} {often:?}");
    }

    #[test]
    fn only_a_blocked_heat_path_makes_a_lamp_derate_on_a_warm_evening() {
        for class in
            [LuminaireClass::Residential, LuminaireClass::Collector, LuminaireClass::Arterial]
        {
            let heat = heat(class, 36.0);
            let free = Thermal::settled(&Paths::new(class, 1.0, false), heat);
            let blocked = Thermal::settled(&Paths::new(class, 1.0, true), heat);
            assert!(free.derating() >= 1.0, "{class:?}: {free:?}");
            assert!(blocked.derating() < 0.95, "{class:?}: {blocked:?}");
        }
    }

    #[test]
    fn a_shut_down_driver_returns_ten_kelvin_lower() {
        let at =
            |driver_c| Thermal { housing_c: 60.0, driver_c, board_c: 60.0, controller_c: 50.0 };
        assert!(at(96.0).is_shut_down(false));
        assert!(at(90.0).is_shut_down(true) && !at(90.0).is_shut_down(false));
        assert!(!at(84.0).is_shut_down(true));
    }
}
