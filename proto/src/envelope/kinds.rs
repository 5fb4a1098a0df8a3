//! The kinds of envelope, field by field. The schema holds what each field means; the table here
//! holds its number and type again, and a test keeps the two together.

use core::marker::PhantomData;

use super::{CommandState, Encoding, ErrorCode, GapReason};
use crate::wire::{Encode, Reader, Sink, Value, WireError};

/// How a value of one type stands in a field.
trait Field<'a>: Sized + Default {
    fn read(field: u32, value: Value<'a>) -> Result<Self, WireError>;
    fn write<S: Sink>(&self, field: u32, sink: &mut S);
}

impl<'a> Field<'a> for u64 {
    fn read(field: u32, value: Value<'a>) -> Result<Self, WireError> {
        match value {
            Value::Varint(value) => Ok(value),
            Value::Fixed64(_) | Value::Bytes(_) | Value::Fixed32(_) => {
                Err(WireError::Value { field })
            }
        }
    }

    fn write<S: Sink>(&self, field: u32, sink: &mut S) {
        sink.uint(field, *self);
    }
}

/// Present also if it is 0.
impl<'a> Field<'a> for Option<u64> {
    fn read(field: u32, value: Value<'a>) -> Result<Self, WireError> {
        u64::read(field, value).map(Some)
    }

    fn write<S: Sink>(&self, field: u32, sink: &mut S) {
        if let Some(value) = self {
            sink.varint(u64::from(field) << 3);
            sink.varint(*value);
        }
    }
}

impl<'a> Field<'a> for u32 {
    fn read(field: u32, value: Value<'a>) -> Result<Self, WireError> {
        let value = u64::read(field, value)?;
        value.try_into().map_err(|_| WireError::Value { field })
    }

    fn write<S: Sink>(&self, field: u32, sink: &mut S) {
        sink.uint(field, u64::from(*self));
    }
}

impl<'a> Field<'a> for bool {
    fn read(field: u32, value: Value<'a>) -> Result<Self, WireError> {
        Ok(u64::read(field, value)? != 0)
    }

    fn write<S: Sink>(&self, field: u32, sink: &mut S) {
        sink.uint(field, u64::from(*self));
    }
}

impl<'a> Field<'a> for &'a [u8] {
    fn read(field: u32, value: Value<'a>) -> Result<Self, WireError> {
        match value {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32(_) => {
                Err(WireError::Value { field })
            }
        }
    }

    fn write<S: Sink>(&self, field: u32, sink: &mut S) {
        sink.bytes(field, self);
    }
}

/// A member of a `oneof`: present also if it is empty.
impl<'a> Field<'a> for Option<&'a [u8]> {
    fn read(field: u32, value: Value<'a>) -> Result<Self, WireError> {
        <&[u8]>::read(field, value).map(Some)
    }

    fn write<S: Sink>(&self, field: u32, sink: &mut S) {
        if let Some(bytes) = self {
            sink.delimited(field, bytes);
        }
    }
}

impl<'a> Field<'a> for &'a str {
    fn read(field: u32, value: Value<'a>) -> Result<Self, WireError> {
        let bytes = <&[u8]>::read(field, value)?;
        core::str::from_utf8(bytes).map_err(|_| WireError::Utf8 { field })
    }

    fn write<S: Sink>(&self, field: u32, sink: &mut S) {
        sink.bytes(field, self.as_bytes());
    }
}

impl<'a> Field<'a> for Option<Position<'a>> {
    fn read(field: u32, value: Value<'a>) -> Result<Self, WireError> {
        Position::decode(<&[u8]>::read(field, value)?).map(Some)
    }

    fn write<S: Sink>(&self, field: u32, sink: &mut S) {
        if let Some(position) = self {
            sink.message(field, position);
        }
    }
}

macro_rules! number_field {
    ($name:ident) => {
        impl<'a> Field<'a> for $name {
            fn read(field: u32, value: Value<'a>) -> Result<Self, WireError> {
                Ok(Self::from_number(u64::read(field, value)?))
            }

            fn write<S: Sink>(&self, field: u32, sink: &mut S) {
                sink.uint(field, self.number());
            }
        }
    };
}

