//! The older form of a selector: `street=Queen St,feeder=F12`.
//!
//! Pairs joined by commas, all of which must hold. A value goes up to the comma; with a comma in it,
//! it stands in single or double quotes. A value without quotes that looks like part of an expression
//! is refused, so that a slip in an expression is not read as a strange value.

use super::{Expression, Literal, Name, Operator};

/// Signs that only expressions have.
const SIGNS: &[char] = &['=', '<', '>', '!', '(', ')', '\'', '"'];
/// As many as there were.
const PAIRS_MAX: usize = 16;

/// Reads pairs; `None` if the text is none.
pub(super) fn parse(text: &str) -> Option<Expression> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim();
        let is_key = !key.is_empty() && !key.contains(|c| c == ',' || SIGNS.contains(&c));
        if !is_key || key.split_whitespace().any(super::parser::is_keyword) {
            return None;
        }
        let (value, after) = value(after.trim_start())?;
        pairs.push(Expression::Compare(Name::of_key(key), Operator::Equal, Literal(value.into())));
        if pairs.len() > PAIRS_MAX {
            return None;
        }
        rest = after;
    }
    match pairs.len() {
        0 | 1 => pairs.pop(),
        _ => Some(Expression::All(pairs)),
    }
}

/// The value at the start of `text`, and what follows its comma.
fn value(text: &str) -> Option<(&str, &str)> {
    let Some(quote) = text.chars().next().filter(|first| matches!(first, '\'' | '"')) else {
        let (value, rest) = text.split_once(',').unwrap_or((text, ""));
        return (!value.contains(SIGNS)).then_some((value.trim(), rest.trim_start()));
    };
    let (value, rest) = text[1..].split_once(quote)?;
    let rest = rest.trim_start();
    match rest.strip_prefix(',') {
        Some(rest) => Some((value, rest.trim_start())),
        None if rest.is_empty() => Some((value, "")),
        None => None,
    }
}
