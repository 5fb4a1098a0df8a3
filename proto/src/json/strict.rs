//! JSON without its traps (RFC 8259 leaves these to the reader, and readers differ).
//!
//! Refused are: keys that stand twice, nesting over [`limits::NESTING_MAX`], integers that a double
//! can't hold, the integer `-0`, NUL in texts, byte order marks, lone surrogates, and anything after
//! the document. What is left means the same to every reader.
//!
//! # Cost
//!
//! Two passes. The first only looks at brackets and numbers and doesn't recurse; so the second, which
//! does, can't be made to.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::JsonError;
use crate::limits;

/// 2^53: beyond it a double skips integers.
const INTEGER_MAX: u64 = 1 << 53;

/// Reads one document of at most [`limits::MESSAGE_BYTES_MAX`].
///
/// # Errors
/// Says what is wrong, and where if the parser knows.
pub fn parse(text: &str) -> Result<Value, JsonError> {
    parse_within(text, limits::MESSAGE_BYTES_MAX)
}

/// Reads one document of at most `bytes_max`.
///
/// # Errors
/// As [`parse`].
pub fn parse_within(text: &str, bytes_max: usize) -> Result<Value, JsonError> {
    if text.len() > bytes_max {
        return Err(JsonError::TooLong);
    }
    if text.starts_with('\u{feff}') || text.contains('\0') {
        return Err(JsonError::Character);
    }
    scan(text.as_bytes())?;
    let refusal = Cell::new(None);
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = Strict(&refusal)
        .deserialize(&mut parser)
        .map_err(|error| refusal.take().unwrap_or_else(|| explain(&error)))?;
    parser.end().map_err(|error| explain(&error))?;
    Ok(value)
}

fn explain(error: &serde_json::Error) -> JsonError {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    // The parser appends the place.
    let problem = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem);
    JsonError::Syntax { line, column, problem: problem.to_owned() }
}

/// Checks nesting and integers of what may not even be JSON.
fn scan(text: &[u8]) -> Result<(), JsonError> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += match byte {
            b'"' => string_len(&text[at..]),
            b'-' | b'0'..=b'9' => check_number(&text[at..])?,
            _ => 1,
        };
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limits::NESTING_MAX {
            return Err(JsonError::TooDeep);
        }
    }
    Ok(())
}

/// Bytes of the string that begins here, with its quotes; to the end if it has none.
fn string_len(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Bytes of the number that begins here.
fn check_number(text: &[u8]) -> Result<usize, JsonError> {
    let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let length = text.iter().take_while(|byte| part(byte)).count();
    let number = str::from_utf8(&text[..length]).unwrap_or_default();
    if number == "-0" {
        return Err(JsonError::NegativeZero);
    }
    let digits = number.strip_prefix('-').unwrap_or(number);
    let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_integer && !digits.parse::<u64>().is_ok_and(|value| value <= INTEGER_MAX) {
        let text = number.chars().take(24).collect();
        return Err(JsonError::Integer { text });
    }
    Ok(length)
}

/// Builds a value, and refuses what the parser would let pass. Its own reasons go into the cell, since
/// the parser's errors carry only text.
#[derive(Clone, Copy)]
struct Strict<'a>(&'a Cell<Option<JsonError>>);

impl Strict<'_> {
    fn refuse<E: Error>(self, reason: JsonError) -> E {
        self.0.set(Some(reason));
        E::custom("refused")
    }

    fn check_text<E: Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') { Err(self.refuse(JsonError::Character)) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.check_text(value)?;
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.check_text(&key)?;
            if map.contains_key(&key) {
                return Err(self.refuse(JsonError::DuplicateKey { path: key }));
            }
            let value = entries.next_value_seed(self)?;
            map.insert(key, value);
        }
        Ok(map.into())
    }
}