number_field!(CommandState);
number_field!(Encoding);
number_field!(ErrorCode);
number_field!(GapReason);

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty = $number:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq)]
        pub struct $name<'a> {
            $(
                #[doc = concat!("The schema's field ", $number, ".")]
                pub $field: $type,
            )*
            /// Keeps the lifetime also where no field borrows.
            pub borrowed: PhantomData<&'a [u8]>,
        }

        impl<'a> $name<'a> {
            /// Names and numbers of its fields, as they stand here; `type` is `type_name` in Rust.
            pub const FIELDS: &'static [(&'static str, u32)] = &[$((stringify!($field), $number)),*];

            /// Reads the message.
            ///
            /// # Errors
            /// The bytes are not well-formed, or a field stands twice or in another type.
            #[allow(unused_mut, unused_variables, reason = "some messages have no field")]
            pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
                let mut reader = Reader::new(bytes);
                let mut message = Self::default();
                let mut seen = 0_u64;
                while let Some((number, value)) = reader.field()? {
                    match number {
                        $($number => {
                            if seen & 1 << $number != 0 {
                                return Err(WireError::Duplicate { field: number });
                            }
                            seen |= 1 << $number;
                            message.$field = Field::read(number, value)?;
                        })*
                        _ => {}
                    }
                }
                Ok(message)
            }
        }

        impl Encode for $name<'_> {
            #[allow(unused_variables, reason = "some messages have no field")]
            fn encode<S: Sink>(&self, sink: &mut S) {
                $(self.$field.write($number, sink);)*
            }
        }
    )*};
}

