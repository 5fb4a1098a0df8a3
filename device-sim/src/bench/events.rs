//! One publisher, many readers of server-sent events, and as many readers of JSON over the WebSocket: the
//! hub's CPU time for each delivery, one message at a time and in bursts.
//!
//! Both get the same lines from the same hub, one kind of reader after the other, so that what is between
//! them is the way alone. All readers are one identity: the caller's hub has to allow it so many readers
//! over HTTP.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use reqwest::Response;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::bursts::{Current, Offer, Outcome};
use super::http::Http;
use super::{Bench, Row};
use crate::clock::{Clock, Micros};
use crate::hub::HubError;
use crate::link::{Link, LinkError};

const CHANNEL: &str = "bench.fan";
/// Readers that connect at a time.
const CONNECTING_MAX: usize = 64;
/// In front of the line of an event.
const DATA: &[u8] = b"data: ";

/// Settings of `events`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Readers of each kind
    #[arg(long, default_value_t = 500)]
    readers: usize,
    /// Messages a second that are published
    #[arg(long, default_value_t = 32.0)]
    rate: f64,
    /// How long each round takes
    #[arg(long, value_parser = crate::args::span, default_value = "8s")]
    duration: Duration,
    /// Messages that are published at once, one round each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32])]
    bursts: Vec<u32>,
}

/// What a reader of text is told, as far as it counts here.
#[derive(Debug, Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    message: Option<Told<'l>>,
    gap: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Told<'l> {
    measured_unix_ms: &'l str,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let current = Current::default();
    let sockets = listen_by_socket(bench, settings.readers, &current).await?;
    let by_socket = rounds(bench, settings, &current).await?;
    drop(sockets);
    let events = listen_by_events(bench, settings.readers, &current).await?;
    let by_events = rounds(bench, settings, &current).await?;
    drop(events);
    let mut rows = Vec::new();
    for ((burst, socket), events) in settings.bursts.iter().zip(by_socket).zip(by_events) {
        let name = |what: &str| format!("events, {what} in bursts of {burst}");
        rows.push(events.row(name(&format!("{} readers of SSE", settings.readers))));
        rows.push(socket.row(name(&format!("{} readers of WebSocket JSON", settings.readers))));
        // A round may be too short for the grain of the kernel's accounting.
        let both = events.cpu_us.zip(socket.cpu_us).filter(|(_, socket)| *socket > 0.0);
        let ratio = both.map(|(events, socket)| events / socket);
        rows.push(Row::new(name("SSE to WebSocket JSON")).with_known("cpu a delivery", ratio, "x"));
    }
    Ok(rows)
}

/// All rounds for those who read now.
async fn rounds(
    bench: &Bench,
    settings: &Settings,
    current: &Current,
) -> Result<Vec<Outcome>, HubError> {
    let (mut publisher, _) = Link::open(&bench.hub.target(), bench.hub.token(), 0).await?;
    let offer = Offer {
        channel: CHANNEL,
        receivers: settings.readers,
        rate: settings.rate,
        duration: settings.duration,
    };
    let mut outcomes = Vec::with_capacity(settings.bursts.len());
    for burst in &settings.bursts {
        outcomes.push(offer.round(bench, &mut publisher, *burst, current).await?);
    }
    Ok(outcomes)
}

/// Connected readers of events; they end with their set.
async fn listen_by_events(
    bench: &Bench,
    count: usize,
    current: &Current,
) -> Result<JoinSet<()>, HubError> {
    let http = Http::new(bench)?;
    let open = || http.get("/v1/events", &[("pattern", CHANNEL)]);
    let opening = stream::iter(0..count).map(|_| open()).buffer_unordered(CONNECTING_MAX);
    let opened: Vec<Response> = opening.try_collect().await?;
    let clock = bench.clock;
    Ok(opened.into_iter().map(|events| read_events(events, clock, current.clone())).collect())
}

async fn read_events(mut events: Response, clock: Clock, current: Current) {
    // Ends within a line, as a rule.
    let mut text = Vec::new();
    while let Ok(Some(piece)) = events.chunk().await {
        text.extend_from_slice(&piece);
        let now = clock.now();
        take_lines(&mut text, |line| {
            if let Some(line) = line.strip_prefix(DATA) {
                count(line, now, &current);
            }
        });
    }
}

