//! The book of one lamp: which reports it tried to bring to the hub, and what became of each.
//!
//! A report is named by `(boot, seq)`. The book remembers the last [`REMEMBERED`] of them with the hash
//! of their payload, and for each stream the newest that was acknowledged. So its memory is bounded, and
//! what is too old to be judged is counted as that, never as good.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Breach;

/// Reports that a book remembers.
pub const REMEMBERED: usize = 64;

/// A lamp's channels, as far as it reports on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Samples.
    Telemetry,
    /// The switching log.
    Switching,
    /// Faults.
    Faults,
    /// Boots.
    Info,
}

impl Stream {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Telemetry, Self::Switching, Self::Faults, Self::Info];

    /// The last segment of the channel's name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Telemetry => "telemetry",
            Self::Switching => "switching",
            Self::Faults => "faults",
            Self::Info => "info",
        }
    }

    /// The stream of a channel's last segment.
    pub fn by_suffix(suffix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.suffix() == suffix)
    }
}

/// Names a report of a lamp; ordered as the hub orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReportName {
    /// The lamp's boot.
    pub boot: u32,
    /// Its number in that boot.
    pub seq: u64,
}

/// A report as somebody saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which.
    pub name: ReportName,
    /// The hash of its payload.
    pub hash: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Fate {
    Waiting,
    Acked,
    Refused,
    /// A newer one took its place in the lamp's ring; the hub may have it or not.
    Displaced,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Attempt {
    report: Seen,
    stream: Stream,
    fate: Fate,
}

/// One lamp's book.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Book {
    attempts: VecDeque<Attempt>,
    /// The newest report that was forgotten.
    forgotten: Option<ReportName>,
    /// The first report of this run; older ones are another run's.
    first: Option<ReportName>,
    acked: [Option<Seen>; Stream::ALL.len()],
    #[serde(skip)]
    shown: [Option<ReportName>; Stream::ALL.len()],
}

/// What an observation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It is in the book as it was seen.
    True,
    /// It is too old for the book, or of an earlier run.
    TooOld,
    /// It must not be.
    Broken(Breach),
}

impl Book {
    /// A report is about to be handed to the firmware client. Before this, nobody can have seen it.
    pub fn attempt(&mut self, stream: Stream, name: ReportName, hash: u64) {
        if self.attempts.len() == REMEMBERED
            && let Some(oldest) = self.attempts.pop_front()
        {
            self.forgotten = Some(oldest.report.name);
        }
        self.first = Some(self.first.map_or(name, |first| first.min(name)));
        let fate = Fate::Waiting;
        self.attempts.push_back(Attempt { report: Seen { name, hash }, stream, fate });
    }

    /// The oldest waiting reports of telemetry, or of everything else, gave their place to newer ones.
    pub fn displaced(&mut self, telemetry: bool, count: u64) {
        let waiting = self.attempts.iter_mut().filter(|attempt| {
            attempt.fate == Fate::Waiting && (attempt.stream == Stream::Telemetry) == telemetry
        });
        for attempt in waiting.take(usize::try_from(count).unwrap_or(usize::MAX)) {
            attempt.fate = Fate::Displaced;
        }
    }

    /// The hub acknowledged all reports of `up_to.boot` up to there. Returns how many that were.
    pub fn acked(&mut self, up_to: ReportName) -> u64 {
        let mut count = 0;
        for attempt in &mut self.attempts {
            let name = attempt.report.name;
            if name.boot == up_to.boot && name.seq <= up_to.seq && attempt.fate == Fate::Waiting {
                attempt.fate = Fate::Acked;
                count += 1;
                let newest = &mut self.acked[attempt.stream as usize];
                if newest.is_none_or(|newest| newest.name < name) {
                    *newest = Some(attempt.report);
                }
            }
        }
        count
    }

    /// The hub refused a report.
    pub fn refused(&mut self, name: ReportName) {
        if let Some(attempt) = self.find(name)
            && attempt.fate == Fate::Waiting
        {
            attempt.fate = Fate::Refused;
        }
    }

    /// The lamp took another boot number: what waits goes out under it, with the same numbers.
    pub fn renumbered(&mut self, old: u32, new: u32) {
        let waiting: Vec<Attempt> = self
            .attempts
            .iter()
            .filter(|attempt| attempt.report.name.boot == old && attempt.fate == Fate::Waiting)
            .copied()
            .collect();
        for attempt in waiting {
            let name = ReportName { boot: new, ..attempt.report.name };
            self.attempt(attempt.stream, name, attempt.report.hash);
        }
    }

