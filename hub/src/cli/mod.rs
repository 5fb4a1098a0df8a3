//! The operator's shell: `hub send`, `hub watch` and the other verbs of the binary.
//!
//! A plain client of what everybody can use: the socket in its JSON encoding, and the HTTP API. It
//! shares no state with a hub, even on the same machine. Only the verbs in `serve` become a hub.
//!
//! ```text
//!   words ─▶ args ─▶ action ─▶ send ─┬─▶ one ──┬─▶ client (socket) ─▶ hub
//!                     │              └─▶ fleet ┴─▶ http (REST) ────▶ hub
//!                     ├─▶ watch ──────▶ client
//!                     └─▶ state, explain, light, devices, command, fleets, token, certificate, access, schema, audit, export ─▶ http
//!   answers ─▶ fields ─▶ summary, life, table ─▶ out
//! ```
//!
//! # Guarantees
//!
//! - No input panics; every failure has one of the exit codes in `exit`.
//! - A usage error is one line, and nothing was sent.
//! - What came from elsewhere is shown, never obeyed, by the terminal (`out`).

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

mod exit;

mod out;

mod units;

mod selector;

mod fields;

mod connect;

mod args;
mod args_audit;

mod fleet_args;
mod light_args;

mod client;

mod http;

mod retry;

mod interrupt;

mod summary;

mod life;

mod table;

mod action;

mod rerun;

mod send;

mod one;

mod fleet;

mod fleets;

mod watch;

mod state;

mod explain;

mod light;

mod csv;

mod devices;

mod command;

mod certificate;
mod token;

mod access;
mod audit;
mod transfer;

mod schema;

mod serve;

use args::{AuditCommand, Cli, Command, TokenCommand};
use exit::Failure;
use out::{Out, note};

/// Runs the process: its words in, its exit code out.
pub fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let cli = match parse(&words) {
        // A hub has exit codes of its own.
        Ok(Cli { command: Command::Serve(flags), .. }) => return serve::serve(&flags),
        parsed => parsed,
    };
    let outcome = cli.and_then(|cli| run(&cli, words));
    if let Err(failure) = &outcome
        && !failure.is_silent()
    {
        note(&format!("hub: {failure}"));
    }
    exit::exit_code(&outcome)
}

/// The words as a verb; help and version are shown here.
fn parse(words: &[String]) -> Result<Cli, Failure> {
    Cli::try_parse_from(words).map_err(|error| match error.kind() {
        // Whether somebody reads the help or not, nothing is left to do.
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match error.print() {
            Ok(()) | Err(_) => Failure::PipeClosed,
        },
        _ => Failure::Usage(one_line(&error.to_string())),
    })
}

/// Clap's message without the usage below it: what is wrong, and the way out.
fn one_line(text: &str) -> String {
    let said = text.lines().map(str::trim).take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    let joined = said.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let plain = joined.strip_prefix("error: ").unwrap_or(&joined);
    format!("{} (see --help)", plain.replace(":;", ":"))
}

fn run(cli: &Cli, words: Vec<String>) -> Result<(), Failure> {
    let mut out = Out::stdout();
    match &cli.command {
        Command::Config(command) => serve::config(command, &mut out),
        Command::Completions { shell } => completions(*shell, &mut out),
        Command::Token(TokenCommand::Issue(args)) if args.offline => {
            let dir = args.data_dir.clone().unwrap_or_default();
            serve::issue_offline(args, &dir, &mut out)
        }
        Command::Export(args) if args.offline => transfer::export_offline(args),
        Command::Import(args) => transfer::import(args, &mut out),
        Command::Audit(AuditCommand::Verify(args)) if args.offline => {
            audit::verify_offline(args, &mut out)
        }
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime =
                runtime.map_err(|error| Failure::Refused(format!("no runtime: {error}")))?;
            runtime.block_on(ask(command, &cli.connection, words, &mut out))
        }
    }
}

/// The verbs that talk to a hub.
async fn ask(
    command: &Command,
    connection: &connect::Connection,
    words: Vec<String>,
    out: &mut Out,
) -> Result<(), Failure> {
    match command {
        Command::Send(args) => send::run(args, connection, words, out).await,
        Command::Fleet(command) => fleets::run(command, connection, out).await,
        Command::Command(args) => command::run(args, connection, out).await,
        Command::Override(args) => light::overrides(args, connection, out).await,
        Command::Profile(command) => light::profiles(command, connection, out).await,
        Command::Explain(args) => explain::run(args, connection, out).await,
        Command::State(args) => state::run(args, connection, out).await,
        Command::Watch(args) => watch::run(args, connection, out).await,
        Command::Devices(args) => devices::list(args, connection, out).await,
        Command::Device(command) => devices::change(command, connection, out).await,
        Command::Access(command) => access::run(command, connection, out).await,
        Command::Token(command) => token::run(command, connection, out).await,
        Command::Certificate(command) => certificate::run(command, connection, out).await,
        Command::Schema(command) => schema::run(command, connection, out).await,
        Command::Audit(command) => audit::run(command, connection, out).await,
        Command::Export(args) => transfer::export(args, connection).await,
        Command::Status(args) => devices::status(args.json, connection, out).await,
        Command::Serve(_)
        | Command::Config(_)
        | Command::Import(_)
        | Command::Completions { .. } => Ok(()),
    }
}

fn completions(shell: clap_complete::Shell, out: &mut Out) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hub", &mut script);
    out.raw(&script)
}

#[cfg(test)]
mod tests;
