//! Every bound of the wire, by name, with the relations between them checked when the crate is built.
//!
//! Bounds that an operator may tune have their defaults here and their ranges in the hub's
//! configuration; what is here and not there is part of the protocol and the same everywhere.

/// Bytes of a channel name or pattern.
pub const CHANNEL_BYTES_MAX: usize = 128;
/// Segments of a channel name or pattern. Matching may visit 2^(segments + 1) nodes.
pub const SEGMENTS_MAX: usize = 8;
/// Bytes of one segment.
pub const SEGMENT_BYTES_MAX: usize = 64;
/// Bytes of a device id, at least.
pub const DEVICE_ID_BYTES_MIN: usize = 3;
/// Bytes of a device id, at most.
pub const DEVICE_ID_BYTES_MAX: usize = 64;
/// Bytes of a command id: a UUID in its hyphenated form.
pub const COMMAND_ID_BYTES: usize = 36;

/// Bytes of one WebSocket message, either way.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one envelope with its length in front.
pub const ENVELOPE_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// Envelopes in one WebSocket message.
pub const ENVELOPES_PER_MESSAGE_MAX: usize = 1024;
/// Bytes of a payload: a channel's last value, or a command.
pub const PAYLOAD_BYTES_MAX: usize = 32 * 1024;
/// Bytes that a peer may send before it is admitted.
pub const GREETING_BYTES_MAX: usize = 4 * 1024;
/// Nesting of a JSON document or of a protobuf payload.
pub const NESTING_MAX: usize = 16;

/// Bytes of a token, opaque or not.
pub const TOKEN_BYTES_MAX: usize = 4 * 1024 - 512;
/// Bytes of `Hello.agent`.
pub const AGENT_BYTES_MAX: usize = 64;
/// Bytes of a payload's type name.
pub const TYPE_BYTES_MAX: usize = 128;
/// Bytes of `Send.request_id` and `Send.supersede_key`.
pub const KEY_BYTES_MAX: usize = 64;
/// Bytes of `CommandReport.detail`.
pub const DETAIL_BYTES_MAX: usize = 120;
/// Bytes of `CommandReport.result`.
pub const RESULT_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a close reason; the protocol leaves 123.
pub const CLOSE_REASON_BYTES_MAX: usize = 64;

/// s: the shortest life that a command may ask for.
pub const COMMAND_TTL_S_MIN: u32 = 5;
/// s: the longest, seven days.
pub const COMMAND_TTL_S_MAX: u32 = 7 * 24 * 3600;
/// Commands that are written to a device and have no terminal state.
pub const COMMANDS_IN_FLIGHT_MAX: usize = 8;
/// Commands that wait for a device.
pub const COMMANDS_QUEUED_MAX: usize = 64;
/// Bytes of payloads that wait for a device.
pub const COMMANDS_QUEUED_BYTES_MAX: usize = 256 * 1024;

/// s: the shortest silence that a peer may announce.
pub const KEEPALIVE_S_MIN: u32 = 15;
/// s: the longest.
pub const KEEPALIVE_S_MAX: u32 = 1200;
/// s: the hub's ping interval where the peer announced none.
pub const PING_INTERVAL_S_DEFAULT: u32 = 30;
/// s: how long an answer to a ping may take.
pub const PONG_TIMEOUT_S: u32 = 10;

/// s: the smallest reconnect window that a hub announces.
pub const RECONNECT_WINDOW_S_MIN: u32 = 5;
/// s: the largest.
pub const RECONNECT_WINDOW_S_MAX: u32 = 300;
/// ms: the first step of a peer's back-off.
pub const BACKOFF_MS_MIN: u64 = 2_000;
/// ms: its last step.
pub const BACKOFF_MS_MAX: u64 = 120_000;
/// s: a session that lived so long resets the back-off.
pub const HEALTHY_AFTER_S: u64 = 60;
/// s: how long a peer stays away after a close code of the second range, at least.
pub const STAY_AWAY_S_MIN: u64 = 600;

const _: () = assert!(SEGMENTS_MAX * 2 - 1 <= CHANNEL_BYTES_MAX, "shortest segments must fit");
const _: () =
    assert!("devices.".len() + DEVICE_ID_BYTES_MAX + ".registration".len() <= CHANNEL_BYTES_MAX);
const _: () = assert!(DEVICE_ID_BYTES_MAX <= SEGMENT_BYTES_MAX, "a device id is one segment");
const _: () = assert!(ENVELOPE_BYTES_MAX <= MESSAGE_BYTES_MAX);
const _: () =
    assert!(PAYLOAD_BYTES_MAX + CHANNEL_BYTES_MAX + TYPE_BYTES_MAX + 256 <= ENVELOPE_BYTES_MAX);
const _: () = assert!(TOKEN_BYTES_MAX + AGENT_BYTES_MAX + 64 <= GREETING_BYTES_MAX);
const _: () = assert!(COMMANDS_IN_FLIGHT_MAX <= COMMANDS_QUEUED_MAX);
const _: () = assert!(PAYLOAD_BYTES_MAX <= COMMANDS_QUEUED_BYTES_MAX);
const _: () =
    assert!(PONG_TIMEOUT_S < KEEPALIVE_S_MIN, "a pong is late before the next ping is due");
const _: () = assert!(COMMAND_TTL_S_MIN < COMMAND_TTL_S_MAX);
const _: () =
    assert!(BACKOFF_MS_MAX / 1000 < STAY_AWAY_S_MIN, "staying away is longer than backing off");