    /// Somebody saw a report on the live stream.
    pub fn observed(&mut self, stream: Stream, seen: Seen) -> Judgement {
        let shown = &mut self.shown[stream as usize];
        if shown.is_some_and(|shown| shown > seen.name) {
            return Judgement::Broken(Breach::WentBack);
        }
        *shown = Some(seen.name);
        self.judge(stream, seen)
    }

    /// The observer starts anew: what it sees first may be older than what it saw last, because a hub
    /// that crashed forgets what it never acknowledged.
    pub fn new_observer(&mut self) {
        self.shown = Default::default();
    }

    /// Compares the hub's last value of a stream with the book, when nothing is under way.
    pub fn judge_last(&mut self, stream: Stream, last: Option<Seen>) -> Judgement {
        match (self.acked[stream as usize], last) {
            (None, None) => Judgement::True,
            (Some(_), None) => Judgement::Broken(Breach::ReportLost),
            (Some(acked), Some(last)) if last.name < acked.name => {
                Judgement::Broken(Breach::ReportLost)
            }
            (Some(acked), Some(last)) if last.name == acked.name => match last.hash == acked.hash {
                true => Judgement::True,
                false => Judgement::Broken(Breach::ReportAltered),
            },
            (_, Some(last)) => self.judge(stream, last),
        }
    }

    /// The newest acknowledged report of a stream.
    pub fn newest_acked(&self, stream: Stream) -> Option<Seen> {
        self.acked[stream as usize]
    }

    /// Holds what the hub says at a greeting, that it has all reports of `boot` up to `accepted_seq`,
    /// against its acks. This is the moment to catch a hub that crashed: later a newer report covers
    /// what it lost.
    pub fn judge_greeting(&self, boot: u32, accepted_seq: u64) -> Judgement {
        let acked = self.acked.iter().flatten().filter(|acked| acked.name.boot == boot);
        match acked.map(|acked| acked.name.seq).max() {
            Some(seq) if seq > accepted_seq => Judgement::Broken(Breach::ReportLost),
            Some(_) | None => Judgement::True,
        }
    }

