//! `GET /v1/events`: a stream of server-sent events (the HTML standard, section 9.2).
//!
//! ```text
//!   retry: 4213                         the reader's own moment in the reconnect window
//!
//!   event: ack                          where it begins, and whether what was missed follows
//!   data: {"ack":{"position":{"epoch":"7349","offset":"184467"},"recovered":true}}
//!
//!   event: message
//!   id: 7349.184468                     everything up to here was given
//!   data: {"message":{…}}
//! ```
//!
//! `data` is the line that a reader of text gets over the socket. An event without `id` keeps the
//! position that the reader had.

use std::fmt::Write as _;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use proto::CloseCode;
use proto::envelope::{Ack, Envelope, GoAway, Kind};
use tokio::time::{Interval, MissedTickBehavior};

use super::Seat;
use super::ask::{Ask, ReadQuery};
use super::feed::{Begun, Feed, Page, Sheet, text};
use super::pieces::{Pieces, Source};
use crate::clock;
use crate::codec::{Encoding, Frame, LiveTypes};
use crate::http::Api;
use crate::http::auth::Person;
use crate::http::problem::Problem;
use crate::http::query::Params;
use crate::mailbox::Pulse;

/// Between two signs of life: less than what intermediaries take for silence.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The earliest moment to come back.
const RETRY_MS_MIN: u32 = 500;

/// Read live values as server-sent events: the last values first, if `snapshot=true`, then everything after
/// them. A reader that comes back with a position gets what it missed, or a snapshot unless it said
/// `snapshot=false`, and the event `ack` says which.
#[utoipa::path(get, path = "/v1/events", tag = "channels",
    params(ReadQuery, ("Last-Event-ID" = Option<String>, Header,
        description = "the `id` of the last event that was got; wins over `since`")),
    responses((status = 200, description = "events, until the reader leaves", body = String,
        content_type = "text/event-stream")))]
pub async fn stream(
    person: Person,
    State(api): State<Api>,
    Extension(pulse): Extension<Arc<Pulse>>,
    headers: HeaderMap,
    Params(query): Params<ReadQuery>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&query, &headers)?;
    let snapshot = ask.snapshot.unwrap_or(ask.since.is_some());
    let seat = Seat::take(&api, &person.0, &ask.patterns)?;
    let encoding = ask.encoding;
    let (feed, begun) = Feed::begin(seat, ask, snapshot)?;
    let events = Events::new(feed, &begun, encoding);
    let body = Body::from_stream(Pieces::new(events, pulse, api.broker.metrics.clone()));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Else a proxy may wait until it has a page full.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, body).into_response())
}

/// One event stream.
struct Events {
    feed: Feed,
    heartbeat: Interval,
    sheet: Text,
    ended: bool,
}

impl Events {
    fn new(feed: Feed, begun: &Begun, encoding: Encoding) -> Self {
        let mut heartbeat = tokio::time::interval_at((clock::mono() + HEARTBEAT).into(), HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sheet = Text { out: String::new(), epoch: begun.position.epoch, encoding };
        sheet.retry(retry_ms(feed.broker().reconnect_window_s()));
        let ack =
            Ack { position: Some(begun.position), recovered: begun.recovered, ..Ack::default() };
        // Only a reader that is owed nothing has everything up to here.
        let is_here = !begun.recovered && !begun.snapshot;
        let reached = is_here.then_some(begun.position.offset);
        sheet.event("ack", reached, &text(&Envelope::new(Kind::Ack(ack))));
        Self { feed, heartbeat, sheet, ended: false }
    }

    /// The last event says why, and when to come back.
    fn end(&mut self, code: CloseCode) {
        self.ended = true;
        let broker = self.feed.broker();
        broker.metrics.closed(code.0);
        let window = broker.reconnect_window_s();
        self.sheet.retry(retry_ms(window));
        let go_away =
            GoAway { code: u32::from(code.0), reconnect_window_s: window, ..GoAway::default() };
        self.sheet.event("go_away", None, &text(&Envelope::new(Kind::GoAway(go_away))));
    }
}

impl Source for Events {
    fn is_cut(&self) -> bool {
        !self.ended && self.feed.ended().is_some()
    }

