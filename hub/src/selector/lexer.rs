//! Cuts a selector's text into words, quoted texts, operators and parentheses.

use super::{Operator, SelectorError};

/// A piece of the text, and the character where it begins, from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

/// What a piece is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Without quotes: a name, a number, a keyword.
    Word(String),
    /// Between quotes, which are gone; a doubled quote stands for one.
    Quoted(String),
    Operator(Operator),
    Open,
    Close,
    Comma,
}

/// Whether a character may stand in a word.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '/' | ':')
}

/// The whole text as pieces.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SelectorError> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().zip(1..).peekable();
    while let Some((c, at)) = chars.next() {
        let kind = match c {
            c if c.is_whitespace() => continue,
            '(' => Kind::Open,
            ')' => Kind::Close,
            ',' => Kind::Comma,
            '=' => {
                chars.next_if(|(next, _)| *next == '=');
                Kind::Operator(Operator::Equal)
            }
            '!' if chars.next_if(|(next, _)| *next == '=').is_some() => {
                Kind::Operator(Operator::NotEqual)
            }
            '<' | '>' => {
                let or_equal = chars.next_if(|(next, _)| *next == '=').is_some();
                Kind::Operator(match (c, or_equal) {
                    ('<', false) => Operator::Less,
                    ('<', true) => Operator::LessOrEqual,
                    (_, false) => Operator::Greater,
                    (_, true) => Operator::GreaterOrEqual,
                })
            }
            '\'' | '"' => {
                let mut quoted = String::new();
                loop {
                    match chars.next() {
                        Some((next, _)) if next != c => quoted.push(next),
                        Some(_) if chars.next_if(|(next, _)| *next == c).is_some() => {
                            quoted.push(c);
                        }
                        Some(_) => break,
                        None => {
                            let problem = "this quote has no end; put the same one after the text";
                            return Err(SelectorError { at, problem: problem.into() });
                        }
                    }
                }
                Kind::Quoted(quoted)
            }
            c if is_word(c) => {
                let mut word = String::from(c);
                while let Some((next, _)) = chars.next_if(|(next, _)| is_word(*next)) {
                    word.push(next);
                }
                Kind::Word(word)
            }
            _ => {
                let problem = "this sign means nothing here; put a text with signs in quotes";
                return Err(SelectorError { at, problem: problem.into() });
            }
        };
        tokens.push(Token { at, kind });
    }
    Ok(tokens)
}
