//! Identities on the wire: of devices and of commands.

use core::fmt;

use crate::limits;

/// Why a text is not an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdError {
    /// Shorter or longer than the limits allow.
    Length {
        /// Bytes that it has.
        bytes: usize,
    },
    /// A byte that may not stand there.
    Byte {
        /// Its place, from 0.
        at: usize,
    },
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes } => write!(f, "has {bytes} bytes"),
            Self::Byte { at } => write!(f, "byte {at} may not stand there"),
        }
    }
}

impl core::error::Error for IdError {}

/// Whether `text` is a device id: `[a-z0-9][a-z0-9-]{2,63}`.
///
/// # Errors
/// Says which byte or length is wrong.
pub const fn check_device_id(text: &str) -> Result<(), IdError> {
    let bytes = text.as_bytes();
    if bytes.len() < limits::DEVICE_ID_BYTES_MIN || bytes.len() > limits::DEVICE_ID_BYTES_MAX {
        return Err(IdError::Length { bytes: bytes.len() });
    }
    let mut at = 0;
    while at < bytes.len() {
        let valid = match bytes[at] {
            b'a'..=b'z' | b'0'..=b'9' => true,
            b'-' => at > 0,
            _ => false,
        };
        if !valid {
            return Err(IdError::Byte { at });
        }
        at += 1;
    }
    Ok(())
}

/// The id of a command: 128 bits, a UUID of version 7 (RFC 9562), so that ids sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId([u8; 16]);

impl CommandId {
    /// From the 16 bytes of a UUID.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the UUID.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Reads the hyphenated form in lower or upper case.
    ///
    /// # Errors
    /// Any other form.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let text = text.as_bytes();
        if text.len() != limits::COMMAND_ID_BYTES {
            return Err(IdError::Length { bytes: text.len() });
        }
        let mut id = [0; 16];
        let mut nibbles = 0;
        for (at, byte) in text.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if *byte != b'-' {
                    return Err(IdError::Byte { at });
                }
                continue;
            }
            let value = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                _ => return Err(IdError::Byte { at }),
            };
            id[nibbles / 2] = id[nibbles / 2] << 4 | value;
            nibbles += 1;
        }
        Ok(Self(id))
    }

    /// The hyphenated form in lower case.
    pub fn text(self) -> CommandText {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; limits::COMMAND_ID_BYTES];
        let mut at = 0;
        for byte in self.0 {
            if matches!(at, 8 | 13 | 18 | 23) {
                at += 1;
            }
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        CommandText(text)
    }
}

/// A command id written out, without an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CommandText([u8; limits::COMMAND_ID_BYTES]);

impl CommandText {
    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("hexadecimal digits and hyphens are UTF-8")
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandId({})", self.text().as_str())
    }
}

#[cfg(feature = "alloc")]
pub use owned::DeviceId;

#[cfg(feature = "alloc")]
mod owned {
    use alloc::sync::Arc;
    use core::borrow::Borrow;
    use core::fmt;

    use super::{IdError, check_device_id};

    /// The id of a device, valid and cheap to clone.
    #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct DeviceId(Arc<str>);

    impl DeviceId {
        /// Takes a text that is a device id.
        ///
        /// # Errors
        /// Says which byte or length is wrong.
        pub fn parse(text: &str) -> Result<Self, IdError> {
            check_device_id(text)?;
            Ok(Self(text.into()))
        }

        /// The text.
        pub fn as_str(&self) -> &str {
            &self.0
        }
    }

    impl Borrow<str> for DeviceId {
        fn borrow(&self) -> &str {
            &self.0
        }
    }

    impl fmt::Display for DeviceId {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.pad(&self.0)
        }
    }

    impl fmt::Debug for DeviceId {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "DeviceId({})", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_id_is_lower_case_letters_digits_and_inner_hyphens() {
        for good in ["lamp-0042", "a00", "0-0", &"x".repeat(64)] {
            assert_eq!(check_device_id(good), Ok(()), "{good}");
        }
        for bad in ["", "ab", "-ab", "Lamp-1", "lamp.1", "lamp 1", "lämp", &"x".repeat(65)] {
            assert!(check_device_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_command_id_reads_what_it_writes() {
        let text = "01890a5d-ac96-774b-bcce-b302099a8057";
        let id = CommandId::parse(text).expect("a UUID");
        assert_eq!(id.text().as_str(), text);
        assert_eq!(CommandId::parse(&text.to_uppercase()), Ok(id));
        assert_eq!(CommandId::parse(&text[1..]), Err(IdError::Length { bytes: 35 }));
        assert_eq!(CommandId::parse(&text.replace('-', "_")), Err(IdError::Byte { at: 8 }));
    }
}
