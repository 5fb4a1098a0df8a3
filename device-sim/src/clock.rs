//! The one place of the crate that reads a clock.
//!
//! Everything that is measured counts in µs from the start of the process, so that intended and real
//! moments compare; the driver of the firmware client has its own clock in ms, started at the same time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use firmware_client::driver;
use tokio::time::Instant;

/// µs since the start of the process's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub u64);

impl Micros {
    /// Later by so much.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }

    /// µs from `earlier` to here; 0 if it isn't earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A span in µs.
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// One monotonic clock, in three scales: ours, the firmware's, and that of the calendar.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    start_unix_ms: u64,
    firmware: driver::Clock,
    city: CityTime,
}

/// The time that the city's physics follow: sun, programs, counters. In an ordinary run it is the real one; in a
/// demo it may begin at dusk and run faster. Times on the wire are always real.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CityTime {
    /// ms since 1970, UTC: the city's time when the real one is `real_unix_ms`.
    pub city_unix_ms: u64,
    /// ms since 1970, UTC.
    pub real_unix_ms: u64,
    /// ms of the city in a real ms, above 0.
    pub speed: f64,
}

impl CityTime {
    /// No other than the real one.
    pub const REAL: Self = Self { city_unix_ms: 0, real_unix_ms: 0, speed: 1.0 };

    /// The city's time at a real one, in ms since 1970.
    pub fn at(self, real_unix_ms: u64) -> u64 {
        if self == Self::REAL {
            return real_unix_ms;
        }
        let passed = real_unix_ms as f64 - self.real_unix_ms as f64;
        (self.city_unix_ms as f64 + passed * self.speed).max(0.0) as u64
    }
}

impl Clock {
    /// A clock that shows 0 now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_unix_ms = u64::try_from(since_1970.as_millis()).unwrap_or(0);
        let (start, firmware) = (Instant::now(), driver::Clock::start());
        Self { start, start_unix_ms, firmware, city: CityTime::REAL }
    }

    /// The time.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Micros {
        Micros(micros(Instant::now().duration_since(self.start)))
    }

    /// ms since 1970, UTC: the calendar's time at the start, moved on by this clock, so that it never
    /// jumps.
    pub fn unix_ms(&self) -> u64 {
        self.start_unix_ms + self.now().0 / 1000
    }

    /// The same clock for a city with a time of its own.
    #[must_use]
    pub const fn with_city(self, city: CityTime) -> Self {
        Self { city, ..self }
    }

    /// How the city's time follows from the real one.
    pub const fn city(&self) -> CityTime {
        self.city
    }

    /// The city's time, in ms since 1970.
    pub fn city_unix_ms(&self) -> u64 {
        self.city.at(self.unix_ms())
    }

    /// ms since 1970, UTC, at the start. Names this run among others.
    pub const fn start_unix_ms(&self) -> u64 {
        self.start_unix_ms
    }

    /// The same clock as the firmware's driver wants it.
    pub const fn firmware(&self) -> driver::Clock {
        self.firmware
    }

    /// Sleeps until a moment; returns at once if it has passed.
    pub async fn sleep_until(&self, moment: Micros) {
        tokio::time::sleep_until(self.start + Duration::from_micros(moment.0)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_city_s_time_begins_where_it_is_told_and_runs_as_fast_as_it_is_told() {
        let city = CityTime { city_unix_ms: 50_000, real_unix_ms: 10_000, speed: 30.0 };
        assert_eq!((city.at(10_000), city.at(11_000)), (50_000, 80_000));
        assert_eq!(CityTime::REAL.at(1_795_000_000_123), 1_795_000_000_123);
    }
}
