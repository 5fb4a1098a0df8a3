//! Numbers that look random and are a pure function of their names.
//!
//! A lamp's constants, its faults and the mains that it shares with its neighbours all come from
//! here. Nothing has a state that two lamps would have to share: whoever asks for the same name
//! and the same time gets the same number, in any order, on any thread.
//!
//! # Noise with a memory
//!
//! Mains voltage and weather wander: they are Ornstein-Uhlenbeck processes with a deviation σ and
//! a correlation time τ. [`Noise`] gives any moment of such a process without stepping through
//! the past. Time is cut into blocks of 8 τ. The ends of a block are drawn by themselves (over
//! 8 τ the process forgets all but 0.03 %); inside, each midpoint is drawn from the exact bridge
//! between its two neighbours, seven times, down to τ/16. Below that a straight line serves.
//!
//! # Cost
//!
//! A draw is a few multiplications; a moment of noise is nine draws. Draws have the shape of a
//! bell but end at 3.46 σ, so that no lamp is absurd.

use super::UnixMillis;

/// The kinds of names, so that equal numbers under different kinds are strangers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Traits = 1,
    City = 2,
    FaultArrival = 3,
    FaultStrength = 4,
    FaultLength = 5,
    Cycle = 6,
    FeederBias = 7,
    FeederNoise = 8,
    FeederSag = 9,
    Frequency = 10,
    Ambient = 11,
    Cloud = 12,
    Meter = 13,
}

/// A well-mixed number for a name; the last steps of splitmix64 after each part.
pub(super) fn hash<const N: usize>(seed: u64, stream: Stream, parts: [u64; N]) -> u64 {
    parts.iter().fold(mix(seed ^ mix(stream as u64)), |state, part| mix(state ^ mix(*part)))
}

const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Uniform in 0..1.
pub(super) fn uniform(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// Bell-shaped with mean 0 and deviation 1: the sum of four uniform parts of the hash.
pub(super) fn normal(hash: u64) -> f64 {
    let part = |shift: u32| ((hash >> shift) & 0xFFFF) as f64;
    (part(0) + part(16) + part(32) + part(48) - 131_070.0) / 37_837.226
}

/// Log-normal around `median`; `sigma` is the deviation of the logarithm.
pub(super) fn log_normal(hash: u64, median: f64, sigma: f64) -> f64 {
    median * (sigma * normal(hash)).exp()
}

/// Exponential: the wait for the next of events that come at random, `mean` apart.
pub(super) fn exponential(hash: u64, mean: f64) -> f64 {
    -mean * (1.0 - uniform(hash)).ln()
}

/// Draws one after the other, for the constants of one thing.
pub(super) struct Draws {
    state: u64,
}

impl Draws {
    pub(super) fn new(hash: u64) -> Self {
        Self { state: hash }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * uniform(self.next())
    }

    pub(super) fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        mean + deviation * normal(self.next())
    }
}

/// An Ornstein-Uhlenbeck process, readable at any moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise {
    /// Standard deviation, in the unit of what it disturbs.
    pub(super) sigma: f64,
    /// Correlation time, a multiple of 16 ms so that a block halves evenly.
    pub(super) tau_ms: u64,
}

/// For spans of 8, 4, … 1/8 τ: how much a midpoint keeps of the sum of its neighbours,
/// `1 / 2cosh(span/2τ)`, and how far it strays from that, `sqrt(tanh(span/2τ))`.
const BRIDGE: [(f64, f64); 7] = [
    (0.018_309_496_737, 0.999_664_593_621),
    (0.132_901_114_417, 0.981_849_061_758),
    (0.324_027_136_832, 0.872_693_620_898),
    (0.443_409_441_985, 0.679_791_995_584),
    (0.484_771_814_570, 0.494_892_576_630),
    (0.496_119_020_738, 0.352_637_209_851),
    (0.499_025_024_436, 0.249_837_440_644),
];

impl Noise {
    /// The process `key` at a moment; one `key` is one process.
    pub(super) fn at(self, key: u64, time: UnixMillis) -> f64 {
        let block_ms = self.tau_ms * 8;
        let block = time.0 / block_ms;
        let draw = |block: u64, node: u64| normal(mix(mix(key ^ mix(block)) ^ node));

        let (mut left, mut right) = (draw(block, 0), draw(block + 1, 0));
        let (mut offset_ms, mut span_ms, mut node) = (time.0 % block_ms, block_ms, 1);
        for (keep, stray) in BRIDGE {
            let middle = (left + right) * keep + stray * draw(block, node);
            span_ms /= 2;
            node *= 2;
            if offset_ms < span_ms {
                right = middle;
            } else {
                left = middle;
                offset_ms -= span_ms;
                node += 1;
            }
        }
        self.sigma * (left + (right - left) * offset_ms as f64 / span_ms as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: Noise = Noise { sigma: 2.0, tau_ms: 900_000 };

    #[test]
    fn noise_has_its_deviation_and_forgets_at_its_pace() {
        let at = |index: u64| NOISE.at(7, UnixMillis(1_700_000_000_000 + index * 90_000));
        let count = 200_000;
        let variance = (0..count).map(|i| at(i).powi(2)).sum::<f64>() / count as f64;
        let after_tau = (0..count).map(|i| at(i) * at(i + 10)).sum::<f64>() / count as f64;

        assert!((variance / 4.0 - 1.0).abs() < 0.03, "{variance}");
        let correlation = after_tau / variance;
        assert!((correlation - (-1.0_f64).exp()).abs() < 0.03, "{correlation}");
    }

    #[test]
    fn noise_makes_no_leaps() {
        let at = |ms: u64| NOISE.at(7, UnixMillis(1_700_000_000_000 + ms));
        let leap = (0..200_000).map(|s| (at(s * 1000 + 1000) - at(s * 1000)).abs());
        // A second is 1/56 of the finest span, whose ends differ by 0.35 σ on average.
        assert!(leap.fold(0.0, f64::max) < 0.1);
    }

    #[test]
    fn bridge_weights_follow_from_the_process() {
        for (level, (keep, stray)) in BRIDGE.into_iter().enumerate() {
            let half = 4.0 / f64::from(1 << level);
            assert!((keep - 0.5 / half.cosh()).abs() < 1e-9);
            assert!((stray - half.tanh().sqrt()).abs() < 1e-9);
        }
    }

    #[test]
    fn draws_are_centred_and_bounded() {
        let mut draws = Draws::new(3);
        let values: Vec<f64> = (0..100_000).map(|_| draws.normal(0.0, 1.0)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02);
        assert!(values.iter().all(|v| v.abs() <= 3.47));
    }
}
