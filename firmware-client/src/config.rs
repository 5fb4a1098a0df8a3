//! What the firmware decides when it builds the machine.

use core::fmt;

use proto::limits;

use crate::backoff::Backoff;
use crate::pace::Pace;

/// Settings of one device. Start from [`Config::new`] and change what differs.
#[derive(Clone, Copy)]
pub struct Config<'b> {
    /// The device's id, `[a-z0-9][a-z0-9-]{2,63}`. Empty if the device only sends telemetry.
    pub device: &'b str,
    /// The hub's token; empty if a client certificate says who the device is.
    pub token: &'b str,
    /// Product and version, for people; at most [`limits::AGENT_BYTES_MAX`] bytes.
    pub agent: &'b str,
    /// s, 15 to 1200: the longest silence that the device plans; 0 takes the hub's ping interval.
    /// Long ones save data, short ones find a dead link sooner.
    pub keepalive_s: u32,
    /// Whether commands may come at once; else [`crate::Client::set_ready`] says when.
    pub ready: bool,
    /// Whether the hub is asked for the light that the device should show: [`crate::Event::Light`].
    pub follows_light: bool,
    /// 1 to 512: reports that may wait for their ack at a time.
    pub window: u16,
    /// How fast reports may leave.
    pub pace: Pace,
    /// When to come back.
    pub backoff: Backoff,
    /// ms: how long a connection may take to come about, TLS included.
    pub connect_timeout_ms: u64,
    /// ms: how long the hub may take to admit the device.
    pub greeting_timeout_ms: u64,
    /// ms: how long the hub may be silent while it owes an answer.
    pub answer_timeout_ms: u64,
    /// ms: the age at which the hub's time is asked for again.
    pub resync_after_ms: u64,
    /// Whether a command (type name, payload) does the same when it runs twice. Such a command is
    /// run again if power failed while it ran; any other ends as UNKNOWN.
    pub idempotent: fn(&str, &[u8]) -> bool,
    /// Seeds the jitter. It must differ between devices and between boots.
    pub seed: u64,
}

impl<'b> Config<'b> {
    /// The settings of a mains-powered device on LTE-M or better.
    pub const fn new(device: &'b str, seed: u64) -> Self {
        Self {
            device,
            token: "",
            agent: concat!("lamplighter-firmware/", env!("CARGO_PKG_VERSION")),
            keepalive_s: 0,
            ready: true,
            follows_light: false,
            window: 32,
            pace: Pace::DEFAULT,
            backoff: Backoff::DEFAULT,
            connect_timeout_ms: 60_000,
            greeting_timeout_ms: 30_000,
            answer_timeout_ms: 60_000,
            resync_after_ms: 6 * 3600 * 1000,
            idempotent: never,
            seed,
        }
    }

    /// The same with everything inside its range.
    pub(crate) fn clamped(mut self) -> Self {
        self.window = self.window.clamp(1, 512);
        if self.keepalive_s != 0 {
            self.keepalive_s =
                self.keepalive_s.clamp(limits::KEEPALIVE_S_MIN, limits::KEEPALIVE_S_MAX);
        }
        self.agent = clip(self.agent, limits::AGENT_BYTES_MAX);
        self
    }
}

const _: () = assert!(512 < limits::ENVELOPES_PER_MESSAGE_MAX, "a full window fits one message");

fn never(_: &str, _: &[u8]) -> bool {
    false
}

/// The longest start of `text` that has at most `max` bytes.
pub(crate) fn clip(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Without the token: settings end in logs.
impl fmt::Debug for Config<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("device", &self.device)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// The memory of the machine. All of it is the caller's; nothing is ever allocated.
#[derive(Debug)]
pub struct Buffers<'b> {
    /// Telemetry that waits: 16 bytes a record beside its payload. 16 KiB keep a day of a lamp's
    /// 15-minute samples.
    pub samples: &'b mut [u8],
    /// Faults and switching that wait, likewise.
    pub events: &'b mut [u8],
    /// Commands that wait: type name and payload of each. 1 KiB is enough for eight of a lamp's.
    pub commands: &'b mut [u8],
}