/// Takes the lines that are whole.
fn take_lines(text: &mut Vec<u8>, mut take: impl FnMut(&[u8])) {
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    text[..whole].split(|byte| *byte == b'\n').for_each(&mut take);
    text.drain(..whole);
}

/// Connected readers of text over the WebSocket; they end with their set.
async fn listen_by_socket(
    bench: &Bench,
    count: usize,
    current: &Current,
) -> Result<JoinSet<()>, HubError> {
    let opening = stream::iter(0..count).map(|_| open_socket(bench));
    let opened: Vec<_> = opening.buffer_unordered(CONNECTING_MAX).try_collect().await?;
    let clock = bench.clock;
    Ok(opened.into_iter().map(|socket| read_socket(socket, clock, current.clone())).collect())
}

/// Connects, greets and subscribes in JSON.
async fn open_socket(bench: &Bench) -> Result<WebSocketStream<TcpStream>, LinkError> {
    let address = bench.hub.target().address();
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let url = format!("ws://{address}{}", proto::WEBSOCKET_PATH);
    let uri = url.parse().map_err(|_| LinkError::Url(url))?;
    let request = ClientRequestBuilder::new(uri).with_sub_protocol(proto::SUBPROTOCOL);
    // What hyper reads into at first, for the others.
    let config = WebSocketConfig::default().read_buffer_size(8 * 1024);
    let (mut socket, _) =
        client_async_with_config(request, tcp, Some(config)).await.map_err(Box::new)?;
    let hello = json!({"protocol": proto::PROTOCOL_VERSION, "token": bench.hub.token()});
    let lines = [
        json!({"request": "1", "hello": hello}),
        json!({"request": "2", "subscribe": {"pattern": CHANNEL}}),
    ];
    for (line, answer) in lines.into_iter().zip(["welcome", "ack"]) {
        socket.send(Message::text(line.to_string())).await.map_err(Box::new)?;
        let text = match socket.next().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(_)) | None => return Err(LinkError::Lost),
            Some(Err(error)) => return Err(Box::new(error).into()),
        };
        if !text.contains(answer) {
            return Err(LinkError::Greeting("something else in JSON"));
        }
    }
    Ok(socket)
}

async fn read_socket(mut socket: WebSocketStream<TcpStream>, clock: Clock, current: Current) {
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let now = clock.now();
        text.lines().for_each(|line| count(line.as_bytes(), now, &current));
    }
}

fn count(line: &[u8], now: Micros, current: &Current) {
    let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { return };
    if let Some(intended) = line.message.and_then(|told| told.measured_unix_ms.parse().ok()) {
        current.round().message(Micros(intended), now);
    }
    if line.gap.is_some() {
        current.round().gap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_come_in_pieces_are_taken_whole_and_once() {
        let (mut text, mut lines) = (Vec::new(), Vec::new());
        for piece in ["event: me", "ssage\ndata: {", "\"a\":1}\n\nda", "ta: 2\n"] {
            text.extend_from_slice(piece.as_bytes());
            take_lines(&mut text, |line| lines.push(String::from_utf8_lossy(line).into_owned()));
        }
        lines.retain(|line| !line.is_empty());
        assert_eq!(lines, ["event: message", "data: {\"a\":1}", "data: 2"]);
        assert!(text.is_empty());
    }

    #[test]
    fn a_message_and_a_gap_are_told_apart_from_the_rest() {
        let parse = |text: &'static str| serde_json::from_str::<Line<'_>>(text).expect("JSON");
        let message = parse(r#"{"message":{"channel":"c","measured_unix_ms":"7","offset":"1"}}"#);
        assert_eq!(message.message.map(|told| told.measured_unix_ms), Some("7"));
        assert!(parse(r#"{"gap":{"from":"1"}}"#).gap.is_some());
        let ack = parse(r#"{"request":"2","ack":{}}"#);
        assert!(ack.message.is_none() && ack.gap.is_none());
    }
}
