//! Where in a payload a number stands, for whoever reads it without decoding the rest.

use prost_reflect::{Cardinality, Kind};

use super::Types;

/// One step of the way to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldStep {
    /// The field's number in its message.
    pub number: u32,
    /// How the number is written; `None` of a message, and of what is no number.
    pub kind: Option<NumberKind>,
    /// Left out it stands for 0, since the schema doesn't tell the two apart.
    pub is_zero_if_absent: bool,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NumberKind {
    /// `uint32`, `uint64`, `fixed32`, `fixed64`, `bool` and enums.
    Unsigned,
    /// `int32`, `int64`, `sfixed32`, `sfixed64`.
    Signed,
    /// `sint32`, `sint64`.
    Zigzag,
    /// `float`, `double`.
    Float,
}

impl NumberKind {
    fn of(kind: &Kind) -> Option<Self> {
        match kind {
            Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => Some(Self::Unsigned),
            Kind::Bool | Kind::Enum(_) => Some(Self::Unsigned),
            Kind::Int32 | Kind::Int64 | Kind::Sfixed32 | Kind::Sfixed64 => Some(Self::Signed),
            Kind::Sint32 | Kind::Sint64 => Some(Self::Zigzag),
            Kind::Float | Kind::Double => Some(Self::Float),
            Kind::String | Kind::Bytes | Kind::Message(_) => None,
        }
    }
}

impl Types {
    /// The way to the field at `path` in a type, as in `samples.actual_level_pct`. It may lead through
    /// lists of messages, and not to a list.
    ///
    /// # Errors
    /// Says in words why there is no such field.
    pub fn number_at(&self, type_name: &str, path: &str) -> Result<Vec<FieldStep>, String> {
        let found = self.pool.get_message_by_name(type_name);
        let mut message = Some(found.ok_or_else(|| format!("`{type_name}` is not built in"))?);
        let mut steps = Vec::new();
        for name in path.split('.') {
            let field = message.as_ref().and_then(|message| message.get_field_by_name(name));
            let field = field.ok_or_else(|| format!("`{path}` is no field of {type_name}"))?;
            let kind = field.kind();
            message = kind.as_message().cloned();
            let is_list = field.cardinality() == Cardinality::Repeated;
            if is_list && message.is_none() || field.is_map() {
                return Err(format!("`{path}` leads to a list"));
            }
            steps.push(FieldStep {
                number: field.number(),
                kind: NumberKind::of(&kind),
                is_zero_if_absent: !field.supports_presence(),
            });
        }
        Ok(steps)
    }
}