    fn poll_text(&mut self, context: &mut Context<'_>) -> Poll<Option<String>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut beats = false;
        // Asked until it waits, so that it wakes at the next beat.
        while self.heartbeat.poll_tick(context).is_ready() {
            beats = true;
        }
        if beats {
            self.sheet.heartbeat(self.feed.reached());
        }
        match self.feed.poll_pull(context, &mut self.sheet) {
            Poll::Ready(Some(code)) => self.end(code),
            Poll::Pending if self.sheet.is_empty() => return Poll::Pending,
            Poll::Pending | Poll::Ready(None) => {}
        }
        Poll::Ready(Some(std::mem::take(&mut self.sheet.out)))
    }
}

/// A moment in the window, the reader's own, so that all readers of a hub that ends don't come back at
/// once.
fn retry_ms(window_s: u32) -> u32 {
    let window_ms = window_s.saturating_mul(1000).max(RETRY_MS_MIN + 1);
    let mut bytes = [0; 4];
    // Without chance they come at the middle of the window.
    let chance = getrandom::fill(&mut bytes).map_or(u32::MAX / 2, |()| u32::from_le_bytes(bytes));
    let spread = (u64::from(window_ms - RETRY_MS_MIN) * u64::from(chance)) >> 32;
    RETRY_MS_MIN + u32::try_from(spread).unwrap_or(0)
}

/// Events as text.
struct Text {
    out: String,
    epoch: u64,
    /// Of the content.
    encoding: Encoding,
}

impl Text {
    fn event(&mut self, kind: &str, reached: Option<u64>, data: &str) {
        self.out.reserve(data.len() + 64);
        self.line(format_args!("event: {kind}\n"));
        self.id(reached);
        self.out.push_str("data: ");
        self.out.push_str(data);
        self.out.push_str("\n\n");
    }

    fn retry(&mut self, ms: u32) {
        self.line(format_args!("retry: {ms}\n\n"));
    }

    /// A comment; with the position, which a filter may have moved without a message.
    fn heartbeat(&mut self, reached: Option<u64>) {
        self.out.push_str(":\n");
        self.id(reached);
        self.out.push('\n');
    }

    fn id(&mut self, reached: Option<u64>) {
        if let Some(offset) = reached {
            let epoch = self.epoch;
            self.line(format_args!("id: {epoch}.{offset}\n"));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.out.write_fmt(line).expect("a string takes everything");
    }
}

impl Sheet for Text {
    fn message(&mut self, frame: &Frame, types: &LiveTypes, reached: Option<u64>) {
        self.event("message", reached, frame.line(self.encoding, types));
    }

    fn page(&mut self, page: &Page<'_>, types: &LiveTypes, reached: Option<u64>) {
        let values = page.values.iter().map(|value| value.value_line(self.encoding, types));
        let values: Vec<&str> = values.collect();
        let position = Some(page.position);
        let line = proto::json::snapshot_json(page.pattern, &values, page.last, position);
        self.event("snapshot", reached, &line);
    }

    fn gap(&mut self, envelope: &Envelope<'_>) {
        self.event("gap", None, &text(envelope));
    }

    fn len(&self) -> usize {
        self.out.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_written_as_the_standard_has_it() {
        let mut sheet = Text { out: String::new(), epoch: 7, encoding: Encoding::Json };
        sheet.retry(1200);
        sheet.event("message", Some(9), "{}");
        sheet.event("gap", None, "{}");
        sheet.heartbeat(Some(10));
        sheet.heartbeat(None);
        let wanted = "retry: 1200\n\nevent: message\nid: 7.9\ndata: {}\n\nevent: gap\ndata: {}\n\n\
                      :\nid: 7.10\n\n:\n\n";
        assert_eq!(sheet.out, wanted);
    }

    #[test]
    fn readers_come_back_within_the_window_and_not_all_at_once() {
        let moments: Vec<u32> = (0..100).map(|_| retry_ms(5)).collect();
        assert!(moments.iter().all(|ms| (RETRY_MS_MIN..5000).contains(ms)));
        assert!(moments.iter().any(|ms| *ms != moments[0]));
    }
}
