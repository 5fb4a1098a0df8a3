//! Tokens that the hub issues: 256 random bits, shown once, kept as a hash.
//!
//! A token has so much entropy that one SHA-256 is as good as a slow hash, and it can be looked up by
//! its hash in constant time. It never appears in a log: [`Token`] has no `Display`, and its `Debug`
//! hides it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// In front of every token, so that people and secret scanners know what it is.
const PREFIX: &str = "ll_";
const RANDOM_BYTES: usize = 32;

/// A token in clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A new one.
    ///
    /// # Panics
    /// The operating system has no randomness: nothing secure can go on.
    pub fn generate() -> Self {
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random).expect("the operating system has randomness");
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
    }

    /// What a peer presented.
    pub fn presented(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The secret itself: for the one answer that shows it, and for files of mode 0600.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// The SHA-256 of a token: what the hub keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenHash(pub [u8; 32]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_hide_themselves() {
        let (one, other) = (Token::generate(), Token::generate());
        assert_ne!(one, other);
        assert_ne!(one.hash(), other.hash());
        assert_eq!(Token::presented(&format!("{}\n", one.secret())).hash(), one.hash());
        assert!(!format!("{one:?}").contains(one.secret()));
    }
}
