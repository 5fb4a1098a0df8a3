//! What a run shows while it goes on: one line that lives on a terminal, one line a while in a log.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::Micros;
use crate::lamp::{Phase, Shared};

const ON_TERMINAL: Duration = Duration::from_millis(250);
const IN_LOG: Duration = Duration::from_secs(30);

/// Shows live rates on stderr until the run is over. `total` is the planned length, ramp included.
pub async fn show(shared: Arc<Shared>, devices: u32, total: Option<Duration>) {
    let on_terminal = std::io::stderr().is_terminal();
    let bar = bar(on_terminal, total);
    let mut ticks = tokio::time::interval(if on_terminal { ON_TERMINAL } else { IN_LOG });
    let mut phase = shared.phase.subscribe();
    let mut rates = Rates::default();
    loop {
        tokio::select! {
            _ = phase.wait_for(|phase| *phase == Phase::Over) => break,
            _ = ticks.tick() => {}
        }
        let line = rates.line(&shared, devices);
        if on_terminal {
            bar.set_position(shared.clock.now().0 / 1_000_000);
            bar.set_message(line);
        } else {
            eprintln!("{line}");
        }
    }
    bar.finish_and_clear();
}

fn bar(on_terminal: bool, total: Option<Duration>) -> ProgressBar {
    if !on_terminal {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => {
            (ProgressBar::new(total.as_secs()), "{bar:20} {elapsed} of {len} s  {wide_msg}")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {elapsed}  {wide_msg}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Counts at the last line, to tell rates from.
#[derive(Debug, Default)]
struct Rates {
    at: Micros,
    acked: u64,
    executed: u64,
}

impl Rates {
    fn line(&mut self, shared: &Shared, devices: u32) -> String {
        let (now, metrics) = (shared.clock.now(), &shared.metrics);
        let seconds = (now.since(self.at) as f64 / 1e6).max(0.001);
        let (acked, executed) = (metrics.acked.count(), metrics.executions.count());
        let rate = |count: u64, before: u64| (count - before) as f64 / seconds;
        let p99_ms = metrics.telemetry.snapshot().value_at_quantile(0.99) as f64 / 1000.0;
        let broken: u64 = shared.findings.all().values().map(|finding| finding.count).sum();
        let line = format!(
            "{}/{devices} connected · {:.0} acks/s · {:.0} commands/s · ack p99 {p99_ms:.0} ms · {} disconnects · {broken} broken",
            metrics.connected_now(),
            rate(acked, self.acked),
            rate(executed, self.executed),
            metrics.disconnects_total(),
        );
        *self = Self { at: now, acked, executed };
        line
    }
}
