//! What a run found out: figures for machines, a table for people, and the sum of several processes.

use std::collections::BTreeMap;
use std::io::Write;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use hdrhistogram::Histogram;
use proto::CloseCode;
use serde::{Deserialize, Serialize};

use crate::ledger::commands::Counts;
use crate::ledger::{Breach, Finding};
use crate::metrics::{Metrics, empty};

/// Times of one kind. Percentiles for reading, buckets for adding up processes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Times {
    /// How many were measured.
    pub count: u64,
    /// ms.
    pub p50_ms: f64,
    /// ms.
    pub p99_ms: f64,
    /// ms.
    pub p999_ms: f64,
    /// ms.
    pub max_ms: f64,
    /// µs and count of each bucket that isn't empty.
    pub buckets_us: Vec<(u64, u64)>,
}

impl Times {
    /// The figures of a histogram of µs.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let ms = |us: u64| us as f64 / 1000.0;
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            count: histogram.len(),
            p50_ms: ms(histogram.value_at_quantile(0.5)),
            p99_ms: ms(histogram.value_at_quantile(0.99)),
            p999_ms: ms(histogram.value_at_quantile(0.999)),
            max_ms: ms(histogram.max()),
            buckets_us: histogram
                .iter_recorded()
                .map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
                .collect(),
        }
    }

    fn add(&mut self, other: &Self) {
        let mut sum = empty();
        for (us, count) in self.buckets_us.iter().chain(&other.buckets_us) {
            sum.saturating_record_n(*us, *count);
        }
        *self = Self::of(&sum);
    }
}

/// The whole of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// Lamps of the fleet.
    pub devices: u64,
    /// What they went through.
    pub scenario: String,
    /// s: from the end of the ramp to the end of the load.
    pub load_s: f64,
    /// s: from the first connection to the last one of the ramp; nothing if not all came.
    pub all_connected_s: Option<f64>,
    /// Lamps that were connected when the load ended.
    pub connected_at_end: u64,
    /// Numbers by name; see `Metrics`.
    pub counts: BTreeMap<String, u64>,
    /// Lost connections by close code; 0 for those without one.
    pub disconnects: BTreeMap<u16, u64>,
    /// Latencies by name; see `Metrics`.
    pub latencies: BTreeMap<String, Times>,
    /// What became of commands.
    pub commands: Counts,
    /// s: from each storm to the moment when all lamps were back; nothing for one that wasn't over.
    pub storms_s: Vec<Option<f64>>,
    /// Acknowledged values that were compared with the hub's at the end.
    pub values_compared: u64,
    /// The comparison could not be made; nothing is proved.
    pub unverified: Option<String>,
    /// Promises that were broken.
    pub broken: BTreeMap<Breach, Finding>,
}

impl Report {
    /// True if no promise was broken, as far as that was looked at.
    pub fn is_clean(&self) -> bool {
        self.broken.is_empty()
    }

    /// Takes over everything that was counted and timed.
    pub fn fill(&mut self, metrics: &Metrics) {
        self.disconnects.clone_from(&metrics.disconnects.lock());
        let counts = [
            ("admissions", &metrics.admissions),
            ("connect_failures", &metrics.connect_failures),
            ("reports", &metrics.reports),
            ("reports_acked", &metrics.acked),
            ("reports_refused", &metrics.refused),
            ("reports_displaced", &metrics.displaced),
            ("executions", &metrics.executions),
            ("reboots", &metrics.reboots),
            ("values_observed", &metrics.observed),
            ("links_broken", &metrics.links_broken),
            ("bytes_sent", &metrics.bytes_sent),
            ("bytes_received", &metrics.bytes_received),
        ];
        self.counts.extend(counts.map(|(name, counter)| (name.to_owned(), counter.count())));
        let latencies = [
            ("connect", &metrics.connect),
            ("telemetry", &metrics.telemetry),
            ("telemetry_in_storm", &metrics.telemetry_in_storm),
            ("lateness", &metrics.lateness),
            ("command_accepted", &metrics.command_accepted),
            ("command_started", &metrics.command_started),
            ("command_ended", &metrics.command_ended),
            ("outcome_settled", &metrics.outcome_settled),
            ("recovery", &metrics.recovery),
        ];
        for (name, latency) in latencies {
            self.latencies.insert(name.to_owned(), Times::of(&latency.snapshot()));
        }
    }

