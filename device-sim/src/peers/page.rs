//! `docs/benchmarks.md`: tables, marks, versions and commands from the results, around a part that people
//! write.

use serde::Deserialize;

use super::marks::{MARKS, OURS, Relation};
use super::results::Results;
use super::servers::ServerKind;
use crate::spread::Spread;

/// What stands between these is kept.
const BY_HAND: &str = "<!-- by hand -->";
const BY_HAND_END: &str = "<!-- by hand, end -->";

/// One column: its head, the figure, and whether its range is shown.
struct Column(&'static str, &'static str, bool);

/// One table: its title, its step, and its columns; those with a CPU time also get ratios.
struct Table {
    title: &'static str,
    step: &'static str,
    columns: &'static [Column],
    ratio: Option<&'static str>,
}

const CPU: Column = Column("CPU µs", "cpu_us", true);
const P50: Column = Column("p50 ms", "p50_ms", false);
const P99: Column = Column("p99 ms", "p99_ms", true);
const P999: Column = Column("p99.9 ms", "p999_ms", false);
const LOST: Column = Column("lost", "lost", false);
const SHARE: Column = Column("of a core", "cpu_share", false);
const RESIDENT: Column = Column("MiB", "resident_mib", false);
const LATE: Column = Column("generator late p99 ms", "generator_late_p99_ms", false);

const MESSAGES: &[Column] = &[CPU, P50, P99, P999, LOST, SHARE, RESIDENT, LATE];
const MOST: &[Column] =
    &[Column("delivered/s", "delivered_per_s", true), CPU, P50, P99, P999, LOST, SHARE, RESIDENT];
const PAST: &[Column] = &[
    Column("offered/s", "offered_per_s", false),
    Column("delivered/s", "delivered_per_s", true),
    CPU,
    P99,
    LOST,
    Column("gaps told", "gaps_told", false),
    Column("connections lost", "connections_lost", false),
    RESIDENT,
    LATE,
];
const CONNECTS: &[Column] = &[CPU, Column("connects/s", "connects_per_s", false)];
const IDLE: &[Column] = &[
    Column("KiB a connection", "kib", true),
    Column("connections", "connections", false),
    Column("MiB in all", "resident_mib", false),
    Column("CPU at rest, % of a core", "idle_cpu_percent", false),
];

#[rustfmt::skip]
const TABLES: &[Table] = &[
    Table { title: "S1 Fan-out 1 → 1,000, one message at a time, 20 a second; per delivery", step: "s1_single", columns: MESSAGES, ratio: Some("cpu_us") },
    Table { title: "S1 In bursts of 8, 40 messages a second", step: "s1_burst8", columns: MESSAGES, ratio: Some("cpu_us") },
    Table { title: "S1 In bursts of 32, 40 messages a second", step: "s1_burst32", columns: MESSAGES, ratio: Some("cpu_us") },
    Table { title: "S1 As fast as it goes: the most without loss and with p99 up to 100 ms", step: "s1_most", columns: MOST, ratio: Some("cpu_us") },
    Table { title: "S1 Past the limit: the first offer that was too much", step: "s1_past", columns: PAST, ratio: None },
    Table { title: "S2 Fan-in 2,000 → 1 by pattern, 10,000 messages a second", step: "s2", columns: MESSAGES, ratio: Some("cpu_us") },
    Table { title: "S2 As fast as it goes into one reader", step: "s2_most", columns: MOST, ratio: Some("cpu_us") },
    Table { title: "S2 Past the limit", step: "s2_past", columns: PAST, ratio: None },
    Table { title: "S3 Pairwise: 5,000 messages a second to 1,000 receivers in turn, one way", step: "s3", columns: MESSAGES, ratio: Some("cpu_us") },
    Table { title: "S3 2,000 requests a second and their answers; per round trip", step: "s3_answer", columns: MESSAGES, ratio: Some("cpu_us") },
    Table { title: "S3 2,000 commands a second, with the ledger; per command, until its sender knows how it ended", step: "s3_command", columns: MESSAGES, ratio: None },
    Table { title: "S4 Idle connections with a subscription each, ws", step: "s4_ws", columns: IDLE, ratio: Some("kib") },
    Table { title: "S4 The same with TLS", step: "s4_wss", columns: IDLE, ratio: Some("kib") },
    Table { title: "S5 Connects with greeting and subscription, ws", step: "s5_ws", columns: CONNECTS, ratio: Some("cpu_us") },
    Table { title: "S5 The same with a full TLS handshake each", step: "s5_wss", columns: CONNECTS, ratio: Some("cpu_us") },
];

/// What `make bench` wrote: of interest is its table.
#[derive(Debug, Deserialize)]
struct Own {
    at: String,
    table: Vec<OwnRow>,
}

