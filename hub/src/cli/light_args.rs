//! The words of `hub override` and `hub profile`, as typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::args::device_id;
use super::selector::Selector;
use super::units::{self, Position, Until};
use crate::light::OVERRIDE_S_MAX;
use crate::light::profile::is_name;

/// `hub override`
#[derive(Debug, Args)]
#[command(override_usage = "hub override <DEVICE>                    show all layers
       hub override [OPTIONS] <DEVICE> <LEVEL>  set
       hub override <DEVICE> --end              back to the program")]
pub(crate) struct OverrideArgs {
    /// Which device
    #[arg(value_parser = device_id)]
    pub(crate) device: String,
    /// Percent, 0 is off
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) level: Option<u8>,
    /// When it ends: the next 23:30, or 2026-11-21T22:30:00Z
    #[arg(
        long,
        value_name = "TIME",
        value_parser = units::parse_until,
        requires = "level",
        conflicts_with = "duration"
    )]
    pub(crate) until: Option<Until>,
    /// How long it lasts, up to 7d; two hours, or as the device's settings say
    #[arg(long = "for", value_name = "DURATION", value_parser = lasting, requires = "level")]
    pub(crate) duration: Option<Duration>,
    /// Why, for those who ask
    #[arg(long, value_name = "TEXT", requires = "level")]
    pub(crate) reason: Option<String>,
    /// End the override now
    #[arg(long, conflicts_with = "level")]
    pub(crate) end: bool,
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hub profile …`
#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Create or replace a profile
    Put(Box<ProfilePutArgs>),
    /// List all profiles
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Take a profile away; the next one that means a device rules
    Delete {
        /// Which profile
        #[arg(value_parser = profile_name)]
        name: String,
    },
}

/// `hub profile put`
#[derive(Debug, Args)]
pub(crate) struct ProfilePutArgs {
    /// Its name
    #[arg(value_parser = profile_name)]
    pub(crate) name: String,
    /// Which devices, by labels, id and profile: "street='Queen St'"; every device is "exists(id)"
    #[arg(long = "where", value_name = "SELECTOR", value_parser = Selector::parse)]
    pub(crate) selector: Selector,
    /// Percent where no calendar says another; 100 if not said
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) level: Option<u8>,
    /// Of several that mean a device the highest rules
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) priority: i32,
    /// A file with a lighting.v1.Calendar as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) calendar: Option<PathBuf>,
    /// Where devices stand that nobody said it of
    #[arg(
        long,
        value_name = "LAT,LON",
        value_parser = units::parse_position,
        allow_hyphen_values = true
    )]
    pub(crate) place: Option<Position>,
    /// Their time zone: Europe/Berlin
    #[arg(long, value_name = "ZONE", requires = "place")]
    pub(crate) zone: Option<String>,
}

fn profile_name(text: &str) -> Result<String, String> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err("is no name of a profile; use [a-z0-9][a-z0-9-]{0,63}".to_owned())
}

fn lasting(text: &str) -> Result<Duration, String> {
    let longest = Duration::from_secs(u64::from(OVERRIDE_S_MAX));
    units::duration_between(text, Duration::from_secs(1), longest)
}
