//! Bad words: each ends with exit code 2 and one line, before anything is sent.

use clap::CommandFactory;

use crate::cli::args::Cli;
use crate::cli::exit::Failure;
use crate::cli::send::check_words;
use crate::cli::{Command, parse};

#[test]
fn words_that_make_no_sense_are_refused_in_one_line() {
    for line in [
        "",
        "frobnicate",
        "send",
        "send lamp-0001",
        "send lamp-0001 dim",
        "send lamp-0001 dim 101",
        "send lamp-0001 dim 1e1",
        "send lamp-0001 dim -5",
        "send lamp-0001 dim 40 50",
        "send lamp-0001 glow",
        "send lamp-0001 on --ttl=-1",
        "send lamp-0001 on --ttl 1e9",
        "send lamp-0001 on --ttl 5x",
        "send lamp-0001 on --ttl 4s",
        "send lamp-0001 on --ttl 8d",
        "send lamp-0001 on --ttl 5500ms",
        "send lamp-0001 on --ttl",
        "send lamp-0001 on --nonsense",
        "send lamp-0001 on --until 25:00",
        "send lamp-0001 on --until 22:30 --for 2h",
        "send lamp-0001 identify --fade 5s",
        "send lamp-0001 identify --for 10m",
        "send lamp-0001 reboot",
        "send lamp-0001 resume --for 2h",
        "send lamp-0001 read no_such_field!",
        "send --where street on",
        "send --where a=b",
        "send -rf off",
        "send -- --help off",
        "send $(id) off",
        "send lamp-0001 --type lighting.v1.Command",
        "send lamp-0001 --type lighting.v1.Command --json {",
        "send lamp-0001 --json {}",
        "send lamp-0001 --type lighting.v1.Command --json {\"overide\":{}}",
        "send lamp-0001 on --timeout 5s",
        "state $(id)",
        "state",
        "watch a..b",
        "watch",
        "watch x --count 0",
        "command 17",
        "device add A",
        "device add lamp-1 --label street",
        "device add lamp-1 --position 91,0",
        "token issue --role King!",
        "token issue --role viewer --offline",
        "override",
        "override lamp-0001 101",
        "override lamp-0001 40 --end",
        "override lamp-0001 --for 2h",
        "override lamp-0001 40 --for 8d",
        "override lamp-0001 40 --for 2h --until 22:30",
        "profile put Main --where street=x",
        "profile put main",
        "profile put main --where street=x --level 101",
        "profile put main --where street=x --zone Europe/Berlin",
        "completions tcsh",
    ] {
        let failure = refused(line);
        assert_eq!(failure.code(), 2, "`{line}`: {failure}");
        assert_eq!(failure.to_string().lines().count(), 1, "`{line}`: {failure}");
    }
}

#[test]
fn words_that_make_sense_are_taken() {
    for line in [
        "send lamp-0001 dim 40%",
        "send lamp-0001 off --for 2h --fade 90m --ttl 7d --wait --timeout 1m",
        "send lamp-0001 on --until 22:30",
        "send lamp-0001 identify --for 30s",
        "send lamp-0001 read active_power_w",
        "send lamp-0001 reboot --confirm",
        "send -- lamp-0001 off",
        "send --where street=Queen dim 0",
        "send --where power>40 off --wave-size 50 --pause 5m --per-second 2.5 --abort-above 5",
        "send --where power>40 off --confirm 500",
        "send --where power>40 off --yes --wait",
        "send --where power>40 off --dry-run",
        "fleet list",
        "send lamp-0001 --type lighting.v1.Command --json {\"override\":{\"level_pct\":40}}",
        "send lamp-0001 --type city.v1.Other --json [1]",
        "watch devices.*.telemetry --for 10s",
        "device add lamp-1 --position -51.5,-0.1",
        "--hub wss://h:1 devices",
        "devices --hub wss://h:1",
        "token issue --role viewer --offline --data-dir d",
        "completions bash",
    ] {
        assert_eq!(said(line), None, "`{line}`");
    }
}

#[track_caller]
fn refused(line: &str) -> Failure {
    said(line).unwrap_or_else(|| panic!("`{line}` was taken"))
}

/// What is wrong with a line, if anything.
fn said(line: &str) -> Option<Failure> {
    let words: Vec<String> =
        ["hub"].into_iter().chain(line.split_whitespace()).map(str::to_owned).collect();
    match parse(&words) {
        Err(failure) => Some(failure),
        Ok(cli) => match &cli.command {
            Command::Send(args) => check_words(args, 1_795_296_600_000).err(),
            _ => None,
        },
    }
}

#[test]
fn the_grammar_is_sound_and_completes_in_every_shell() {
    Cli::command().debug_assert();
    for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish]
    {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "hub", &mut script);
        assert!(script.len() > 1000, "{shell}");
    }
}
