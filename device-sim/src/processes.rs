//! A fleet over several processes: where descriptors, ports or one core run out.
//!
//! The parent starts itself again, once for each part of the fleet, and adds up their reports.

use std::ffi::OsString;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Ramp, RunSettings};
use crate::hub::HubError;
use crate::report::{Report, print, print_json};

/// Flags that each part gets values of its own for.
const OWN: [&str; 6] =
    ["--processes", "--devices", "--start-index", "--ramp", "--command-rate", "--ledger"];
/// Flags without a value that the parent decides on.
const OWN_SWITCHES: [&str; 1] = ["--json"];

/// Runs the fleet in parts and prints the sum. True if no promise was broken.
///
/// # Errors
/// A part could not be started, or ended without a report.
pub async fn run(settings: &RunSettings) -> Result<bool, HubError> {
    let mut children = Vec::new();
    for part in 0..settings.processes {
        children.push(start(settings, part).map_err(|error| file_error("device-sim", error))?);
    }
    let pids: Vec<Pid> = children
        .iter()
        .filter_map(|child| Pid::from_raw(i32::try_from(child.id()?).ok()?))
        .collect();
    let collecting = collect(children);
    let mut collecting = std::pin::pin!(collecting);
    let (mut interrupt, mut terminate) = signals()?;
    let sum = loop {
        let stop = tokio::select! {
            collected = &mut collecting => break collected?,
            _ = interrupt.recv() => Signal::INT,
            _ = terminate.recv() => Signal::TERM,
        };
        for pid in &pids {
            // Fails for a part that has ended, which needs no signal.
            kill_process(*pid, stop).ok();
        }
    };
    if settings.json {
        print_json(&sum);
    } else {
        print(&sum.text());
    }
    match (sum.is_clean(), &sum.unverified) {
        (true, Some(reason)) => Err(HubError::Answer(reason.clone())),
        (clean, _) => Ok(clean),
    }
}

/// Adds up the reports of all parts.
async fn collect(children: Vec<Child>) -> Result<Report, HubError> {
    let mut sum = Report::default();
    for child in children {
        let output =
            child.wait_with_output().await.map_err(|error| file_error("device-sim", error))?;
        let line = output.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
        let report = line.and_then(|line| serde_json::from_slice::<Report>(line).ok());
        sum.add(report.ok_or_else(|| HubError::Answer("one of the processes".to_owned()))?);
    }
    Ok(sum)
}

type Signals = tokio::signal::unix::Signal;

fn signals() -> Result<(Signals, Signals), HubError> {
    let listen = |kind| signal(kind).map_err(|error| file_error("signals", error));
    Ok((listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?))
}

fn file_error(path: &str, error: std::io::Error) -> HubError {
    HubError::File { path: path.to_owned(), error }
}

fn start(settings: &RunSettings, part: u32) -> std::io::Result<Child> {
    let mut arguments = shared_arguments(std::env::args_os().skip(1));
    arguments.extend(own_arguments(settings, part).into_iter().map(Into::into));
    // Not observed by default: each part would get the whole fleet's telemetry.
    Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // So that Ctrl-C reaches the parts once, through us.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// What the parent was given, without what each part gets of its own.
fn shared_arguments(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut skips_value = false;
    for argument in given {
        let text = argument.to_string_lossy();
        let name = text.split('=').next().unwrap_or_default();
        if std::mem::take(&mut skips_value) || OWN_SWITCHES.contains(&name) {
            continue;
        }
        if OWN.contains(&name) {
            skips_value = !text.contains('=');
            continue;
        }
        kept.push(argument);
    }
    kept
}

fn own_arguments(settings: &RunSettings, part: u32) -> Vec<String> {
    let (first, count) = share(settings.devices, settings.processes, part);
    let parts = f64::from(settings.processes);
    let mut arguments = vec![
        format!("--devices={count}"),
        format!("--start-index={}", settings.start_index + first),
        "--json".to_owned(),
    ];
    match settings.ramp {
        Some(Ramp::Rate(rate)) => arguments.push(format!("--ramp={}/s", rate / parts)),
        Some(Ramp::Over(_)) | None => {
            arguments.push(format!("--ramp={}ms", settings.ramp_span().as_millis()));
        }
    }
    if let Some(rate) = settings.command_rate {
        arguments.push(format!("--command-rate={}", rate / parts));
    }
    if let Some(ledger) = &settings.ledger {
        arguments.push(format!("--ledger={}.{part}", ledger.display()));
    }
    if settings.observe.is_none() {
        arguments.push(format!("--observe={}", settings.observes()));
    }
    arguments
}

/// The first lamp of a part, from 0, and how many it has.
fn share(devices: u32, parts: u32, part: u32) -> (u32, u32) {
    let edge = |part: u32| (u64::from(devices) * u64::from(part) / u64::from(parts)) as u32;
    (edge(part), edge(part + 1) - edge(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_fleet_once() {
        for devices in [1, 2, 7, 100, 15_001] {
            let mut next = 0;
            for part in 0..4 {
                let (first, count) = share(devices, 4, part);
                assert_eq!(first, next, "{devices}");
                next += count;
            }
            assert_eq!(next, devices);
        }
    }

    #[test]
    fn a_part_gets_what_was_given_but_for_its_own_share() {
        let given =
            "run --hub wss://a:1 --devices 100 --processes=4 --json --seed 7 --ramp 10s --strict";
        let kept = shared_arguments(given.split(' ').map(OsString::from));
        let kept: Vec<&str> = kept.iter().filter_map(|argument| argument.to_str()).collect();
        assert_eq!(kept.join(" "), "run --hub wss://a:1 --seed 7 --strict");
    }
}
