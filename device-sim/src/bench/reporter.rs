//! A device that reports on schedule and takes its acks, whatever else it does.

use std::collections::VecDeque;
use std::time::Duration;

use prost::Message;
use proto::envelope::{Batch, Kind, Publish};
use proto::messages::lighting::v1::{LampSample, RecordHeader, TelemetryBatch};

use super::peers;
use crate::clock::{Clock, Micros};
use crate::link::{Link, LinkError, encode};
use crate::metrics::{Counter, Latency};
use crate::schedule::Periodic;

/// What all reporters of a round count.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) sent: Counter,
    pub(super) acked: Counter,
    pub(super) refused: Counter,
    pub(super) lost_links: Counter,
    /// From the intended moment of a report to its durable ack.
    pub(super) ack: Latency,
}

/// A device's numbering, and its reports that wait for their acks.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    seq: u64,
    sent: VecDeque<(u64, Micros)>,
}

/// When a device reports, and until when it waits for what is missing then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shift {
    pub(super) clock: Clock,
    pub(super) schedule: Periodic,
    pub(super) end: Micros,
    pub(super) settle: Duration,
}

impl Reporter {
    /// Reports for one shift.
    ///
    /// # Errors
    /// The connection ended.
    pub(super) async fn work(
        &mut self,
        link: &mut Link,
        shift: Shift,
        totals: &Totals,
    ) -> Result<(), LinkError> {
        let Shift { clock, mut schedule, end, settle } = shift;
        let (payload, last) = (payload(), end.after(settle));
        while schedule.next() < end || (!self.sent.is_empty() && clock.now() < last) {
            let due = if schedule.next() < end { schedule.next() } else { last };
            tokio::select! {
                bytes = link.next() => self.take_acks(&bytes?, clock.now(), totals),
                () = clock.sleep_until(due) => {
                    while let Some(intended) = schedule.take(clock.now()).filter(|intended| *intended < end) {
                        link.send(&self.publish(&payload, intended, totals)).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The next report, encoded.
    pub(super) fn publish(&mut self, payload: &[u8], intended: Micros, totals: &Totals) -> Vec<u8> {
        self.seq += 1;
        self.sent.push_back((self.seq, intended));
        totals.sent.add();
        let publish = Publish { seq: self.seq, payload: Some(payload), ..Publish::default() };
        encode(0, Kind::Publish(publish))
    }

    /// After a loss: what was under way is not waited for any more.
    pub(super) fn give_up(&mut self) {
        self.sent.clear();
    }

    /// Takes what the hub says of them.
    pub(super) fn take_acks(&mut self, bytes: &[u8], now: Micros, totals: &Totals) {
        for envelope in Batch::parse(bytes).into_iter().flatten() {
            match envelope.kind {
                Kind::Ack(ack) => self.acknowledge(ack.seq, now, totals),
                Kind::Error(_) => totals.refused.add(),
                _ => {}
            }
        }
    }

    fn acknowledge(&mut self, up_to: u64, now: Micros, totals: &Totals) {
        while let Some((_, intended)) = self.sent.pop_front_if(|(seq, _)| *seq <= up_to) {
            totals.acked.add();
            totals.ack.record(now.since(intended));
        }
    }
}

/// A small batch, about 64 bytes.
pub(super) fn payload() -> Vec<u8> {
    let sample = LampSample {
        state: 3,
        reason: 2,
        target_level_pct: Some(70),
        actual_level_pct: Some(70),
        supply_voltage_v: Some(230.1),
        supply_current_a: Some(0.21),
        active_power_w: Some(48.2),
        power_factor: Some(0.97),
        active_energy_wh: Some(123_456),
        burn_time_s: Some(9_876_543),
        ..LampSample::default()
    };
    let header = RecordHeader { time_unix_ms: 1_800_000_000_000, ..RecordHeader::default() };
    TelemetryBatch { header: Some(header), samples: vec![sample], logger_id: 0 }.encode_to_vec()
}

/// A reader of a pattern that counts messages and gaps until its connection ends.
///
/// # Errors
/// The hub refuses the pattern, or the connection ended.
pub(super) async fn read(mut link: Link, pattern: &str, read: &Reading) -> Result<(), LinkError> {
    peers::subscribe(&mut link, pattern).await?;
    loop {
        let bytes = link.next().await?;
        for envelope in Batch::parse(&bytes).map_err(|_| LinkError::Lost)? {
            match envelope.kind {
                Kind::Message(_) => read.messages.add(),
                Kind::Gap(_) => read.gaps.add(),
                _ => {}
            }
        }
    }
}

/// What a reader got.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) messages: Counter,
    pub(super) gaps: Counter,
}