#[derive(Debug, Deserialize)]
struct OwnRow {
    scenario: String,
    figure: String,
    value: Option<f64>,
    unit: String,
    relation: Option<String>,
    mark: Option<f64>,
    met: Option<bool>,
}

/// A server's name as people write it.
pub(super) const fn title_of(server: ServerKind) -> &'static str {
    match server {
        ServerKind::Floor => "floor",
        ServerKind::Lamplighter => "Lamplighter",
        ServerKind::Mosquitto => "Mosquitto",
        ServerKind::Nats => "NATS",
        ServerKind::Socketio => "Socket.IO",
    }
}

/// The whole page. `before` is the page as it stands, `own` the JSON of the hub's own scenarios.
pub(super) fn write(results: &Results, before: &str, own: &[String]) -> String {
    let mut page = head(results);
    page.push_str("\n## Marks\n\n");
    page.push_str(&marks(results));
    page.push('\n');
    page.push_str(&by_hand(before));
    page.push_str(
        "\n## The hub beside its peers\n\n![CPU time and memory of each server](benchmarks.svg)\n",
    );
    for table in TABLES {
        page.push_str(&table_text(table, results));
    }
    if !results.failures.is_empty() {
        page.push_str("\n### Not measured\n\n");
        results.failures.iter().for_each(|failure| page.push_str(&format!("- {failure}\n")));
    }
    let own: Vec<Own> = own.iter().filter_map(|json| serde_json::from_str(json).ok()).collect();
    if !own.is_empty() {
        page.push_str("\n## The hub's own scenarios\n");
    }
    for own in &own {
        page.push_str(&own_text(own));
    }
    page
}

fn head(results: &Results) -> String {
    let mut text = String::from(
        "# Benchmarks\n\nWritten by `make bench-peers` (about twenty minutes, after the peers are installed); only the part\n\
         between the two marks for it is written by hand. The figures as data: [benchmarks.json](benchmarks.json). The\n\
         hub's own scenarios come from `make bench` and `make bench-long`, if they ran before.\n\n",
    );
    let versions = results.versions.iter().map(|(name, version)| format!("{name} {version}"));
    let versions = versions.collect::<Vec<_>>().join(" · ");
    text.push_str(&format!(
        "{} · {} rounds in {} s · {versions}\n",
        date(results.began_unix_ms),
        results.rounds,
        results.took_s
    ));
    text
}

fn marks(results: &Results) -> String {
    let mut text = row(["scenario", "figure", "measured", "mark", ""]);
    text.push_str("|---|---|--:|--:|---|\n");
    for mark in MARKS {
        let verdict = mark.verdict(results);
        let sign = match mark.relation {
            Relation::AtMost => "≤",
            Relation::AtLeast => "≥",
        };
        let limit = format!("{sign} {} {}", short(mark.limit), mark.unit);
        let (value, word) = match verdict {
            None => ("–".to_owned(), "not measured"),
            Some(verdict) if verdict.is_met => (short(verdict.value), "met"),
            Some(verdict) => (short(verdict.value), "**missed**"),
        };
        text.push_str(&row([mark.scenario, mark.what, &value, limit.trim_end(), word]));
    }
    text
}

fn table_text(table: &Table, results: &Results) -> String {
    let Some(servers) = results.steps.get(table.step) else { return String::new() };
    let heads = table.columns.iter().map(|column| column.0);
    let ratios = table.ratio.map(|_| ["× floor", "ours ÷ it"]).into_iter().flatten();
    let heads: Vec<&str> = ["server"].into_iter().chain(heads).chain(ratios).collect();
    let mut text = format!("\n### {}\n\n", table.title);
    text.push_str(&row(&heads));
    text.push_str(&format!("|---|{}\n", "--:|".repeat(heads.len() - 1)));
    for server in ServerKind::ALL {
        let Some(summary) = servers.get(server.name()) else { continue };
        let mut cells = vec![title_of(server).to_owned()];
        cells.extend(table.columns.iter().map(|Column(_, figure, has_range)| {
            summary.get(*figure).map_or("–".to_owned(), |spread| cell(*spread, *has_range))
        }));
        if let Some(figure) = table.ratio {
            let median = |server: &str| results.median(table.step, server, figure);
            let own = median(server.name());
            cells.push(ratio(own, median("floor")));
            cells.push(ratio(median(OURS), own));
        }
        text.push_str(&row(cells));
    }
    text
}

