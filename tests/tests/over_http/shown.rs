//! What one reader shows, and what it may show next: no gap, and nothing twice.
//!
//! Lamps count their reports, and each carries its number, so a reader that shows 7 must show 8 next. Two
//! things are legal beside that, and only after a reload, which the reader is told of:
//!
//! - The first that it is told of a lamp may jump ahead: what is between was replaced while nobody looked. That
//!   is a value of the snapshot, or a message, if the value changed while the snapshot was read.
//! - A hub that crashed may have taken a report back that nobody had been promised. The lamp sends it again,
//!   as the same `(boot, seq)`, and the reader knows it by that.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::sync::watch::{Receiver, Sender, channel};

/// The boot of the lamps, in which they stay.
pub(super) const BOOT: u32 = 1;

/// One report: of which lamp, and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    lamp: String,
    number: u32,
}

/// What a reader shows.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// All numbers of each lamp, in the order in which they were shown.
    numbers: BTreeMap<String, Vec<u32>>,
    /// The newest of each lamp that the hub has told since the last reload.
    newest: BTreeMap<String, u32>,
    is_reloading: bool,
    reloads: u32,
}

/// A reader's own view, and the one that the test watches.
pub(super) fn shown() -> (Sender<Shown>, Receiver<Shown>) {
    channel(Shown::default())
}

impl Report {
    /// Of a message in JSON. Its number is also its place in the lamp's count.
    pub(super) fn of(message: &Value) -> Self {
        let number = message["data"]["logger_id"].as_u64();
        let number = number.unwrap_or_else(|| panic!("no telemetry: {message}"));
        assert_eq!(message["type"], "lighting.v1.TelemetryBatch");
        assert_eq!((&message["boot"], &message["seq"]), (&BOOT.into(), &number.to_string().into()));
        let channel = message["channel"].as_str().expect("a channel");
        let lamp = channel.split('.').nth(1).expect("a device's channel").to_owned();
        Self { lamp, number: u32::try_from(number).expect("a count") }
    }

    /// As a page prints it: `lamp-1 7`.
    pub(super) fn printed(text: &str) -> Self {
        let (lamp, number) = text.split_once(' ').unwrap_or_else(|| panic!("no report: {text}"));
        Self { lamp: lamp.to_owned(), number: number.parse().expect("a number") }
    }
}

impl Shown {
    /// The reader was told that something may be missing, and that a snapshot follows.
    pub(super) fn reload(&mut self) {
        self.is_reloading = true;
        self.reloads += 1;
        self.newest.clear();
    }

    /// A value of a snapshot.
    pub(super) fn value(&mut self, report: Report) {
        assert!(self.is_reloading, "a snapshot that nobody announced: {report:?}");
        self.newest.insert(report.lamp.clone(), report.number);
        self.show(report);
    }

    /// The snapshot is complete.
    pub(super) fn complete(&mut self) {
        self.is_reloading = false;
    }

    /// A live message, or one that was missed.
    pub(super) fn message(&mut self, report: Report) {
        let newest = self.newest.insert(report.lamp.clone(), report.number);
        let is_next = newest.is_none_or(|newest| report.number == newest + 1);
        assert!(is_next, "a gap or a double: {report:?}, {self:?}");
        self.show(report);
    }

    /// What the browser's module says has changed: it knows by itself what it has shown already.
    pub(super) fn change(&mut self, report: Report) {
        let last = self.numbers.get(&report.lamp).and_then(|numbers| numbers.last());
        let last = *last.expect("the first snapshot had every lamp");
        assert!(report.number > last, "a double: {report:?}, {self:?}");
        let newest = self.newest.insert(report.lamp.clone(), report.number);
        let may_jump = newest.is_none() || self.is_reloading;
        assert!(may_jump || report.number == last + 1, "a gap: {report:?}, {self:?}");
        self.show(report);
    }

    /// Whether so many lamps stand at this number.
    pub(super) fn stands_at(&self, lamps: usize, number: u32) -> bool {
        let last = self.numbers.values().filter(|numbers| numbers.last() == Some(&number));
        last.count() == lamps
    }

    /// Whether every lamp's numbers of this range were shown, each once.
    pub(super) fn has_all(&self, range: std::ops::RangeInclusive<u32>) -> bool {
        let wanted: Vec<u32> = range.clone().collect();
        self.numbers.values().all(|numbers| {
            let shown = numbers.iter().copied().filter(|number| range.contains(number));
            shown.eq(wanted.iter().copied())
        })
    }

    /// How often something may have been missed, the beginning included.
    pub(super) fn reloads(&self) -> u32 {
        self.reloads
    }

    fn show(&mut self, report: Report) {
        let numbers = self.numbers.entry(report.lamp).or_default();
        if numbers.last().is_none_or(|last| *last < report.number) {
            numbers.push(report.number);
        }
    }
}
