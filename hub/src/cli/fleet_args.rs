//! The words of `hub fleet`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::args::{command_id, patience, request_id};

/// `hub fleet …`
#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// The newest ones, and how they stand
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// How one stands, and what failed
    Show(ShowFleetArgs),
    /// Withdraw what was not sent
    Cancel {
        /// The id that `send` printed
        #[arg(value_parser = command_id)]
        id: String,
    },
    /// Send it again to the devices where it failed
    Again(AgainArgs),
}

/// `hub fleet show`
#[derive(Debug, Args)]
pub(crate) struct ShowFleetArgs {
    /// The id that `send` printed
    #[arg(value_parser = command_id)]
    pub(crate) id: String,
    /// Stay until it has ended
    #[arg(long)]
    pub(crate) wait: bool,
    /// Stop waiting after this; it goes on
    #[arg(long, value_name = "DURATION", value_parser = patience, requires = "wait")]
    pub(crate) timeout: Option<Duration>,
    /// Only its devices in this state: failed, expired, …
    #[arg(long, conflicts_with = "wait")]
    pub(crate) state: Option<String>,
    /// As JSON: the whole, or with --wait or --state one object a device
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hub fleet again`
#[derive(Debug, Args)]
pub(crate) struct AgainArgs {
    /// The id that `send` printed
    #[arg(value_parser = command_id)]
    pub(crate) id: String,
    /// Also where the outcome is unknown: it may be done twice there
    #[arg(long)]
    pub(crate) unknown: bool,
    /// Stay until it has ended
    #[arg(long)]
    pub(crate) wait: bool,
    /// Names this order: sent again under the same name, it is done only once
    #[arg(long, value_name = "ID", value_parser = request_id)]
    pub(crate) request_id: Option<String>,
}
