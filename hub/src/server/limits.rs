//! What the system lets the hub have: descriptors, and so connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::ServeError;

/// Descriptors kept for files, listeners and requests of operators.
const RESERVED: u64 = 2_000;

/// Raises the limit of descriptors as far as it goes, and returns how many connections fit: those
/// configured, or all that the limit leaves.
///
/// # Errors
/// More are configured than fit.
pub fn connections(configured: usize) -> Result<usize, ServeError> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised,
        Err(_) => limit,
    };
    let descriptors = limit.current.unwrap_or(1 << 20);
    let room = descriptors.saturating_sub(RESERVED).max(descriptors / 2);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if configured > room {
        let text = format!(
            "limits.connections is {configured}, but {descriptors} descriptors leave {room}; \
             raise the limit (ulimit -n, LimitNOFILE) or lower the setting"
        );
        let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, text);
        return Err(ServeError::System { what: "too many connections", source });
    }
    Ok(if configured == 0 { room } else { configured })
}