fn own_text(own: &Own) -> String {
    let mut text = format!("\nMeasured at {}:\n\n", own.at);
    text.push_str(&row(["scenario", "figure", "measured", "mark", ""]));
    text.push_str("|---|---|--:|--:|---|\n");
    let mut last = "";
    for own in &own.table {
        let value =
            own.value.map_or("–".to_owned(), |value| format!("{} {}", short(value), own.unit));
        let mark = own.relation.as_ref().zip(own.mark);
        let mark = mark.map(|(relation, mark)| format!("{relation} {}", short(mark)));
        let word = match own.met {
            _ if own.value.is_none() => "not measured",
            Some(true) => "met",
            Some(false) if own.mark.is_some() => "**missed**",
            Some(false) | None => "",
        };
        let scenario = if own.scenario == last { "" } else { &own.scenario };
        let mark = mark.unwrap_or_default();
        text.push_str(&row([scenario, &own.figure, value.trim_end(), &mark, word]));
        last = &own.scenario;
    }
    text
}

/// What people wrote, with its marks.
fn by_hand(before: &str) -> String {
    let kept = before.split_once(BY_HAND).and_then(|(_, rest)| rest.split_once(BY_HAND_END));
    let text = kept.map_or("\n", |(text, _)| text);
    format!("{BY_HAND}{text}{BY_HAND_END}\n")
}

/// A row of a table.
pub(super) fn row<C: AsRef<str>>(cells: impl IntoIterator<Item = C>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| cell.as_ref().to_owned()).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn cell(spread: Spread, has_range: bool) -> String {
    let median = short(spread.median);
    if !has_range || spread.low.to_bits() == spread.high.to_bits() {
        return median;
    }
    format!("{median} ({}–{})", short(spread.low), short(spread.high))
}

fn ratio(value: Option<f64>, base: Option<f64>) -> String {
    let ratio = value.zip(base).map(|(value, base)| value / base);
    ratio.filter(|ratio| ratio.is_finite()).map_or("–".to_owned(), |ratio| format!("{ratio:.2}"))
}

/// Three digits where there are fewer, and thousands set apart.
pub(super) fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() < 1_000.0 && (value.fract() != 0.0) {
        let decimals = if value.abs() < 10.0 { 2 } else { 1 };
        return format!("{value:.decimals$}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The day, UTC.
pub(super) fn date(unix_ms: u64) -> String {
    let day = i64::try_from(unix_ms).ok().and_then(chrono::DateTime::from_timestamp_millis);
    day.map_or_else(String::new, |moment| moment.date_naive().to_string())
}

#[cfg(test)]
mod tests {
    use super::super::results::{Figures, Rounds};
    use super::*;

    fn results() -> Results {
        let mut rounds = Rounds::default();
        for (server, values) in [("lamplighter", [9.0, 12.0, 10.0]), ("floor", [8.0; 3])] {
            for value in values {
                rounds.add("s1_single", server, &Figures::new().with("cpu_us", value));
            }
        }
        let began_unix_ms = 1_795_248_000_000;
        Results { rounds: 3, began_unix_ms, steps: rounds.steps(), ..Results::default() }
    }

    #[test]
    fn a_table_has_medians_ranges_and_ratios() {
        let page = write(&results(), "", &[]);
        assert!(page.contains("| Lamplighter | 10 (9–12) |"), "{page}");
        assert!(page.contains("| 1.25 | 1.00 |") && page.contains("| floor | 8 |"), "{page}");
        assert!(page.contains("2026-11-21 · 3 rounds"), "{page}");
    }

    #[test]
    fn what_people_wrote_is_kept_and_the_rest_is_not() {
        let before = format!("old\n{BY_HAND}\nWhy.\n{BY_HAND_END}\nold");
        let page = write(&results(), &before, &[]);
        assert!(
            page.contains(&format!("{BY_HAND}\nWhy.\n{BY_HAND_END}\n")) && !page.contains("old")
        );
        let again = write(&results(), &page, &[]);
        assert_eq!(again, page);
    }

    #[test]
    fn the_hubs_own_table_stands_beside_its_marks() {
        let own = r#"{"at":"2026-11-21T09:00:00Z","cores":2,"rows":[],"table":[
            {"scenario":"idle","figure":"memory","value":3.5,"unit":"KiB","relation":"<=","mark":4,"met":true},
            {"scenario":"idle","figure":"rate","value":12345.6,"unit":"/s","met":false}]}"#;
        let page = write(&results(), "", &[own.to_owned()]);
        assert!(page.contains("| idle | memory | 3.50 KiB | <= 4 | met |"), "{page}");
        assert!(page.contains("|  | rate | 12,346 /s |  |  |"), "{page}");
    }

    #[test]
    fn numbers_are_short_whatever_their_size() {
        for (value, text) in [
            (0.0, "0"),
            (0.357, "0.36"),
            (25.04, "25.0"),
            (1000.0, "1,000"),
            (1_234_567.8, "1,234,568"),
        ] {
            assert_eq!(short(value), text);
        }
        assert_eq!(short(-123_456.0), "-123,456");
        assert_eq!(short(12.0), "12");
    }
}
