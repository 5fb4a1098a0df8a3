//! When things are meant to happen, whatever the hub does: an open loop.
//!
//! Every report and every command has an intended moment that follows from seed, index and number.
//! Latency counts from that moment, so a stalled hub shows up in every report that it delayed and not
//! only in the one that was under way (no coordinated omission).

use std::time::Duration;

use crate::clock::{Micros, micros};

/// Moments at one distance, from a first one on.
#[derive(Debug, Clone, Copy)]
pub struct Periodic {
    first: Micros,
    every_us: u64,
    number: u64,
}

impl Periodic {
    /// Starts at `first`.
    pub fn new(first: Micros, every: Duration) -> Self {
        Self { first, every_us: micros(every).max(1), number: 0 }
    }

    /// The next intended moment.
    pub const fn next(&self) -> Micros {
        Micros(self.first.0.saturating_add(self.number.saturating_mul(self.every_us)))
    }

    /// Takes the next moment if it has come.
    pub fn take(&mut self, now: Micros) -> Option<Micros> {
        let due = self.next();
        (due <= now).then(|| {
            self.number += 1;
            due
        })
    }

    /// Leaves out all moments before `now`, as a device without power does.
    pub fn skip_to(&mut self, now: Micros) {
        if let Some(late) = now.0.checked_sub(self.next().0) {
            self.number += late.div_ceil(self.every_us);
        }
    }
}

/// When device `index` of `count` first connects.
pub fn ramp_moment(start: Micros, span: Duration, index: u32, count: u32) -> Micros {
    let share = f64::from(index) / f64::from(count.max(1));
    start.after(span.mul_f64(share))
}

/// Numbers that look random and follow from a seed: `SplitMix64`.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Different purposes of one seed get different streams.
    pub const fn new(seed: u64, stream: u64) -> Self {
        Self(mix(seed ^ mix(stream)))
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// From 0 to `count` - 1; 0 if `count` is 0.
    pub const fn below(&mut self, count: u64) -> u64 {
        if count == 0 { 0 } else { self.next() % count }
    }

    /// From 0 to 1, 1 not included.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_stall_makes_up_for_every_moment_it_missed() {
        let mut periodic = Periodic::new(Micros(500_000), SECOND);
        assert_eq!(periodic.take(Micros(499_999)), None);
        let now = Micros(3_600_000);
        let taken: Vec<u64> = std::iter::from_fn(|| periodic.take(now)).map(|due| due.0).collect();
        assert_eq!(taken, [500_000, 1_500_000, 2_500_000, 3_500_000]);
        assert_eq!(periodic.next(), Micros(4_500_000));
    }

    #[test]
    fn a_device_without_power_leaves_its_moments_out() {
        let mut periodic = Periodic::new(Micros(0), SECOND);
        periodic.skip_to(Micros(2_300_000));
        assert_eq!(periodic.next(), Micros(3_000_000));
        periodic.skip_to(Micros(3_000_000));
        assert_eq!(periodic.next(), Micros(3_000_000));
        periodic.skip_to(Micros(1));
        assert_eq!(periodic.next(), Micros(3_000_000));
    }

    #[test]
    fn the_ramp_is_even_and_begins_at_its_start() {
        let moment = |index| ramp_moment(Micros(7), Duration::from_secs(10), index, 100).0;
        assert_eq!(moment(0), 7);
        assert_eq!(moment(50), 5_000_007);
        assert_eq!(moment(99), 9_900_007);
    }

    #[test]
    fn the_same_seed_and_stream_give_the_same_numbers_and_others_do_not() {
        let draw = |seed, stream| {
            let mut random = Random::new(seed, stream);
            (random.next(), random.next())
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
        let mut random = Random::new(1, 1);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.share())));
    }
}
