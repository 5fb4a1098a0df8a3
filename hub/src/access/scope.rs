//! The labels that a device must have for a grant to count: `district=North,owner='City, Works'`.
//!
//! A scope keeps the set of the devices that have them, and the registry tells it of every change. So a
//! check costs one look-up, also while a message is on its way to a thousand readers, and a device that
//! loses its label is out of reach at once.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use parking_lot::RwLock;

/// Labels of one scope.
const CONDITIONS_MAX: usize = 16;

/// Conditions that all hold for the labels of a device, and the devices for which they do.
#[derive(Debug, Default)]
pub struct Scope {
    conditions: BTreeMap<String, String>,
    members: RwLock<HashSet<Box<str>>>,
}

/// Why a text is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    #[error("is empty; leave it out to mean all devices")]
    Empty,
    #[error("has `{part}`, which is not `label=value`")]
    NoEquals { part: String },
    #[error("has no closing quote for the value of `{key}`")]
    Quote { key: String },
    #[error("has over {CONDITIONS_MAX} labels")]
    TooMany,
    #[error("has the label `{key}` twice")]
    Twice { key: String },
}

impl Scope {
    /// Reads a scope. A value with a comma stands in single or double quotes.
    ///
    /// # Errors
    /// Says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let mut conditions = BTreeMap::new();
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(ScopeError::Empty);
        }
        while !rest.is_empty() {
            let no_equals = || ScopeError::NoEquals { part: rest.to_owned() };
            let (key, after) = rest.split_once('=').ok_or_else(no_equals)?;
            let key = key.trim();
            if key.is_empty() || key.contains(',') {
                return Err(no_equals());
            }
            let (value, after) = value(key, after.trim_start())?;
            if conditions.insert(key.to_owned(), value).is_some() {
                return Err(ScopeError::Twice { key: key.to_owned() });
            }
            if conditions.len() > CONDITIONS_MAX {
                return Err(ScopeError::TooMany);
            }
            rest = after;
        }
        Ok(Self { conditions, members: RwLock::default() })
    }

    /// Takes in what labels a device has from now on.
    pub fn relabel(&self, id: &str, labels: &BTreeMap<String, String>) {
        let holds = self.conditions.iter().all(|(key, value)| labels.get(key) == Some(value));
        let mut members = self.members.write();
        if holds {
            if !members.contains(id) {
                members.insert(id.into());
            }
        } else {
            members.remove(id);
        }
    }

    /// Forgets a device that was removed.
    pub fn forget(&self, id: &str) {
        self.members.write().remove(id);
    }

    /// Whether the device has the labels now.
    pub fn has(&self, id: &str) -> bool {
        self.members.read().contains(id)
    }
}

/// The value at the start of `text`, and what follows its comma.
fn value<'t>(key: &str, text: &'t str) -> Result<(String, &'t str), ScopeError> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'));
    let Some(quote) = quote else {
        let (value, rest) = text.split_once(',').unwrap_or((text, ""));
        return Ok((value.trim().to_owned(), rest.trim_start()));
    };
    let unclosed = || ScopeError::Quote { key: key.to_owned() };
    let (value, rest) = text[1..].split_once(quote).ok_or_else(unclosed)?;
    let rest = rest.trim_start();
    match rest.strip_prefix(',') {
        Some(rest) => Ok((value.to_owned(), rest.trim_start())),
        None if rest.is_empty() => Ok((value.to_owned(), "")),
        None => Err(ScopeError::NoEquals { part: rest.to_owned() }),
    }
}

/// Two scopes are the same if they ask for the same labels.
impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.conditions == other.conditions
    }
}

impl Eq for Scope {}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (key, value)) in self.conditions.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_in_while_it_has_all_the_labels() {
        let scope = Scope::parse("district=North, owner='City, Works'").expect("valid");
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        scope.relabel("lamp-1", &labels(&[("district", "North")]));
        assert!(!scope.has("lamp-1"));
        scope.relabel("lamp-1", &labels(&[("district", "North"), ("owner", "City, Works")]));
        assert!(scope.has("lamp-1") && !scope.has("lamp-2"));
        scope.relabel("lamp-1", &labels(&[("owner", "City, Works")]));
        assert!(!scope.has("lamp-1"));
    }

    #[test]
    fn what_is_no_scope_is_named() {
        for bad in ["", " ", "north", "=x", "a,b=c", "a='x", "a='x' y", "a=1,a=2"] {
            assert!(Scope::parse(bad).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..17).map(|at| format!("k{at}=v")).collect();
        assert_eq!(Scope::parse(&many.join(",")).err(), Some(ScopeError::TooMany));
    }
}
