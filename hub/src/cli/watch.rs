//! `hub watch`: values of channels as they come.
//!
//! A lost connection is told on standard error and dialled again, with a snapshot, so what is shown
//! last is always what holds. What the hub left out is told, too, never papered over.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use proto::CloseCode;
use serde_json::{Value, json};

use super::args::WatchArgs;
use super::client::{Client, Incoming, Lost, failure_of};
use super::connect::{Connection, Target};
use super::exit::Failure;
use super::fields::{flag, items, moment, number, word};
use super::out::{Out, note};
use super::retry::Backoff;
use super::summary;
use super::units;
use crate::clock;

const SUBSCRIBE: u64 = 1;
/// A connection that lived so long starts the back-off anew.
const HEALTHY: Duration = Duration::from_secs(60);

/// Runs `hub watch`.
pub(crate) async fn run(
    args: &WatchArgs,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    let target = connection.target()?;
    let mut watch = Watch { args, left: args.count, out };
    let Some(duration) = args.duration else { return watch.stay(&target).await };
    // Time up is what was asked for, not a failure.
    tokio::time::timeout(duration, watch.stay(&target)).await.unwrap_or(Ok(()))
}

struct Watch<'a> {
    args: &'a WatchArgs,
    left: Option<u64>,
    out: &'a mut Out,
}

/// Why one connection's stream stopped.
enum Stop {
    Enough,
    Failed(Failure),
    Lost(Lost),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Lost> for Stop {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl Watch<'_> {
    /// Watches over as many connections as it takes.
    async fn stay(&mut self, target: &Target) -> Result<(), Failure> {
        // The first dial fails at once: a wrong address is no weather.
        let mut client = Client::connect(target).await?;
        let mut backoff = Backoff::default();
        let mut is_again = false;
        loop {
            let begun = clock::mono();
            match self.stream(client, begun, is_again).await {
                Stop::Enough => return Ok(()),
                Stop::Failed(failure) => return Err(failure),
                Stop::Lost(lost) => self.told_or_over(lost)?,
            }
            if clock::mono().saturating_duration_since(begun) > HEALTHY {
                backoff = Backoff::default();
            }
            is_again = true;
            client = Self::redial(target, &mut backoff).await?;
        }
    }

    /// A close that says "stay away" ends the watch; any other loss is told.
    fn told_or_over(&self, lost: Lost) -> Result<(), Failure> {
        if let Lost::Closed { code, .. } = &lost
            && !CloseCode(*code).is_temporary()
        {
            return Err(lost.into_failure());
        }
        note(&format!("connection lost: {lost}; connecting again"));
        Ok(())
    }

    async fn redial(target: &Target, backoff: &mut Backoff) -> Result<Client, Failure> {
        loop {
            backoff.wait().await;
            match Client::connect(target).await {
                Err(Failure::Unreachable(cause)) => note(&format!("not yet: {cause}")),
                Err(other) => return Err(other),
                Ok(client) => {
                    note("connected again");
                    return Ok(client);
                }
            }
        }
    }

    async fn stream(&mut self, mut client: Client, begun: Instant, is_again: bool) -> Stop {
        match self.listen(&mut client, begun, is_again).await {
            Err(stop) => {
                if matches!(stop, Stop::Enough) {
                    client.close().await;
                }
                stop
            }
            Ok(never) => match never {},
        }
    }

    async fn listen(
        &mut self,
        client: &mut Client,
        begun: Instant,
        is_again: bool,
    ) -> Result<std::convert::Infallible, Stop> {
        // After a loss only the last values make good what was missed.
        let snapshot = is_again || !self.args.no_snapshot;
        let body = json!({"pattern": self.args.pattern, "snapshot": snapshot});
        client.send(SUBSCRIBE, "subscribe", body).await?;
        loop {
            let heard = client.next().await?;
            let hub_now = hub_time(client, begun);
            match heard {
                Incoming::Message(message) => self.show(&message, hub_now)?,
                Incoming::Snapshot(page) => {
                    for value in items(&page, "values") {
                        self.show(value, hub_now)?;
                    }
                }
                Incoming::Gap(gap) => note(&gap_words(&gap)),
                Incoming::GoAway(_) => note("the hub is about to close"),
                Incoming::Error(_, error) => return Err(Stop::Failed(failure_of(&error))),
                Incoming::Ack(..) | Incoming::Other | Incoming::Welcome(_) => {}
            }
        }
    }

    fn show(&mut self, message: &Value, hub_unix_ms: u64) -> Result<(), Stop> {
        if self.args.json {
            self.out.json(message)?;
        } else {
            self.out.line(&line(message, hub_unix_ms, &TimeZone::system()))?;
        }
        if let Some(left) = &mut self.left {
            *left -= 1;
            if *left == 0 {
                return Err(Stop::Enough);
            }
        }
        Ok(())
    }
}

/// The hub's clock now, as far as its greeting told.
fn hub_time(client: &Client, begun: Instant) -> u64 {
    let passed = clock::mono().saturating_duration_since(begun).as_millis();
    client.hub_unix_ms.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
}

/// `21:30:04  devices.lamp-0001.telemetry  2 s ago  on 40 % · 17.2 W`.
fn line(message: &Value, hub_unix_ms: u64, zone: &TimeZone) -> String {
    let arrived = number(message, "time_unix_ms");
    let measured = moment(message, "measured_unix_ms").unwrap_or(arrived);
    let age = match measured {
        0 => "age unknown".to_owned(),
        measured => summary::age_at(hub_unix_ms, measured),
    };
    let wall = units::wall_time(arrived, zone);
    let channel = word(message, "channel");
    format!("{wall}  {channel}  {age}  {}", summary::value(message))
}

fn gap_words(gap: &Value) -> String {
    let dropped = number(gap, "dropped");
    let what_follows = if flag(gap, "snapshot_follows") {
        "the last values follow"
    } else {
        "they will not come again"
    };
    format!("gap: {dropped} messages were left out, because we read too slowly; {what_follows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_when_where_how_old_and_what() {
        let message = json!({
            "channel": "devices.lamp-0001.telemetry", "time_unix_ms": "1795296600000",
            "measured_unix_ms": "1795296588000", "type": "lighting.v1.TelemetryBatch",
            "data": {"samples": [{"actual_level_pct": 40, "active_power_w": 17.25}]},
        });
        assert_eq!(
            line(&message, 1_795_296_600_100, &TimeZone::UTC),
            "21:30:00.000  devices.lamp-0001.telemetry  12 s ago  40 % · 17.2 W"
        );
        assert!(line(&json!({}), 0, &TimeZone::UTC).contains("age unknown"));
    }

    #[test]
    fn a_gap_says_how_much_is_missing() {
        let gap = json!({"dropped": "12", "snapshot_follows": true});
        assert_eq!(
            gap_words(&gap),
            "gap: 12 messages were left out, because we read too slowly; the last values follow"
        );
    }
}
