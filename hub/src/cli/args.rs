//! The words of the command line, as typed.
//!
//! What can be checked word by word is checked while parsing, so that a slip ends with exit code 2
//! before anything is sent. `send` takes its action as plain words, not as subcommands: a device
//! may be called anything, and after `--` even `--help` is text.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use proto::limits;

pub(crate) use super::args_audit::{AuditCommand, AuditListArgs, AuditVerifyArgs};
use super::connect::Connection;
use super::fleet_args::FleetCommand;
use super::selector::Selector;
use super::units::{self, Position, Until};

/// The hub between street-lamp controllers and the people who run them.
#[derive(Debug, Parser)]
#[command(
    name = "hub",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 ok, 2 usage, 3 who we are, 4 not found, 5 refused, 6 time-out or \
                  unknown outcome, 7 conflict."
)]
pub(crate) struct Cli {
    /// Which hub, and who we are.
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
#[expect(clippy::enum_variant_names, reason = "the verb is called `command`")]
pub(crate) enum Command {
    /// Run the hub
    Serve(crate::config::Flags),
    /// Look at the configuration that `serve` would run with
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Tell a lamp, or many, what to do
    Send(SendArgs),
    /// Show one command's life, or withdraw it
    Command(CommandArgs),
    /// Look at commands to many devices, withdraw them, send them again
    #[command(subcommand)]
    Fleet(FleetCommand),
    /// Set or end the override of a lamp, or show what it should show and why
    Override(super::light_args::OverrideArgs),
    /// A level, and if need be a calendar, for all devices that a selector means
    #[command(subcommand)]
    Profile(super::light_args::ProfileCommand),
    /// Say why a lamp did not switch, with all that happened to it
    Explain(ExplainArgs),
    /// Show the last values of a device, with their age
    State(StateArgs),
    /// Show values as they come
    Watch(WatchArgs),
    /// List devices
    Devices(DevicesArgs),
    /// Add, remove or list devices
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Issue, list or revoke tokens of people and programs
    #[command(subcommand)]
    Token(TokenCommand),
    /// List, pin or revoke keys of devices' certificates
    #[command(subcommand)]
    Certificate(super::certificate::CertificateCommand),
    /// Add, list or remove descriptor sets: the types of payloads
    #[command(subcommand)]
    Schema(super::schema::SchemaCommand),
    /// Ask who may do what, and why
    #[command(subcommand)]
    Access(AccessCommand),
    /// Show or prove the log of who changed what
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Write everything that a hub keeps, for backup and for moving
    Export(super::transfer::ExportArgs),
    /// Bring what `export` wrote into the data of a hub that isn't running
    Import(super::transfer::ImportArgs),
    /// Ask whether the hub is ready
    Status(StatusArgs),
    /// Print a completion script for a shell
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// `hub config …`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check file, environment and flags; start nothing
    Check(crate::config::Flags),
    /// Print the configuration
    Show(ShowArgs),
}

/// `hub config show`
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// With all defaults, environment and flags: what `serve` would run with; always on
    #[arg(long)]
    pub(crate) effective: bool,
    /// What `serve` would be given.
    #[command(flatten)]
    pub(crate) flags: crate::config::Flags,
}

/// `hub send`
#[derive(Debug, Args)]
#[command(
    override_usage = "hub send [OPTIONS] <DEVICE> <ACTION>
       hub send [OPTIONS] --where <SELECTOR> <ACTION>
       hub send [OPTIONS] <DEVICE> --type <TYPE> --json <JSON>",
    after_help = "Actions:
  dim <PERCENT>     burn at this level     [--fade] [--until | --for]
  on, off           burn at 100 %, or not  [--fade] [--until | --for]
  resume            back to the program    [--fade]
  identify          blink                  [--for]
  read [FIELD]...   measure now
  reboot            start anew             --confirm

