//! What a lamp counts over its life, and how its LEDs fade.
//!
//! Energy is kept in µWh, so that nothing is lost between two readings, and published in Wh. A
//! real controller writes its counters to flash only every 12 h and at switch-off; a power cut
//! loses the rest, and counters step back. So do these.

use super::UnixMillis;
use super::electrical::Load;

/// All counters of a lamp; `since` they were installed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    energy_uwh: u64,
    apparent_uvah: u64,
    burn_ms: u64,
    pub(super) starts: u32,
    pub(super) supply_losses: u32,
}

/// Which counters to set to 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CounterSet {
    /// Active and apparent energy.
    pub energy: bool,
    /// Time with light.
    pub burn_time: bool,
    /// Starts.
    pub switch_count: bool,
}

/// Counters and their copy in flash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counters {
    now: Totals,
    flash: Totals,
    /// s since 1970.
    flash_at_s: u32,
    epoch: u32,
}

const PERSIST_S: u32 = 12 * 3600;
const MS_PER_HOUR: f64 = 3.6e6;
/// mWs in a µWh.
const MJ_PER_UWH: f64 = 3.6;
/// Light left after 100,000 h is 90 %.
const FADING_PER_HOUR: f64 = 1.054e-6;
/// h of light that a driver is made for.
const LIFE_HOURS: f64 = 100_000.0;

impl Totals {
    /// A lamp that burned `hours` at `mean_w` in `starts` nights.
    pub(super) fn aged(hours: f64, mean_w: f64, starts: u32) -> Self {
        Self {
            energy_uwh: (hours * mean_w * 1e6) as u64,
            apparent_uvah: (hours * mean_w * 1.02e6) as u64,
            burn_ms: (hours * MS_PER_HOUR) as u64,
            starts,
            supply_losses: (hours / 6000.0) as u32,
        }
    }

    /// Wh, rounded down.
    pub(super) fn energy_wh(&self) -> u64 {
        self.energy_uwh / 1_000_000
    }

    /// VAh, rounded down.
    pub(super) fn apparent_vah(&self) -> u64 {
        self.apparent_uvah / 1_000_000
    }

    /// s, rounded down; stops at the end of a u32 after 136 years.
    pub(super) fn burn_s(&self) -> u32 {
        u32::try_from(self.burn_ms / 1000).unwrap_or(u32::MAX)
    }

    pub(super) fn burn_hours(&self) -> f64 {
        self.burn_ms as f64 / MS_PER_HOUR
    }

    /// The share of the rated life that is over, 0 to 1.
    pub(super) fn life(&self) -> f64 {
        (self.burn_hours() / LIFE_HOURS).min(1.0)
    }

    /// The share of the new LED's light that is left, dirt of 2 % a year included, which a yearly
    /// cleaning takes away.
    pub(super) fn light_left(&self) -> f64 {
        let dirt = 0.02 * (self.burn_hours() / 4200.0).fract();
        (-FADING_PER_HOUR * self.burn_hours()).exp() * (1.0 - dirt)
    }

    /// The dimming that keeps light constant over life: 90 % when new, 100 % at its end.
    pub(super) fn constant_light(&self) -> f64 {
        0.90 + 0.10 * self.life()
    }
}

impl Counters {
    pub(super) fn new(totals: Totals, now: UnixMillis) -> Self {
        Self { now: totals, flash: totals, flash_at_s: now.seconds(), epoch: 0 }
    }

    pub(super) fn totals(&self) -> &Totals {
        &self.now
    }

    /// How often counters were set to 0.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Sets counters to 0, in flash as well, and begins a new epoch. Life, and with it ageing, goes
    /// by the burn time: it begins anew, as for a new light source.
    pub(super) fn reset(&mut self, which: CounterSet) {
        if which.energy {
            self.now.energy_uwh = 0;
            self.now.apparent_uvah = 0;
        }
        if which.burn_time {
            self.now.burn_ms = 0;
        }
        if which.switch_count {
            self.now.starts = 0;
        }
        if which != CounterSet::default() {
            self.epoch += 1;
            self.flash = self.now;
        }
    }

    /// Adds a span of constant load. `lit`: light came out.
    pub(super) fn add(&mut self, load: Load, span_ms: u64, lit: bool) {
        let span = span_ms as f64 / MJ_PER_UWH;
        self.now.energy_uwh += (f64::from(load.power_w) * span).round() as u64;
        self.now.apparent_uvah += (f64::from(load.apparent_va) * span).round() as u64;
        if lit {
            self.now.burn_ms += span_ms;
        }
    }

    pub(super) fn count_start(&mut self) {
        self.now.starts += 1;
    }

    /// Writes to flash if it is time; at switch-off it always is.
    pub(super) fn persist(&mut self, now: UnixMillis, switched_off: bool) {
        if switched_off || now.seconds() >= self.flash_at_s.saturating_add(PERSIST_S) {
            self.flash = self.now;
            self.flash_at_s = now.seconds();
        }
    }

    /// Mains went: what flash doesn't have is gone.
    pub(super) fn lose_power(&mut self) {
        self.now = self.flash;
        self.now.supply_losses += 1;
        self.flash = self.now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMillis = UnixMillis(1_763_000_000_000);

    fn load(power_w: f32, apparent_va: f32) -> Load {
        Load { power_w, apparent_va, ..Load::default() }
    }

    #[test]
    fn energy_adds_up_over_a_million_small_steps() {
        let mut counters = Counters::new(Totals::default(), START);
        for _ in 0..1_000_000 {
            counters.add(load(65.0, 66.0), 36, true);
        }
        // 36,000 s at 65 W.
        assert_eq!(counters.totals().energy_wh(), 650);
        assert_eq!(counters.totals().apparent_vah(), 660);
        assert_eq!(counters.totals().burn_s(), 36_000);
    }

    #[test]
    fn a_power_cut_loses_what_flash_does_not_have() {
        let mut counters = Counters::new(Totals::default(), START);
        counters.add(load(60.0, 61.0), 13 * 3_600_000, true);
        counters.persist(UnixMillis(START.0 + 13 * 3_600_000), false);
        counters.add(load(60.0, 61.0), 3_600_000, true);
        assert_eq!(counters.totals().energy_wh(), 840);

        counters.lose_power();

        assert_eq!(counters.totals().energy_wh(), 780);
        assert_eq!(counters.totals().supply_losses, 1);
    }

    #[test]
    fn light_fades_to_nine_tenths_over_life() {
        let old = Totals::aged(100_000.0, 40.0, 9000);
        let without_dirt = (-FADING_PER_HOUR * 100_000.0_f64).exp();
        assert!((without_dirt - 0.90).abs() < 0.001);
        assert!(old.light_left() > 0.87 && old.light_left() <= 0.90);
        assert!((old.constant_light() - 1.0).abs() < 1e-9);
    }
}
