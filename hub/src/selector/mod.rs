//! Which devices are meant: `street='Queen St' and firmware<'1.4' and power>40`.
//!
//! Pure: a text becomes a [`Selector`], and a selector judges a device by [`Facts`] that somebody else
//! collects. `docs/fleet-commands.md` describes the language for people.
//!
//! ```text
//!   or        := and { "or" and }
//!   and       := not { "and" not }
//!   not       := "not" not | "(" or ")" | condition
//!   condition := name ("=" | "!=" | "<" | "<=" | ">" | ">=") value
//!              | name ["not"] "in" "(" value { "," value } ")" | "exists" "(" name ")"
//! ```
//!
//! The older form, `street=Queen St,feeder=F12`, is read where the text is no expression: pairs that
//! all must hold, of labels, `id` and `profile`.
//!
//! Read this file first, then [`name`] for what can be asked, [`value`] for how values compare,
//! `lexer` and `parser` for the way in, `text` for the way out.
//!
//! # Guarantees
//!
//! - Three values: a condition on something that isn't known is [`Truth::Unknown`], and so is its
//!   negation; a device is selected only where the whole is [`Truth::Yes`]. What is decided while
//!   something is unknown stays decided when it becomes known.
//! - No text makes it panic; length, nesting and the number of conditions are bounded.
//! - What is shown of a selector reads back as the same selector.

use std::borrow::Cow;

mod lexer;

pub mod name;

mod pairs;

mod parser;

mod text;

pub mod value;

#[cfg(test)]
mod tests;

pub use name::{Name, Path};
pub use value::{Literal, Value};

/// Bytes of a selector's text.
pub const TEXT_BYTES_MAX: usize = 2_048;
/// Conditions of a selector; each value of a list counts as one.
pub const CONDITIONS_MAX: usize = 256;
/// Parentheses and `not`s around a condition.
pub const DEPTH_MAX: usize = 16;

/// Conditions on a device; without any it selects everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selector {
    /// `None` selects everything.
    root: Option<Expression>,
}

/// A selector's parts.
#[derive(Debug, Clone, PartialEq)]
enum Expression {
    /// At least two.
    All(Vec<Expression>),
    /// At least two.
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Compare(Name, Operator, Literal),
    /// At least one value.
    In(Name, Vec<Literal>),
    Exists(Name),
}

/// How a value stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// It does not.
    No,
    /// Something that it speaks of isn't known.
    Unknown,
    /// It does.
    Yes,
}

/// What is known of a device under a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact<'f> {
    /// This.
    Known(Value<'f>),
    /// Nothing: it has no such label, or never reported it.
    Missing,
    /// It was not looked up yet: not even whether there is something is known.
    Open,
}

/// What is known of one device.
pub trait Facts {
    /// What `name` stands for.
    fn fact(&self, name: &Name) -> Fact<'_>;
}

/// Why a text is no selector, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {problem}")]
pub struct SelectorError {
    /// The character where reading stopped, from 1.
    pub at: usize,
    /// What is wrong there, and the way out.
    pub problem: Cow<'static, str>,
}

impl Selector {
    /// Reads a selector; an empty text selects everything.
    ///
    /// # Errors
    /// Says where the text is wrong, and what could stand there.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.len() > TEXT_BYTES_MAX {
            let problem = format!("a selector has at most {TEXT_BYTES_MAX} bytes");
            return Err(SelectorError { at: 1, problem: problem.into() });
        }
        if text.trim().is_empty() {
            return Ok(Self { root: None });
        }
        match parser::parse(text) {
            Ok(root) => Ok(Self { root: Some(root) }),
            // The error of the expression says more: pairs are the older and simpler form.
            Err(error) => pairs::parse(text).map(|root| Self { root: Some(root) }).ok_or(error),
        }
    }

    /// Whether it selects everything.
    pub fn is_all(&self) -> bool {
        self.root.is_none()
    }

    /// Whether a device is meant, as far as its facts say.
    pub fn judge(&self, facts: &dyn Facts) -> Truth {
        self.root.as_ref().map_or(Truth::Yes, |root| root.judge(facts))
    }

    /// Whether registrations alone decide it: ids, profiles and labels.
    pub fn is_of_registrations(&self) -> bool {
        let changes = |name: &Name| matches!(name, Name::Reported(_) | Name::Online);
        !self.root.as_ref().is_some_and(|root| root.any(&changes))
    }

    /// Whether it asks for what devices report.
    pub fn asks_for_reports(&self) -> bool {
        self.root.as_ref().is_some_and(|root| root.any(&|name| matches!(name, Name::Reported(_))))
    }
}

impl Truth {
    /// Of something that is known.
    pub fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    /// Of the opposite.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }
}

impl Expression {
    fn judge(&self, facts: &dyn Facts) -> Truth {
        match self {
            Self::All(parts) => fold(parts, facts, Truth::No, Truth::min),
            Self::Any(parts) => fold(parts, facts, Truth::Yes, Truth::max),
            Self::Not(part) => part.judge(facts).negated(),
            Self::Exists(name) => match facts.fact(name) {
                Fact::Known(_) => Truth::Yes,
                Fact::Missing => Truth::No,
                Fact::Open => Truth::Unknown,
            },
            Self::Compare(name, operator, literal) => match facts.fact(name) {
                Fact::Known(value) => value::holds(&value, *operator, literal),
                Fact::Missing | Fact::Open => Truth::Unknown,
            },
            Self::In(name, literals) => match facts.fact(name) {
                Fact::Known(value) => {
                    let equal = |literal| value::holds(&value, Operator::Equal, literal);
                    literals.iter().map(equal).max().unwrap_or(Truth::No)
                }
                Fact::Missing | Fact::Open => Truth::Unknown,
            },
        }
    }

    fn any(&self, wanted: &dyn Fn(&Name) -> bool) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.any(wanted)),
            Self::Not(part) => part.any(wanted),
            Self::Compare(name, ..) | Self::In(name, _) | Self::Exists(name) => wanted(name),
        }
    }
}

/// Joins the parts' truths, and stops at `end`, which no further part changes.
fn fold(
    parts: &[Expression],
    facts: &dyn Facts,
    end: Truth,
    join: fn(Truth, Truth) -> Truth,
) -> Truth {
    let mut joined = end.negated();
    for part in parts {
        joined = join(joined, part.judge(facts));
        if joined == end {
            break;
        }
    }
    joined
}
