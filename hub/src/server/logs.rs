//! Logs on stderr: for people, or as JSON lines.

use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// Begins to log as the configuration says. A second call changes nothing.
pub fn begin(config: &Config) {
    let filter = EnvFilter::try_new(&config.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let begun = if config.log_json {
        builder.json().try_init()
    } else {
        use std::io::IsTerminal as _;
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    if begun.is_err() {
        tracing::debug!("logging had begun before");
    }
}
