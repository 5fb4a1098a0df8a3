//! The way in: one WebSocket message to the requests in it.
//!
//! All of a message is read before anything of it takes effect, so a message that is cut or broken
//! at any byte has no effect in part.

use proto::envelope::{Batch, Envelope};
use proto::json::{self, TextEnvelope};
use proto::limits;

use super::Encoding;
use super::request::{Request, check};

/// A received WebSocket message that is well-formed.
#[derive(Debug)]
pub enum Inbound<'a> {
    /// Envelopes in place.
    Binary(&'a [u8]),
    /// Envelopes that were JSON.
    Text(Vec<TextEnvelope>),
}

/// The message can't be read; the connection ends with MALFORMED.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl<'a> Inbound<'a> {
    /// Reads a binary message.
    ///
    /// # Errors
    /// It is not whole and well-formed.
    pub fn binary(message: &'a [u8]) -> Result<Self, Malformed> {
        Batch::parse(message).map_err(|error| Malformed(error.to_string()))?;
        Ok(Self::Binary(message))
    }

    /// Reads a text message: one envelope a line, empty lines between them allowed.
    ///
    /// # Errors
    /// A line is not an envelope; it says which.
    pub fn text(message: &str) -> Result<Self, Malformed> {
        let mut envelopes = Vec::new();
        for (at, line) in message.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            if envelopes.len() == limits::ENVELOPES_PER_MESSAGE_MAX {
                return Err(Malformed("too many envelopes in one message".to_owned()));
            }
            let envelope = json::parse_envelope(line)
                .map_err(|error| Malformed(format!("line {}: {error}", at + 1)))?;
            Envelope::decode(&envelope.bytes).map_err(|error| Malformed(error.to_string()))?;
            envelopes.push(envelope);
        }
        if envelopes.is_empty() {
            return Err(Malformed("no envelope".to_owned()));
        }
        Ok(Self::Text(envelopes))
    }

    /// How it was written.
    pub fn encoding(&self) -> Encoding {
        match self {
            Self::Binary(_) => Encoding::Protobuf,
            Self::Text(_) => Encoding::Json,
        }
    }

    /// Calls `each` with every request in order: its id, its size in bytes, and what it asks. Stops
    /// when `each` says so.
    pub fn for_each<E>(
        &mut self,
        mut each: impl FnMut(u64, Request<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Binary(message) => {
                // `binary` has read all of it.
                for envelope in Batch::parse(message).into_iter().flatten() {
                    each(envelope.request, check(&envelope, None))?;
                }
            }
            Self::Text(envelopes) => {
                for text in envelopes {
                    if let Ok(envelope) = Envelope::decode(&text.bytes) {
                        each(envelope.request, check(&envelope, text.data.take()))?;
                    }
                }
            }
        }
        Ok(())
    }
}
