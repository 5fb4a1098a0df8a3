//! The few figures of the comparison that stand in the README, written by the same command as the page that
//! they come from.

use super::page::{date, row, short, title_of};
use super::results::Results;
use super::servers::ServerKind;

/// What stands between these is ours.
const FROM: &str = "<!-- figures -->\n";
const TO: &str = "<!-- figures, end -->";

/// Who has a column: not the floor, which is no server.
const SERVERS: [ServerKind; 4] =
    [ServerKind::Lamplighter, ServerKind::Mosquitto, ServerKind::Nats, ServerKind::Socketio];

/// A row: its name, step, figure, and unit.
const ROWS: &[(&str, &str, &str, &str)] = &[
    ("CPU time of a delivery, one message to 1,000 readers", "s1_single", "cpu_us", "µs"),
    ("most deliveries a second without loss", "s1_most", "delivered_per_s", ""),
    ("CPU time of a message, 2,000 devices to one reader", "s2", "cpu_us", "µs"),
    ("CPU time of a message to one of 1,000 devices", "s3", "cpu_us", "µs"),
    ("memory of an idle connection, ws", "s4_ws", "kib", "KiB"),
    ("memory of an idle connection, wss", "s4_wss", "kib", "KiB"),
    ("CPU time of a connect with a full TLS handshake", "s5_wss", "cpu_us", "µs"),
];

/// The README with the figures of `results` in the place of those that it has; nothing where it has none.
pub(super) fn write(results: &Results, before: &str) -> Option<String> {
    let (head, rest) = before.split_once(FROM)?;
    let (_, tail) = rest.split_once(TO)?;
    Some(format!("{head}{FROM}{}{TO}{tail}", table(results)))
}

fn table(results: &Results) -> String {
    let processor = results.versions.get("processor").map_or("", String::as_str);
    let mut text = format!(
        "{} interleaved rounds of `make bench-peers` ({processor}, {}): one core for the server, another for the load, which is the same for\nall; medians.\n\n",
        results.rounds,
        date(results.began_unix_ms)
    );
    let heads = SERVERS.map(title_of);
    text.push_str(&row([""].into_iter().chain(heads)));
    text.push_str("|---|--:|--:|--:|--:|\n");
    for (name, step, figure, unit) in ROWS {
        let cells = SERVERS.map(|server| {
            let median = results.median(step, server.name(), figure);
            median.map_or("–".to_owned(), |value| {
                format!("{} {unit}", short(value)).trim_end().to_owned()
            })
        });
        text.push_str(&row([(*name).to_owned()].into_iter().chain(cells)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::results::{Figures, Rounds};
    use super::*;

    #[test]
    fn the_readme_gets_the_newest_figures_and_keeps_all_else() {
        let mut rounds = Rounds::default();
        rounds.add("s1_single", "nats", &Figures::new().with("cpu_us", 20.75));
        let results = Results { rounds: 3, steps: rounds.steps(), ..Results::default() };
        let before = format!("# Hub\n\n{FROM}| old |\n{TO}\n\n## Next\n");
        let after = write(&results, &before).expect("a README with figures");
        assert!(after.starts_with(&format!("# Hub\n\n{FROM}3 interleaved rounds")), "{after}");
        assert!(
            after.ends_with(&format!("{TO}\n\n## Next\n")) && !after.contains("old"),
            "{after}"
        );
        let row =
            "| CPU time of a delivery, one message to 1,000 readers | – | – | 20.8 µs | – |\n";
        assert!(after.contains(row), "{after}");
        assert_eq!(write(&results, &after).as_ref(), Some(&after));
        assert_eq!(write(&results, "# A README without figures"), None);
    }
}
