//! Which devices are meant: `street=Queen St,feeder=F12`.
//!
//! A selector is a list of `key=value`, all of which must hold. A key is a label, or `id` or
//! `profile`. A value may stand in single or double quotes, and must where it has a comma.

use std::collections::BTreeMap;

/// Conditions that all hold for a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    conditions: Vec<(String, String)>,
}

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    #[error("`{part}` is not `key=value`")]
    NoEquals { part: String },
    #[error("the value of `{key}` has no closing quote")]
    Quote { key: String },
    #[error("there are over {max} conditions")]
    TooMany { max: usize },
}

const CONDITIONS_MAX: usize = 16;

impl Selector {
    /// Reads a selector; an empty text selects everything.
    ///
    /// # Errors
    /// Says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut conditions = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let no_equals = || SelectorError::NoEquals { part: rest.to_owned() };
            let (key, after) = rest.split_once('=').ok_or_else(no_equals)?;
            let key = key.trim();
            if key.is_empty() || key.contains(',') {
                return Err(no_equals());
            }
            let (value, after) = value(key, after.trim_start())?;
            conditions.push((key.to_owned(), value));
            if conditions.len() > CONDITIONS_MAX {
                return Err(SelectorError::TooMany { max: CONDITIONS_MAX });
            }
            rest = after;
        }
        Ok(Self { conditions })
    }

    /// Whether a device is meant.
    pub fn matches(&self, id: &str, profile: &str, labels: &BTreeMap<String, String>) -> bool {
        self.conditions.iter().all(|(key, value)| match key.as_str() {
            "id" => id == value,
            "profile" => profile == value,
            key => labels.get(key).is_some_and(|label| label == value),
        })
    }
}

/// The value at the start of `text`, and what follows its comma.
fn value<'t>(key: &str, text: &'t str) -> Result<(String, &'t str), SelectorError> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'));
    let Some(quote) = quote else {
        let (value, rest) = text.split_once(',').unwrap_or((text, ""));
        return Ok((value.trim().to_owned(), rest.trim_start()));
    };
    let unclosed = || SelectorError::Quote { key: key.to_owned() };
    let (value, rest) = text[1..].split_once(quote).ok_or_else(unclosed)?;
    let rest = rest.trim_start();
    match rest.strip_prefix(',') {
        Some(rest) => Ok((value.to_owned(), rest.trim_start())),
        None if rest.is_empty() => Ok((value.to_owned(), "")),
        None => Err(SelectorError::NoEquals { part: rest.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_conditions_must_hold() {
        let labels: BTreeMap<String, String> =
            [("street", "Queen St"), ("feeder", "F12"), ("note", "a, b")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        for (text, hit) in [
            ("", true),
            ("street=Queen St", true),
            ("street='Queen St', feeder=F12", true),
            ("note=\"a, b\",id=lamp-1", true),
            ("profile=led-65", true),
            ("street=Queen", false),
            ("feeder=F12,street=King St", false),
            ("missing=", false),
        ] {
            let selector = Selector::parse(text).expect(text);
            assert_eq!(selector.matches("lamp-1", "led-65", &labels), hit, "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_named() {
        for bad in ["street", "=x", "a,b=c", "street='Queen", "street='Queen' St"] {
            assert!(Selector::parse(bad).is_err(), "{bad}");
        }
        assert!(Selector::parse(&"a=b,".repeat(17)).is_err());
    }
}
