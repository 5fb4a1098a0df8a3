//! The same command line again, in a form that means the same order.
//!
//! An order is known by its request id, and the hub refuses another content under the same id. So
//! the line that we offer has the id, and a moment where `--for` or `22:30` would count from anew.

use super::exit::Failure;
use super::units;

/// The words that started this process, with what has to be fixed in them.
#[derive(Debug, Clone)]
pub(crate) struct Rerun {
    words: Vec<String>,
    request_id: String,
    ends_unix_ms: Option<u64>,
}

impl Rerun {
    /// `words` are those of the process, its name first.
    pub(crate) fn new(words: Vec<String>, request_id: &str, ends_unix_ms: Option<u64>) -> Self {
        Self { words, request_id: request_id.to_owned(), ends_unix_ms }
    }

    /// The line to type.
    pub(crate) fn line(&self) -> String {
        let mut line = vec!["hub".to_owned()];
        let mut words = self.words.iter().skip(1);
        let mut sent = false;
        let mut options = true;
        while let Some(word) = words.next() {
            options &= word != "--";
            if options && self.replaces(word) {
                if !word.contains('=') {
                    words.next();
                }
                continue;
            }
            line.push(quoted(word));
            if word == "send" && !sent {
                sent = true;
                line.push(format!("--request-id {}", quoted(&self.request_id)));
                line.extend(self.ends_unix_ms.map(|ms| format!("--until {}", units::rfc3339(ms))));
            }
        }
        line.join(" ")
    }

    fn replaces(&self, word: &str) -> bool {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        let is_end = matches!(name, "--until" | "--for") && self.ends_unix_ms.is_some();
        name == "--request-id" || is_end
    }

    /// What to say where the hub may or may not have taken the order.
    pub(crate) fn unknown(&self, cause: &str) -> Failure {
        Failure::Unknown(format!(
            "outcome unknown ({cause}): re-run with --request-id {}, it is done only once: {}",
            self.request_id,
            self.line()
        ))
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_end_becomes_the_moment_that_was_meant() {
        check(
            &["hub", "--hub", "wss://h:1", "send", "lamp-1", "dim", "40", "--for", "2h", "--wait"],
            Some(1_795_296_600_000),
            "hub --hub wss://h:1 send --request-id r1 --until 2026-11-21T21:30:00Z \
             lamp-1 dim 40 --wait",
        );
    }

    #[test]
    fn the_line_is_safe_to_paste() {
        check(
            &[
                "/x/hub",
                "send",
                "--where=street=Queen St",
                "--request-id=old",
                "on",
                "--",
                "$(id)",
                "--for",
            ],
            None,
            "hub send --request-id r1 '--where=street=Queen St' on -- '$(id)' --for",
        );
        check(&["hub", "send", "it's"], None, "hub send --request-id r1 'it'\\''s'");
    }

    #[test]
    fn blinking_keeps_its_length() {
        check(
            &["hub", "send", "lamp-1", "identify", "--for", "30s"],
            None,
            "hub send --request-id r1 lamp-1 identify --for 30s",
        );
    }

    #[track_caller]
    fn check(words: &[&str], ends: Option<u64>, line: &str) {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(Rerun::new(words, "r1", ends).line(), line);
    }
}
