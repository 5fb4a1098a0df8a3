//! From a received message to its effects: the codec, the session and the broker in one line each.

use std::sync::Arc;

use proto::envelope::{Ack, Envelope, ErrorCode, Hello, Kind, Pong, Position, Welcome};
use proto::{CloseCode, limits};

use super::audited::{self, Asked};
use super::connection::{End, Link};
use super::line::Line;
use crate::audit::{Record, Verb};
use crate::broker::at_once::{Publishing, Written, is_told_to_devices};
use crate::broker::channel::Channel;
use crate::broker::devices::Turned;
use crate::broker::publish::{EXPECTED, Origin, Receipt, Sender, Value, stale};
use crate::broker::{Broker, Peer};
use crate::clock::Now;
use crate::codec::request::{Change, Publication, Refusal, Report, Sending, Subscription};
use crate::codec::{Encoding, Frame, Inbound, encode, outbound};
use crate::mailbox::Wakes;
use crate::metrics::Limit;
use crate::session::{Effect, Input};
use crate::twin::ReportId;

/// A binary message.
pub(super) fn binary(
    link: &mut Link,
    line: &mut Line,
    now: Now,
    message: &[u8],
) -> Result<(), End> {
    let inbound = Inbound::binary(message).map_err(|_| End::Close(CloseCode::MALFORMED))?;
    requests(link, line, now, inbound, message.len())
}

/// A text message.
pub(super) fn text(link: &mut Link, line: &mut Line, now: Now, message: &str) -> Result<(), End> {
    match Inbound::text(message) {
        Ok(inbound) => requests(link, line, now, inbound, message.len()),
        Err(malformed) => {
            // Text is written by people: they are told what is wrong before the close.
            line.send_batch(&link.shared.broker)?;
            line.outbound.set_encoding(Encoding::Json);
            let refusal = Refusal::new(ErrorCode::Malformed, "", malformed.to_string());
            line.outbound.envelope(&outbound::refusal(0, &refusal));
            Err(End::Close(CloseCode::MALFORMED))
        }
    }
}

/// A ping or pong of WebSocket.
pub(super) fn control(link: &mut Link, line: &mut Line, now: Now) -> Result<(), End> {
    let shared = link.shared.clone();
    let effect = link.session.handle(&shared.settings.session, now.mono, Input::Control);
    carry_out(link, line, now, 0, effect).map(drop)
}

fn requests(
    link: &mut Link,
    line: &mut Line,
    now: Now,
    mut inbound: Inbound<'_>,
    bytes: usize,
) -> Result<(), End> {
    let shared = link.shared.clone();
    if link.peer.is_none() {
        line.outbound.set_encoding(inbound.encoding());
    }
    // The message's bytes are charged to its first request; the others have none left to pay for.
    let mut bytes = bytes;
    inbound.for_each(|request_id, request| {
        shared.broker.metrics.received.inc();
        let asked = Asked::of(link, &request);
        let input = Input::Received { request, bytes: std::mem::take(&mut bytes) };
        let effect = link.session.handle(&shared.settings.session, now.mono, input);
        if let Some(asked) = asked {
            asked.refused(link, now, &effect);
        }
        carry_out(link, line, now, request_id, effect).map(drop)
    })
}

/// Does what the session asks; true if the driver is to send a ping.
pub(super) fn carry_out(
    link: &mut Link,
    line: &mut Line,
    now: Now,
    request: u64,
    effect: Effect<'_>,
) -> Result<bool, End> {
    let broker = link.shared.broker.clone();
    let done = match effect {
        Effect::None | Effect::Welcome => Ok(()),
        Effect::Close(code) => return Err(End::Close(code)),
        Effect::Ping => return Ok(true),
        Effect::Authenticate(hello) => {
            return authenticate(link, line, now, request, &hello).map(|()| false);
        }
        Effect::Pong => {
            let pong = Pong { time_unix_ms: now.unix_ms, ..Pong::default() };
            answer(line, request, Kind::Pong(pong));
            Ok(())
        }
        Effect::Refuse(refusal) => Err(refusal),
        Effect::Publish(publication) => publish(link, &broker, now, request, publication),
        Effect::Subscribe(subscription) => subscribe(link, line, &broker, request, &subscription),
        Effect::Unsubscribe(pattern) => {
            let peer = admitted(link);
            broker.unsubscribe(&pattern, peer.mailbox.id());
            line.reader.end(&pattern);
            acknowledge(line, request, Ack::default());
            Ok(())
        }
        Effect::Send(sending) => send(link, &broker, now, request, sending),
        Effect::Cancel(command) => broker.cancel(now, admitted(link), request, command),
        Effect::Report(report) => {
            on_report(link, &broker, now, request, &report);
            Ok(())
        }
        Effect::Ready => {
            if let Some(session) = &admitted(link).device {
                broker.ready(now, session);
            }
            acknowledge(line, request, Ack::default());
            Ok(())
        }
    };
    if let Err(refusal) = &done {
        count(&broker, refusal);
    }
    if let Err(refusal) = done
        && (request != 0 || refusal.seq != 0)
    {
        line.outbound.envelope(&outbound::refusal(request, &refusal));
    }
    Ok(false)
}

