//! What a peer can ask, checked: a value of these types makes sense, though it may not be permitted.

use std::time::Duration;

use proto::envelope::{
    CommandReport, Encoding as Wanted, Envelope, ErrorCode, Hello, Kind, Position, Publish, Send,
    Subscribe,
};
use proto::{ChannelName, ChannelPattern, CommandId, DeviceId, limits};

use super::{Encoding, LiveTypes};
use crate::selector::Selector;

/// A request that can't be served; the connection lives on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For machines.
    pub code: ErrorCode,
    /// For people: what is wrong and the way out.
    pub message: String,
    /// The field, as in `publish.channel`; empty if none.
    pub field: &'static str,
    /// When a retry makes sense, in ms; 0 means not without a change.
    pub retry_after_ms: u32,
    /// The device's report that was refused for good, or 0.
    pub seq: u64,
    /// The revision that stands, where another one was expected; else 0.
    pub revision: u64,
}

impl Refusal {
    /// A refusal that no retry mends.
    pub fn new(code: ErrorCode, field: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field, retry_after_ms: 0, seq: 0, revision: 0 }
    }

    /// A refusal that a later try may overcome.
    pub fn retry(
        code: ErrorCode,
        field: &'static str,
        message: impl Into<String>,
        ms: u32,
    ) -> Self {
        Self { retry_after_ms: ms, ..Self::new(code, field, message) }
    }
}

/// Something asked of the hub.
#[derive(Debug)]
pub enum Request<'a> {
    /// The first of a connection.
    Hello(Hello<'a>),
    /// A value for a channel.
    Publish(Publication<'a>),
    /// Wants what channels carry.
    Subscribe(Subscription),
    /// Doesn't any more.
    Unsubscribe(ChannelPattern),
    /// A command for a device.
    Send(Sending<'a>),
    /// Withdraws a command.
    Cancel(CommandId),
    /// What a device says of a command.
    Report(Report<'a>),
    /// The device takes commands.
    Ready,
    /// Wants a sign of life.
    Ping,
    /// Well-formed, but no request that makes sense.
    Refused(Refusal),
}

impl Request<'_> {
    /// Whether it begins or ends a subscription.
    pub fn changes_subscriptions(&self) -> bool {
        matches!(self, Self::Subscribe(_) | Self::Unsubscribe(_))
    }
}

/// A value for a channel.
#[derive(Debug, Clone)]
pub struct Publication<'a> {
    /// None: the device's own telemetry.
    pub channel: Option<ChannelName>,
    /// Full name of the payload's message; empty for the channel's first.
    pub type_name: &'a str,
    /// What becomes of the value.
    pub change: Change<'a>,
    /// The revision that has to stand, 0 for none; whatever stands if not said.
    pub expected: Option<u64>,
    /// Boot of the report; 0 means that of HELLO.
    pub boot: u32,
    /// Number of the report; 0 asks for no cumulative ack.
    pub seq: u64,
    /// ms since 1970 by the peer's clock; 0 unknown.
    pub measured_unix_ms: u64,
}

/// What a publication makes of the value that stands.
#[derive(Debug, Clone)]
pub enum Change<'a> {
    /// It is this from now on.
    Whole(Content<'a>),
    /// A merge patch of its JSON, an object.
    Patch(serde_json::Value),
}

/// A payload, in one of two forms.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    /// An encoded message of the type.
    Payload(&'a [u8]),
    /// The same as JSON; it becomes a payload when the type is known.
    Data(serde_json::Value),
}

impl<'a> Content<'a> {
    /// The payload's bytes.
    ///
    /// # Errors
    /// The JSON is not of the type, or the type is unknown.
    pub fn into_payload(
        self,
        type_name: &str,
        types: &LiveTypes,
        field: &'static str,
    ) -> Result<std::borrow::Cow<'a, [u8]>, Refusal> {
        match self {
            Self::Payload(bytes) => Ok(bytes.into()),
            Self::Data(value) if type_name.is_empty() => Ok(value.to_string().into_bytes().into()),
            Self::Data(value) => match types.payload_from_json(type_name, &value) {
                Ok(bytes) => Ok(bytes.into()),
                Err(error) => {
                    let text = format!("is not a {type_name}: {error}");
                    Err(Refusal::new(ErrorCode::BadValue, field, text))
                }
            },
        }
    }
}

