//! What the tests of the schema share: descriptors, random messages, and hex.

#![allow(dead_code, reason = "each test binary uses its own part")]

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

pub(crate) mod compile;

/// The descriptors of both schemas.
pub(crate) fn pool() -> DescriptorPool {
    DescriptorPool::decode(proto::messages::DESCRIPTORS).expect("built with the crate")
}

/// The message with this full name.
pub(crate) fn message(name: &str) -> MessageDescriptor {
    pool().get_message_by_name(name).unwrap_or_else(|| panic!("the schema has no `{name}`"))
}

/// The envelope's kinds: number in the `oneof` and the message.
pub(crate) fn kinds() -> Vec<(FieldDescriptor, MessageDescriptor)> {
    let envelope = message("lamplighter.v1.Envelope");
    let kind = envelope.oneofs().find(|oneof| oneof.name() == "kind").expect("a oneof `kind`");
    kind.fields()
        .map(|field| {
            let content = field.kind().as_message().expect("each kind is a message").clone();
            (field, content)
        })
        .collect()
}

/// A small generator (SplitMix64): the same seed gives the same messages everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    /// Any size of number is as likely as any other.
    fn wide(&mut self) -> u64 {
        let shift = self.below(64);
        self.next() >> shift
    }

    fn text(&mut self) -> String {
        const LETTERS: &[&str] = &["a", "Z", "0", ".", "-", "\"", "\\", "\n", "ß", "💡", "\u{7f}"];
        let length = self.below(12);
        (0..length).map(|_| LETTERS[self.below(LETTERS.len())]).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.below(20);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// A message in which about half of the fields are set, to values that are not the default.
    pub(crate) fn message(&mut self, descriptor: &MessageDescriptor) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        if descriptor.full_name() == "google.protobuf.Value" {
            // A value without a kind has no JSON.
            message.set_field_by_name("string_value", Value::String(self.text()));
            return message;
        }
        for field in descriptor.fields() {
            if self.below(2) == 0 {
                let value = self.field(&field);
                message.set_field(&field, value);
            }
        }
        message
    }

    pub(crate) fn field(&mut self, field: &FieldDescriptor) -> Value {
        let kind = field.kind();
        if field.is_map() {
            let entry = kind.as_message().expect("a map's kind").clone();
            let value = entry.map_entry_value_field().kind();
            let entries =
                (0..self.below(4)).map(|_| (MapKey::String(self.text()), self.value(&value)));
            return Value::Map(entries.collect());
        }
        if field.is_list() {
            return Value::List((0..self.below(4)).map(|_| self.value(&kind)).collect());
        }
        self.value(&kind)
    }

    fn value(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Double => Value::F64(self.next() as i32 as f64 / 8.0),
            Kind::Float => Value::F32(self.next() as i16 as f32 / 10.0),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(self.wide() as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.wide() as i64),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(self.wide() as u32),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(self.wide()),
            Kind::Bool => Value::Bool(true),
            Kind::String => Value::String(self.text()),
            Kind::Bytes => Value::Bytes(self.bytes().into()),
            Kind::Message(message) => Value::Message(self.message(message)),
            Kind::Enum(values) => {
                let count = values.values().len();
                let chosen = self.below(count);
                Value::EnumNumber(values.values().nth(chosen).expect("below the count").number())
            }
        }
    }
}

/// Bytes as people read them, 32 a line.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    bytes.chunks(32).map(|bytes| line(bytes) + "\n").collect()
}
