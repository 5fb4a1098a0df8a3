//! The words of `hub audit`, as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::audit::Head;

/// `hub audit …`
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show who changed what, and who was refused
    List(AuditListArgs),
    /// Prove that no record was changed or taken out
    Verify(AuditVerifyArgs),
}

/// `hub audit list`
#[derive(Debug, Args)]
pub(crate) struct AuditListArgs {
    /// From this moment on: 2026-11-21T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Of this person, program, device or token; a part is enough
    #[arg(long, value_name = "NAME")]
    pub(crate) who: Option<String>,
    /// About this verb, device, channel or command; a part is enough
    #[arg(long, value_name = "WORD")]
    pub(crate) what: Option<String>,
    /// Only among the last so many records; 100, if nothing else is asked for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) last: Option<u64>,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

impl AuditListArgs {
    /// Records that are shown where nothing is asked for.
    pub(crate) const LAST: u64 = 100;
}

/// `hub audit verify`
#[derive(Debug, Args)]
pub(crate) struct AuditVerifyArgs {
    /// What an earlier `verify` said to note: the log must still have that record
    #[arg(long, value_name = "N:HASH", value_parser = noted)]
    pub(crate) noted: Option<Head>,
    /// Read the data of a hub that isn't running
    #[arg(long, requires = "data_dir")]
    pub(crate) offline: bool,
    /// The data folder, with --offline
    #[arg(long, value_name = "DIR", requires = "offline")]
    pub(crate) data_dir: Option<PathBuf>,
}

fn noted(text: &str) -> Result<Head, String> {
    Head::parse(text).ok_or_else(|| "write a number, a colon and 64 hex digits".to_owned())
}
