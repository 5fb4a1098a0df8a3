//! Envelopes as views of received bytes, and their encoding; the schema is
//! `schema/lamplighter/v1/envelope.proto`.
//!
//! A view borrows every text and payload from the bytes it was read from. It is *raw*: well-formed
//! protobuf with each field at most once, but a channel in it may still be no channel. Unknown fields
//! are skipped, also beside a known kind; an unknown kind alone is [`Kind::Unknown`], so that it can be
//! answered with an error.
//!
//! ```text
//!   binary WebSocket message:   length envelope  length envelope  length envelope …
//! ```
//!
//! # Guarantees
//!
//! - What [`Batch`] yields was whole: a truncated message never has an effect in part, since all of it
//!   is checked before the first envelope is yielded.
//! - A field that stands twice is refused, whichever it is: "the last one wins" is a way to show one
//!   identity to a filter and another to the hub.

use crate::limits;
use crate::wire::{Encode, Reader, Sink, Value, WireError};

mod kinds;

pub use kinds::{
    Ack, Cancel, CommandReport, CommandUpdate, Deliver, Error, Gap, GoAway, Hello, Message, Ping,
    Pong, Position, Presence, Publish, Quarantined, Ready, Send, Snapshot, Subscribe, Unsubscribe,
    Welcome,
};

/// A closed set of numbers on the wire.
macro_rules! numbers {
    ($(#[$doc:meta])* $name:ident { $($(#[$item:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name {
            /// Not set, or a number that this version doesn't know.
            #[default]
            Unspecified = 0,
            $($(#[$item])* $variant = $number,)*
        }

        impl $name {
            /// All that are set, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The variant of a number; [`Self::Unspecified`] for those it doesn't know.
            pub const fn from_number(number: u64) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    _ => Self::Unspecified,
                }
            }

            /// Its number on the wire.
            pub const fn number(self) -> u64 {
                self as u64
            }
        }
    };
}

numbers! {
    /// Where a command stands. States merge by their order: see [`CommandState::is_terminal`].
    CommandState {
        /// Durable at the hub.
        Accepted = 1,
        /// Written to the device's connection.
        Sent = 2,
        /// The device said that it has it.
        Delivered = 3,
        /// The device said that it works on it.
        Running = 4,
        /// The device proved the effect.
        Succeeded = 5,
        /// The device tried, and the effect was not reached.
        Failed = 6,
        /// The device refused: invalid, or not allowed now.
        Rejected = 7,
        /// It could not start before its deadline.
        Expired = 8,
        /// Its sender withdrew it in time.
        Canceled = 9,
        /// A newer command took its place before it was sent.
        Superseded = 10,
        /// It was sent, and its outcome can't be proved.
        Unknown = 11,
    }
}

impl CommandState {
    /// Whether it never changes again.
    pub const fn is_terminal(self) -> bool {
        self.number() >= Self::Succeeded.number()
    }

    /// The state that people know by this word.
    pub fn from_word(word: &str) -> Option<Self> {
        let states = (Self::Accepted.number()..=Self::Unknown.number()).map(Self::from_number);
        states.into_iter().find(|state| state.word() == word)
    }

    /// The word that people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "UNSPECIFIED",
            Self::Accepted => "ACCEPTED",
            Self::Sent => "SENT",
            Self::Delivered => "DELIVERED",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
            Self::Canceled => "CANCELED",
            Self::Superseded => "SUPERSEDED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

numbers! {
    /// Why a request was refused.
    ErrorCode {
        /// Not a channel name or pattern.
        BadChannel = 1,
        /// A value out of its range.
        BadValue = 2,
        /// The request id was used for another command.
        Conflict = 3,
        /// A count is at its limit.
        Limit = 4,
        /// The envelope can't be read.
        Malformed = 5,
        /// There is no such thing.
        NotFound = 6,
        /// The identity may not do this.
        NotPermitted = 7,
        /// The device's queue of commands is full.
        QueueFull = 8,
        /// Too many requests; see `retry_after_ms`.
        Rate = 9,
        /// The device's boot counter went back.
        StaleEpoch = 10,
        /// The payload is too long for a channel's last value.
        StateLimit = 11,
        /// The hub can't do it now; see `retry_after_ms`.
        Unavailable = 12,
        /// The hub doesn't know this kind or option.
        Unsupported = 13,
    }
}

numbers! {
    /// How the content of messages is written; [`Self::Unspecified`] is as HELLO was.
    Encoding {
        /// As encoded messages of their types.
        Protobuf = 1,
        /// As proto3 JSON.
        Json = 2,
    }
}

numbers! {
    /// Why messages were left out.
    GapReason {
        /// The peer read more slowly than messages came.
        SlowReader = 1,
    }
}

/// One envelope.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Envelope<'a> {
    /// Names a request, so that its answer can be told from others; 0 asks for no answer.
    pub request: u64,
    /// What it says.
    pub kind: Kind<'a>,
}

