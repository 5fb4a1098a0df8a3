//! What the socket's door tells the audit log: who was refused what.
//!
//! What was done is told by the broker, in the batch of the effect.

use axum::http::{HeaderMap, header};
use proto::CloseCode;
use proto::envelope::ErrorCode;

use super::Shared;
use super::connection::Link;
use super::upgrade::Origin;
use crate::audit::{Actor, Door, Verb};
use crate::broker::credentials::Certificate;
use crate::clock::Now;
use crate::codec::request::Request;
use crate::session::Effect;

/// What a request is about, noted before the session takes it.
#[derive(Debug)]
pub(super) struct Asked {
    verb: Verb,
    object: String,
}

impl Asked {
    /// Nothing for what is never refused for lack of a right. A device's reports cost nothing here,
    /// but for those that name a channel of another.
    pub(super) fn of(link: &Link, request: &Request<'_>) -> Option<Self> {
        let own = link.session.identity().and_then(|identity| identity.device());
        let (verb, object) = match request {
            Request::Publish(publication) => {
                let channel = publication.channel.as_ref()?.as_str();
                let owner = proto::channels::device_of(channel);
                let writes = || proto::channels::known(channel).map(|(_, kind)| kind.writer);
                if own.is_some_and(|own| owner == Some(own.as_str()))
                    && writes() == Some(proto::channels::Writer::Device)
                {
                    return None;
                }
                (Verb::Publish, channel.to_owned())
            }
            Request::Subscribe(subscription) => {
                (Verb::Subscribe, subscription.pattern.as_str().to_owned())
            }
            Request::Send(sending) => (Verb::SendCommand, sending.device.as_str().to_owned()),
            Request::Cancel(command) => (Verb::CancelCommand, command.to_string()),
            Request::Report(_) if own.is_some() => return None,
            Request::Report(report) => (Verb::Report, report.command.to_string()),
            Request::Hello(_)
            | Request::Unsubscribe(_)
            | Request::Ready
            | Request::Ping
            | Request::Refused(_) => return None,
        };
        Some(Self { verb, object })
    }

    /// Records it, if the session refused it for lack of a right.
    pub(super) fn refused(self, link: &Link, now: Now, effect: &Effect<'_>) {
        let is_refused = match effect {
            Effect::Refuse(refusal) => refusal.code == ErrorCode::NotPermitted,
            Effect::Close(code) => *code == CloseCode::NOT_PERMITTED,
            _ => false,
        };
        let Some(peer) = link.peer.as_deref().filter(|_| is_refused) else { return };
        let broker = &link.shared.broker;
        let actor = broker.actor_of(peer);
        broker.audit_refusal(now, actor, self.verb, self.object, "NOT_PERMITTED");
    }
}

/// Records that a peer was not let in for what it presented.
pub(super) fn turned_away(link: &Link, now: Now, code: CloseCode) {
    let why = match code {
        CloseCode::BAD_CREDENTIAL => "BAD_CREDENTIAL",
        CloseCode::REVOKED => "REVOKED",
        CloseCode::CREDENTIAL_EXPIRED => "CREDENTIAL_EXPIRED",
        CloseCode::NOT_PERMITTED => "NOT_PERMITTED",
        // It came at a wrong time, or too often.
        _ => return,
    };
    let object = match &link.origin.certificate {
        Certificate::Device(id, _) => format!("certificate of {id}"),
        Certificate::Unusable => "unusable certificate".to_owned(),
        Certificate::None => String::new(),
    };
    let actor = Actor::unknown(Door::Socket, Some(link.origin.address));
    link.shared.broker.audit_refusal(now, actor, Verb::Connect, object, why);
}

/// Records that a web page of another origin tried to connect.
pub(super) fn foreign_page(shared: &Shared, origin: &Origin, headers: &HeaderMap) {
    let page = headers.get(header::ORIGIN).map(|page| String::from_utf8_lossy(page.as_bytes()));
    let actor = Actor::unknown(Door::Socket, Some(origin.address));
    let object = format!("from {}", page.unwrap_or_default());
    shared.broker.audit_refusal(Now::read(), actor, Verb::Connect, object, "ORIGIN");
}
