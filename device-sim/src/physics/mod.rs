//! The physics of a simulated street lamp: sun, mains, driver, heat, counters, control, faults.
//!
//! A [`Lamp`] is a machine without clock, thread or I/O. The runner moves its time on, hands it
//! commands, reads samples and events:
//!
//! ```text
//!   weather ─┐            ┌─ control ◀─ program, override, identify
//!   mains  ──┼─▶ Lamp ◀───┤
//!   sun    ──┘     │      └─ faults ◀─ chance, inject
//!                  ├─▶ electrical ─▶ counters
//!                  ├─▶ thermal
//!                  └─▶ watch ─▶ events        sample ─▶ runner
//! ```
//!
//! Read `lamp` first, then whichever part is in question; each stands alone. `random` explains how
//! lamps share a feeder without sharing memory.
//!
//! # Guarantees
//!
//! - The same seed, the same calls at the same times: the same readings, bit for bit, whatever
//!   other lamps do and on whichever thread.
//! - Time only goes forward; a call for an earlier time does nothing.
//! - Levels, power and counters are right at every step length: changes inside a long step happen
//!   at their own time.
//!
//! # Cost
//!
//! A lamp takes at most 608 bytes, an override while one runs, and what it shares with others. A
//! step costs about a microsecond, and as much again for each full minute that it passes.

mod city;
mod control;
mod counters;
mod electrical;
mod faults;
mod lamp;
mod mains;
mod program;
mod random;
mod report;
mod sun;
mod thermal;
mod watch;
mod weather;

pub use city::{Way, way_of};
pub use control::{Guide, Override, OverrideError};
pub use counters::CounterSet;
pub use electrical::LuminaireClass;
pub use faults::{Fault, FaultKind, FaultPlan};
pub use lamp::{ControllerKind, Lamp, LampSpec};
pub use mains::Feeder;
pub use program::{Program, SwitchPoint};
pub use report::{
    ControlReason, Event, FactorSense, FaultChange, FaultCode, LampState, LightStateChange, Sample,
    Severity,
};
pub use sun::{Night, Place};

/// ms since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// After everything.
    pub const NEVER: Self = Self(u64::MAX);

    /// Later by so many ms; stops at [`UnixMillis::NEVER`].
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// s since 1970, rounded down; stops in 2106.
    fn seconds(self) -> u32 {
        u32::try_from(self.0 / 1000).unwrap_or(u32::MAX)
    }

    /// ms from `earlier` to here; 0 if it isn't earlier.
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
