//! `GET /v1/poll`: long polling, for readers that can't hold a stream.
//!
//! ```text
//!   ?pattern=devices.*.faults                     the last values, and the position after them
//!   ?pattern=devices.*.faults&since=7349.184467   what came after, or at most `Prefer: wait` seconds later
//! ```
//!
//! The document is written as it is read, so a large snapshot occupies a page and not itself. Its
//! position stands at the end: a document that was cut short has none and is no JSON.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use proto::CloseCode;
use proto::envelope::Envelope;
use utoipa::ToSchema;

use super::ask::{Ask, ReadQuery, position_text, wait};
use super::feed::{Feed, Page, Pulled, Sheet};
use super::pieces::{Pieces, Source};
use super::{Seat, closed};
use crate::codec::{Encoding, Frame, LiveTypes};
use crate::http::Api;
use crate::http::auth::Person;
use crate::http::problem::Problem;
use crate::http::query::Params;
use crate::mailbox::Pulse;

/// What there is.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only its description is used")]
pub struct Polled {
    /// Whether all that came after `since` is in `messages`.
    recovered: bool,
    /// Last values.
    #[schema(value_type = Vec<Object>)]
    snapshot: (),
    /// In order, oldest first.
    #[schema(value_type = Vec<Object>)]
    messages: (),
    /// `since` of the next request.
    #[schema(pattern = "^[0-9]{1,20}\\.[0-9]{1,20}$", example = "7349.184470")]
    position: String,
}

/// Read live values by long polling. Without `since`, or where what was missed is not there any more, a
/// snapshot at once; else the messages since, for the first of which it waits as long as `Prefer` says.
/// Silence is an empty list.
#[utoipa::path(get, path = "/v1/poll", tag = "channels",
    params(ReadQuery, ("Prefer" = Option<String>, Header,
        description = "`wait=30`: how many s to wait for the first message, 60 at most")),
    responses((status = 200, description = "what there is", body = Polled)))]
pub async fn poll(
    person: Person,
    State(api): State<Api>,
    Extension(pulse): Extension<Arc<Pulse>>,
    headers: HeaderMap,
    Params(query): Params<ReadQuery>,
) -> Result<Response, Problem> {
    let ask = Ask::read(&query, &headers)?;
    let patience = wait(&headers);
    let snapshot = ask.snapshot.unwrap_or(true);
    let seat = Seat::take(&api, &person.0, &ask.patterns)?;
    let encoding = ask.encoding;
    let (mut feed, begun) = Feed::begin(seat, ask, snapshot)?;
    let mut sheet = Document::new(begun.recovered, encoding);
    let pulled = feed.pull_owed(&mut sheet);
    if pulled == Pulled::Done && !begun.snapshot && !sheet.has_messages() {
        await_message(&mut feed, &mut sheet, patience.unwrap_or_default()).await?;
    }
    let epoch = begun.position.epoch;
    let answer = Answer { feed, sheet, epoch, ended: false };
    let body = Body::from_stream(Pieces::new(answer, pulse, api.broker.metrics.clone()));
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    let mut response = (headers, body).into_response();
    apply(&mut response, patience);
    Ok(response)
}

/// Says in the answer that the wish to wait was heard (RFC 7240, section 3).
pub fn apply(response: &mut Response, patience: Option<Duration>) {
    let Some(patience) = patience else { return };
    let applied = HeaderValue::from_str(&format!("wait={}", patience.as_secs()));
    if let Ok(applied) = applied {
        response.headers_mut().insert(HeaderName::from_static("preference-applied"), applied);
    }
}

