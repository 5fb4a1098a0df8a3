//! How connections end when the hub stops: first a while for what is under way, then one by one over
//! the spread, so that they come back to another hub, or to this one, spread as well.

use std::sync::Arc;
use std::time::Duration;

use proto::CloseCode;

use super::Stop;
use crate::broker::Broker;
use crate::clock;
use crate::config::Drain;

/// Pause between two looks at what is left.
const STEP: Duration = Duration::from_millis(50);

/// Closes all connections within the drain's times; a second signal hurries.
pub async fn connections(broker: &Arc<Broker>, drain: &Drain, stop: &mut Stop) {
    tokio::select! {
        () = close_all(broker, drain) => {}
        () = stop.wait() => tracing::warn!("told to stop again: not waiting any longer"),
        () = tokio::time::sleep(drain.hard_stop) => tracing::warn!("hard stop"),
    }
}

async fn close_all(broker: &Arc<Broker>, drain: &Drain) {
    let mailboxes = broker.session_mailboxes();
    if mailboxes.is_empty() {
        return;
    }
    tracing::info!(sessions = mailboxes.len(), "draining");
    tokio::time::sleep(drain.grace).await;
    let began = clock::mono();
    let count = mailboxes.len();
    for (at, mailbox) in mailboxes.into_iter().enumerate() {
        let due = drain.spread.mul_f64(at as f64 / count as f64);
        let early = due.saturating_sub(clock::mono() - began);
        if early > STEP {
            tokio::time::sleep(early).await;
        }
        mailbox.close(CloseCode::DRAIN).wake();
    }
    while !broker.session_mailboxes().is_empty() {
        for mailbox in broker.session_mailboxes() {
            // Those that came in between.
            mailbox.close(CloseCode::DRAIN).wake();
        }
        tokio::time::sleep(STEP).await;
    }
}