A device whose name looks like an option goes after `--`: hub send -- --odd off"
)]
pub(crate) struct SendArgs {
    /// A device, unless --where is given, then an action and its values
    #[arg(value_name = "DEVICE> <ACTION")]
    pub(crate) words: Vec<String>,
    /// Many devices instead of one: "street='Queen St' and power>40"
    #[arg(long = "where", value_name = "SELECTOR", value_parser = Selector::parse)]
    pub(crate) selector: Option<Selector>,
    /// How long the light takes to change, up to 90m
    #[arg(long, value_name = "DURATION", value_parser = fade)]
    pub(crate) fade: Option<Duration>,
    /// When the level ends: the next 22:30, or 2026-11-21T22:30:00Z
    #[arg(
        long,
        value_name = "TIME",
        value_parser = units::parse_until,
        conflicts_with = "duration"
    )]
    pub(crate) until: Option<Until>,
    /// How long the level, or the blinking, lasts
    #[arg(long = "for", id = "duration", value_name = "DURATION", value_parser = lasting)]
    pub(crate) duration: Option<Duration>,
    /// How long the command may wait for the device, 5s to 7d
    #[arg(long, value_name = "DURATION", value_parser = ttl, default_value = "10m")]
    pub(crate) ttl: Duration,
    /// Stay until it is done, and show each step
    #[arg(long)]
    pub(crate) wait: bool,
    /// Stop waiting after this; the command goes on
    #[arg(long, value_name = "DURATION", value_parser = patience, requires = "wait")]
    pub(crate) timeout: Option<Duration>,
    /// Names this order: sent again under the same name, it is done only once
    #[arg(long, value_name = "ID", value_parser = request_id)]
    pub(crate) request_id: Option<String>,
    /// reboot: yes, I mean it. With --where: yes, I mean exactly so many devices
    #[arg(long, value_name = "N", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "the flag, and the number that it may have")]
    pub(crate) confirm: Option<Option<usize>>,
    /// With --where: however many devices that is
    #[arg(long, requires = "selector", conflicts_with = "confirm")]
    pub(crate) yes: bool,
    /// With --where: only say how many would get it
    #[arg(long, requires = "selector")]
    pub(crate) dry_run: bool,
    /// With --where: devices of one wave
    #[arg(long, value_name = "N", requires = "selector", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) wave_size: Option<u32>,
    /// With --where: devices a second
    #[arg(long, value_name = "N", requires = "selector")]
    pub(crate) per_second: Option<f64>,
    /// With --where: between two waves
    #[arg(long, value_name = "DURATION", requires = "wave_size", value_parser = pause)]
    pub(crate) pause: Option<Duration>,
    /// With --where: stop when more of those sent than this share failed, in %
    #[arg(long, value_name = "PERCENT", requires = "selector")]
    pub(crate) abort_above: Option<f64>,
    /// Full name of the message in --json
    #[arg(long = "type", value_name = "TYPE", requires = "json")]
    pub(crate) type_name: Option<String>,
    /// A whole command instead of an action: '{"override":{"level_pct":40}}'
    #[arg(long, value_name = "JSON", requires = "type_name")]
    pub(crate) json: Option<String>,
    /// How to show the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Format,
}

/// For whom the result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// `hub command`
#[derive(Debug, Args)]
pub(crate) struct CommandArgs {
    /// The id that `send` printed
    #[arg(value_parser = command_id)]
    pub(crate) id: String,
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Withdraw it, if the device has not started it
    #[arg(long)]
    pub(crate) cancel: bool,
}

/// `hub explain`
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Which device
    #[arg(value_parser = device_id)]
    pub(crate) device: String,
    /// When: the last 22:00, or 2026-11-21T22:00:00Z; now if not said
    #[arg(long, value_name = "TIME", value_parser = units::parse_until)]
    pub(crate) at: Option<Until>,
    /// How much before and after
    #[arg(long, value_name = "DURATION", value_parser = lasting, default_value = "1h")]
    pub(crate) around: Duration,
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hub state`
#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// Which device
    #[arg(value_parser = device_id)]
    pub(crate) device: String,
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hub watch`
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// A channel, or a pattern: devices.*.telemetry, devices.lamp-0001.>
    #[arg(value_parser = pattern)]
    pub(crate) pattern: String,
    /// One JSON object a line, as received
    #[arg(long)]
    pub(crate) json: bool,
    /// Only what is new; not the last values first
    #[arg(long)]
    pub(crate) no_snapshot: bool,
    /// Stop after so many values
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Stop after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = patience)]
    pub(crate) duration: Option<Duration>,
}

