//! The shell against a hub of a few lines: what is sent, what is shown, and with which code it
//! ends.

use super::exit::Failure;
use super::out::capture::Captured;
use super::{ask, parse};

mod fake_hub;

mod fleet;

mod sending;

mod showing;

mod words;

/// Runs one line of the shell against the fake hub; its outcome and standard output.
async fn shell(hub: &fake_hub::FakeHub, line: &[&str]) -> (Result<(), Failure>, String) {
    shell_at(hub, line, None).await
}

/// The same in a terminal of `width` columns.
async fn shell_at(
    hub: &fake_hub::FakeHub,
    line: &[&str],
    width: Option<u16>,
) -> (Result<(), Failure>, String) {
    let mut words = vec!["hub".to_owned(), format!("--hub={}", hub.url), hub.token_flag()];
    words.extend(line.iter().map(|word| (*word).to_owned()));
    let captured = Captured::default();
    let outcome = match parse(&words) {
        Ok(cli) => ask(&cli.command, &cli.connection, words, &mut captured.out(width)).await,
        Err(failure) => Err(failure),
    };
    (outcome, captured.text())
}

#[track_caller]
fn code(outcome: &Result<(), Failure>) -> u8 {
    outcome.as_ref().map_or_else(Failure::code, |()| 0)
}
