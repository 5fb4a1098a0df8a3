//! Figures of single measurements, and what several rounds of them say together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::spread::Spread;

/// What one measurement found, by name. Names end in their unit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures(BTreeMap<&'static str, f64>);

impl Figures {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.0.insert(name, value);
        self
    }

    /// A figure; 0 if it wasn't measured.
    pub(super) fn value(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }
}

/// Figures by name.
pub(super) type Summary = BTreeMap<String, Spread>;

/// Everything that a run found: the content of `docs/benchmarks.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Results {
    /// ms since 1970 when the run began.
    pub(super) began_unix_ms: u64,
    /// Rounds; what is taken once says so in the table.
    pub(super) rounds: u32,
    pub(super) took_s: u64,
    /// By name, as in "mosquitto".
    pub(super) versions: BTreeMap<String, String>,
    /// By step, then by server.
    pub(super) steps: BTreeMap<String, BTreeMap<String, Summary>>,
    /// What could not be measured, and why.
    pub(super) failures: Vec<String>,
}

impl Results {
    pub(super) fn spread(&self, step: &str, server: &str, figure: &str) -> Option<Spread> {
        self.steps.get(step)?.get(server)?.get(figure).copied()
    }

    /// The median of a figure.
    pub(super) fn median(&self, step: &str, server: &str, figure: &str) -> Option<f64> {
        self.spread(step, server, figure).map(|spread| spread.median)
    }
}

/// Collects the rounds.
#[derive(Debug, Default)]
pub(super) struct Rounds(BTreeMap<(&'static str, &'static str, &'static str), Vec<f64>>);

impl Rounds {
    pub(super) fn add(&mut self, step: &'static str, server: &'static str, figures: &Figures) {
        for (name, value) in &figures.0 {
            self.0.entry((step, server, name)).or_default().push(*value);
        }
    }

    pub(super) fn steps(&self) -> BTreeMap<String, BTreeMap<String, Summary>> {
        let mut steps: BTreeMap<String, BTreeMap<String, Summary>> = BTreeMap::new();
        for ((step, server, figure), values) in &self.0 {
            let Some(spread) = Spread::of(values) else { continue };
            let servers = steps.entry((*step).to_owned()).or_default();
            servers.entry((*server).to_owned()).or_default().insert((*figure).to_owned(), spread);
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_summed_up_by_step_server_and_figure_and_survive_json() {
        let mut rounds = Rounds::default();
        for value in [10.0, 30.0, 20.0] {
            rounds.add("s1", "nats", &Figures::new().with("cpu_us", value));
        }
        let results = Results { steps: rounds.steps(), ..Results::default() };
        assert_eq!(results.median("s1", "nats", "cpu_us"), Some(20.0));
        assert_eq!(results.median("s1", "floor", "cpu_us"), None);
        let json = serde_json::to_string(&results).expect("our own type");
        assert_eq!(serde_json::from_str::<Results>(&json).expect("what was written"), results);
    }
}
