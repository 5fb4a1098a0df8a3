//! Who waits for the ledger: a peer behind its mailbox, or a task that asked over HTTP.

use std::sync::Arc;

use proto::envelope::{Ack, Envelope, ErrorCode, Kind};
use tokio::sync::oneshot;

use super::devices::Peer;
use crate::codec::{Refusal, encode, outbound};
use crate::fleet::FleetId;
use crate::ledger;
use crate::mailbox::{Mailbox, Wakes};

/// Who waits for an answer of the ledger.
#[derive(Debug)]
pub(crate) enum Asker {
    /// A peer, with its request id.
    Peer(Arc<Mailbox>, u64),
    /// A target of a fleet command, by its index; answered beside the ledger.
    Target(FleetId, u32),
    /// A task of the runtime.
    Task(oneshot::Sender<Result<ledger::Accepted, Refusal>>),
}

impl Asker {
    pub(crate) fn peer(peer: &Peer, request: u64) -> Self {
        Self::Peer(peer.mailbox.clone(), request)
    }

    /// Hands over the ledger's answer.
    pub(crate) fn answer(
        self,
        answer: Result<ledger::Accepted, ledger::Refusal>,
        wakes: &mut Wakes,
    ) {
        match self {
            Self::Peer(mailbox, request) => wakes.add(mailbox.answer(reply(request, &answer))),
            Self::Target(..) => {}
            // It may have given up; the command is accepted all the same.
            Self::Task(task) => drop(task.send(answer.map_err(refusal))),
        }
    }

    /// A report is as durable as it has to be.
    pub(crate) fn acknowledge(self, wakes: &mut Wakes) {
        if let Self::Peer(mailbox, request) = self {
            let ack = Ack { durable: true, ..Ack::default() };
            wakes.add(mailbox.answer(encode(&Envelope { request, kind: Kind::Ack(ack) })));
        }
    }
}

/// Waits for the ledger's answer.
pub(crate) async fn answered(
    answer: oneshot::Receiver<Result<ledger::Accepted, Refusal>>,
) -> Result<ledger::Accepted, Refusal> {
    answer.await.unwrap_or_else(|_| {
        let text = "the hub has too much to do; whether it was accepted is unknown";
        Err(Refusal::retry(ErrorCode::Unavailable, "", text, 5_000))
    })
}

fn reply(request: u64, answer: &Result<ledger::Accepted, ledger::Refusal>) -> bytes::Bytes {
    match answer {
        Ok(accepted) => {
            let text = accepted.command.text();
            let (command, state) = (text.as_str(), accepted.state);
            let ack = Ack { command, state, durable: true, ..Ack::default() };
            encode(&Envelope { request, kind: Kind::Ack(ack) })
        }
        Err(error) => outbound::refusal(request, &refusal(*error)),
    }
}

fn refusal(error: ledger::Refusal) -> Refusal {
    use ledger::Refusal as Why;
    let (code, field, retry_after_ms) = match error {
        Why::AlreadyEnded { .. } | Why::AlreadySent => (ErrorCode::Conflict, "cancel.command", 0),
        Why::Busy => (ErrorCode::Unavailable, "", 5_000),
        Why::Conflict => (ErrorCode::Conflict, "send.request_id", 0),
        Why::NotFound => (ErrorCode::NotFound, "cancel.command", 0),
        Why::QueueFull => (ErrorCode::QueueFull, "send.device", 60_000),
        Why::StoreFull => (ErrorCode::Unavailable, "", 5_000),
        Why::TooLong { field, .. } => (ErrorCode::BadValue, field, 0),
        Why::TtlOutOfRange { .. } => (ErrorCode::BadValue, "send.ttl_s", 0),
    };
    Refusal::retry(code, field, error.to_string(), retry_after_ms)
}
