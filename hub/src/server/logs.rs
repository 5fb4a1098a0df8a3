//! Logs on stderr: for people, or as JSON lines. The filter can change while the hub runs.

use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// Changes the filter of the log.
pub struct Handle(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

impl Handle {
    /// Logs by this filter from now on; a wrong one changes nothing, see [`check`].
    pub fn set(&self, filter: &str) {
        if let Ok(filter) = EnvFilter::try_new(filter) {
            self.0(filter);
        }
    }
}

/// Whether a filter can be used.
///
/// # Errors
/// Says what is wrong with it.
pub fn check(filter: &str) -> Result<(), String> {
    let checked = EnvFilter::try_new(filter).map(drop);
    checked.map_err(|error| format!("is `{filter}`: {error}; write it as in hub=debug,info"))
}

/// Begins to log as the configuration says. A second call changes nothing.
pub fn begin(config: &Config) -> Handle {
    let filter = EnvFilter::try_new(&config.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr);
    // Only where the log is gone it takes no filter.
    let (handle, begun) = if config.log_json {
        let builder = builder.json().with_env_filter(filter).with_filter_reloading();
        let filter = builder.reload_handle();
        let set = move |fresh| drop(filter.reload(fresh));
        (Handle(Box::new(set)), builder.try_init())
    } else {
        use std::io::IsTerminal as _;
        let builder = builder.with_ansi(std::io::stderr().is_terminal());
        let builder = builder.with_env_filter(filter).with_filter_reloading();
        let filter = builder.reload_handle();
        let set = move |fresh| drop(filter.reload(fresh));
        (Handle(Box::new(set)), builder.try_init())
    };
    if begun.is_err() {
        tracing::debug!("logging had begun before");
    }
    handle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_refused_before_it_is_used() {
        assert!(check("hub=loud").is_err_and(|error| error.contains("hub=loud")));
        assert_eq!(check("hub=debug,info"), Ok(()));
    }
}