messages! {
    /// The first envelope of a connection.
    Hello {
        protocol: u32 = 1, token: &'a str = 2, boot: u32 = 3, keepalive_s: u32 = 4,
        ready: bool = 5, agent: &'a str = 6,
    }
    /// The hub's answer to [`Hello`].
    Welcome {
        session: &'a str = 1, identity: &'a str = 2, time_unix_ms: u64 = 3,
        ping_interval_s: u32 = 4, reconnect_window_s: u32 = 5, epoch: u64 = 6,
        accepted_seq: u64 = 7, message_size_max: u32 = 8,
    }
    /// Puts a value into a channel.
    Publish {
        channel: &'a str = 1, seq: u64 = 2, boot: u32 = 3, time_unix_ms: u64 = 4,
        payload: Option<&'a [u8]> = 5, data: Option<&'a [u8]> = 6, type_name: &'a str = 7,
        expected_revision: Option<u64> = 8, patch: bool = 9,
    }
    /// One value of a channel.
    Message {
        channel: &'a str = 1, payload: Option<&'a [u8]> = 2, data: Option<&'a [u8]> = 3,
        offset: u64 = 4, time_unix_ms: u64 = 5, boot: u32 = 6, seq: u64 = 7,
        measured_unix_ms: u64 = 8, type_name: &'a str = 9, json: &'a str = 10,
        problem: &'a str = 11,
    }
    /// A place in the order of all messages of one hub.
    Position { epoch: u64 = 1, offset: u64 = 2, }
    /// Asks for what channels carry.
    Subscribe {
        pattern: &'a str = 1, since: Option<Position<'a>> = 2, snapshot: bool = 3,
        encoding: Encoding = 4, labels: &'a str = 5, max_rate: u32 = 6, conflate: bool = 7,
    }
    /// Ends a subscription.
    Unsubscribe { pattern: &'a str = 1, }
    /// Messages were left out.
    Gap {
        from: u64 = 1, to: u64 = 2, dropped: u64 = 3, reason: GapReason = 4,
        snapshot_follows: bool = 5,
    }
    /// Answers a request, or acknowledges reports.
    Ack {
        boot: u32 = 1, seq: u64 = 2, position: Option<Position<'a>> = 3, recovered: bool = 4,
        revision: u64 = 5, durable: bool = 6, command: &'a str = 7, state: CommandState = 8,
    }
    /// Refuses a request.
    Error {
        code: ErrorCode = 1, message: &'a str = 2, field: &'a str = 3, retry_after_ms: u32 = 4,
        seq: u64 = 5, revision: u64 = 6,
    }
    /// Asks for a sign of life.
    Ping {}
    /// Gives it.
    Pong { time_unix_ms: u64 = 1, }
    /// The hub is about to close.
    GoAway { code: u32 = 1, closes_in_ms: u32 = 2, reconnect_window_s: u32 = 3, }
    /// The device takes commands from now on.
    Ready {}
    /// Asks the hub to bring a command to a device.
    Send {
        device: &'a str = 1, type_name: &'a str = 2, payload: Option<&'a [u8]> = 3,
        data: Option<&'a [u8]> = 4, ttl_s: u32 = 5, request_id: &'a str = 6,
        supersede_key: &'a str = 7,
    }
    /// Withdraws a command.
    Cancel { command: &'a str = 1, }
    /// Brings a command to its device.
    Deliver {
        command: &'a str = 1, type_name: &'a str = 2, payload: &'a [u8] = 3,
        remaining_ms: u32 = 4, attempt: u32 = 5,
    }
    /// What a device says of a command.
    CommandReport {
        command: &'a str = 1, state: CommandState = 2, percent: u32 = 3, detail: &'a str = 4,
        result: &'a [u8] = 5,
    }
    /// One step in a command's life; a payload, not an envelope.
    CommandUpdate {
        command: &'a str = 1, device: &'a str = 2, state: CommandState = 3, percent: u32 = 4,
        time_unix_ms: u64 = 5, sender: &'a str = 6, type_name: &'a str = 7, detail: &'a str = 8,
        attempt: u32 = 9, result: &'a [u8] = 10, request_id: &'a str = 11,
        deadline_unix_ms: u64 = 12, late: bool = 13,
    }
    /// A value that is not of its channel's type; a payload, not an envelope.
    Quarantined {
        channel: &'a str = 1, type_name: &'a str = 2, payload: &'a [u8] = 3,
        payload_bytes: u32 = 4, problem: &'a str = 5, sender: &'a str = 6, boot: u32 = 7,
        seq: u64 = 8,
    }
    /// Whether a device is connected; a payload, not an envelope.
    Presence {
        online: bool = 1, since_unix_ms: u64 = 2, generation: u64 = 3, boot: u32 = 4,
        agent: &'a str = 5, reason: &'a str = 6, unknown: bool = 7,
    }
}

/// One page of last values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Snapshot<'a> {
    /// The subscription that it belongs to.
    pub pattern: &'a str,
    /// The encoded fields 2, one [`Message`] each; read them with [`Snapshot::values`].
    pub encoded_values: &'a [u8],
    /// No page follows.
    pub last: bool,
    /// Values are complete up to here.
    pub position: Option<Position<'a>>,
}

impl<'a> Snapshot<'a> {
    /// Reads the page. Its fields stand in the order of their numbers.
    ///
    /// # Errors
    /// The bytes are not well-formed, or the fields are in another order.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut page = Self::default();
        let mut reader = Reader::new(bytes);
        let mut before = reader.rest();
        let mut latest = 0;
        while let Some((number, value)) = reader.field()? {
            if number < latest || (number == latest && matches!(number, 1 | 3 | 4)) {
                return Err(WireError::Duplicate { field: number });
            }
            match number {
                1 => page.pattern = Field::read(number, value)?,
                2 => {
                    Message::decode(Field::read(number, value)?)?;
                    let start = bytes.len() - before.len();
                    let values = start - page.encoded_values.len();
                    page.encoded_values = &bytes[values..bytes.len() - reader.rest().len()];
                }
                3 => page.last = Field::read(number, value)?,
                4 => page.position = Field::read(number, value)?,
                _ => {}
            }
            latest = number;
            before = reader.rest();
        }
        Ok(page)
    }

    /// The values of the page.
    pub fn values(&self) -> impl Iterator<Item = Message<'a>> {
        let mut reader = Reader::new(self.encoded_values);
        core::iter::from_fn(move || match reader.field() {
            Ok(Some((_, Value::Bytes(bytes)))) => Message::decode(bytes).ok(),
            _ => None,
        })
    }
}

impl Encode for Snapshot<'_> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        self.pattern.write(1, sink);
        sink.raw(self.encoded_values);
        self.last.write(3, sink);
        self.position.write(4, sink);
    }
}