/// A wish for what channels carry.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// Which channels.
    pub pattern: ChannelPattern,
    /// Epoch and offset after which to continue.
    pub since: Option<(u64, u64)>,
    /// Whether the last values come first.
    pub snapshot: bool,
    /// How the content is to be written; none: as the peer's envelopes are.
    pub encoding: Option<Encoding>,
    /// Only of these devices.
    pub labels: Option<Selector>,
    /// Fewer messages; none: all.
    pub pace: Option<Pace>,
}

impl Subscription {
    /// All messages from now on, as they come.
    pub fn of(pattern: ChannelPattern) -> Self {
        let (since, snapshot, encoding, labels, pace) = Default::default();
        Self { pattern, since, snapshot, encoding, labels, pace }
    }
}

/// How a subscription wants fewer messages: of each channel and type the newest, at a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Beats a second; 0: as soon as there is room.
    rate: u32,
}

impl Pace {
    /// No beat: of what waits, the newest.
    pub const CONFLATED: Self = Self { rate: 0 };
    /// Beats a second, at most.
    pub const RATE_MAX: u32 = 100;

    /// So many beats a second, 1 to [`Pace::RATE_MAX`]; `None` out of that range.
    pub fn of(rate: u32) -> Option<Self> {
        (1..=Self::RATE_MAX).contains(&rate).then_some(Self { rate })
    }

    /// What is asked for by a rate, 0 for none, and by `conflate`.
    ///
    /// # Errors
    /// The rate is out of range: says so.
    pub fn asked(rate: u32, conflate: bool) -> Result<Option<Self>, String> {
        match (rate, conflate) {
            (0, false) => Ok(None),
            (0, true) => Ok(Some(Self::CONFLATED)),
            (rate, _) => Self::of(rate).map(Some).ok_or_else(|| {
                format!("is {rate} beats a second; use 1 to {}, or 0 for no bound", Self::RATE_MAX)
            }),
        }
    }

    /// The time between two beats.
    pub fn every(self) -> Duration {
        if self.rate == 0 { Duration::ZERO } else { Duration::from_secs(1) / self.rate }
    }
}

/// The choice of devices that a subscription makes by their labels.
///
/// # Errors
/// It can't be read, or asks for what devices report, which changes all the time.
pub fn check_labels(text: &str) -> Result<Option<Selector>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let selector = Selector::parse(text).map_err(|error| error.to_string())?;
    if !selector.is_of_registrations() {
        let text = "takes labels, `id` and `profile`; what devices report changes all the time";
        return Err(text.to_owned());
    }
    Ok(Some(selector))
}

/// A command for a device.
#[derive(Debug)]
pub struct Sending<'a> {
    /// To whom.
    pub device: DeviceId,
    /// Full name of the payload's message.
    pub type_name: &'a str,
    /// What it asks.
    pub content: Content<'a>,
    /// s, in range.
    pub ttl_s: u32,
    /// The sender's own id, or empty.
    pub request_id: &'a str,
    /// Or empty.
    pub supersede_key: &'a str,
}

/// What a device says of a command.
#[derive(Debug)]
pub struct Report<'a> {
    /// Which command.
    pub command: CommandId,
    /// The rest as it came; its state is one that a device may say.
    pub report: CommandReport<'a>,
}

/// Checks one envelope. `data` is the JSON that stood in a text envelope's `data`.
pub fn check<'a>(envelope: &Envelope<'a>, data: Option<serde_json::Value>) -> Request<'a> {
    let checked = match envelope.kind {
        Kind::Hello(hello) => Ok(Request::Hello(hello)),
        Kind::Publish(publish) => check_publish(publish, data).map(Request::Publish),
        Kind::Subscribe(subscribe) => check_subscribe(subscribe).map(Request::Subscribe),
        Kind::Unsubscribe(unsubscribe) => {
            check_pattern(unsubscribe.pattern, "unsubscribe.pattern").map(Request::Unsubscribe)
        }
        Kind::Send(send) => check_send(send, data).map(Request::Send),
        Kind::Cancel(cancel) => {
            check_command(cancel.command, "cancel.command").map(Request::Cancel)
        }
        Kind::CommandReport(report) => check_report(report).map(Request::Report),
        Kind::Ready(_) => Ok(Request::Ready),
        Kind::Ping(_) => Ok(Request::Ping),
        Kind::Message(_)
        | Kind::Ack(_)
        | Kind::Deliver(_)
        | Kind::Pong(_)
        | Kind::Gap(_)
        | Kind::Error(_)
        | Kind::Welcome(_)
        | Kind::Snapshot(_)
        | Kind::GoAway(_) => {
            let text = format!("`{}` goes from the hub to a peer only", envelope.kind.name());
            Err(Refusal::new(ErrorCode::Unsupported, "", text))
        }
        Kind::Unknown(number) => {
            let text = format!("the hub knows no envelope of kind {number}");
            Err(Refusal::new(ErrorCode::Unsupported, "", text))
        }
    };
    checked.unwrap_or_else(Request::Refused)
}

