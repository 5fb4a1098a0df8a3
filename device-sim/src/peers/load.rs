//! One measurement: messages offered at their intended moments, whatever the server does, and what came
//! of them.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::connection::Listener;
use super::dialect::{Dialect, Event};
use super::engine::{Engine, EngineError};
use super::process::Process;
use super::results::Figures;
use super::stamp::{PAYLOAD_BYTES, Stamp};
use crate::clock::{Micros, micros};
use crate::metrics::empty;

/// From the decision to measure to the first intended moment.
const LEAD: Duration = Duration::from_millis(20);
/// Nothing came for so long after the end, so nothing more is expected.
const QUIET: Duration = Duration::from_millis(500);
/// What comes later than this after the end is lost.
const DRAIN_MAX: Duration = Duration::from_secs(4);
/// This near to a due moment nobody sleeps.
const AWAKE: Duration = Duration::from_millis(2);
const TURN_MAX: Duration = Duration::from_millis(20);
/// Messages sent before the next look at what came in.
const SENT_IN_A_ROW_MAX: u64 = 256;
/// What the server has not taken from one sender. More is not sent at all, and counts as lost.
const BACKLOG_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What is offered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    /// Messages a second.
    pub(super) rate: f64,
    /// Messages with the same intended moment.
    pub(super) burst: u64,
    pub(super) span: Duration,
    /// Receivers of each message.
    pub(super) copies: u64,
}

/// What receivers do with what they get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    /// Nothing.
    None,
    /// They send it back; the sender of this number counts the answers.
    To(usize),
}

/// Counts what comes in during one measurement.
struct Tally<'d> {
    dialect: &'d dyn Dialect,
    step: u32,
    answers: Answers,
    end: Micros,
    latency: Histogram<u64>,
    received: u64,
    received_in_time: u64,
    refused: u64,
    told_dropped: u64,
    last: Micros,
}

impl Listener for Tally<'_> {
    fn take(&mut self, at: usize, now: Micros, event: Event<'_>, reply: &mut Vec<u8>) {
        match event {
            Event::Message { payload, answer_to } => match self.answers {
                Answers::To(sender) if sender != at => {
                    self.dialect.answer(payload, answer_to, reply);
                }
                Answers::None | Answers::To(_) => {
                    let stamp = Stamp::read(payload).filter(|stamp| stamp.step == self.step);
                    if let Some(stamp) = stamp {
                        self.count(now, stamp.intended);
                    }
                }
            },
            Event::Command { id } => self.dialect.report(id, reply),
            Event::Ended { request_id, succeeded } => match intended_of(request_id, self.step) {
                Some(intended) if succeeded => self.count(now, intended),
                _ => {}
            },
            Event::Refused(_) => self.refused += 1,
            Event::Dropped => self.told_dropped += 1,
            Event::Accepted | Event::Ping => {}
        }
    }
}

impl Tally<'_> {
    fn count(&mut self, now: Micros, intended: Micros) {
        self.latency.saturating_record(now.since(intended).max(1));
        self.received += 1;
        self.received_in_time += u64::from(now <= self.end);
        self.last = now;
    }
}

/// The request id of a command, from which its intended moment can be told.
pub(super) fn request_id(stamp: Stamp) -> String {
    format!("{}-{}-{}", stamp.step, stamp.number, stamp.intended.0)
}

fn intended_of(request_id: &str, step: u32) -> Option<Micros> {
    let mut parts = request_id.split('-');
    let is_ours = parts.next()?.parse() == Ok(step);
    is_ours.then(|| parts.nth(1)?.parse().ok().map(Micros))?
}

/// Who sends what: the connection for a message's number, and how it is written.
pub(super) trait Sender {
    /// The connection that sends message `number`.
    fn connection(&self, number: u64) -> usize;
    /// Writes it.
    fn write(
        &self,
        dialect: &dyn Dialect,
        stamp: Stamp,
        payload: &[u8; PAYLOAD_BYTES],
        out: &mut Vec<u8>,
    );
}

