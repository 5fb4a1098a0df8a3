//! One record as a line, and back, bit by bit.
//!
//! Values that are JSON stand as they are; others in base64. Keys that are text stand as text; those of
//! tables with binary keys in hex.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::store::{Operation, Table, TooLarge};

/// What stands in front of a JSON value. Strings can't have it: there the quotes are escaped.
const JSON_FIELD: &str = ",\"json\":";

/// A line but for a value that is JSON, which is kept as it was written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'l> {
    #[serde(borrow)]
    table: Cow<'l, str>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'l, str>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    hex: Option<Cow<'l, str>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    base64: Option<Cow<'l, str>>,
    #[serde(default, skip_serializing)]
    json: Option<IgnoredAny>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone: Option<bool>,
}

/// Why a line is no record.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error("is no record: {0}")]
    Json(#[from] serde_json::Error),
    #[error("is about the table `{0}`, which this hub doesn't know; use a newer hub")]
    Table(String),
    #[error("needs a key, and one of json, base64 and gone")]
    Fields,
    #[error("has a key or value that is neither hex nor base64")]
    Encoding,
    #[error("{0}")]
    TooLarge(#[from] TooLarge),
}

impl Table {
    /// Its name in exports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Certificate => "certificate",
            Self::Command => "command",
            Self::Device => "device",
            Self::Fleet => "fleet",
            Self::LastValue => "value",
            Self::Meta => "meta",
            Self::Override => "override",
            Self::Profile => "profile",
            Self::Schema => "schema",
            Self::Series => "series",
            Self::Token => "token",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    fn has_binary_keys(self) -> bool {
        matches!(self, Self::Audit | Self::Command | Self::Fleet | Self::Series | Self::Token)
    }
}

/// Writes a record as a line with its end; without a value it says that the record is gone.
pub fn write(table: Table, key: &[u8], value: Option<&[u8]>, into: &mut Vec<u8>) {
    let text = std::str::from_utf8(key).ok().filter(|_| !table.has_binary_keys());
    let mut line = Line {
        table: table.name().into(),
        key: text.map(Cow::from),
        hex: text.is_none().then(|| HEXLOWER.encode(key).into()),
        base64: None,
        json: None,
        gone: value.is_none().then_some(true),
    };
    let json = value.filter(|value| is_object(value));
    if json.is_none() {
        line.base64 = value.map(|value| STANDARD.encode(value).into());
    }
    let start = into.len();
    serde_json::to_writer(&mut *into, &line).expect("text has JSON, and memory takes it");
    if let Some(json) = json {
        debug_assert!(into.len() > start + 1, "an object of one field at least");
        into.pop();
        into.extend_from_slice(JSON_FIELD.as_bytes());
        into.extend_from_slice(json);
        into.push(b'}');
    }
    into.push(b'\n');
}

/// Reads a line without its end.
///
/// # Errors
/// Says what is wrong with it.
pub fn read(text: &str) -> Result<Operation, LineError> {
    let line: Line<'_> = serde_json::from_str(text)?;
    let unknown = || LineError::Table(line.table.chars().take(64).collect());
    let table = Table::named(&line.table).ok_or_else(unknown)?;
    let key: Cow<'_, [u8]> = match (&line.key, &line.hex) {
        (Some(key), None) => key.as_bytes().into(),
        (None, Some(hex)) => {
            let key = HEXLOWER_PERMISSIVE.decode(hex.as_bytes());
            key.map_err(|_| LineError::Encoding)?.into()
        }
        _ => return Err(LineError::Fields),
    };
    let value = match (line.json.is_some(), &line.base64, line.gone) {
        (true, None, None) => Some(json_of(text).ok_or(LineError::Fields)?),
        (false, Some(base64), None) => {
            let decoded = STANDARD.decode(base64.as_bytes());
            Some(Bytes::from(decoded.map_err(|_| LineError::Encoding)?))
        }
        (false, None, Some(true)) => None,
        _ => return Err(LineError::Fields),
    };
    Ok(match value {
        Some(value) => Operation::put(table, &key, value)?,
        None => Operation::delete(table, &key)?,
    })
}

/// The JSON value of a line, as it stands there: it is the last field.
fn json_of(text: &str) -> Option<Bytes> {
    let at = text.find(JSON_FIELD)? + JSON_FIELD.len();
    let value = text[at..].trim_end().strip_suffix('}')?;
    is_object(value.as_bytes()).then(|| Bytes::copy_from_slice(value.as_bytes()))
}

/// Whether a value is one JSON object on one line.
fn is_object(value: &[u8]) -> bool {
    value.starts_with(b"{")
        && value.ends_with(b"}")
        && !value.contains(&b'\n')
        && serde_json::from_slice::<IgnoredAny>(value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_comes_back_bit_by_bit() {
        for table in Table::ALL {
            for key in
                [&b"lamp-1"[..], b"", b"a\0b", b"\xff\x00", b",\"json\":{\"a\":1}", b"\n\"\\"]
            {
                for value in [
                    &b"{\"b\":1,\"a\":[1.0,2e3]}"[..],
                    b"{}",
                    b"{\"a\" : 1}",
                    b"{\"a\":1}\n",
                    b"{\"a\":\",\\\"json\\\":{}}\"}",
                    b"",
                    b"null",
                    b"\x00\xff",
                ] {
                    check(table, key, Some(value));
                }
                check(table, key, None);
            }
        }
    }

    #[track_caller]
    fn check(table: Table, key: &[u8], value: Option<&[u8]>) {
        let mut line = Vec::new();
        write(table, key, value, &mut line);
        let text = std::str::from_utf8(&line).expect("text");
        let (end, text) = (text.ends_with('\n'), text.trim_end_matches('\n'));
        assert!(end && !text.contains('\n'), "one line: {text}");
        let read = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((read.table(), read.key()), (table, key), "{text}");
        assert_eq!(read.value().map(|value| &value[..]), value, "{text}");
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            "{\"table\":\"device\",\"key\":\"a\"}",
            "{\"table\":\"device\",\"json\":{}}",
            "{\"table\":\"dragon\",\"key\":\"a\",\"json\":{}}",
            "{\"table\":\"device\",\"key\":\"a\",\"hex\":\"00\",\"json\":{}}",
            "{\"table\":\"device\",\"key\":\"a\",\"json\":{},\"gone\":true}",
            "{\"table\":\"device\",\"key\":\"a\",\"json\":{},\"more\":1}",
            "{\"table\":\"device\",\"key\":\"a\",\"gone\":false}",
            "{\"table\":\"token\",\"hex\":\"0\",\"json\":{}}",
            "{\"table\":\"token\",\"hex\":\"zz\",\"json\":{}}",
            "{\"table\":\"device\",\"key\":\"a\",\"base64\":\"*\"}",
            "{\"table\":\"device\",\"json\":{},\"key\":\"a\"}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