fn check_publish(
    publish: Publish<'_>,
    data: Option<serde_json::Value>,
) -> Result<Publication<'_>, Refusal> {
    let channel = match publish.channel {
        "" => None,
        text => Some(check_channel(text, "publish.channel")?),
    };
    check_length(publish.type_name, limits::TYPE_BYTES_MAX, "publish.type")?;
    if publish.data.is_some() {
        return Err(json_only("publish.data"));
    }
    let content = check_content(publish.payload, data, "publish.payload")?;
    let change =
        if publish.patch { Change::Patch(check_patch(content)?) } else { Change::Whole(content) };
    let expected = publish.expected_revision;
    let measured_unix_ms = trusted_time(publish.time_unix_ms);
    let (boot, seq) = (publish.boot, publish.seq);
    let type_name = publish.type_name;
    Ok(Publication { channel, type_name, change, expected, boot, seq, measured_unix_ms })
}

/// The patch as JSON; bytes are its text.
fn check_patch(content: Content<'_>) -> Result<serde_json::Value, Refusal> {
    let (value, field) = match content {
        Content::Data(value) => (value, "publish.data"),
        Content::Payload(bytes) => {
            let field = "publish.payload";
            let text = std::str::from_utf8(bytes).map_err(|_| {
                let text = "is not UTF-8; a patch is JSON as text";
                Refusal::new(ErrorCode::BadValue, field, text)
            })?;
            let parsed = proto::json::parse(text)
                .map_err(|error| Refusal::new(ErrorCode::BadValue, field, error.to_string()))?;
            (parsed, field)
        }
    };
    if value.is_object() {
        return Ok(value);
    }
    let text = "is no object; a merge patch has the members that change, null for those that go";
    Err(Refusal::new(ErrorCode::BadValue, field, text))
}

/// A time that no clock of this century shows is no time.
fn trusted_time(unix_ms: u64) -> u64 {
    /// The end of the year 2199.
    const LATEST_UNIX_MS: u64 = 7_258_118_400_000;
    if unix_ms <= LATEST_UNIX_MS { unix_ms } else { 0 }
}

fn check_subscribe(subscribe: Subscribe<'_>) -> Result<Subscription, Refusal> {
    Ok(Subscription {
        pattern: check_pattern(subscribe.pattern, "subscribe.pattern")?,
        since: subscribe.since.map(|Position { epoch, offset, .. }| (epoch, offset)),
        snapshot: subscribe.snapshot,
        encoding: match subscribe.encoding {
            Wanted::Unspecified => None,
            Wanted::Protobuf => Some(Encoding::Protobuf),
            Wanted::Json => Some(Encoding::Json),
        },
        labels: check_labels(subscribe.labels)
            .map_err(|text| Refusal::new(ErrorCode::BadValue, "subscribe.labels", text))?,
        pace: Pace::asked(subscribe.max_rate, subscribe.conflate)
            .map_err(|text| Refusal::new(ErrorCode::BadValue, "subscribe.max_rate", text))?,
    })
}

