//! Protobuf's wire format, as much of it as envelopes need: fields from a slice, fields into a sink.
//!
//! [`Reader`] walks the fields of one message without copying; [`Sink`] takes fields. Both know
//! nothing of schemas; [`crate::envelope`] does. Groups are refused (deprecated since proto2), and so
//! is a varint that is longer than it needs to be at 64 bits.
//!
//! # Cost
//!
//! Nothing allocates. Reading a field is a few branches; a nested message costs its length, counted
//! before it is written.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::fmt;

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// A field that may stand once stands twice.
    Duplicate {
        /// The number of the field.
        field: u32,
    },
    /// The bytes end inside a field.
    Truncated,
    /// A field number of 0, or over 2^29 - 1.
    FieldNumber,
    /// A group, or a wire type that doesn't exist.
    WireType,
    /// A field in another wire type than its own, or a number that doesn't fit.
    Value {
        /// The number of the field.
        field: u32,
    },
    /// Text that is not UTF-8.
    Utf8 {
        /// The number of the field.
        field: u32,
    },
    /// A varint of more than 64 bits.
    Varint,
    /// An envelope, or a count of them, over the limit.
    TooLong,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { field } => write!(f, "field {field} stands twice"),
            Self::Truncated => f.write_str("ends inside a field"),
            Self::FieldNumber => f.write_str("has a field number out of range"),
            Self::WireType => f.write_str("has a group or an unknown wire type"),
            Self::Value { field } => write!(f, "field {field} has another type"),
            Self::Utf8 { field } => write!(f, "field {field} is not utf-8"),
            Self::Varint => f.write_str("has a varint of more than 64 bits"),
            Self::TooLong => f.write_str("is over the limit"),
        }
    }
}

impl core::error::Error for WireError {}

/// The content of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// Reads the fields of one message in the order in which they stand.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of this message.
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What is not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field's number and content, or `None` at the end.
    ///
    /// # Errors
    /// The bytes are not a field.
    #[inline]
    pub fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| WireError::FieldNumber)?;
        if number == 0 || number >= 1 << 29 {
            return Err(WireError::FieldNumber);
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => Value::Bytes(self.delimited()?),
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(WireError::WireType),
        };
        Ok(Some((number, value)))
    }

    /// The next bytes that have their length in front.
    ///
    /// # Errors
    /// The length is no varint, or goes beyond the end.
    #[inline]
    pub fn delimited(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
        self.take(length)
    }

    /// The next varint, where one stands without a field: in packed lists, and as a length.
    ///
    /// # Errors
    /// It is cut off, or has more than 64 bits.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, WireError> {
        // Nearly all keys and lengths are one byte.
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            if at == 9 && *byte > 1 {
                return Err(WireError::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 { WireError::Truncated } else { WireError::Varint })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| WireError::Truncated)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        if length > self.rest.len() {
            return Err(WireError::Truncated);
        }
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(taken)
    }
}

/// Something with an encoding.
pub trait Encode {
    /// Writes all fields into `sink`.
    fn encode<S: Sink>(&self, sink: &mut S);

    /// Bytes that [`Encode::encode`] writes.
    fn encoded_len(&self) -> usize {
        let mut count = Count(0);
        self.encode(&mut count);
        count.0
    }
}

/// Takes encoded fields. Fields with the default value of proto3 are left out.
pub trait Sink {
    /// Takes bytes as they are.
    fn raw(&mut self, bytes: &[u8]);

    /// Takes a varint.
    fn varint(&mut self, mut value: u64) {
        let mut bytes = [0; 10];
        let mut length = 0;
        loop {
            let low = (value & 0x7f) as u8;
            value >>= 7;
            bytes[length] = if value == 0 { low } else { low | 0x80 };
            length += 1;
            if value == 0 {
                break;
            }
        }
        self.raw(&bytes[..length]);
    }

    /// Takes an integer, a bool or an enum, unless it is 0.
    fn uint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
    }

    /// Takes bytes or text, unless there are none.
    fn bytes(&mut self, field: u32, value: &[u8]) {
        if !value.is_empty() {
            self.delimited(field, value);
        }
    }

    /// Takes bytes, also if there are none.
    fn delimited(&mut self, field: u32, value: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.raw(value);
    }

    /// Takes a nested message, also if it is empty.
    fn message(&mut self, field: u32, message: &impl Encode)
    where
        Self: Sized,
    {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(message.encoded_len() as u64);
        message.encode(self);
    }
}

/// Counts instead of writing.
struct Count(usize);

impl Sink for Count {
    fn raw(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn varint(&mut self, value: u64) {
        self.0 += varint_len(value);
    }
}

/// Bytes of a varint, 1 to 10.
pub const fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// A sink in the caller's buffer. What doesn't fit is not written, and [`SliceSink::finish`] says so.
#[derive(Debug)]
pub struct SliceSink<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl<'a> SliceSink<'a> {
    /// A sink that fills `buffer` from its start.
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    /// Bytes written, or `None` if the buffer was too small.
    pub const fn finish(self) -> Option<usize> {
        if self.length <= self.buffer.len() { Some(self.length) } else { None }
    }
}

impl Sink for SliceSink<'_> {
    fn raw(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        if let Some(place) = self.buffer.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
        }
        self.length = end;
    }
}

#[cfg(feature = "alloc")]
impl Sink for Vec<u8> {
    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_were_written() {
        let mut buffer = [0; 64];
        let mut sink = SliceSink::new(&mut buffer);
        sink.uint(1, 300);
        sink.uint(2, 0);
        sink.bytes(3, b"abc");
        sink.delimited(4, b"");
        let length = sink.finish().expect("it fits");

        let mut reader = Reader::new(&buffer[..length]);
        assert_eq!(reader.field(), Ok(Some((1, Value::Varint(300)))));
        assert_eq!(reader.field(), Ok(Some((3, Value::Bytes(b"abc")))));
        assert_eq!(reader.field(), Ok(Some((4, Value::Bytes(b"")))));
        assert_eq!(reader.field(), Ok(None));
    }

    #[test]
    fn a_buffer_that_is_too_small_is_noticed() {
        let mut sink_buffer = [0; 4];
        let mut sink = SliceSink::new(&mut sink_buffer);
        sink.bytes(1, b"abc");
        assert_eq!(sink.finish(), None);
    }

    #[test]
    fn bytes_that_are_no_field_are_refused() {
        for (bytes, error) in [
            (&[0x08][..], WireError::Truncated),
            (&[0x0a, 5, 1], WireError::Truncated),
            (&[0x09, 1, 2, 3], WireError::Truncated),
            (&[0x00, 0], WireError::FieldNumber),
            (&[0x0b], WireError::WireType),
            (&[0x0c], WireError::WireType),
            (&[0x0e], WireError::WireType),
            (&[0xff; 11], WireError::Varint),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], WireError::Varint),
        ] {
            assert_eq!(Reader::new(bytes).field(), Err(error), "{bytes:02x?}");
        }
    }

    #[test]
    fn the_length_of_a_varint_is_known_before_it_is_written() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut buffer = [0; 10];
                let mut sink = SliceSink::new(&mut buffer);
                sink.varint(value);
                assert_eq!(sink.finish(), Some(varint_len(value)), "{value}");
            }
        }
    }
}
