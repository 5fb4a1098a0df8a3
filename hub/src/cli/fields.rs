//! Reads fields of the hub's JSON.
//!
//! proto3 JSON leaves out what is zero, writes 64-bit integers as text and enums by name. The
//! readers here take a missing field for its zero, as protobuf does, and the other spellings that
//! the standard allows. Where absent isn't zero (`optional`), the `Option` readers say so.

use proto::{CommandState, ErrorCode};
use serde_json::Value;

/// A text; empty if it isn't there.
pub(crate) fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An unsigned integer, as number or as text; 0 if it isn't there.
pub(crate) fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(as_number).unwrap_or(0)
}

/// An unsigned integer that is there and isn't 0.
pub(crate) fn moment(value: &Value, name: &str) -> Option<u64> {
    Some(number(value, name)).filter(|ms| *ms > 0)
}

/// A finite number, if it is there.
pub(crate) fn float(value: &Value, name: &str) -> Option<f64> {
    value.get(name).and_then(Value::as_f64).filter(|number| number.is_finite())
}

/// An unsigned integer, if it is there.
pub(crate) fn level(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(as_number)
}

/// A switch; off if it isn't there.
pub(crate) fn flag(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// The items of a list; none if it isn't there.
pub(crate) fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// An enum's value without the prefix that all its values share, in lower case:
/// `LAMP_STATE_ON` of `LAMP_STATE_` is `on`.
pub(crate) fn variant(value: &Value, name: &str, prefix: &str) -> String {
    let full = word(value, name);
    let short = full.strip_prefix(prefix).unwrap_or(full).to_ascii_lowercase().replace('_', " ");
    if short == "unspecified" { String::new() } else { short }
}

/// The state of a command in the field `state`.
pub(crate) fn state(value: &Value) -> CommandState {
    let Some(field) = value.get("state") else { return CommandState::Unspecified };
    if let Some(number) = field.as_u64() {
        return CommandState::from_number(number);
    }
    let name = field.as_str().unwrap_or_default();
    let name = name.strip_prefix("COMMAND_STATE_").unwrap_or(name);
    CommandState::ALL.iter().copied().find(|state| state.word() == name).unwrap_or_default()
}

/// The code of an error envelope, or of a problem document.
pub(crate) fn error_code(value: &Value) -> Option<ErrorCode> {
    let field = value.get("code")?;
    if let Some(number) = field.as_u64() {
        return Some(ErrorCode::from_number(number));
    }
    let name = field.as_str()?;
    let name = name.strip_prefix("ERROR_CODE_").unwrap_or(name).replace('_', "");
    let same = |code: &&ErrorCode| format!("{code:?}").eq_ignore_ascii_case(&name);
    ErrorCode::ALL.iter().find(same).copied()
}

fn as_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spellings_of_proto3_json_are_all_read() {
        let value = json!({"a": "12345678901234567890", "b": 7, "c": "x"});
        assert_eq!(number(&value, "a"), 12_345_678_901_234_567_890);
        assert_eq!((number(&value, "b"), number(&value, "c"), number(&value, "d")), (7, 0, 0));
        assert_eq!(level(&value, "d"), None, "absent isn't zero where it matters");
    }

    #[test]
    fn states_and_codes_are_read_by_name_and_number() {
        for state_json in [json!("COMMAND_STATE_SUCCEEDED"), json!("SUCCEEDED"), json!(5)] {
            assert_eq!(state(&json!({"state": state_json})), CommandState::Succeeded);
        }
        assert_eq!(state(&json!({"state": "COMMAND_STATE_NEW"})), CommandState::Unspecified);
        for code in [json!("ERROR_CODE_QUEUE_FULL"), json!("QUEUE_FULL"), json!(8)] {
            assert_eq!(error_code(&json!({"code": code})), Some(ErrorCode::QueueFull));
        }
        assert_eq!(error_code(&json!({})), None);
    }
}