/// A command as its sender states it, checked.
///
/// # Errors
/// Names the field that is wrong.
pub fn check_send(send: Send<'_>, data: Option<serde_json::Value>) -> Result<Sending<'_>, Refusal> {
    let device = DeviceId::parse(send.device).map_err(|error| {
        let text = format!("is not a device id: it {error}; use [a-z0-9][a-z0-9-]{{2,63}}");
        Refusal::new(ErrorCode::BadValue, "send.device", text)
    })?;
    let ttl_s = match send.ttl_s {
        ttl_s if (limits::COMMAND_TTL_S_MIN..=limits::COMMAND_TTL_S_MAX).contains(&ttl_s) => ttl_s,
        ttl_s => {
            let (min, max) = (limits::COMMAND_TTL_S_MIN, limits::COMMAND_TTL_S_MAX);
            let text =
                format!("is {ttl_s} s; say how long the command is good for, {min} to {max} s");
            return Err(Refusal::new(ErrorCode::BadValue, "send.ttl_s", text));
        }
    };
    if send.type_name.is_empty() {
        let text = "is empty; name the payload's message, as in lighting.v1.Command";
        return Err(Refusal::new(ErrorCode::BadValue, "send.type", text));
    }
    check_length(send.type_name, limits::TYPE_BYTES_MAX, "send.type")?;
    check_length(send.request_id, limits::KEY_BYTES_MAX, "send.request_id")?;
    check_length(send.supersede_key, limits::KEY_BYTES_MAX, "send.supersede_key")?;
    if send.data.is_some() {
        return Err(json_only("send.data"));
    }
    let content = check_content(send.payload, data, "send.payload")?;
    let (request_id, supersede_key) = (send.request_id, send.supersede_key);
    Ok(Sending { device, type_name: send.type_name, content, ttl_s, request_id, supersede_key })
}

fn check_report(report: CommandReport<'_>) -> Result<Report<'_>, Refusal> {
    use proto::CommandState as State;
    let command = check_command(report.command, "command_report.command")?;
    match report.state {
        State::Delivered
        | State::Running
        | State::Succeeded
        | State::Failed
        | State::Rejected
        | State::Expired
        | State::Unknown => {}
        State::Unspecified
        | State::Accepted
        | State::Sent
        | State::Canceled
        | State::Superseded => {
            let text = format!("is {}, which is not a device's to say", report.state.word());
            return Err(Refusal::new(ErrorCode::BadValue, "command_report.state", text));
        }
    }
    check_length(report.detail, limits::DETAIL_BYTES_MAX, "command_report.detail")?;
    if report.percent > 100 {
        let text = format!("is {}; at most 100", report.percent);
        return Err(Refusal::new(ErrorCode::BadValue, "command_report.percent", text));
    }
    if report.result.len() > limits::RESULT_BYTES_MAX {
        let text =
            format!("has {} bytes; at most {}", report.result.len(), limits::RESULT_BYTES_MAX);
        return Err(Refusal::new(ErrorCode::Limit, "command_report.result", text));
    }
    Ok(Report { command, report })
}

fn check_content<'p>(
    payload: Option<&'p [u8]>,
    data: Option<serde_json::Value>,
    field: &'static str,
) -> Result<Content<'p>, Refusal> {
    match (payload, data) {
        (_, Some(value)) => Ok(Content::Data(value)),
        (payload, None) => {
            let bytes = payload.unwrap_or_default();
            if bytes.len() > limits::PAYLOAD_BYTES_MAX {
                let text =
                    format!("has {} bytes; at most {}", bytes.len(), limits::PAYLOAD_BYTES_MAX);
                return Err(Refusal::new(ErrorCode::StateLimit, field, text));
            }
            Ok(Content::Payload(bytes))
        }
    }
}

/// The JSON of a text envelope never stands in the bytes that are checked here.
fn json_only(field: &'static str) -> Refusal {
    let text = "is for the JSON encoding; a binary envelope carries `payload`";
    Refusal::new(ErrorCode::BadValue, field, text)
}

fn check_command(text: &str, field: &'static str) -> Result<CommandId, Refusal> {
    CommandId::parse(text).map_err(|error| {
        Refusal::new(ErrorCode::BadValue, field, format!("is not a command id: it {error}"))
    })
}

fn check_channel(text: &str, field: &'static str) -> Result<ChannelName, Refusal> {
    ChannelName::parse(text).map_err(|error| bad_channel(error, field))
}

fn check_pattern(text: &str, field: &'static str) -> Result<ChannelPattern, Refusal> {
    ChannelPattern::parse(text).map_err(|error| bad_channel(error, field))
}

fn bad_channel(error: proto::name::NameError, field: &'static str) -> Refusal {
    Refusal::new(ErrorCode::BadChannel, field, error.to_string())
}

fn check_length(text: &str, max: usize, field: &'static str) -> Result<(), Refusal> {
    if text.len() > max {
        let message = format!("has {} bytes; at most {max}", text.len());
        return Err(Refusal::new(ErrorCode::BadValue, field, message));
    }
    Ok(())
}
