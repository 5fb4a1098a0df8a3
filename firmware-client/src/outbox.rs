//! What the device has measured and the hub has not acknowledged: two rings, one numbering.
//!
//! Events (faults, switching) have a ring of their own, so that no flood of samples pushes them out.
//! Both share the numbers of `seq`, from 1 in each boot, and leave in the order of these numbers,
//! because the hub acknowledges cumulatively.

use proto::limits;

use crate::ring::{Record, Ring, Stamp};
use crate::time::{HubClock, Millis};

/// Which ring a report waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Telemetry: if the ring is full, the oldest sample goes.
    Sample,
    /// Faults and switching: only an event displaces an event.
    Event,
}

/// One measured value.
#[derive(Debug, Clone, Copy)]
pub struct Report<'r> {
    /// Which ring it waits in.
    pub lane: Lane,
    /// The last segment of the device's channel, as in `faults`; empty for telemetry.
    pub channel: &'r str,
    /// Full name of the payload's message; empty for the first type of the channel.
    pub type_name: &'r str,
    /// The encoded message; at most [`limits::PAYLOAD_BYTES_MAX`] bytes.
    pub payload: &'r [u8],
}

impl<'r> Report<'r> {
    /// A sample for the telemetry channel.
    pub const fn telemetry(payload: &'r [u8]) -> Self {
        Self { lane: Lane::Sample, channel: "", type_name: "", payload }
    }

    /// An event for one of the device's other channels.
    pub const fn event(channel: &'r str, payload: &'r [u8]) -> Self {
        Self { lane: Lane::Event, channel, type_name: "", payload }
    }
}

/// Why a report was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportError {
    /// The channel or the type is no name, or the device has no id to build the channel with.
    Channel,
    /// The payload is over the protocol's limit or longer than the whole ring.
    TooLong,
}

/// Both rings.
#[derive(Debug)]
pub(crate) struct Outbox<'b> {
    samples: Ring<'b>,
    events: Ring<'b>,
    next_seq: u64,
    /// The highest number that ever left in this boot.
    sent_max: u64,
}

/// What happened to a report that was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pushed {
    pub(crate) seq: u64,
    /// Older records that had to go.
    pub(crate) displaced: usize,
}

impl<'b> Outbox<'b> {
    pub(crate) fn new(samples: &'b mut [u8], events: &'b mut [u8]) -> Self {
        let (samples, events) = (Ring::new(samples), Ring::new(events));
        Self { samples, events, next_seq: 1, sent_max: 0 }
    }

    pub(crate) fn push(
        &mut self,
        now: Millis,
        clock: &HubClock,
        report: &Report<'_>,
    ) -> Result<Pushed, ReportError> {
        if report.payload.len() > limits::PAYLOAD_BYTES_MAX {
            return Err(ReportError::TooLong);
        }
        let stamp = clock.unix_ms(now).map_or(Stamp::Uptime(now), Stamp::Unix);
        let (channel, type_name, payload) = (report.channel, report.type_name, report.payload);
        let record = Record { seq: self.next_seq, stamp, channel, type_name, payload };
        let displaced = self.ring(report.lane).push(&record).ok_or(ReportError::TooLong)?;
        self.next_seq += 1;
        Ok(Pushed { seq: record.seq, displaced })
    }

    /// The unsent record with the lowest number, and its ring.
    pub(crate) fn next_unsent(&mut self) -> Option<(Lane, Record<'_>)> {
        let sample = self.samples.next_unsent();
        let event = self.events.next_unsent();
        match (sample, event) {
            (None, None) => None,
            (Some(sample), Some(event)) if sample.seq < event.seq => Some((Lane::Sample, sample)),
            (_, Some(event)) => Some((Lane::Event, event)),
            (Some(sample), None) => Some((Lane::Sample, sample)),
        }
    }

    /// The record of `next_unsent` has left.
    pub(crate) fn mark_sent(&mut self, lane: Lane, seq: u64) {
        self.ring(lane).mark_sent();
        self.sent_max = self.sent_max.max(seq);
    }

    pub(crate) fn rewind(&mut self) {
        self.samples.rewind();
        self.events.rewind();
    }

    /// Forgets what is durable at the hub, and says how many records that were.
    pub(crate) fn acked(&mut self, seq: u64) -> usize {
        let seq = seq.min(self.sent_max);
        self.samples.acked(seq) + self.events.acked(seq)
    }

    pub(crate) fn refuse(&mut self, seq: u64) -> bool {
        self.samples.refuse(seq) || self.events.refuse(seq)
    }

    /// The hub's time became known: what was measured before gets its time.
    pub(crate) fn convert(&mut self, clock: &HubClock) {
        self.samples.convert(|moment| clock.unix_ms(moment));
        self.events.convert(|moment| clock.unix_ms(moment));
    }

    /// A new boot number: nothing was sent under it.
    pub(crate) fn renumbered(&mut self) {
        self.sent_max = 0;
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.samples.in_flight() + self.events.in_flight()
    }

    pub(crate) fn count(&self) -> usize {
        self.samples.count() + self.events.count()
    }

    pub(crate) const fn sent_max(&self) -> u64 {
        self.sent_max
    }

    fn ring(&mut self, lane: Lane) -> &mut Ring<'b> {
        match lane {
            Lane::Sample => &mut self.samples,
            Lane::Event => &mut self.events,
        }
    }
}
