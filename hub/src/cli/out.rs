//! Where words for people and machines leave the program.
//!
//! Everything that goes to standard output passes [`Out`], everything to standard error [`note`].
//!
//! # Guarantees
//!
//! - A closed pipe ends the command quietly, never with a panic.
//! - Text that came from elsewhere can't steer the terminal: control characters and marks that turn
//!   the direction of writing are shown as `\u{…}`. In JSON they become JSON escapes.
//! - In a locale without UTF-8 only ASCII goes out.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::exit::Failure;

/// Standard output, or what stands for it in tests.
pub(crate) struct Out {
    sink: Box<dyn Write>,
    charset: Charset,
    width: Option<u16>,
}

/// Which characters the reader can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charset {
    /// Only ASCII.
    Ascii,
    /// All of Unicode.
    Unicode,
}

impl Out {
    /// The process's standard output.
    pub(crate) fn stdout() -> Self {
        Self { sink: Box::new(io::stdout()), charset: charset_of_locale(), width: terminal_width() }
    }

    /// An output for tests, as wide as told (columns; `None` for no terminal).
    #[cfg(test)]
    pub(crate) fn to(sink: Box<dyn Write>, charset: Charset, width: Option<u16>) -> Self {
        Self { sink, charset, width }
    }

    /// Columns of the terminal; `None` where lines may be as long as they like.
    pub(crate) fn width(&self) -> Option<u16> {
        self.width
    }

    /// Writes one line and flushes it. Control characters in `text` are escaped; a line break in it
    /// is one, too.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        let mut line = printable(text, self.charset);
        line.push('\n');
        self.write(line.as_bytes())
    }

    /// Writes several lines at once, each escaped on its own.
    pub(crate) fn block(&mut self, text: &str) -> Result<(), Failure> {
        let mut block = String::with_capacity(text.len() + 1);
        for line in text.lines() {
            block.push_str(&printable(line.trim_end(), self.charset));
            block.push('\n');
        }
        self.write(block.as_bytes())
    }

    /// Writes one JSON value as one line.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        let mut line = json_safe(&value.to_string(), self.charset);
        line.push('\n');
        self.write(line.as_bytes())
    }

    /// Writes bytes as they are: generated scripts.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.write(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.sink.write_all(bytes).and_then(|()| self.sink.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::PipeClosed,
            kind => Failure::Refused(format!("standard output can't be written: {kind}")),
        })
    }
}

/// Writes one escaped line to standard error. If nobody listens there, nothing is lost that could
/// be told to anybody.
pub(crate) fn note(text: &str) {
    let mut line = printable(text, charset_of_locale());
    line.push('\n');
    io::stderr().lock().write_all(line.as_bytes()).ok();
}

/// Shows `text` without giving it power over the terminal.
pub(crate) fn printable(text: &str, charset: Charset) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            escape(c, &mut shown);
        } else if c.is_ascii() || charset == Charset::Unicode {
            shown.push(c);
        } else {
            match c {
                '·' | '…' | '→' | '—' => shown.push_str(ascii_of(c)),
                '°' => {}
                _ => escape(c, &mut shown),
            }
        }
    }
    shown
}

/// Our own signs, for those who can't see them.
fn ascii_of(c: char) -> &'static str {
    match c {
        '·' => "-",
        '…' => "...",
        '→' => "->",
        _ => "--",
    }
}

/// `text`, which is JSON, with everything that steers a terminal as JSON escapes. Such characters
/// stand only inside strings, so the value stays the same.
fn json_safe(text: &str, charset: Charset) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) || (charset == Charset::Ascii && !c.is_ascii()) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(safe, "\\u{unit:04x}").expect("writing to a string can't fail");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

fn escape(c: char, into: &mut String) {
    write!(into, "\\u{{{:x}}}", u32::from(c)).expect("writing to a string can't fail");
}

/// Control characters, and what turns or hides text: bidirectional marks, line separators.
fn steers(c: char) -> bool {
    let hides = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || hides || turns
}

/// By the usual order of variables: the first that is set decides.
fn charset_of_locale() -> Charset {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    let upper = named.unwrap_or_default().to_ascii_uppercase();
    let unicode = upper.contains("UTF-8") || upper.contains("UTF8");
    if unicode { Charset::Unicode } else { Charset::Ascii }
}

/// `COLUMNS` if somebody set it, else what the terminal says.
fn terminal_width() -> Option<u16> {
    let told = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let asked = || {
        let is_terminal = io::stdout().is_terminal();
        is_terminal.then(|| comfy_table::Table::new().width()).flatten()
    };
    told.filter(|columns| *columns > 0).or_else(asked)
}

/// An output that tests can read, and its text.
#[cfg(test)]
pub(crate) mod capture {
    use std::cell::RefCell;
    use std::io::{self, Write};
    use std::rc::Rc;

    use super::{Charset, Out};

    /// What was written.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Rc<RefCell<Vec<u8>>>);

    impl Captured {
        /// An output of `width` columns whose text lands here.
        pub(crate) fn out(&self, width: Option<u16>) -> Out {
            Out::to(Box::new(self.clone()), Charset::Unicode, width)
        }

        /// All text so far.
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).expect("only UTF-8 is written")
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(
            printable("a\x1b[31m\nb\u{9b}\u{202e}c", Charset::Unicode),
            "a\\u{1b}[31m\\u{a}b\\u{9b}\\u{202e}c"
        );
    }

    #[test]
    fn a_locale_without_utf8_gets_ascii() {
        assert_eq!(printable("40 % · 12.5 °C → Ö", Charset::Ascii), "40 % - 12.5 C -> \\u{d6}");
    }

    #[test]
    fn escaped_json_is_the_same_value() {
        let value = serde_json::json!({"name": "\u{1b}\u{9b}\u{202e}Ö😀"});
        let text = json_safe(&value.to_string(), Charset::Ascii);
        assert!(text.is_ascii() && !text.contains('\u{1b}'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("still JSON"), value);
    }

    #[test]
    fn a_closed_pipe_is_no_panic_and_exit_0() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut out = Out::to(Box::new(Closed), Charset::Unicode, None);
        let failure = out.line("x").expect_err("the pipe is closed");
        assert_eq!((failure.code(), failure.is_silent()), (0, true));
    }
}
