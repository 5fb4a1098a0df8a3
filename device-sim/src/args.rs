//! What can be typed: subcommands, flags, and how their values are read.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bench::BenchSettings;
use crate::peers::CompareSettings;

/// Simulates a fleet of street lamps against a hub, and judges whether the hub kept its promises.
#[derive(Debug, Parser)]
#[command(name = "device-sim", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Run a fleet of lamps; exit code 1 if a promise was broken
    Run(Box<RunSettings>),
    /// Compare a hub with the ledgers that an earlier run wrote
    Verify(VerifySettings),
    /// Measure one hub process
    Bench(BenchSettings),
    /// Measure the hub beside other servers; deploy/bench-peers.sh prepares them
    Compare(CompareSettings),
}

/// Which hub, and as whom.
#[derive(Debug, Clone, Args)]
pub struct HubSettings {
    /// Address of the hub: wss://host:port, or ws://127.0.0.1:port
    #[arg(long, env = "LAMPLIGHTER_HUB", default_value = "wss://127.0.0.1:8443", global = true)]
    pub hub: String,
    /// Certificates to trust, PEM
    #[arg(long, env = "LAMPLIGHTER_CA_FILE", global = true)]
    pub ca_file: Option<PathBuf>,
    /// File with an operator's token
    #[arg(long, env = "LAMPLIGHTER_TOKEN_FILE", global = true)]
    pub token_file: Option<PathBuf>,
}

/// What the fleet goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScenarioName {
    /// Telemetry and nothing else
    Steady,
    /// All links are cut at once, and everybody comes back
    Storm,
    /// Commands at a steady rate
    Commands,
    /// Links, power and lamps fail; commands go on
    Faults,
}

