//! Every bound of the ledger, by name.
//!
//! [`Limits`] are what an operator may tune; the constants below them are properties of the
//! record, which must stay under what the store takes as one value. Bounds of single fields are those of
//! the wire, in `proto::limits`.

use std::time::Duration;

use proto::limits as wire;

/// Bounds that the operator may tune.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A device that comes back this often without a word on the command at the head of its
    /// queue is freed from it: the command fails. At least 1.
    pub attempts_max: u32,
    /// Bytes of payloads and results of all commands together.
    pub bytes_max: usize,
    /// How long after its deadline a command that was sent may still report its end. Below 60 s
    /// less the longest commit, since every command is terminal 60 s after its deadline.
    pub grace: Duration,
    /// Commands sent to one device and not ended. At least 1.
    pub in_flight_max: usize,
    /// Commands of all devices that have not ended.
    pub live_max: usize,
    /// Bytes of payload that wait for one device.
    pub queue_bytes_max: usize,
    /// Commands that wait for one device.
    pub queue_max: usize,
    /// Ended commands kept for questions and repeated requests; the oldest go first.
    pub retained_max: usize,
    /// How long an ended command, and with it its request id, is remembered.
    pub retention: Duration,
    /// When a record that the store refused is offered to it again.
    pub retry: Duration,
    /// The longest time that a command may wait and start.
    pub ttl_max: Duration,
    /// The shortest.
    pub ttl_min: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempts_max: 5,
            bytes_max: 256 * 1024 * 1024,
            grace: Duration::from_secs(30),
            in_flight_max: wire::COMMANDS_IN_FLIGHT_MAX,
            live_max: 100_000,
            queue_bytes_max: wire::COMMANDS_QUEUED_BYTES_MAX,
            queue_max: wire::COMMANDS_QUEUED_MAX,
            retained_max: 100_000,
            retention: Duration::from_secs(24 * 3600),
            retry: Duration::from_secs(1),
            ttl_max: Duration::from_secs(wire::COMMAND_TTL_S_MAX as u64),
            ttl_min: Duration::from_secs(wire::COMMAND_TTL_S_MIN as u64),
        }
    }
}

/// Bytes of a sender's name.
pub(super) const SENDER_BYTES_MAX: usize = 256;
/// Steps kept of one command's life; the oldest but the first go first.
pub(super) const STEPS_MAX: usize = 32;
/// Late results kept as steps of one command.
pub(super) const NOTES_MAX: usize = 4;
/// Answers that wait for one command's record.
pub(super) const WAITING_MAX: usize = 16;
/// Commands that one [`Input::Timeout`](super::Input::Timeout) ends or forgets. What is left is
/// due at once, so the driver gets to its other work in between.
pub(super) const TIMEOUT_BATCH: usize = 1_024;

/// Bytes of the longest record: numbers take at most 10 bytes each.
pub(super) const RECORD_BYTES_MAX: usize = 256
    + SENDER_BYTES_MAX
    + wire::DEVICE_ID_BYTES_MAX
    + wire::TYPE_BYTES_MAX
    + 2 * wire::KEY_BYTES_MAX
    + wire::PAYLOAD_BYTES_MAX
    + wire::RESULT_BYTES_MAX
    + wire::DETAIL_BYTES_MAX
    + STEPS_MAX * (wire::DETAIL_BYTES_MAX + 24);

/// The store takes values up to 64 KiB.
const _: () = assert!(RECORD_BYTES_MAX < 64 * 1024);
/// Trimming the middle of a life must keep its start, its end and the notes behind it.
const _: () = assert!(STEPS_MAX > NOTES_MAX + 2);
/// The number of steps is one byte of the record.
const _: () = assert!(STEPS_MAX < 256);
