//! The types that the hub knows now, and what becomes of payloads by them.
//!
//! An operator may add types while messages flow: a new set of types takes the place of the one before
//! for the next message, and nobody waits for that. Whoever converts a message to the end does so with
//! the types that it began with.
//!
//! # Cost
//!
//! A look at the types that hold now is an atomic load and no lock: nanoseconds beside the
//! microsecond that a payload takes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;
use proto::json::{PayloadError, Types};
use serde_json::Value;

/// Types of payloads that may grow.
#[derive(Debug)]
pub struct LiveTypes {
    current: ArcSwap<Types>,
    /// Payloads of which no JSON could be made for those who read it.
    not_converted: Counter,
}

/// Why a subscriber that reads JSON gets a payload instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotConverted {
    /// The channel carries bytes.
    #[error("the channel has no type, so its bytes have no JSON")]
    NoType,
    /// The bytes are not of the type, or the hub doesn't know it.
    #[error("is not a {type_name}: {reason}")]
    NotOfType {
        /// Full name.
        type_name: String,
        /// What is wrong.
        reason: PayloadError,
    },
}

impl LiveTypes {
    /// The built-in types; what can't be converted counts in `not_converted`.
    pub fn new(not_converted: Counter) -> Self {
        Self { current: ArcSwap::from_pointee(Types::built_in()), not_converted }
    }

    /// The built-in types, counting for nobody.
    pub fn built_in() -> Self {
        Self::new(Counter::default())
    }

    /// The types of this moment.
    pub fn load(&self) -> Arc<Types> {
        self.current.load_full()
    }

    /// From now on these are the types.
    pub fn replace(&self, types: Types) {
        self.current.store(Arc::new(types));
    }

    /// Whether there is such a type now.
    pub fn contains(&self, type_name: &str) -> bool {
        self.current.load().contains(type_name)
    }

    /// See [`Types::payload_to_json`].
    ///
    /// # Errors
    /// The type is unknown, or the bytes are not a message of it.
    pub fn payload_to_json(&self, type_name: &str, bytes: &[u8]) -> Result<String, PayloadError> {
        self.current.load().payload_to_json(type_name, bytes)
    }

    /// See [`Types::payload_from_json`].
    ///
    /// # Errors
    /// The type is unknown, or the JSON doesn't fit it.
    pub fn payload_from_json(
        &self,
        type_name: &str,
        data: &Value,
    ) -> Result<Vec<u8>, PayloadError> {
        self.current.load().payload_from_json(type_name, data)
    }

    /// See [`Types::payload_edited`].
    ///
    /// # Errors
    /// The type is unknown, or one of the two doesn't fit it.
    pub fn payload_edited(
        &self,
        type_name: &str,
        held: &[u8],
        data: &Value,
    ) -> Result<Vec<u8>, PayloadError> {
        self.current.load().payload_edited(type_name, held, data)
    }

    /// See [`Types::check_payload`].
    ///
    /// # Errors
    /// It is not such a payload.
    pub fn check_payload(&self, type_name: &str, bytes: &[u8]) -> Result<(), PayloadError> {
        self.current.load().check_payload(type_name, bytes)
    }

    /// A payload as JSON for those who read a channel; what can't be converted is counted.
    ///
    /// # Errors
    /// There is no JSON of it.
    pub fn convert(&self, type_name: &str, bytes: &[u8]) -> Result<String, NotConverted> {
        let converted = match type_name {
            "" => Err(NotConverted::NoType),
            name => self
                .payload_to_json(name, bytes)
                .map_err(|reason| NotConverted::NotOfType { type_name: name.to_owned(), reason }),
        };
        if converted.is_err() {
            self.not_converted.inc();
        }
        converted
    }
}