/// Settings of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunSettings {
    #[command(flatten)]
    pub hub: HubSettings,
    /// How many lamps
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    pub devices: u32,
    /// Number of the first lamp
    #[arg(long, default_value_t = 1)]
    pub start_index: u32,
    /// Lamps are named by this and their number
    #[arg(long, default_value = "lamp-")]
    pub id_prefix: String,
    /// What happens to them
    #[arg(long, value_enum, default_value_t = ScenarioName::Steady)]
    pub scenario: ScenarioName,
    /// How long, after the ramp; without it until Ctrl-C
    #[arg(long, value_parser = span)]
    pub duration: Option<Duration>,
    /// Time over which the lamps connect, or a rate as in 200/s [default: 100 lamps a second]
    #[arg(long, value_parser = ramp)]
    pub ramp: Option<Ramp>,
    /// The same seed makes the same city, schedule and faults
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Time between two reports of a lamp
    #[arg(long, value_parser = span, default_value = "15s")]
    pub report_every: Duration,
    /// Lamps ask the hub for the light that they should show, and obey it
    #[arg(long)]
    pub follow_light: bool,
    /// Commands a second [default: 1 for 50 lamps, in the scenarios that send commands]
    #[arg(long)]
    pub command_rate: Option<f64>,
    /// Storms in the scenario `storm`, evenly over the duration
    #[arg(long, default_value_t = 1)]
    pub storms: u32,
    /// Longest wait between two tries to reconnect
    #[arg(long, value_parser = span)]
    pub reconnect_max: Option<Duration>,
    /// Largest window of the first try after a lost connection
    #[arg(long, value_parser = span)]
    pub reconnect_window: Option<Duration>,
    /// Time for acks and commands to come in after the end
    #[arg(long, value_parser = span, default_value = "20s")]
    pub settle: Duration,
    /// Watch all telemetry and commands as a dashboard would [default: up to 2000 lamps]
    #[arg(long)]
    pub observe: Option<bool>,
    /// Spread the lamps over so many processes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub processes: u32,
    /// Local addresses to connect from, in turn
    #[arg(long, value_delimiter = ',')]
    pub source_addresses: Vec<IpAddr>,
    /// Where the city stands, as in 52.52,13.405 [default: where it is evening now, so lamps are lit]
    #[arg(long, value_parser = place, allow_hyphen_values = true)]
    pub place: Option<(f64, f64)>,
    /// The town's name: tells dashboards of it, its zone and its program, in the channel city.about
    #[arg(long)]
    pub town: Option<String>,
    /// The town's time runs so many times as fast, and begins ten minutes before dusk; times on the wire stay real
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub speed: Option<u32>,
    /// So many lamps are broken from the start
    #[arg(long, default_value_t = 0)]
    pub broken: u32,
    /// Any disconnect that the scenario didn't make, and any lamp away at the end, breaks the run
    #[arg(long)]
    pub strict: bool,
    /// Write the ledgers here at the end, for `device-sim verify`
    #[arg(long)]
    pub ledger: Option<PathBuf>,
    /// Leave the comparison with the hub's last values to `device-sim verify`
    #[arg(long)]
    pub skip_verify: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Settings of `verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifySettings {
    #[command(flatten)]
    pub hub: HubSettings,
    /// What `run --ledger` wrote
    #[arg(long)]
    pub ledger: PathBuf,
    /// Print the verdict as JSON
    #[arg(long)]
    pub json: bool,
}

/// How fast lamps connect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ramp {
    /// All of them evenly over so long.
    Over(Duration),
    /// So many a second.
    Rate(f64),
}

impl RunSettings {
    /// The ramp's length.
    pub fn ramp_span(&self) -> Duration {
        const DEFAULT_RATE: f64 = 100.0;
        match self.ramp.unwrap_or(Ramp::Rate(DEFAULT_RATE)) {
            Ramp::Over(span) => span,
            Ramp::Rate(rate) => Duration::from_secs_f64(f64::from(self.devices) / rate),
        }
    }

    /// Whether a dashboard watches.
    pub fn observes(&self) -> bool {
        const OBSERVED_MAX: u32 = 2_000;
        self.observe.unwrap_or(self.devices <= OBSERVED_MAX)
    }

    /// Commands a second; 0 in scenarios without any.
    pub fn commands_per_s(&self) -> f64 {
        match self.scenario {
            ScenarioName::Steady | ScenarioName::Storm => self.command_rate.unwrap_or(0.0),
            ScenarioName::Commands | ScenarioName::Faults => {
                self.command_rate.unwrap_or(f64::from(self.devices) / 50.0)
            }
        }
    }
}

/// Reads `1500ms`, `15s`, `10m`, `2h`, or seconds without a unit.
///
/// # Errors
/// It is no such span.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span; write it like 1500ms, 15s, 10m or 2h");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

fn ramp(text: &str) -> Result<Ramp, String> {
    match text.strip_suffix("/s") {
        None => span(text).map(Ramp::Over),
        Some(rate) => match rate.parse::<f64>() {
            Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(Ramp::Rate(rate)),
            Ok(_) | Err(_) => Err(format!("`{text}` is no rate; write it like 200/s")),
        },
    }
}

fn place(text: &str) -> Result<(f64, f64), String> {
    let wrong = || format!("`{text}` is no place; write it like 52.52,13.405");
    let (latitude, longitude) = text.split_once(',').ok_or_else(wrong)?;
    let number = |text: &str, limit: f64| {
        text.trim().parse::<f64>().ok().filter(|degrees| degrees.abs() <= limit).ok_or_else(wrong)
    };
    Ok((number(latitude, 90.0)?, number(longitude, 180.0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_units() {
        for (text, ms) in [("1500ms", 1500), ("15s", 15_000), ("0.5m", 30_000), ("2h", 7_200_000)] {
            assert_eq!(span(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "5x", "1e9", "1 s"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_ramp_is_a_span_or_a_rate() {
        assert_eq!(ramp("60s"), Ok(Ramp::Over(Duration::from_secs(60))));
        assert_eq!(ramp("200/s"), Ok(Ramp::Rate(200.0)));
        assert!(ramp("0/s").is_err());
    }

    #[test]
    fn a_place_lies_on_earth() {
        assert_eq!(place("52.52,13.405"), Ok((52.52, 13.405)));
        assert_eq!(place("-33.9, -70.6"), Ok((-33.9, -70.6)));
        assert!(place("91,0").is_err());
    }
}