/// `hub devices`
#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    /// Only some: "street='Queen St' and not online=true"
    #[arg(long = "where", value_name = "SELECTOR", value_parser = Selector::parse)]
    pub(crate) selector: Option<Selector>,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hub device …`
#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// Register a device, and print its token once
    Add(AddArgs),
    /// End a device's session, its waiting commands and its registration
    Remove {
        /// Which device
        #[arg(value_parser = device_id)]
        id: String,
    },
    /// List devices
    List(DevicesArgs),
}

/// `hub device add`
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// 3 to 64 of a-z, 0-9 and -
    #[arg(value_parser = device_id, required_unless_present = "from")]
    pub(crate) id: Option<String>,
    /// key=value, again for each
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = units::parse_pair)]
    pub(crate) labels: Vec<(String, String)>,
    /// What kind of device it is
    #[arg(long)]
    pub(crate) profile: Option<String>,
    /// Latitude and longitude in degrees: 51.5007,-0.1246
    #[arg(
        long,
        value_name = "LAT,LON",
        value_parser = units::parse_position,
        allow_hyphen_values = true
    )]
    pub(crate) position: Option<Position>,
    /// Many at once: a table with the head id,profile,latitude,longitude and a column a label
    #[arg(long, value_name = "CSV", conflicts_with_all = ["id", "labels", "profile", "position"])]
    pub(crate) from: Option<PathBuf>,
    /// If it is registered already, revoke its token and issue a new one
    #[arg(long)]
    pub(crate) new_token: bool,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hub token …`
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Issue a token, and print it once
    Issue(IssueArgs),
    /// List tokens; never the secrets
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token; sessions that use it end
    Revoke {
        /// The id that `list` shows
        id: String,
    },
}

/// `hub access …`
#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Say whether an identity may do something, and by which grant
    Explain {
        /// me, role:NAME, token:ID, device:ID, or as lists show it: "operator ann"
        identity: String,
        /// What it would do
        #[arg(value_parser = ["publish", "subscribe", "command", "manage"])]
        verb: String,
        /// On which channel; devices.ID stands for a device as a whole
        channel: String,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// `hub token issue`
#[derive(Debug, Args)]
pub(crate) struct IssueArgs {
    /// What its bearer may do: operator, viewer, or a role of the hub's configuration
    #[arg(long, value_parser = role)]
    pub(crate) role: String,
    /// Whose it is, for people
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Write into the data of a hub that isn't running: the way to the first token
    #[arg(long, requires = "data_dir")]
    pub(crate) offline: bool,
    /// The data folder, with --offline
    #[arg(long, value_name = "DIR", requires = "offline")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// `hub status`
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

fn role(text: &str) -> Result<String, String> {
    if crate::access::role::is_name(text) {
        return Ok(text.to_owned());
    }
    Err("is no name of a role; operator and viewer are built in".to_owned())
}

fn ttl(text: &str) -> Result<Duration, String> {
    let least = Duration::from_secs(limits::COMMAND_TTL_S_MIN.into());
    let ttl = units::duration_between(
        text,
        least,
        Duration::from_secs(limits::COMMAND_TTL_S_MAX.into()),
    )?;
    if ttl.subsec_millis() == 0 { Ok(ttl) } else { Err("must be whole seconds".to_owned()) }
}

/// `Override.ramp_to_ms` and `Resume.ramp_ms` go to 90 minutes.
fn fade(text: &str) -> Result<Duration, String> {
    units::duration_between(text, Duration::ZERO, Duration::from_secs(90 * 60))
}

fn lasting(text: &str) -> Result<Duration, String> {
    let week = Duration::from_secs(limits::COMMAND_TTL_S_MAX.into());
    units::duration_between(text, Duration::from_secs(1), week)
}

pub(super) fn patience(text: &str) -> Result<Duration, String> {
    units::duration_between(text, Duration::from_millis(1), Duration::from_secs(366 * 24 * 3600))
}

fn pause(text: &str) -> Result<Duration, String> {
    units::duration_between(text, Duration::ZERO, Duration::from_secs(24 * 3600))
}

pub(super) fn request_id(text: &str) -> Result<String, String> {
    let legal = text.bytes().all(|byte| byte.is_ascii_graphic());
    if legal && (1..=limits::KEY_BYTES_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!("1 to {} letters, digits or signs, without spaces", limits::KEY_BYTES_MAX))
}

/// Checks a device's id.
pub(crate) fn device_id(text: &str) -> Result<String, String> {
    match proto::id::check_device_id(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(_) => Err(format!(
            "a device id is {} to {} of a-z, 0-9 and -, and doesn't begin with -",
            limits::DEVICE_ID_BYTES_MIN,
            limits::DEVICE_ID_BYTES_MAX
        )),
    }
}

pub(super) fn command_id(text: &str) -> Result<String, String> {
    match proto::CommandId::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("a command id is a UUID, as `hub send` prints it".to_owned()),
    }
}

fn pattern(text: &str) -> Result<String, String> {
    match proto::name::check_pattern(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => {
            Err(format!("{error}; a pattern is as in devices.*.telemetry or devices.lamp-0001.>"))
        }
    }
}