    /// Adds the report of another process.
    pub fn add(&mut self, other: Self) {
        self.devices += other.devices;
        self.scenario = other.scenario;
        self.load_s = self.load_s.max(other.load_s);
        self.all_connected_s =
            match (self.devices == other.devices, self.all_connected_s, other.all_connected_s) {
                (true, _, first) => first,
                (false, Some(a), Some(b)) => Some(a.max(b)),
                (false, _, _) => None,
            };
        self.connected_at_end += other.connected_at_end;
        self.values_compared += other.values_compared;
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        for (code, count) in other.disconnects {
            *self.disconnects.entry(code).or_default() += count;
        }
        for (name, times) in other.latencies {
            self.latencies.entry(name).or_default().add(&times);
        }
        for (breach, finding) in other.broken {
            let sum = self.broken.entry(breach).or_default();
            sum.count += finding.count;
            sum.examples.extend(finding.examples);
        }
        self.commands.add(other.commands);
        self.storms_s.extend(other.storms_s);
        self.unverified = self.unverified.take().or(other.unverified);
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let connected =
            format!("{} of {} lamps connected at the end", self.connected_at_end, self.devices);
        let all = self
            .all_connected_s
            .map_or("not all at once".to_owned(), |s| format!("all after {s:.1} s"));
        text.push_str(&format!(
            "{}: {connected}, {all}; load for {:.0} s\n",
            self.scenario, self.load_s
        ));
        for (number, storm) in self.storms_s.iter().enumerate() {
            let end = storm
                .map_or("not over at the end".to_owned(), |s| format!("all back after {s:.1} s"));
            text.push_str(&format!("storm {}: {end}\n", number + 1));
        }
        text.push_str(&format!("{}\n{}\n", self.latency_table(), self.count_table()));
        if let Some(reason) = &self.unverified {
            text.push_str(&format!("not compared with the hub: {reason}\n"));
        } else {
            text.push_str(&format!(
                "{} acknowledged values compared with the hub's\n",
                self.values_compared
            ));
        }
        text.push_str(&findings_text(&self.broken));
        text
    }

    fn latency_table(&self) -> Table {
        let mut table = table(&["latency (ms)", "count", "p50", "p99", "p99.9", "max"]);
        for (name, times) in &self.latencies {
            if times.count > 0 {
                let ms = |value: f64| format!("{value:.1}");
                table.add_row([
                    name.replace('_', " "),
                    times.count.to_string(),
                    ms(times.p50_ms),
                    ms(times.p99_ms),
                    ms(times.p999_ms),
                    ms(times.max_ms),
                ]);
            }
        }
        table
    }

    fn count_table(&self) -> Table {
        let mut table = table(&["what", "count"]);
        let mut row = |name: String, count: u64| {
            if count > 0 {
                table.add_row([name, count.to_string()]);
            }
        };
        for (name, count) in &self.counts {
            row(name.replace('_', " "), *count);
        }
        for (code, count) in &self.disconnects {
            let name = if *code == 0 { "no close code" } else { CloseCode(*code).name() };
            row(format!("disconnects: {code} {name}"), *count);
        }
        for (name, count) in self.commands.named() {
            row(format!("commands {name}"), count);
        }
        table
    }
}

impl Counts {
    fn named(self) -> [(&'static str, u64); 9] {
        [
            ("sent", self.sent),
            ("acked", self.acked),
            ("refused", self.refused),
            ("executed", self.executed),
            ("succeeded", self.succeeded),
            ("failed", self.failed),
            ("not executed", self.not_executed),
            ("unknown", self.unknown),
            ("open", self.open),
        ]
    }

    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.acked += other.acked;
        self.refused += other.refused;
        self.executed += other.executed;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.not_executed += other.not_executed;
        self.unknown += other.unknown;
        self.open += other.open;
    }
}

/// A table with numbers to the right.
pub fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(heads.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The verdict in words.
pub fn findings_text(broken: &BTreeMap<Breach, Finding>) -> String {
    if broken.is_empty() {
        return "ledgers: clean".to_owned();
    }
    let mut lines = vec!["ledgers: PROMISES BROKEN".to_owned()];
    for (breach, finding) in broken {
        lines.push(format!("  {} × {}", finding.count, breach.words()));
        lines.extend(finding.examples.iter().map(|example| format!("      {example}")));
    }
    lines.join("\n")
}

/// Prints a line or more to stdout. A reader that went away is no reason to fail.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

/// Prints a value as one line of JSON.
pub fn print_json<T: Serialize>(value: &T) {
    print(&serde_json::to_string(value).expect("our own types are JSON"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(values: impl IntoIterator<Item = u64>) -> Times {
        let mut histogram = empty();
        values.into_iter().for_each(|us| histogram.saturating_record(us));
        Times::of(&histogram)
    }

    #[test]
    fn the_sum_of_two_processes_has_the_percentiles_of_both_together() {
        let mut sum = times((1..=500).map(|ms| ms * 1000));
        sum.add(&times((501..=1000).map(|ms| ms * 1000)));
        let whole = times((1..=1000).map(|ms| ms * 1000));
        assert_eq!(sum.count, 1000);
        assert!((sum.p50_ms - whole.p50_ms).abs() < 1.0);
        assert!((sum.p99_ms - whole.p99_ms).abs() < 1.0);
    }

    #[test]
    fn a_report_comes_back_from_json_and_adds_up() {
        let mut report = Report { devices: 5, all_connected_s: Some(1.0), ..Report::default() };
        report.broken.insert(Breach::Phantom, Finding { count: 2, examples: vec!["x".to_owned()] });
        report.fill(&Metrics::default());
        let json = serde_json::to_string(&report).expect("our own type");
        let mut sum = Report::default();
        for _ in 0..2 {
            sum.add(serde_json::from_str(&json).expect("what was written"));
        }
        assert_eq!((sum.devices, sum.all_connected_s), (10, Some(1.0)));
        assert_eq!(sum.broken[&Breach::Phantom].count, 4);
        assert!(!sum.is_clean() && sum.text().contains("P3 observed what nobody sent"));
    }
}
