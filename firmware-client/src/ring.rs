//! Records of various lengths in the caller's bytes, oldest first; the newest always fits in.
//!
//! ```text
//!        head            cursor        tail
//!   ┌─────┬───────────────┬─────────────┬──────────┐
//!   │ free│ sent, unacked │   unsent    │   free   │      or wrapped, with `edge` where the
//!   └─────┴───────────────┴─────────────┴──────────┘      bytes at the end are too few
//! ```
//!
//! A record lies in one piece. Whoever pushes into a full ring takes the place of the oldest records;
//! the ring says how many. A record that the hub refused stays as a hole until it is the oldest.
//!
//! # Cost
//!
//! 16 bytes a record beside its texts and payload. Every operation but `refuse` and `convert` touches
//! only the records that come or go.

use crate::time::Millis;

/// When a record was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// By the device's clock; the hub's was not known yet.
    Uptime(Millis),
    /// ms since 1970, fixed from now on.
    Unix(u64),
}

/// One record, as a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'r> {
    pub(crate) seq: u64,
    pub(crate) stamp: Stamp,
    /// The last segment of the channel; empty for telemetry.
    pub(crate) channel: &'r str,
    pub(crate) type_name: &'r str,
    pub(crate) payload: &'r [u8],
}

/// payload 2 · channel 1 · type 1 · flags 1 · seq 5 · time 6
pub(crate) const HEADER_BYTES: usize = 16;
const SEQ_BYTES: usize = 5;
const TIME_BYTES: usize = 6;
const FLAG_UNIX: u8 = 1;
const FLAG_HOLE: u8 = 2;

impl Record<'_> {
    fn len(&self) -> usize {
        HEADER_BYTES + self.channel.len() + self.type_name.len() + self.payload.len()
    }
}

/// The ring. `sent` records from the head on have left in this connection.
#[derive(Debug)]
pub(crate) struct Ring<'b> {
    bytes: &'b mut [u8],
    head: usize,
    tail: usize,
    edge: usize,
    wrapped: bool,
    cursor: usize,
    count: usize,
    sent: usize,
}