/// Waits for the first message that is for the reader, and takes what came with it.
async fn await_message(
    feed: &mut Feed,
    sheet: &mut Document,
    patience: Duration,
) -> Result<(), Problem> {
    let heard = poll_fn(|context| {
        loop {
            match feed.poll_mail(context, sheet) {
                Poll::Ready(Some(code)) => return Poll::Ready(Some(code)),
                // It may have been for others, by their labels.
                Poll::Ready(None) if !sheet.has_messages() && !feed.is_behind() => {}
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    match tokio::time::timeout(patience, heard).await {
        // The hub goes: the reader comes back with the position that it has.
        Ok(None | Some(CloseCode::DRAIN)) | Err(_) => Ok(()),
        Ok(Some(code)) => Err(closed(code)),
    }
}

/// The answer's body: what is still owed, and the end.
struct Answer {
    feed: Feed,
    sheet: Document,
    epoch: u64,
    ended: bool,
}

impl Source for Answer {
    fn is_cut(&self) -> bool {
        self.feed.ended().is_some()
    }

    fn poll_text(&mut self, context: &mut Context<'_>) -> Poll<Option<String>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // A reader that lags is not caught up here: it comes back with the position that it has.
        let done = self.feed.is_lagging() || self.feed.pull_owed(&mut self.sheet) == Pulled::Done;
        if done {
            let reached = self.feed.reached().unwrap_or_default();
            self.sheet.end(&position_text(self.epoch, reached));
            self.ended = true;
        } else if let Some(code) = self.feed.closing(context) {
            // Cut short, which the reader sees by the missing end.
            self.feed.broker().metrics.closed(code.0);
            return Poll::Ready(None);
        } else if self.sheet.is_empty() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(std::mem::take(&mut self.sheet.out)))
    }
}

/// The JSON document, as far as it is written and not given.
struct Document {
    out: String,
    /// Of the content.
    encoding: Encoding,
    list: List,
    /// Whether the open list has a value.
    begun: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Snapshot,
    Messages,
}

impl Document {
    fn new(recovered: bool, encoding: Encoding) -> Self {
        let out = format!("{{\"recovered\":{recovered},\"snapshot\":[");
        Self { out, encoding, list: List::Snapshot, begun: false }
    }

    fn has_messages(&self) -> bool {
        self.list == List::Messages
    }

    fn add(&mut self, value: &str) {
        if self.begun {
            self.out.push(',');
        }
        self.begun = true;
        self.out.push_str(value);
    }

    fn turn_to_messages(&mut self) {
        if self.list == List::Snapshot {
            self.list = List::Messages;
            self.begun = false;
            self.out.push_str("],\"messages\":[");
        }
    }

    fn end(&mut self, position: &str) {
        self.turn_to_messages();
        write!(self.out, "],\"position\":\"{position}\"}}").expect("a string takes everything");
    }
}

impl Sheet for Document {
    fn message(&mut self, frame: &Frame, types: &LiveTypes, _: Option<u64>) {
        self.turn_to_messages();
        self.add(frame.value_line(self.encoding, types));
    }

    fn page(&mut self, page: &Page<'_>, types: &LiveTypes, _: Option<u64>) {
        for value in page.values {
            self.add(value.value_line(self.encoding, types));
        }
    }

    /// The position stays before the gap, so the next request finds what was left out.
    fn gap(&mut self, _: &Envelope<'_>) {}

    fn len(&self) -> usize {
        self.out.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_document_has_all_its_members_whatever_there_was() {
        let mut silence = Document::new(true, Encoding::Json);
        silence.end("1.2");
        let wanted = r#"{"recovered":true,"snapshot":[],"messages":[],"position":"1.2"}"#;
        assert_eq!(silence.out, wanted);

        let types = LiveTypes::built_in();
        let frames = [1, 2].map(|offset| Arc::new(Frame::for_test("a", offset)));
        let mut full = Document::new(false, Encoding::Json);
        let position = proto::envelope::Position::default();
        let page = Page { pattern: "a", values: &frames, last: true, position };
        full.page(&page, &types, None);
        full.message(&frames[1], &types, None);
        full.end("1.2");
        let parsed: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&full.out).expect("JSON");
        assert_eq!(parsed["snapshot"].as_array().map(Vec::len), Some(2));
        assert_eq!(parsed["messages"][0]["offset"], "2");
    }
}
