//! Which devices: `street=Queen St,feeder=F12`, what `--where` takes.
//!
//! The hub decides what matches. Here the words are only checked, so that a slip is told before
//! anything is sent.

/// A selector that is well-formed: `key=value` parts, joined by commas; a value with a comma in it
/// stands in double quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector(String);

impl Selector {
    /// Checks a selector.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        for part in split(text)? {
            check_part(&part)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// As typed: what the hub gets.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Cuts at commas outside of quotes.
fn split(text: &str) -> Result<Vec<String>, String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        quoted ^= c == '"';
        match parts.last_mut() {
            Some(part) if c != ',' || quoted => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    if quoted { Err("a quote isn't closed".to_owned()) } else { Ok(parts) }
}

fn check_part(part: &str) -> Result<(), String> {
    let wrong = || format!("`{part}` isn't key=value, as in street='Queen St'");
    let (key, value) = part.split_once('=').ok_or_else(wrong)?;
    let empty = key.trim().is_empty() || value.trim().is_empty();
    if empty || key.contains('"') { Err(wrong()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_pairs_joined_by_commas() {
        for text in ["street=Queen St", "street=Queen St,feeder=F12", "street=\"A, B\",id=lamp-1"] {
            assert_eq!(Selector::parse(text).as_ref().map(Selector::as_str), Ok(text));
        }
        for text in ["", "street", "street=", "=x", "a=b,", "a=\"b", ",a=b"] {
            assert!(Selector::parse(text).is_err(), "`{text}` is no selector");
        }
    }
}