impl<'b> Ring<'b> {
    pub(crate) fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, head: 0, tail: 0, edge: 0, wrapped: false, cursor: 0, count: 0, sent: 0 }
    }

    /// Records, holes included.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Records that were sent and still wait for the ack, holes included.
    pub(crate) const fn in_flight(&self) -> usize {
        self.sent
    }

    /// Takes a record and says how many it displaced, or `None` if it is longer than the ring.
    /// Texts must have at most 255 bytes and the payload at most 65,535.
    pub(crate) fn push(&mut self, record: &Record<'_>) -> Option<usize> {
        let length = record.len();
        if length > self.bytes.len() {
            return None;
        }
        let mut displaced = 0;
        while !self.make_room(length) {
            displaced += usize::from(!self.is_hole(self.head));
            self.pop();
        }
        let place = &mut self.bytes[self.tail..self.tail + length];
        write(record, place);
        self.tail += length;
        self.count += 1;
        Some(displaced)
    }

    /// Whether `length` bytes are free at the tail, which may move to the start for it.
    fn make_room(&mut self, length: usize) -> bool {
        if self.wrapped {
            return self.head - self.tail >= length;
        }
        if self.bytes.len() - self.tail >= length {
            return true;
        }
        if self.head < length {
            return false;
        }
        if self.cursor == self.tail {
            self.cursor = 0;
        }
        self.edge = self.tail;
        self.tail = 0;
        self.wrapped = true;
        true
    }

    /// The oldest record that was not sent in this connection.
    pub(crate) fn next_unsent(&mut self) -> Option<Record<'_>> {
        while self.sent < self.count && self.is_hole(self.cursor) {
            self.mark_sent();
        }
        (self.sent < self.count).then(|| read(&self.bytes[self.cursor..]))
    }

    /// The record of `next_unsent` has left.
    pub(crate) fn mark_sent(&mut self) {
        self.cursor = self.following(self.cursor);
        self.sent += 1;
    }

    /// A new connection: nothing has left in it.
    pub(crate) fn rewind(&mut self) {
        self.cursor = self.head;
        self.sent = 0;
    }

    /// Forgets all records up to `seq`, and says how many they were.
    pub(crate) fn acked(&mut self, seq: u64) -> usize {
        let mut gone = 0;
        while self.count > 0 {
            let hole = self.is_hole(self.head);
            if !hole && seq_of(&self.bytes[self.head..]) > seq {
                break;
            }
            gone += usize::from(!hole);
            self.pop();
        }
        gone
    }

    /// Makes a hole of one record. False if it isn't here.
    pub(crate) fn refuse(&mut self, seq: u64) -> bool {
        let mut at = self.head;
        for _ in 0..self.count {
            if seq_of(&self.bytes[at..]) == seq && !self.is_hole(at) {
                self.bytes[at + 4] |= FLAG_HOLE;
                return true;
            }
            at = self.following(at);
        }
        false
    }

    /// Fixes the times of all records that have none since 1970 yet.
    pub(crate) fn convert(&mut self, unix_ms: impl Fn(Millis) -> Option<u64>) {
        let mut at = self.head;
        for _ in 0..self.count {
            if let Stamp::Uptime(moment) = read(&self.bytes[at..]).stamp
                && let Some(unix_ms) = unix_ms(moment)
            {
                self.bytes[at + 4] |= FLAG_UNIX;
                put(&mut self.bytes[at + 5 + SEQ_BYTES..], TIME_BYTES, unix_ms);
            }
            at = self.following(at);
        }
    }

    fn is_hole(&self, at: usize) -> bool {
        self.count > 0 && self.bytes[at + 4] & FLAG_HOLE != 0
    }

    fn following(&self, at: usize) -> usize {
        let next = at + read(&self.bytes[at..]).len();
        if self.wrapped && next == self.edge { 0 } else { next }
    }

    fn pop(&mut self) {
        let next = self.following(self.head);
        // Behind the edge, what was wrapped is now in one piece again.
        self.wrapped &= next != 0;
        self.head = next;
        self.count -= 1;
        if self.sent > 0 {
            self.sent -= 1;
        } else {
            self.cursor = next;
        }
        if self.count == 0 {
            (self.head, self.tail, self.cursor, self.wrapped) = (0, 0, 0, false);
        }
    }
}

fn write(record: &Record<'_>, place: &mut [u8]) {
    let (flags, time) = match record.stamp {
        Stamp::Uptime(moment) => (0, moment.0),
        Stamp::Unix(unix_ms) => (FLAG_UNIX, unix_ms),
    };
    put(place, 2, record.payload.len() as u64);
    place[2] = record.channel.len() as u8;
    place[3] = record.type_name.len() as u8;
    place[4] = flags;
    put(&mut place[5..], SEQ_BYTES, record.seq);
    put(&mut place[5 + SEQ_BYTES..], TIME_BYTES, time);
    let mut at = HEADER_BYTES;
    for part in [record.channel.as_bytes(), record.type_name.as_bytes(), record.payload] {
        place[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
}

fn read(bytes: &[u8]) -> Record<'_> {
    let (header, rest) = bytes.split_at(HEADER_BYTES);
    let (channel, rest) = rest.split_at(usize::from(header[2]));
    let (type_name, rest) = rest.split_at(usize::from(header[3]));
    let time = number(&header[5 + SEQ_BYTES..], TIME_BYTES);
    let unix = header[4] & FLAG_UNIX != 0;
    Record {
        seq: seq_of(header),
        stamp: if unix { Stamp::Unix(time) } else { Stamp::Uptime(Millis(time)) },
        // Only texts are written, so these are never empty by default.
        channel: core::str::from_utf8(channel).unwrap_or_default(),
        type_name: core::str::from_utf8(type_name).unwrap_or_default(),
        payload: &rest[..number(header, 2) as usize],
    }
}

fn seq_of(header: &[u8]) -> u64 {
    number(&header[5..], SEQ_BYTES)
}

fn put(place: &mut [u8], bytes: usize, value: u64) {
    place[..bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
}

fn number(place: &[u8], bytes: usize) -> u64 {
    let mut value = [0; 8];
    value[..bytes].copy_from_slice(&place[..bytes]);
    u64::from_le_bytes(value)
}

#[cfg(test)]
mod tests;
