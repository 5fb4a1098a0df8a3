//! Who is measured when: rounds, and turns within them.

use super::CompareSettings;
use super::scenario::Scenario;
use super::servers::ServerKind;

/// Round, scenario and server, one after another.
pub(super) fn bouts(
    settings: &CompareSettings,
) -> impl Iterator<Item = (u32, Scenario, ServerKind)> {
    let scenarios = |round| {
        let scenarios = settings.scenarios.iter().copied();
        scenarios.filter(move |it| round == 0 || !it.is_once()).map(move |it| (round, it))
    };
    (0..settings.rounds()).flat_map(scenarios).flat_map(|(round, scenario)| {
        let turns = if settings.quick { 1 } else { scenario.turns() };
        (round * turns..(round + 1) * turns)
            .flat_map(|turn| in_turn(&settings.servers, turn))
            .filter(move |server| scenario.is_for(*server))
            .map(move |server| (round, scenario, server))
    })
}

/// Everybody once, each turn beginning with another: who follows whom is not always the same.
fn in_turn(servers: &[ServerKind], turn: u32) -> impl Iterator<Item = ServerKind> {
    servers.iter().cycle().skip(turn as usize).take(servers.len()).copied()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: CompareSettings,
    }

    fn bouts_of(line: &str) -> Vec<(u32, Scenario, ServerKind)> {
        bouts(&Line::parse_from(line.split(' ')).settings).collect()
    }

    #[test]
    fn everybody_has_a_turn_and_then_another_begins() {
        use ServerKind::{Floor, Lamplighter, Nats};
        let order = |turn| in_turn(&[Lamplighter, Nats, Floor], turn).collect::<Vec<_>>();
        assert_eq!(order(0), [Lamplighter, Nats, Floor]);
        assert_eq!(order(1), [Nats, Floor, Lamplighter]);
        assert_eq!(order(3), order(0));
    }

    #[test]
    fn each_round_has_all_scenarios_the_short_ones_several_times() {
        let bouts = bouts_of("compare --servers lamplighter,nats --scenarios fan-out,pairs,idle");
        let of = |scenario| bouts.iter().filter(|bout| bout.1 == scenario).collect::<Vec<_>>();
        assert_eq!(of(Scenario::FanOut).len(), 3 * 2);
        assert_eq!(of(Scenario::Idle).len(), 2, "once");
        let pairs = of(Scenario::Pairs);
        assert_eq!(pairs.len(), 3 * 5 * 2);
        assert_eq!(pairs.iter().filter(|bout| bout.2 == ServerKind::Nats).count(), 3 * 5);
        assert!(bouts.is_sorted_by_key(|bout| bout.0), "one round after another");
    }

    #[test]
    fn commands_are_measured_only_where_there_are_any_and_a_quick_look_is_one_turn() {
        let bouts = bouts_of("compare --servers lamplighter,nats --scenarios commands --quick");
        assert_eq!(bouts, [(0, Scenario::Commands, ServerKind::Lamplighter)]);
    }
}
