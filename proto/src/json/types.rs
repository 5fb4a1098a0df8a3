//! The types of payloads, known by their full names while the hub runs.

use std::fmt;

use prost_reflect::{DescriptorPool, MessageDescriptor};
use serde_json::Value;

use super::sets::{self, DescriptorSet};
use super::{JsonError, check, decode, encode, schema, unknown};
use crate::ErrorCode;
use crate::limits;
use crate::wire::WireError;

/// Reaches into payloads behind the back of every check, so no schema may use it.
pub(super) const ANY: &str = "google.protobuf.Any";

/// A set of message types. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Types {
    pub(super) pool: DescriptorPool,
}

/// Why descriptors can't be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypesError {
    /// Not a `google.protobuf.FileDescriptorSet`, or it contradicts itself or what is known.
    Descriptors {
        /// What is wrong, for people.
        problem: String,
    },
    /// It uses `google.protobuf.Any`; name the types instead.
    Any,
    /// It says something else of built-in messages or enums.
    Redefined {
        /// Their full names.
        names: Vec<String>,
    },
}

impl fmt::Display for TypesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors { problem } => write!(f, "is not a usable descriptor set: {problem}"),
            Self::Any => write!(f, "uses `{ANY}`; name the types instead"),
            Self::Redefined { names } => {
                let names = names.join(", ");
                write!(f, "redefines what is built in: {names}; leave these files out of it")
            }
        }
    }
}

impl std::error::Error for TypesError {}

/// Why a payload is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadError {
    /// No such type.
    UnknownType {
        /// As it was asked for.
        name: String,
    },
    /// The bytes are not well-formed.
    Wire(WireError),
    /// Nested over [`limits::NESTING_MAX`] deep.
    TooDeep,
    /// The bytes are well-formed, and still not a message of the type.
    Decode {
        /// What is wrong, for people.
        problem: String,
    },
    /// NaN or an infinity.
    NotFinite {
        /// As in `samples.active_power_w`.
        path: String,
    },
    /// The JSON doesn't fit the type.
    Json(JsonError),
}

impl PayloadError {
    /// The code under which a peer hears of it.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownType { .. } => ErrorCode::Unsupported,
            Self::NotFinite { .. } => ErrorCode::BadValue,
            Self::Wire(_) | Self::TooDeep | Self::Decode { .. } | Self::Json(_) => {
                ErrorCode::Malformed
            }
        }
    }

    /// The way to the field that is wrong, as far as it is known.
    pub fn path(&self) -> &str {
        match self {
            Self::NotFinite { path } => path,
            Self::Json(error) => error.path(),
            Self::UnknownType { .. } | Self::Wire(_) | Self::TooDeep | Self::Decode { .. } => "",
        }
    }
}

impl From<WireError> for PayloadError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<JsonError> for PayloadError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType { name } => write!(f, "there is no type `{name}`"),
            Self::Wire(error) => write!(f, "{error}"),
            Self::TooDeep => write!(f, "is nested over {} deep", limits::NESTING_MAX),
            Self::Decode { problem } => f.write_str(problem),
            Self::NotFinite { path } => write!(f, "`{path}` is not a finite number"),
            Self::Json(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for PayloadError {}

impl Types {
    /// The types of `lamplighter.v1` and `lighting.v1`.
    pub fn built_in() -> Self {
        Self { pool: schema::pool().clone() }
    }

    /// The built-in types and those of these sets, each with the name under which it is known. A set
    /// may import what is built in, what stands in another of the sets, and protobuf's own files.
    ///
    /// # Errors
    /// Two of the sets contradict each other, an import is missing, or the sets use
    /// `google.protobuf.Any`.
    pub fn with(sets: &[(&str, &DescriptorSet)]) -> Result<Self, TypesError> {
        Ok(Self { pool: sets::compose(sets)? })
    }

    /// Whether there is such a type.
    pub fn contains(&self, type_name: &str) -> bool {
        self.pool.get_message_by_name(type_name).is_some()
    }

    /// Writes a payload as JSON on one line.
    ///
    /// # Errors
    /// The type is unknown, or the bytes are not a message of it.
    pub fn payload_to_json(&self, type_name: &str, bytes: &[u8]) -> Result<String, PayloadError> {
        decode::to_json(&self.find(type_name)?, bytes)
    }

    /// Encodes a payload that came as JSON. Fields may be written as in the schema or in
    /// lowerCamelCase.
    ///
    /// # Errors
    /// The type is unknown, or the JSON doesn't fit it: also if it names a field that there isn't,
    /// is nested too deep, or has a number that isn't finite.
    pub fn payload_from_json(
        &self,
        type_name: &str,
        data: &Value,
    ) -> Result<Vec<u8>, PayloadError> {
        let bytes = encode::encode(&self.find(type_name)?, data)?;
        self.check_payload(type_name, &bytes)?;
        Ok(bytes)
    }

    /// Encodes what was made of `held`, a payload of this type, by changing its JSON. Fields of it that
    /// the schema doesn't know stay: JSON doesn't show them, so nobody can have meant to take them away. In
    /// a list they stay with the items that are otherwise the same, elsewhere with what they stand in.
    ///
    /// # Errors
    /// The type is unknown, `held` is not a message of it, or the JSON doesn't fit it.
    pub fn payload_edited(
        &self,
        type_name: &str,
        held: &[u8],
        data: &Value,
    ) -> Result<Vec<u8>, PayloadError> {
        let message = self.find(type_name)?;
        check::walk(&message, held)?;
        let edited = self.payload_from_json(type_name, data)?;
        unknown::carry(&message, held, &edited)
    }

    /// Checks a payload without building it: wire types, nesting, UTF-8, and that every number is
    /// finite. Unknown fields are let pass.
    ///
    /// # Errors
    /// It is not such a payload. [`PayloadError::NotFinite`] comes only where nothing else is wrong,
    /// so a channel that allows such numbers can let it pass.
    pub fn check_payload(&self, type_name: &str, bytes: &[u8]) -> Result<(), PayloadError> {
        match check::walk(&self.find(type_name)?, bytes)? {
            Some(path) => Err(PayloadError::NotFinite { path }),
            None => Ok(()),
        }
    }

    fn find(&self, type_name: &str) -> Result<MessageDescriptor, PayloadError> {
        let unknown = || PayloadError::UnknownType {
            name: type_name.chars().take(limits::TYPE_BYTES_MAX).collect(),
        };
        self.pool.get_message_by_name(type_name).ok_or_else(unknown)
    }
}
