//! The verbs that don't talk to a hub but are one: `serve`, `config …`, `token issue --offline`.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::args::{ConfigCommand, IssueArgs};
use super::exit::Failure;
use super::out::Out;
use super::token::show_issued;
use crate::config::{self, Flags};
use crate::server;

/// Runs the hub until a signal ends it.
pub(crate) fn serve(flags: &Flags) -> ExitCode {
    server::serve(flags)
}

/// Runs `hub config …`.
pub(crate) fn config(command: &ConfigCommand, out: &mut Out) -> Result<(), Failure> {
    let (ConfigCommand::Check(flags) | ConfigCommand::Show(super::args::ShowArgs { flags, .. })) =
        command;
    let (file, _) = config::load(flags, std::env::vars())
        .map_err(|error| Failure::Usage(error.to_string().trim().replace('\n', " ")))?;
    match command {
        ConfigCommand::Check(_) => out.line("the configuration is fine"),
        ConfigCommand::Show(_) => {
            let text = toml::to_string_pretty(&file)
                .map_err(|error| Failure::Refused(format!("can't be written as TOML: {error}")))?;
            out.block(&text)
        }
    }
}

/// Issues a token by writing into the data of a hub that isn't running.
pub(crate) fn issue_offline(
    args: &IssueArgs,
    data_dir: &Path,
    out: &mut Out,
) -> Result<(), Failure> {
    let name = args.name.clone().unwrap_or_default();
    let (id, token) = server::issue_token_offline(data_dir, &args.role, &name)
        .map_err(|error| Failure::Refused(error.to_string()))?;
    let made = json!({
        "id": id.to_string(), "role": args.role, "name": name, "token": token.secret(),
    });
    show_issued(&made, args.json, out)
}
