//! How values compare: numbers as numbers, versions as versions, everything else as text.
//!
//! | of the device | in the selector | compared as |
//! |---|---|---|
//! | a number | a number, quoted or not | numbers |
//! | a text | `=`, `!=`, `in` | the same text or not |
//! | a text | `<`, `<=`, `>`, `>=`, and both look like versions | versions: `1.9` < `1.10` < `1.10.1`, `2.0-rc1` < `2.0` |
//! | a text | the rest | text, by its characters |
//!
//! A number against what is no number is unknown: there is no answer that would be right.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Operator, Truth};

/// What is known of a device.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'v> {
    /// A finite number.
    Number(f64),
    /// A text, the name of an enum's value, or `true` and `false`.
    Text(Cow<'v, str>),
}

/// A value as a selector states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal(pub(super) Box<str>);

impl Literal {
    /// As it was written, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn number(&self) -> Option<f64> {
        let text = self.0.trim();
        // `inf` and `nan` are words here.
        let is_number = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
        let number = is_number.then(|| text.parse::<f64>().ok()).flatten();
        number.filter(|number| number.is_finite())
    }
}

/// Whether `value` stands to `literal` as `operator` says.
pub(super) fn holds(value: &Value<'_>, operator: Operator, literal: &Literal) -> Truth {
    let ordering = match value {
        Value::Number(number) => literal.number().and_then(|literal| number.partial_cmp(&literal)),
        Value::Text(text) => Some(order_of_texts(text, operator, literal)),
    };
    ordering.map_or(Truth::Unknown, |ordering| Truth::of(fits(operator, ordering)))
}

fn order_of_texts(text: &str, operator: Operator, literal: &Literal) -> Ordering {
    let plain = text.cmp(literal.as_str());
    match operator {
        Operator::Equal | Operator::NotEqual => plain,
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            match (Version::read(text), Version::read(literal.as_str())) {
                (Some(text), Some(literal)) => text.cmp(&literal),
                _ => plain,
            }
        }
    }
}

fn fits(operator: Operator, ordering: Ordering) -> bool {
    match operator {
        Operator::Equal => ordering.is_eq(),
        Operator::NotEqual => ordering.is_ne(),
        Operator::Less => ordering.is_lt(),
        Operator::LessOrEqual => ordering.is_le(),
        Operator::Greater => ordering.is_gt(),
        Operator::GreaterOrEqual => ordering.is_ge(),
    }
}

/// Numbers between dots, with an optional `v` before and a pre-release after a `-`. What follows a
/// `+` says nothing about order.
#[derive(Debug, PartialEq, Eq)]
struct Version<'v> {
    numbers: Vec<u64>,
    pre_release: Option<&'v str>,
}

impl<'v> Version<'v> {
    fn read(text: &'v str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(text, _)| text);
        let (numbers, pre_release) = match text.split_once('-') {
            Some((numbers, pre_release)) => (numbers, Some(pre_release)),
            None => (text, None),
        };
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        };
        let mut numbers: Vec<u64> = numbers.split('.').map(number).collect::<Option<_>>()?;
        // 1.4 is 1.4.0.
        while numbers.len() > 1 && numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some(Self { numbers, pre_release })
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let pre_release = || match (self.pre_release, other.pre_release) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) => one.cmp(other),
        };
        self.numbers.cmp(&other.numbers).then_with(pre_release)
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_their_numbers() {
        let rising =
            ["0.9", "1.0-rc1", "1.0", "1.4", "1.4.1", "1.9", "v1.10", "1.10.1", "2", "10.0+7"];
        for (at, low) in rising.iter().enumerate() {
            for high in &rising[at + 1..] {
                check(low, Operator::Less, high, Truth::Yes);
                check(high, Operator::GreaterOrEqual, low, Truth::Yes);
            }
        }
        check("1.4.0", Operator::LessOrEqual, "1.4", Truth::Yes);
        check("1.4.0", Operator::Equal, "1.4", Truth::No);
    }

    #[test]
    fn what_is_no_version_compares_as_text() {
        check("F12", Operator::Less, "F2", Truth::Yes);
        check("1.x", Operator::Less, "1.10", Truth::No);
        check("", Operator::Less, "a", Truth::Yes);
        check("99999999999999999999999", Operator::Less, "1", Truth::No);
    }

    #[test]
    fn numbers_compare_as_numbers_and_against_words_not_at_all() {
        for (operator, literal, truth) in [
            (Operator::Greater, "40", Truth::Yes),
            (Operator::Less, "4.05e1", Truth::No),
            (Operator::Equal, "40.5", Truth::Yes),
            (Operator::Equal, "040.50", Truth::Yes),
            (Operator::NotEqual, "on", Truth::Unknown),
            (Operator::Less, "nan", Truth::Unknown),
            (Operator::Less, "1e999", Truth::Unknown),
        ] {
            let literal = Literal(literal.into());
            assert_eq!(holds(&Value::Number(40.5), operator, &literal), truth, "{literal:?}");
        }
    }

    #[track_caller]
    fn check(text: &str, operator: Operator, literal: &str, truth: Truth) {
        let value = Value::Text(text.into());
        assert_eq!(holds(&value, operator, &Literal(literal.into())), truth, "{text} {literal}");
    }
}
