//! The machine's life under virtual time: a scripted hub on the other side of a link that delays,
//! doubles and breaks. Every random story states its seed when it fails.

mod commands;
mod connection;
mod reports;
mod sizes;
mod support;
