//! What light a lamp should show, and why: layers, of which the strongest that speaks counts.
//!
//! ```text
//!   local       somebody turned the switch at the lamp: the device's own report
//!   override    an operator's level, with an end
//!   calendar    the device's own, or its profile's: the program of this night
//!   profile     a level for all devices that a selector means
//! ```
//!
//! Pure: no I/O, no clock, no lock; `broker/light.rs` brings the layers of a device and carries away what
//! comes out. Read [`layers`] first, then [`plan`] and [`night`] for calendars, [`place`] for sun and
//! clocks, [`profile`], [`local`], and [`agenda`] for when to look again.
//!
//! # Guarantees
//!
//! - An override has an end, and no later than [`OVERRIDE_S_MAX`] from its start.
//! - What is said to hold until a moment is said together with what comes then, so a lamp that has heard it
//!   returns to its program without the hub.
//! - A layer that can't be followed (a calendar by the sun for a lamp without a place) says nothing and says
//!   why; the next one below counts.
//!
//! # Cost
//!
//! One evaluation decodes at most one calendar and computes the sun for each of its solar times: tens of
//! microseconds, some seven times a night and lamp. Nothing of a calendar is kept between two.

pub mod layers;

pub mod plan;

pub mod night;

pub mod place;

pub mod profile;

pub mod local;

pub mod agenda;

pub use agenda::Agenda;
pub use layers::{Calendar, Layer, Layers, Light, Override, Voice};
pub use local::Local;
pub use place::Place;
pub use plan::Plan;
pub use profile::{Profile, Profiles};

/// s: an override without an end lasts so long (uCIFI 3416/53), unless the device's settings say otherwise.
pub const OVERRIDE_S_DEFAULT: u32 = 7_200;
/// s: the longest override, 7 days.
pub const OVERRIDE_S_MAX: u32 = 604_800;
/// Bytes of the reason of an override.
pub const REASON_BYTES_MAX: usize = 128;
/// %: the level of a profile that says none, and of an active period before its first switch point.
pub const LEVEL_PCT_DEFAULT: u8 = 100;