    /// Reports that wait for an ack.
    pub fn waiting(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.fate == Fate::Waiting).count()
    }

    /// What waited when power failed never leaves: the ring is memory.
    pub fn lost_power(&mut self) {
        for attempt in &mut self.attempts {
            if attempt.fate == Fate::Waiting {
                attempt.fate = Fate::Displaced;
            }
        }
    }

    fn judge(&mut self, stream: Stream, seen: Seen) -> Judgement {
        let is_old = |limit: Option<ReportName>| limit.is_some_and(|limit| seen.name <= limit);
        let is_before = self.first.is_none_or(|first| seen.name < first);
        let forgotten = self.forgotten;
        match self.find(seen.name) {
            None if is_before || is_old(forgotten) => Judgement::TooOld,
            None => Judgement::Broken(Breach::Phantom),
            Some(attempt) if attempt.stream != stream => Judgement::Broken(Breach::Phantom),
            Some(attempt) if attempt.report.hash != seen.hash => {
                Judgement::Broken(Breach::ReportAltered)
            }
            Some(attempt) if attempt.fate == Fate::Refused => {
                Judgement::Broken(Breach::RefusedShown)
            }
            Some(_) => Judgement::True,
        }
    }

    fn find(&mut self, name: ReportName) -> Option<&mut Attempt> {
        self.attempts.iter_mut().rev().find(|attempt| attempt.report.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Stream::{Info, Telemetry};

    fn name(boot: u32, seq: u64) -> ReportName {
        ReportName { boot, seq }
    }

    fn seen(boot: u32, seq: u64, hash: u64) -> Seen {
        Seen { name: name(boot, seq), hash }
    }

    /// Boot 2: seq 1 is a boot event, 2 to 4 are samples; acknowledged up to 3.
    fn book() -> Book {
        let mut book = Book::default();
        book.attempt(Info, name(2, 1), 11);
        for seq in 2..=4 {
            book.attempt(Telemetry, name(2, seq), 10 + seq);
        }
        assert_eq!(book.acked(name(2, 3)), 3);
        assert_eq!(book.acked(name(2, 3)), 0, "acks are cumulative");
        book
    }

    #[track_caller]
    fn check_last(last: Option<Seen>, judgement: Judgement) {
        assert_eq!(book().judge_last(Telemetry, last), judgement);
    }

    #[test]
    fn a_last_value_that_is_acknowledged_or_newer_keeps_the_promise() {
        check_last(Some(seen(2, 3, 13)), Judgement::True);
        check_last(Some(seen(2, 4, 14)), Judgement::True);
    }

    #[test]
    fn a_hub_that_lost_an_acknowledged_report_is_caught() {
        check_last(None, Judgement::Broken(Breach::ReportLost));
        check_last(Some(seen(2, 2, 12)), Judgement::Broken(Breach::ReportLost));
        check_last(Some(seen(1, 99, 12)), Judgement::Broken(Breach::ReportLost));
    }

    #[test]
    fn a_hub_that_greets_with_less_than_it_acknowledged_is_caught() {
        assert_eq!(book().judge_greeting(2, 3), Judgement::True);
        assert_eq!(book().judge_greeting(2, 4), Judgement::True);
        assert_eq!(book().judge_greeting(3, 0), Judgement::True, "another boot");
        assert_eq!(book().judge_greeting(2, 2), Judgement::Broken(Breach::ReportLost));
    }

    #[test]
    fn a_hub_that_alters_or_invents_is_caught() {
        check_last(Some(seen(2, 3, 99)), Judgement::Broken(Breach::ReportAltered));
        check_last(Some(seen(2, 5, 15)), Judgement::Broken(Breach::Phantom));
        check_last(Some(seen(3, 1, 15)), Judgement::Broken(Breach::Phantom));
        let mut book = book();
        assert_eq!(
            book.observed(Telemetry, seen(2, 1, 11)),
            Judgement::Broken(Breach::Phantom),
            "wrong channel"
        );
    }

    #[test]
    fn a_stream_that_goes_back_is_caught_and_repetition_is_not() {
        let mut book = book();
        assert_eq!(book.observed(Telemetry, seen(2, 3, 13)), Judgement::True);
        assert_eq!(book.observed(Telemetry, seen(2, 3, 13)), Judgement::True);
        assert_eq!(book.observed(Telemetry, seen(2, 2, 12)), Judgement::Broken(Breach::WentBack));
        book.new_observer();
        assert_eq!(book.observed(Telemetry, seen(2, 2, 12)), Judgement::True);
    }

    #[test]
    fn a_refused_report_must_not_be_shown() {
        let mut book = book();
        book.refused(name(2, 4));
        assert_eq!(
            book.observed(Telemetry, seen(2, 4, 14)),
            Judgement::Broken(Breach::RefusedShown)
        );
        assert_eq!(book.acked(name(2, 4)), 0, "an ack that passes over it doesn't acknowledge it");
    }

    #[test]
    fn a_report_that_never_left_is_not_acknowledged_by_a_later_one() {
        let mut book = Book::default();
        for seq in 1..=3 {
            book.attempt(Telemetry, name(1, seq), seq);
        }
        book.displaced(true, 2);
        assert_eq!(book.acked(name(1, 3)), 1);
        let mut cut = Book::default();
        cut.attempt(Telemetry, name(1, 1), 1);
        cut.lost_power();
        assert_eq!((cut.acked(name(1, 1)), cut.waiting()), (0, 0));
    }

    #[test]
    fn a_book_is_bounded_and_says_what_it_forgot() {
        let mut book = Book::default();
        let count = REMEMBERED as u64 + 10;
        for seq in 1..=count {
            book.attempt(Telemetry, name(1, seq), seq);
        }
        assert_eq!(book.observed(Telemetry, seen(1, 10, 999)), Judgement::TooOld);
        assert_eq!(book.observed(Telemetry, seen(1, 11, 11)), Judgement::True);
        assert_eq!(
            book.judge_last(Telemetry, Some(seen(0, 5, 5))),
            Judgement::TooOld,
            "an earlier run"
        );
    }

    #[test]
    fn what_waits_goes_out_under_the_new_boot() {
        let mut book = Book::default();
        book.attempt(Info, name(1, 1), 7);
        book.renumbered(1, 5);
        assert_eq!(book.acked(name(5, 1)), 1);
        assert_eq!(book.judge_last(Info, Some(seen(5, 1, 7))), Judgement::True);
    }
}
