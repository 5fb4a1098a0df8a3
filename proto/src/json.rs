//! proto3 JSON: envelopes that people and browsers write, and payloads by the descriptors of their
//! types.
//!
//! ```text
//!   text ─▶ strict ─▶ Value ─▶ encode ─▶ bytes ─▶ envelope::Envelope, or a payload
//!                                         │
//!   text ◀──────────────────── decode ◀───┘   (write: the same for what is sent often)
//! ```
//!
//! Read `strict` for what counts as JSON here, `encode` for the way in, `decode` for the way out,
//! `types` for payloads, `places` for single numbers of them, `unknown` for what an edit keeps, `sets` for types that are added while the hub runs and `compatibility` for
//! how a newer set may differ, `write` for the hot path.
//!
//! # Guarantees
//!
//! - Nothing is guessed: a field that the schema doesn't know, a key that stands twice (also once in
//!   each spelling), and a number that would be rounded are refused, with their path.
//! - The same JSON always gives the same bytes, and the same bytes the same JSON.
//! - Nesting is bounded before anything recurses.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use crate::limits;

mod strict;

mod encode;

mod check;

mod decode;

mod schema;

mod places;

mod types;

mod unknown;

mod sets;

mod compatibility;

mod write;

pub use compatibility::{Incompatibility, incompatibilities};
pub use places::{FieldStep, NumberKind};
pub use sets::DescriptorSet;
pub use strict::{parse, parse_within};
pub use types::{PayloadError, Types, TypesError};
pub use write::{message_json, snapshot_json, value_json};

/// Why a text is not JSON for this protocol, or doesn't fit the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonError {
    /// Over the bound for it, mostly [`limits::MESSAGE_BYTES_MAX`], or over [`limits::ENVELOPES_PER_MESSAGE_MAX`] lines.
    TooLong,
    /// Nested over [`limits::NESTING_MAX`] deep.
    TooDeep,
    /// Not JSON (RFC 8259).
    Syntax {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
        /// What the parser says.
        problem: String,
    },
    /// A key stands twice in one object, or a field in both of its spellings.
    DuplicateKey {
        /// The key; with the way to it if a schema is known.
        path: String,
    },
    /// An integer that a double can't hold: it would arrive as another one.
    Integer {
        /// As it was written, or its beginning.
        text: String,
    },
    /// The integer `-0`, which is a float in disguise.
    NegativeZero,
    /// A text with the character U+0000, or a byte order mark.
    Character,
    /// The schema has no such field.
    UnknownField {
        /// As in `publish.chanel`.
        path: String,
    },
    /// The value doesn't fit its field.
    Mismatch {
        /// As in `publish.seq`; empty for the document itself.
        path: String,
        /// What would fit.
        wanted: Cow<'static, str>,
    },
}

impl JsonError {
    fn mismatch(wanted: impl Into<Cow<'static, str>>) -> Self {
        Self::Mismatch { path: String::new(), wanted: wanted.into() }
    }

    /// The same error, seen from the object around it.
    fn inside(mut self, name: impl fmt::Display) -> Self {
        if let Self::DuplicateKey { path }
        | Self::UnknownField { path }
        | Self::Mismatch { path, .. } = &mut self
        {
            let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
            *path = format!("{name}{dot}{path}");
        }
        self
    }

    /// The way to the field that is wrong, for `Error.field`; empty if it is the document.
    pub fn path(&self) -> &str {
        match self {
            Self::DuplicateKey { path }
            | Self::UnknownField { path }
            | Self::Mismatch { path, .. } => path,
            Self::TooLong
            | Self::TooDeep
            | Self::Syntax { .. }
            | Self::Integer { .. }
            | Self::NegativeZero
            | Self::Character => "",
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("is over the limit"),
            Self::TooDeep => write!(f, "is nested over {} deep", limits::NESTING_MAX),
            Self::Syntax { line, column, problem } => {
                write!(f, "is not JSON at line {line}, column {column}: {problem}")
            }
            Self::DuplicateKey { path } => write!(f, "`{path}` stands twice"),
            Self::Integer { text } => {
                write!(f, "{text} is beyond 2^53; write it as a string: \"{text}\"")
            }
            Self::NegativeZero => f.write_str("-0 is no integer; write 0 or -0.0"),
            Self::Character => f.write_str("has a NUL or a byte order mark"),
            Self::UnknownField { path } => write!(f, "there is no field `{path}`"),
            Self::Mismatch { path, wanted } if path.is_empty() => write!(f, "wants {wanted}"),
            Self::Mismatch { path, wanted } => write!(f, "`{path}` wants {wanted}"),
        }
    }
}

impl std::error::Error for JsonError {}

/// One envelope that came as text.
#[derive(Debug, Clone, PartialEq)]
pub struct TextEnvelope {
    /// The envelope in protobuf without its `data`, for [`crate::envelope::Envelope::decode`].
    pub bytes: Vec<u8>,
    /// What stood in `publish.data`, `send.data` or `message.data`; `null` is a value, too.
    pub data: Option<Value>,
}

/// The kinds whose content may stand as JSON in a member `data`.
const WITH_DATA: &[&str] = &["publish", "send", "message"];

/// Reads one line of a text message. Fields may be written as in the schema or in lowerCamelCase.
///
/// # Errors
/// It is not JSON as [`parse`] has it, or not an envelope.
pub fn parse_envelope(line: &str) -> Result<TextEnvelope, JsonError> {
    let mut document = parse(line)?;
    let data = take_data(&mut document)?;
    let bytes = encode::encode(schema::envelope(), &document)?;
    if bytes.is_empty() {
        return Err(JsonError::mismatch("a kind of envelope"));
    }
    Ok(TextEnvelope { bytes, data })
}

/// Reads a text message: one envelope a line, at least one; empty lines don't count. All of it is
/// read before any of it is returned, so a message never has an effect in part.
///
/// # Errors
/// As [`parse_envelope`], or there are more than [`limits::ENVELOPES_PER_MESSAGE_MAX`].
pub fn parse_envelopes(message: &str) -> Result<Vec<TextEnvelope>, JsonError> {
    let lines = message.lines().filter(|line| !line.trim().is_empty());
    let mut envelopes = Vec::new();
    for line in lines {
        if envelopes.len() == limits::ENVELOPES_PER_MESSAGE_MAX {
            return Err(JsonError::TooLong);
        }
        envelopes.push(parse_envelope(line)?);
    }
    if envelopes.is_empty() {
        return Err(JsonError::mismatch("an envelope"));
    }
    Ok(envelopes)
}

fn take_data(document: &mut Value) -> Result<Option<Value>, JsonError> {
    for kind in WITH_DATA {
        let Some(Value::Object(content)) = document.get_mut(kind) else { continue };
        let Some(data) = content.remove("data") else { continue };
        if content.get("payload").is_some_and(|payload| !payload.is_null()) {
            return Err(JsonError::mismatch("either `payload` or `data`").inside(kind));
        }
        return Ok(Some(data));
    }
    Ok(None)
}

/// Writes any envelope as one line, without its line feed: fields as in the schema, 64-bit numbers as
/// strings, enums by name, defaults left out. Unknown fields and kinds are left out, too.
///
/// # Errors
/// The bytes are not an envelope.
pub fn envelope_to_json(bytes: &[u8]) -> Result<String, PayloadError> {
    decode::to_json(schema::envelope(), bytes)
}
