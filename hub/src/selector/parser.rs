//! From pieces to an expression, by descent; the head of `mod` has the grammar.

use std::borrow::Cow;
use std::iter::Peekable;

use super::lexer::{Kind, Token, tokens};
use super::{CONDITIONS_MAX, DEPTH_MAX, Expression, Literal, Name, SelectorError};

/// Words that join conditions, in any case; as a name or a value they stand in quotes.
const KEYWORDS: &[&str] = &["and", "or", "not", "in"];

/// Reads a whole text, which has something in it.
pub(super) fn parse(text: &str) -> Result<Expression, SelectorError> {
    let end = text.chars().count() + 1;
    let tokens = tokens(text)?.into_iter().peekable();
    let mut parser = Parser { tokens, end, conditions: 0 };
    let expression = parser.any(0)?;
    match parser.tokens.peek() {
        None => Ok(expression),
        Some(_) => parser
            .wrong("write `and` or `or` between conditions, and quotes around a value with spaces"),
    }
}

struct Parser<I: Iterator<Item = Token>> {
    tokens: Peekable<I>,
    end: usize,
    conditions: usize,
}

impl<I: Iterator<Item = Token>> Parser<I> {
    fn any(&mut self, depth: usize) -> Result<Expression, SelectorError> {
        let mut parts = vec![self.all(depth)?];
        while self.keyword("or") {
            parts.push(self.all(depth)?);
        }
        Ok(joined(parts, Expression::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Expression, SelectorError> {
        let mut parts = vec![self.not(depth)?];
        while self.keyword("and") {
            parts.push(self.not(depth)?);
        }
        Ok(joined(parts, Expression::All))
    }

    fn not(&mut self, depth: usize) -> Result<Expression, SelectorError> {
        if depth > DEPTH_MAX {
            return self.wrong(format!("parentheses and `not` nest at most {DEPTH_MAX} deep"));
        }
        if self.keyword("not") {
            return Ok(Expression::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.takes(&Kind::Open) {
            let inner = self.any(depth + 1)?;
            self.expect(&Kind::Close, "a `(` is open; close it with `)`")?;
            return Ok(inner);
        }
        self.condition()
    }

    fn condition(&mut self) -> Result<Expression, SelectorError> {
        self.count()?;
        if self.keyword("exists") {
            if self.takes(&Kind::Open) {
                let name = self.name()?;
                self.expect(&Kind::Close, "close `exists(` with `)` after one name")?;
                return Ok(Expression::Exists(name));
            }
            return self.wrong("write `exists(name)`; a label of that name as 'exists'");
        }
        let name = self.name()?;
        let negated = self.keyword("not");
        if self.keyword("in") {
            let list = Expression::In(name, self.list()?);
            return Ok(if negated { Expression::Not(Box::new(list)) } else { list });
        }
        if negated {
            return self.wrong("write `not in ('a','b')`, or `not` before the name");
        }
        let operator = self.tokens.next_if(|token| matches!(token.kind, Kind::Operator(_)));
        match operator.map(|token| token.kind) {
            Some(Kind::Operator(operator)) => {
                Ok(Expression::Compare(name, operator, self.value()?))
            }
            _ => self.wrong("after a name comes = != < <= > >= or `in (…)`"),
        }
    }

    fn list(&mut self) -> Result<Vec<Literal>, SelectorError> {
        const WAY_OUT: &str = "a list is as in ('a','b')";
        self.expect(&Kind::Open, WAY_OUT)?;
        let mut values = vec![self.value()?];
        while self.takes(&Kind::Comma) {
            self.count()?;
            values.push(self.value()?);
        }
        self.expect(&Kind::Close, WAY_OUT)?;
        Ok(values)
    }

    fn name(&mut self) -> Result<Name, SelectorError> {
        match self.tokens.next_if(|token| is_text(&token.kind)).map(|token| token.kind) {
            Some(Kind::Word(word)) => Ok(Name::of_word(&word)),
            Some(Kind::Quoted(label)) => Ok(Name::Label(label.into())),
            _ => self.wrong(
                "here comes a name: id, profile, online, a label, or a reported value as in power",
            ),
        }
    }

    fn value(&mut self) -> Result<Literal, SelectorError> {
        match self.tokens.next_if(|token| is_text(&token.kind)).map(|token| token.kind) {
            Some(Kind::Word(text) | Kind::Quoted(text)) => Ok(Literal(text.into())),
            _ => self.wrong("here comes a value, as in 40 or 'Queen St'"),
        }
    }

    fn count(&mut self) -> Result<(), SelectorError> {
        self.conditions += 1;
        if self.conditions > CONDITIONS_MAX {
            return self.wrong(format!("a selector has at most {CONDITIONS_MAX} conditions"));
        }
        Ok(())
    }

    fn keyword(&mut self, wanted: &str) -> bool {
        let is_it = |token: &Token| matches!(&token.kind, Kind::Word(word) if word.eq_ignore_ascii_case(wanted));
        self.tokens.next_if(is_it).is_some()
    }

    fn takes(&mut self, kind: &Kind) -> bool {
        self.tokens.next_if(|token| token.kind == *kind).is_some()
    }

    fn expect(&mut self, kind: &Kind, problem: &'static str) -> Result<(), SelectorError> {
        if self.takes(kind) { Ok(()) } else { self.wrong(problem) }
    }

    fn wrong<T>(&mut self, problem: impl Into<Cow<'static, str>>) -> Result<T, SelectorError> {
        let at = self.tokens.peek().map_or(self.end, |token| token.at);
        Err(SelectorError { at, problem: problem.into() })
    }
}

/// Whether it is a name or a value, and no keyword.
fn is_text(kind: &Kind) -> bool {
    match kind {
        Kind::Word(word) => !is_keyword(word),
        Kind::Quoted(_) => true,
        Kind::Operator(_) | Kind::Open | Kind::Close | Kind::Comma => false,
    }
}

/// Whether a word joins conditions.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// One part as it is; several as one.
fn joined(mut parts: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    if parts.len() > 1 { join(parts) } else { parts.remove(0) }
}
