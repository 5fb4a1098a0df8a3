//! What the hub has to reach, most of it as a ratio to a peer in the same run.

use super::results::Results;

/// The server that the marks are for.
pub(super) const OURS: &str = "lamplighter";

/// Which side of its limit a value has to be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    AtMost,
    AtLeast,
}

/// What a figure of ours is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Against {
    /// Nothing: it is compared as it is.
    Nothing,
    /// The same figure of a step of this server.
    Server(&'static str, &'static str),
    /// The same figure of another step of ours.
    Own(&'static str),
}

/// One mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) scenario: &'static str,
    pub(super) what: &'static str,
    step: &'static str,
    figure: &'static str,
    against: Against,
    pub(super) relation: Relation,
    pub(super) limit: f64,
    pub(super) unit: &'static str,
}

/// A mark with what was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Verdict {
    pub(super) value: f64,
    pub(super) is_met: bool,
}

use Against::{Nothing, Own, Server};
use Relation::{AtLeast, AtMost};

#[rustfmt::skip]
pub(super) const MARKS: &[Mark] = &[
    mark("S1 one at a time", "CPU a delivery, × Mosquitto", "s1_single", "cpu_us", Server("mosquitto", "s1_single"), AtMost, 0.65, ""),
    mark("", "× NATS", "s1_single", "cpu_us", Server("nats", "s1_single"), AtMost, 0.4, ""),
    mark("", "× floor", "s1_single", "cpu_us", Server("floor", "s1_single"), AtMost, 1.35, ""),
    mark("", "× floor (stretch)", "s1_single", "cpu_us", Server("floor", "s1_single"), AtMost, 1.15, ""),
    mark("S1 as fast as it goes", "deliveries a second, × NATS", "s1_most", "delivered_per_s", Server("nats", "s1_most"), AtLeast, 2.0, ""),
    mark("", "deliveries a second (stretch)", "s1_most", "delivered_per_s", Nothing, AtLeast, 1_750_000.0, "/s"),
    mark("", "CPU a delivery, × NATS", "s1_most", "cpu_us", Server("nats", "s1_most"), AtMost, 0.6, ""),
    mark("", "lost", "s1_most", "lost", Nothing, AtMost, 0.0, ""),
    mark("S1 past the limit", "deliveries a second, × the most", "s1_past", "delivered_per_s", Own("s1_most"), AtLeast, 0.8, ""),
    mark("S2 at 10,000/s", "CPU a message, × NATS", "s2", "cpu_us", Server("nats", "s2"), AtMost, 0.75, ""),
    mark("", "lost", "s2", "lost", Nothing, AtMost, 0.0, ""),
    mark("S2 as fast as it goes", "messages a second into one reader", "s2_most", "delivered_per_s", Nothing, AtLeast, 50_000.0, "/s"),
    mark("S3 pairwise, one way", "CPU a message, × NATS", "s3", "cpu_us", Server("nats", "s3"), AtMost, 0.8, ""),
    mark("", "p99, × NATS", "s3", "p99_ms", Server("nats", "s3"), AtMost, 1.0, ""),
    mark("S3 and an answer", "CPU a round trip, × NATS", "s3_answer", "cpu_us", Server("nats", "s3_answer"), AtMost, 0.8, ""),
    mark("", "p99, × NATS", "s3_answer", "p99_ms", Server("nats", "s3_answer"), AtMost, 1.0, ""),
    mark("S3 commands with their ledger", "CPU a command, × NATS' request", "s3_command", "cpu_us", Server("nats", "s3_answer"), AtMost, 0.8, ""),
    mark("", "p99, × NATS' request", "s3_command", "p99_ms", Server("nats", "s3_answer"), AtMost, 1.0, ""),
    mark("S4 idle ws", "memory a connection", "s4_ws", "kib", Nothing, AtMost, 4.0, "KiB"),
    mark("", "memory a connection (stretch)", "s4_ws", "kib", Nothing, AtMost, 3.0, "KiB"),
    mark("", "CPU at rest", "s4_ws", "idle_cpu_percent", Nothing, AtMost, 2.0, "% of a core"),
    mark("S4 idle wss", "memory a connection", "s4_wss", "kib", Nothing, AtMost, 10.0, "KiB"),
    mark("", "memory a connection (stretch)", "s4_wss", "kib", Nothing, AtMost, 5.0, "KiB"),
    mark("S5 connects ws", "CPU a connect", "s5_ws", "cpu_us", Nothing, AtMost, 110.0, "µs"),
    mark("S5 connects wss", "CPU a connect, full handshake", "s5_wss", "cpu_us", Nothing, AtMost, 450.0, "µs"),
];

#[expect(clippy::too_many_arguments, reason = "the columns of a table")]
const fn mark(
    scenario: &'static str,
    what: &'static str,
    step: &'static str,
    figure: &'static str,
    against: Against,
    relation: Relation,
    limit: f64,
    unit: &'static str,
) -> Mark {
    Mark { scenario, what, step, figure, against, relation, limit, unit }
}

impl Mark {
    /// What the results say; nothing if a part of it wasn't measured.
    pub(super) fn verdict(&self, results: &Results) -> Option<Verdict> {
        let ours = results.median(self.step, OURS, self.figure)?;
        let value = match self.against {
            Nothing => ours,
            Server(server, step) => ours / results.median(step, server, self.figure)?,
            Own(step) => ours / results.median(step, OURS, self.figure)?,
        };
        let is_met = match self.relation {
            AtMost => value <= self.limit,
            AtLeast => value >= self.limit,
        };
        value.is_finite().then_some(Verdict { value, is_met })
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::{Figures, Rounds};
    use super::*;

    #[test]
    fn a_ratio_is_that_of_the_medians_and_is_held_against_its_limit() {
        let mut rounds = Rounds::default();
        for (server, cpu) in [(OURS, 10.0), ("mosquitto", 20.0), ("floor", 8.0)] {
            rounds.add("s1_single", server, &Figures::new().with("cpu_us", cpu));
        }
        let results = Results { steps: rounds.steps(), ..Results::default() };
        let verdicts: Vec<_> = MARKS[..4].iter().map(|mark| mark.verdict(&results)).collect();
        assert_eq!(verdicts[0], Some(Verdict { value: 0.5, is_met: true }));
        assert_eq!(verdicts[1], None, "NATS was not measured");
        assert_eq!(verdicts[2], Some(Verdict { value: 1.25, is_met: true }));
        assert_eq!(verdicts[3], Some(Verdict { value: 1.25, is_met: false }));
    }
}