/// Measures one offer. `step` tells its messages from those of earlier ones.
///
/// # Errors
/// The server is gone.
pub(super) fn measure(
    engine: &mut Engine<'_>,
    server: Process,
    step: u32,
    offer: Offer,
    answers: Answers,
    sender: &dyn Sender,
) -> Result<Figures, EngineError> {
    let start = engine.clock().now().after(LEAD);
    let end = start.after(offer.span);
    let mut tally = Tally {
        dialect: engine.dialect(),
        step,
        answers,
        end,
        latency: empty(),
        received: 0,
        received_in_time: 0,
        refused: 0,
        told_dropped: 0,
        last: start,
    };
    let cpu = server.cpu_us()?;
    let mut sending = Sending { offer, start, step, sent: 0, lateness: empty() };
    let offered = sending.send_all(engine, &mut tally, sender)?;
    let expected = offered * offer.copies;
    drain(engine, &mut tally, expected)?;
    let cpu = server.cpu_us()? - cpu;

    let ms =
        |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    let spent_s = tally.last.since(start).max(micros(offer.span)) as f64 / 1e6;
    let received = tally.received as f64;
    Ok(Figures::new()
        .with("cpu_us", cpu / received.max(1.0))
        .with("p50_ms", ms(&tally.latency, 0.5))
        .with("p99_ms", ms(&tally.latency, 0.99))
        .with("p999_ms", ms(&tally.latency, 0.999))
        .with("offered_per_s", expected as f64 / offer.span.as_secs_f64())
        .with("delivered_per_s", tally.received_in_time as f64 / offer.span.as_secs_f64())
        .with("lost", expected as f64 - received)
        .with("refused", tally.refused as f64)
        .with("gaps_told", tally.told_dropped as f64)
        .with("connections_lost", engine.lost() as f64)
        .with("cpu_share", cpu / spent_s / 1e6)
        .with("resident_mib", server.resident_kib()? / 1024.0)
        .with("generator_late_p99_ms", ms(&sending.lateness, 0.99)))
}

/// An offer on its way.
struct Sending {
    offer: Offer,
    start: Micros,
    step: u32,
    sent: u64,
    lateness: Histogram<u64>,
}

impl Sending {
    /// Returns how many were offered, also those that the server's socket didn't take.
    fn send_all(
        &mut self,
        engine: &mut Engine<'_>,
        tally: &mut Tally<'_>,
        sender: &dyn Sender,
    ) -> Result<u64, EngineError> {
        let total = (self.offer.rate * self.offer.span.as_secs_f64()).round() as u64;
        let mut touched = Vec::new();
        while self.sent < total {
            let now = engine.clock().now();
            let in_a_row_end = self.sent + SENT_IN_A_ROW_MAX;
            while self.sent < in_a_row_end.min(total) && self.due(self.sent) <= now {
                let intended = self.due(self.sent);
                let stamp = Stamp { step: self.step, number: self.sent, intended };
                let at = sender.connection(self.sent);
                engine.send(at, |dialect, out| sender.write(dialect, stamp, &stamp.payload(), out));
                self.lateness.saturating_record(now.since(intended).max(1));
                self.sent += 1;
                if touched.last() != Some(&at) {
                    touched.push(at);
                }
            }
            let backlog = touched.drain(..).map(|at| engine.flush(at)).max();
            if backlog > Some(BACKLOG_BYTES_MAX) {
                return Ok(total);
            }
            engine.turn(self.pause(engine.clock().now()), tally)?;
        }
        Ok(total)
    }

    fn due(&self, number: u64) -> Micros {
        let first_of_burst = number - number % self.offer.burst;
        Micros(self.start.0 + (first_of_burst as f64 / self.offer.rate * 1e6) as u64)
    }

    fn pause(&self, now: Micros) -> Duration {
        let left = Duration::from_micros(self.due(self.sent).since(now));
        left.saturating_sub(AWAKE).min(TURN_MAX)
    }
}

/// Until all came, or nothing comes any more.
fn drain(engine: &mut Engine<'_>, tally: &mut Tally<'_>, expected: u64) -> Result<(), EngineError> {
    let began = engine.clock().now();
    loop {
        let now = engine.clock().now();
        let is_quiet = now > tally.last.max(began).after(QUIET);
        if tally.received >= expected || is_quiet || now > began.after(DRAIN_MAX) {
            return Ok(());
        }
        engine.turn(TURN_MAX, tally)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_burst_share_their_moment_and_bursts_keep_the_rate() {
        let offer = Offer { rate: 2_000.0, burst: 8, span: Duration::from_secs(1), copies: 1 };
        let start = Micros(1_000);
        let sending = Sending { offer, start, step: 1, sent: 0, lateness: empty() };
        assert_eq!((sending.due(0), sending.due(7)), (Micros(1_000), Micros(1_000)));
        assert_eq!((sending.due(8), sending.due(2_000)), (Micros(5_000), Micros(1_001_000)));
    }

    #[test]
    fn a_command_of_another_measurement_is_not_counted() {
        let id = request_id(Stamp { step: 4, number: 9, intended: Micros(77) });
        assert_eq!(intended_of(&id, 4), Some(Micros(77)));
        assert_eq!(intended_of(&id, 5), None);
        assert_eq!(intended_of("other", 4), None);
    }
}
