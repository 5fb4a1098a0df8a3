//! A dashboard that believes nothing: it watches all streams of the fleet and holds each value that it
//! sees against the lamps' books.
//!
//! After a lost connection it comes back and subscribes anew; what it sees then may be older than what
//! it saw last, because a hub that crashed forgets what it had shown but never acknowledged.

use std::sync::Arc;
use std::time::Duration;

use proto::envelope::{Batch, CommandUpdate, Kind, Message, Subscribe};
use proto::{CommandId, channels};

use crate::hub::Hub;
use crate::lamp::{Phase, Post, Shared};
use crate::ledger::Breach;
use crate::ledger::device::{Judgement, ReportName, Seen, Stream};
use crate::ledger::hash;
use crate::link::{Link, LinkError, encode};
use crate::metrics::Counter;

/// Between two tries to connect. The observer is one of a kind; no storm comes of it.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// The lamps of this process, by id.
#[derive(Debug)]
pub struct Fleet {
    /// All of them, in the order of their numbers.
    pub posts: Vec<Arc<Post>>,
    prefix: String,
    first: u32,
}

impl Fleet {
    /// Lamps whose ids are `prefix` and a number, from `first` on.
    pub fn new(posts: Vec<Arc<Post>>, prefix: &str, first: u32) -> Self {
        Self { posts, prefix: prefix.to_owned(), first }
    }

    /// The number of the first lamp.
    pub const fn first(&self) -> u32 {
        self.first
    }

    /// The lamp of this id, if it is one of ours.
    pub fn by_id(&self, id: &str) -> Option<&Arc<Post>> {
        let number: u32 = id.strip_prefix(&self.prefix)?.parse().ok()?;
        let post = self.posts.get(number.checked_sub(self.first)? as usize)?;
        (post.id == id).then_some(post)
    }

    /// The lamp and the stream of a channel.
    pub fn by_channel(&self, channel: &str) -> Option<(&Arc<Post>, Stream)> {
        let (device, known) = channels::known(channel)?;
        Some((self.by_id(device)?, Stream::by_suffix(known.suffix)?))
    }
}

/// What the observer itself went through.
#[derive(Debug, Default)]
pub struct Watched {
    /// Values seen.
    pub values: Counter,
    /// Values that the books no longer knew.
    pub too_old: Counter,
    /// Gap markers.
    pub gaps: Counter,
    /// Connections after the first.
    pub reconnects: Counter,
}

/// Observes until the run is over.
pub async fn observe(hub: Hub, shared: Arc<Shared>, fleet: Arc<Fleet>, watched: Arc<Watched>) {
    let mut phase = shared.phase.subscribe();
    loop {
        tokio::select! {
            _ = phase.wait_for(|phase| *phase == Phase::Over) => return,
            _ = Box::pin(watch(&hub, &shared, &fleet, &watched)) => {}
        }
        watched.reconnects.add();
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

/// One connection's worth of watching; ends with an error only.
async fn watch(
    hub: &Hub,
    shared: &Shared,
    fleet: &Fleet,
    watched: &Watched,
) -> Result<(), LinkError> {
    let (mut link, _) = Link::open(&hub.target().for_reader(), hub.token(), 0).await?;
    for post in &fleet.posts {
        post.book.lock().new_observer();
    }
    for (request, suffix) in
        Stream::ALL.map(Stream::suffix).into_iter().chain(["commands"]).enumerate()
    {
        let pattern = format!("devices.*.{suffix}");
        let subscribe = Subscribe { pattern: &pattern, ..Subscribe::default() };
        link.send(&encode(request as u64 + 1, Kind::Subscribe(subscribe))).await?;
    }
    loop {
        let bytes = link.next().await?;
        let Ok(batch) = Batch::parse(&bytes) else { return Err(LinkError::Lost) };
        for envelope in batch {
            match envelope.kind {
                Kind::Message(message) if message.channel.ends_with(".commands") => {
                    take_update(shared, &message);
                }
                Kind::Message(message) => judge(shared, fleet, watched, &message),
                Kind::Gap(_) => watched.gaps.add(),
                _ => {}
            }
        }
    }
}

fn judge(shared: &Shared, fleet: &Fleet, watched: &Watched, message: &Message<'_>) {
    let Some((post, stream)) = fleet.by_channel(message.channel) else { return };
    watched.values.add();
    shared.metrics.observed.add();
    let seen = seen(message);
    let judgement = post.book.lock().observed(stream, seen);
    note(shared, watched, &post.id, stream, seen, judgement);
}

/// A message as the ledgers name it.
pub fn seen(message: &Message<'_>) -> Seen {
    let name = ReportName { boot: message.boot, seq: message.seq };
    Seen { name, hash: hash(message.payload.unwrap_or_default()) }
}

fn note(
    shared: &Shared,
    watched: &Watched,
    id: &str,
    stream: Stream,
    seen: Seen,
    judgement: Judgement,
) {
    match judgement {
        Judgement::True => {}
        Judgement::TooOld => watched.too_old.add(),
        Judgement::Broken(breach) => shared.findings.add(breach, || example(id, stream, seen)),
    }
}

/// A case in words.
pub fn example(id: &str, stream: Stream, seen: Seen) -> String {
    let ReportName { boot, seq } = seen.name;
    format!("{id}.{}: boot {boot}, seq {seq}", stream.suffix())
}

/// Writes a step of a command's life into the book of commands.
pub fn take_update(shared: &Shared, message: &Message<'_>) {
    let Ok(update) = CommandUpdate::decode(message.payload.unwrap_or_default()) else {
        shared
            .findings
            .add(Breach::Phantom, || format!("{}: an update that can't be read", message.channel));
        return;
    };
    let Ok(id) = CommandId::parse(update.command) else { return };
    // A note after the end, not a state.
    if update.late {
        return;
    }
    let request = crate::console::request_number(update.request_id, shared.run);
    let now = shared.clock.now();
    if let Some(us) = shared.commands.updated(&shared.findings, id, request, update.state, now) {
        shared.metrics.command_ended.record(us);
    }
}
