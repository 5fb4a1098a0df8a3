//! Which devices, as typed: what `--where` takes.
//!
//! The hub decides what matches. Here the words are only checked, by the same reader, so that a slip is
//! told before anything is sent.

use crate::selector;

/// A selector that is well-formed and says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector(String);

impl Selector {
    /// Checks a selector.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parsed = selector::Selector::parse(text).map_err(|error| error.to_string())?;
        if parsed.is_all() {
            return Err("is empty; every device is exists(id)".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// As typed: what the hub gets.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_that_says_nothing_or_cannot_be_read_is_refused() {
        for text in ["street=Queen St", "street=Queen St,feeder=F12", "power>40 or not online=true"]
        {
            assert_eq!(Selector::parse(text).as_ref().map(Selector::as_str), Ok(text));
        }
        for text in ["", " ", "street", "=x", "a=\"b", ",a=b", "power>"] {
            assert!(Selector::parse(text).is_err(), "`{text}` is no selector");
        }
    }
}
