//! Shows a selector as a text that reads back as the same selector.

use std::fmt::{self, Display, Write as _};

use super::name::LABEL_PREFIX;
use super::{Expression, Literal, Name, Operator, Selector};

impl Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.as_ref().map_or(Ok(()), |root| root.fmt(f))
    }
}

impl Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => join(f, parts, " and "),
            Self::Any(parts) => join(f, parts, " or "),
            Self::Not(part) => write!(f, "not {}", Inner(part)),
            Self::Compare(name, operator, literal) => write!(f, "{name} {operator} {literal}"),
            Self::Exists(name) => write!(f, "exists({name})"),
            Self::In(name, literals) => {
                write!(f, "{name} in (")?;
                for (at, literal) in literals.iter().enumerate() {
                    write!(f, "{}{literal}", if at > 0 { ", " } else { "" })?;
                }
                f.write_char(')')
            }
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, parts: &[Expression], word: &str) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        write!(f, "{}{}", if at > 0 { word } else { "" }, Inner(part))?;
    }
    Ok(())
}

/// A part of a larger expression: in parentheses where its own parts could be torn apart.
struct Inner<'e>(&'e Expression);

impl Display for Inner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expression::All(_) | Expression::Any(_) => write!(f, "({})", self.0),
            Expression::Not(_)
            | Expression::Compare(..)
            | Expression::In(..)
            | Expression::Exists(_) => self.0.fmt(f),
        }
    }
}

impl Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => f.write_str("id"),
            Self::Profile => f.write_str("profile"),
            Self::Online => f.write_str("online"),
            Self::Label(label) => {
                let word = format!("{LABEL_PREFIX}{label}");
                if Self::of_word(label) == *self && is_plain(label) {
                    f.write_str(label)
                } else if is_plain(&word) {
                    f.write_str(&word)
                } else {
                    quoted(f, label)
                }
            }
            Self::Reported(path) => match path.short {
                Some(short) => f.write_str(short.name),
                None => write!(f, "{}.{}", path.channel, path.fields.join(".")),
            },
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_number = self.as_str().bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_number && !self.as_str().is_empty() {
            f.write_str(self.as_str())
        } else {
            quoted(f, self.as_str())
        }
    }
}

/// Whether the text is one word, and no keyword.
fn is_plain(text: &str) -> bool {
    let is_word = !text.is_empty() && text.chars().all(super::lexer::is_word);
    is_word && !super::parser::is_keyword(text) && !text.eq_ignore_ascii_case("exists")
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}