/// Finds out who it is, lets it in, and answers HELLO.
fn authenticate(
    link: &mut Link,
    line: &mut Line,
    now: Now,
    request: u64,
    hello: &Hello<'_>,
) -> Result<(), End> {
    let shared = link.shared.clone();
    let (broker, limits) = (&shared.broker, &shared.settings.session);
    let verdict = broker.authenticate(now, hello.token, &link.origin.certificate);
    let entered = verdict.map_err(Turned::from).and_then(|admission| {
        let mut peer = broker.enter_session(now, &admission, hello)?;
        peer.address = Some(link.origin.address);
        Ok((admission, peer))
    });
    let (admission, peer) = match entered {
        Ok(entered) => entered,
        Err(turned) => {
            let code = turned.code;
            if code == CloseCode::BAD_CREDENTIAL {
                link.origin.place.refused(now.mono);
            }
            audited::turned_away(link, now, code);
            tracing::info!(address = %link.origin.address, reason = code.reason(), "turned away");
            if turned.retry_after_s > 0 {
                line.outbound.envelope(&outbound::go_away(code, turned.retry_after_s));
            }
            let effect = link.session.handle(limits, now.mono, Input::Admitted(Err(code)));
            return carry_out(link, line, now, request, effect).map(drop);
        }
    };
    let identity = &admission.identity;
    tracing::debug!(peer = %identity, address = %link.origin.address, "session began");
    let (name, ends) = (identity.to_string(), admission.ends(now));
    let effect = link.session.handle(limits, now.mono, Input::Admitted(Ok(admission.identity)));
    debug_assert!(matches!(effect, Effect::Welcome), "an admitted peer is welcome");
    if let Some(ends) = ends {
        link.session.end_at(ends);
    }
    welcome(link, line, now, request, &name, &peer);
    if hello.ready
        && let Some(session) = &peer.device
    {
        broker.ready(now, session);
    }
    line.mailbox = Some(peer.mailbox.clone());
    link.peer = Some(Box::new(peer));
    Ok(())
}

fn welcome(link: &Link, line: &mut Line, now: Now, request: u64, identity: &str, peer: &Peer) {
    let broker = link.shared.broker.clone();
    let session = peer.mailbox.id().to_string();
    let accepted_seq = peer.device.as_ref().map_or(0, |device| {
        let durable = *device.durable.lock();
        if durable.boot == device.boot { durable.seq } else { 0 }
    });
    let ping_interval = link.session.ping_interval().as_secs();
    let welcome = Welcome {
        session: &session,
        identity,
        time_unix_ms: now.unix_ms,
        ping_interval_s: u32::try_from(ping_interval).unwrap_or(u32::MAX),
        reconnect_window_s: broker.reconnect_window_s(),
        epoch: broker.position().epoch,
        accepted_seq,
        message_size_max: limits::MESSAGE_BYTES_MAX as u32,
        ..Welcome::default()
    };
    answer(line, request, Kind::Welcome(welcome));
}

fn publish(
    link: &mut Link,
    broker: &Arc<Broker>,
    now: Now,
    request: u64,
    publication: Publication<'_>,
) -> Result<(), Refusal> {
    let seq = publication.seq;
    let peer = link.peer.as_deref_mut().expect("the session publishes for admitted peers only");
    put(peer, &mut link.wakes, broker, now, request, publication).map_err(|refusal| {
        // A device drops what is refused for good, and keeps what may go later.
        let seq = if refusal.retry_after_ms == 0 { seq } else { 0 };
        Refusal { seq, ..refusal }
    })
}

