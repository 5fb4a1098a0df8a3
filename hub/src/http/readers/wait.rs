//! Waiting for the next value of one channel: what a conditional GET with `Prefer: wait=…` does.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use proto::{ChannelName, ChannelPattern, CloseCode};

use super::{Seat, closed};
use crate::access::Admission;
use crate::clock;
use crate::codec::Frame;
use crate::http::Api;
use crate::http::problem::Problem;
use crate::mailbox::{Item, Mailbox, Taken};

/// Messages taken out of the mailbox at once, in bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// The channel's newest value as soon as its revision is not `revision`, which is at once if it isn't
/// now; `None` if that didn't happen within `patience`, or the hub goes. `type_name` means one of the
/// types of a channel that carries several. A revision of 0 means that the asker has no value.
///
/// The asker occupies a reader's place and is a session while it waits.
///
/// # Errors
/// It may not see the channel, there are too many readers, or its credential ended meanwhile.
pub async fn wait_for_newer(
    api: &Api,
    admission: &Admission,
    channel: &ChannelName,
    type_name: &str,
    revision: u64,
    patience: Duration,
) -> Result<Option<Arc<Frame>>, Problem> {
    let pattern = ChannelPattern::parse(channel.as_str()).expect("a name is a pattern");
    let patterns = [pattern];
    let seat = Seat::take(api, admission, &patterns)?;
    let mailbox = &seat.peer.mailbox;
    // First the subscription, then the look: what comes between is seen by both.
    api.broker.subscribe_all(&patterns, None, false, mailbox)?;
    let channel = api.broker.channel(channel)?;
    let other = |frame: &Arc<Frame>| frame.offset() != revision && mailbox.may_see(frame);
    let left = seat.ends.map(|ends| ends.saturating_duration_since(clock::mono()));
    let patience = left.map_or(patience, |left| left.min(patience));
    if let Some(frame) = channel.last_of(type_name).filter(other) {
        return Ok(Some(frame));
    }
    let wanted = |frame: &Arc<Frame>| other(frame) && type_name == frame.type_name();
    match tokio::time::timeout(patience, next(mailbox, wanted)).await {
        // A channel that keeps nothing has only what came.
        Ok(Ok(came)) => Ok(channel.last_of(type_name).filter(other).or(came)),
        Ok(Err(CloseCode::DRAIN)) => Ok(None),
        Ok(Err(code)) => Err(closed(code)),
        Err(_) => seat.ended().map_or(Ok(None), |code| Err(closed(code))),
    }
}

/// The next message that is wanted; none if so many came that they were left out.
async fn next(
    mailbox: &Mailbox,
    wanted: impl Fn(&Arc<Frame>) -> bool,
) -> Result<Option<Arc<Frame>>, CloseCode> {
    let mut taken = Taken::default();
    poll_fn(|context| {
        while mailbox.poll_take(context, BATCH_BYTES, &mut taken).is_ready() {
            if let Some(code) = taken.close {
                return Poll::Ready(Err(code));
            }
            let messages = taken.items.drain(..).filter_map(|item| match item {
                Item::Message(frame) => Some(frame),
                Item::Answer(_) => None,
            });
            let last = messages.filter(&wanted).last();
            if last.is_some() || taken.lagging.is_some() {
                return Poll::Ready(Ok(last));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::access::role;
    use crate::audit::Actor;
    use crate::broker::publish::{Receipt, Value};
    use crate::broker::{Broker, Settings, Ticket};
    use crate::clock::{self, Now};
    use crate::http::readers::{Limits, Readers};
    use crate::mailbox::Wakes;
    use crate::metrics::Metrics;
    use crate::store::{MemoryStore, Writer, WriterSettings};
    use crate::twin::{ReportId, Rules};

    /// Longer than any test lives.
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_value_that_is_newer_already_is_answered_at_once() {
        let (api, admission, name) = begin().await;
        put(&api, &name, b"1");
        put(&api, &name, b"2");
        let newest = api.broker.channel(&name).expect("there").last_of("").expect("a value");
        let held = newest.offset() - 1;
        let found = wait_for_newer(&api, &admission, &name, "", held, LONG).await;
        assert_eq!(found.expect("permitted").map(|frame| frame.offset()), Some(newest.offset()));
    }

    #[tokio::test]
    async fn silence_is_nothing_and_the_next_value_ends_the_wait() {
        let (api, admission, name) = begin().await;
        put(&api, &name, b"1");
        let held = api.broker.channel(&name).expect("there").last_of("").expect("a value").offset();
        let short = Duration::from_millis(20);
        let silence = wait_for_newer(&api, &admission, &name, "", held, short).await;
        assert!(silence.expect("permitted").is_none());

        let next = wait_for_newer(&api, &admission, &name, "", held, LONG);
        let (found, ()) = tokio::join!(next, async { put(&api, &name, b"2") });
        let found = found.expect("permitted").expect("a value");
        assert_eq!(found.message().payload, Some(&b"2"[..]));
        let mailboxes = api.broker.session_mailboxes();
        assert!(mailboxes.is_empty(), "who was answered is no session any more");
    }

    #[tokio::test]
    async fn a_revoked_token_ends_the_wait() {
        let (api, admission, name) = begin().await;
        let wait = wait_for_newer(&api, &admission, &name, "", 0, LONG);
        let revoke = async {
            let (id, _) = api.broker.tokens().remove(0);
            api.broker.revoke_token(Now::read(), &id, &Actor::hub()).await.expect("it is there");
        };
        let (ended, ()) = tokio::join!(wait, revoke);
        assert!(ended.is_err());
    }

    async fn begin() -> (Api, Admission, ChannelName) {
        let store = MemoryStore::default();
        let metrics = Arc::new(Metrics::new());
        let rules = Rules::with_built_in(Vec::new());
        let restored = Broker::restore(Settings::default(), rules, metrics, &store, Now::read());
        let (broker, _) = restored.expect("it can be read");
        let weak = Arc::downgrade(&broker);
        let on_commit = move |tickets: Vec<Ticket>| {
            if let Some(broker) = weak.upgrade() {
                broker.committed(tickets);
            }
        };
        let settings = WriterSettings::default();
        let writer = Writer::start(Box::new(store), settings, clock::mono, on_commit, |_| {});
        let begun = broker.begin(writer.expect("a thread"), Now::read()).await;
        begun.expect("the store is healthy");
        let issued = broker.issue_token(Now::read(), role::VIEWER, "wall", &Actor::hub()).await;
        let (_, token) = issued.expect("there is room");
        let admission = broker.identify(Now::read(), token.secret()).expect("issued");
        let ready = Arc::new(AtomicBool::new(true));
        let (settings, readers) = (Arc::default(), Readers::new(Limits::default()));
        let api = Api { broker, ready, settings, readers };
        let name = ChannelName::parse("city.a").expect("valid");
        (api, admission, name)
    }

    fn put(api: &Api, name: &ChannelName, payload: &[u8]) {
        let channel = api.broker.channel(name).expect("there is room");
        let value = Value {
            type_name: "",
            payload,
            report: ReportId::default(),
            measured_unix_ms: 0,
            instead_of: None,
        };
        let mut wakes = Wakes::default();
        let put = api.broker.publish(Now::read(), &channel, value, &Receipt::None, &mut wakes);
        put.expect("there is room");
    }
}
