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
}

impl Clock {
    /// A clock that shows 0 now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_unix_ms = u64::try_from(since_1970.as_millis()).unwrap_or(0);
        Self { start: Instant::now(), start_unix_ms, firmware: driver::Clock::start() }
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