macro_rules! kinds {
    ($($variant:ident = $number:literal,)*) => {
        /// What an envelope says.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub enum Kind<'a> {
            $(
                #[doc = concat!("See the schema's `", stringify!($variant), "`.")]
                $variant($variant<'a>),
            )*
            /// None that this version knows. The number of its field, or 0 if there was none.
            Unknown(u32),
        }

        impl<'a> Kind<'a> {
            /// Its name in the schema.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($variant),)*
                    Self::Unknown(_) => "unknown",
                }
            }

            const fn is_known(number: u32) -> bool {
                matches!(number, $($number)|*)
            }

            fn decode(number: u32, bytes: &'a [u8]) -> Result<Self, WireError> {
                Ok(match number {
                    $($number => Self::$variant($variant::decode(bytes)?),)*
                    _ => Self::Unknown(number),
                })
            }

            fn encode<S: Sink>(&self, sink: &mut S) {
                match self {
                    $(Self::$variant(kind) => sink.message($number, kind),)*
                    Self::Unknown(_) => {}
                }
            }
        }
    };
}

kinds! {
    Hello = 2, Publish = 3, Subscribe = 4, Unsubscribe = 5, Send = 6, CommandReport = 7, Ping = 8,
    Message = 9, Ack = 10, Deliver = 11, Pong = 13, Gap = 14, Error = 15, Welcome = 16,
    Snapshot = 17, GoAway = 18, Ready = 19, Cancel = 20,
}

impl Kind<'_> {
    /// A payload and its JSON are two members of one `oneof`: to have both is to say two things.
    fn check_content(&self) -> Result<(), WireError> {
        let (payload, data, field) = match self {
            Self::Publish(publish) => (publish.payload, publish.data, 6),
            Self::Message(message) => (message.payload, message.data, 3),
            Self::Send(send) => (send.payload, send.data, 4),
            _ => return Ok(()),
        };
        if payload.is_some() && data.is_some() {
            return Err(WireError::Duplicate { field });
        }
        Ok(())
    }
}

impl<'a> Envelope<'a> {
    /// An envelope that asks for no answer, or answers no request.
    pub const fn new(kind: Kind<'a>) -> Self {
        Self { request: 0, kind }
    }

    /// Reads one envelope, without its length.
    ///
    /// # Errors
    /// The bytes are not well-formed, or say two kinds.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut request = None;
        let mut kind = None;
        let mut unknown = 0;
        while let Some((number, value)) = reader.field()? {
            match (number, value) {
                (1, Value::Varint(value)) => once(&mut request, value, number)?,
                (1, _) => return Err(WireError::Value { field: number }),
                (_, Value::Bytes(bytes)) if Kind::is_known(number) => {
                    once(&mut kind, (number, bytes), number)?;
                }
                (_, _) if Kind::is_known(number) => return Err(WireError::Value { field: number }),
                (_, _) if unknown == 0 => unknown = number,
                _ => {}
            }
        }
        let (number, bytes) = kind.unwrap_or((unknown, &[]));
        let kind = Kind::decode(number, bytes)?;
        kind.check_content()?;
        Ok(Self { request: request.unwrap_or(0), kind })
    }

    /// Writes it with its length in front, as it stands in a binary WebSocket message.
    pub fn encode_delimited<S: Sink>(&self, sink: &mut S) {
        sink.varint(self.encoded_len() as u64);
        self.encode(sink);
    }
}

impl Encode for Envelope<'_> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.uint(1, self.request);
        self.kind.encode(sink);
    }
}

fn once<T>(slot: &mut Option<T>, value: T, field: u32) -> Result<(), WireError> {
    match slot.replace(value) {
        Some(_) => Err(WireError::Duplicate { field }),
        None => Ok(()),
    }
}

/// The envelopes of one binary WebSocket message.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    reader: Reader<'a>,
}

impl<'a> Batch<'a> {
    /// Takes a message apart. All of it is checked before anything of it is yielded.
    ///
    /// # Errors
    /// It is empty, has more than [`limits::ENVELOPES_PER_MESSAGE_MAX`] envelopes, or one of them is
    /// empty or not well-formed.
    pub fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        if message.is_empty() {
            return Err(WireError::Truncated);
        }
        let mut reader = Reader::new(message);
        let mut count = 0;
        while !reader.rest().is_empty() {
            count += 1;
            if count > limits::ENVELOPES_PER_MESSAGE_MAX {
                return Err(WireError::TooLong);
            }
            let envelope = reader.delimited()?;
            if envelope.is_empty() {
                // So a message of zeros is none, instead of thousands of envelopes that say nothing.
                return Err(WireError::Truncated);
            }
            Envelope::decode(envelope)?;
        }
        Ok(Self { reader: Reader::new(message) })
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Envelope<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.rest().is_empty() {
            return None;
        }
        // `parse` read all of it already.
        self.reader.delimited().and_then(Envelope::decode).ok()
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests;
