//! Waiting between attempts to connect.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LAST: Duration = Duration::from_secs(15);

/// Doubling pauses, each spread over its upper half so that many shells don't come as one.
#[derive(Debug)]
pub(crate) struct Backoff {
    pause: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { pause: FIRST }
    }
}

impl Backoff {
    /// Waits; the next wait is longer.
    pub(crate) async fn wait(&mut self) {
        let random = uuid::Uuid::new_v4().as_bytes()[0];
        tokio::time::sleep(spread(self.pause, random)).await;
        self.pause = (self.pause * 2).min(LAST);
    }
}

fn spread(pause: Duration, random: u8) -> Duration {
    pause / 2 + pause / 2 * u32::from(random) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_stays_in_its_upper_half() {
        assert_eq!(spread(LAST, 0), LAST / 2);
        assert_eq!(spread(LAST, 255), LAST);
    }
}