fn put(
    peer: &mut Peer,
    wakes: &mut Wakes,
    broker: &Arc<Broker>,
    now: Now,
    request: u64,
    publication: Publication<'_>,
) -> Result<(), Refusal> {
    let Publication { channel, type_name, change, expected, boot, seq, measured_unix_ms } =
        publication;
    let (channel, report) = match &mut peer.device {
        Some(session) if session.stale => {
            let text = "the boot counter is lower than one that the hub has seen; raise it";
            return Err(Refusal::new(ErrorCode::StaleEpoch, "hello.boot", text));
        }
        Some(session) => {
            let boot = if boot == 0 { session.boot } else { boot };
            (broker.device_channel(session, channel.as_ref())?, ReportId { boot, seq })
        }
        None => {
            let name = channel.as_ref().expect("the session lets people name the channel");
            (broker.channel(name)?, ReportId::default())
        }
    };
    let type_name = channel.type_named(type_name)?;
    let is_told = peer.device.is_none() && is_told_to_devices(&channel);
    if is_told && expected.is_none() {
        let text = "is missing: name the revision that was read, or 0 if there is none yet";
        return Err(Refusal::new(ErrorCode::Conflict, EXPECTED, text));
    }
    let receipt = match &peer.device {
        Some(session) if seq != 0 => Receipt::Cumulative(&peer.mailbox, &session.durable),
        _ if request != 0 => Receipt::Answer(&peer.mailbox, request),
        _ => Receipt::None,
    };
    let content = match change {
        Change::Whole(content) => content,
        Change::Patch(patch) => {
            let peer = &*peer;
            return patch_value(
                &Patching { broker, peer, now, channel: &channel, type_name, expected },
                &patch,
                &receipt,
                wakes,
            );
        }
    };
    let payload = content.into_payload(type_name, &broker.types, "publish.data")?;
    let value =
        Value { type_name, payload: &payload, report, measured_unix_ms, instead_of: expected };
    let record =
        is_told.then(|| Record::done(broker.actor_of(peer), Verb::Publish, channel.name.as_str()));
    let origin = Origin { sender: Sender::Peer(&peer.identity), record };
    broker.publish_from(origin, now, &channel, value, &receipt, wakes).map(drop)
}

/// Whose patch it is, and of what.
struct Patching<'p> {
    broker: &'p Arc<Broker>,
    peer: &'p Peer,
    now: Now,
    channel: &'p Channel,
    type_name: &'p str,
    expected: Option<u64>,
}

fn patch_value(
    of: &Patching<'_>,
    patch: &serde_json::Value,
    receipt: &Receipt<'_>,
    wakes: &mut Wakes,
) -> Result<(), Refusal> {
    let revision = |held: Option<&Frame>| held.map_or(0, Frame::offset);
    let publishing = Publishing {
        type_name: of.type_name,
        by: of.broker.actor_of(of.peer),
        is_meant: |held: Option<&Frame>| of.expected.is_none_or(|wanted| wanted == revision(held)),
        change: |held: Option<&Frame>| {
            let payload = held.and_then(|held| held.message().payload).unwrap_or_default();
            of.broker.patched(of.type_name, payload, patch)
        },
    };
    match of.broker.write_meant(of.now, of.channel, &publishing, receipt, wakes)? {
        Written::Done { .. } => Ok(()),
        Written::Stale(held) => Err(stale(revision(held.as_deref()))),
    }
}

fn subscribe(
    link: &Link,
    line: &mut Line,
    broker: &Arc<Broker>,
    request: u64,
    subscription: &Subscription,
) -> Result<(), Refusal> {
    let beginning = broker.subscribe(subscription, &admitted(link).mailbox)?;
    let position: Position<'_> = beginning.position;
    let recovered = beginning.recovered.is_some();
    acknowledge(line, request, Ack { position: Some(position), recovered, ..Ack::default() });
    line.reader.begin(&subscription.pattern, beginning);
    Ok(())
}

fn send(
    link: &mut Link,
    broker: &Arc<Broker>,
    now: Now,
    request: u64,
    sending: Sending<'_>,
) -> Result<(), Refusal> {
    broker.send(now, admitted(link), request, sending)
}

fn on_report(link: &mut Link, broker: &Arc<Broker>, now: Now, request: u64, report: &Report<'_>) {
    let peer = admitted(link);
    let Some(session) = &peer.device else { return };
    broker.report(now, peer, session, request, report);
}

/// Refusals by a limit of the session, and kinds that the hub doesn't know.
fn count(broker: &Broker, refusal: &Refusal) {
    match (refusal.code, refusal.field) {
        (ErrorCode::Limit, "subscribe.pattern") => broker.metrics.limit_hit(Limit::Subscriptions),
        (ErrorCode::Unsupported, _) => drop(broker.metrics.unknown_kinds.inc()),
        _ => {}
    }
}

fn admitted(link: &Link) -> &Peer {
    link.peer.as_deref().expect("the session asks this for admitted peers only")
}

fn acknowledge(line: &mut Line, request: u64, ack: Ack<'_>) {
    if request != 0 {
        answer(line, request, Kind::Ack(ack));
    }
}

fn answer(line: &mut Line, request: u64, kind: Kind<'_>) {
    line.outbound.envelope(&encode(&Envelope { request, kind }));
}
