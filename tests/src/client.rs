//! A client of the socket that does only what it is told: one frame out, one event in.
//!
//! It is built on the generated messages, not on the hub's own reader, so that each checks the other.

use std::collections::VecDeque;

use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::{Envelope, Hello, Welcome};
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::Via;
use crate::deadline::{PATIENCE, within};
use crate::stream::Stream;

/// What comes from the hub.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// One envelope of a binary message.
    Envelope(Envelope),
    /// One line of a text message.
    Json(Value),
    /// A close frame, with its code.
    Closed(u16),
    /// The end without one.
    Lost,
}

/// An upgraded connection.
pub struct Client {
    socket: WebSocketStream<Stream>,
    /// Heard, but not what was waited for.
    waiting: VecDeque<Event>,
    request: u64,
}

impl Client {
    /// Connects and upgrades; says nothing yet.
    pub async fn dial(via: &Via) -> Self {
        let dialled = within(PATIENCE, "the upgrade to a WebSocket", Self::try_dial(via)).await;
        dialled.expect("the hub takes the connection")
    }

    /// The same, where it may fail.
    ///
    /// # Errors
    /// No connection, no TLS, or no upgrade.
    pub async fn try_dial(via: &Via) -> Result<Self, Error> {
        let stream = via.open().await.map_err(Error::Io)?;
        let url = format!("ws://{}{}", via.address(), proto::WEBSOCKET_PATH);
        let mut request = url.into_client_request()?;
        let subprotocol = HeaderValue::from_static(proto::SUBPROTOCOL);
        request.headers_mut().insert("Sec-WebSocket-Protocol", subprotocol);
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Self { socket, waiting: VecDeque::new(), request: 0 })
    }

    /// Greets, in protobuf, and is welcome.
    pub async fn greet(&mut self, hello: Hello) -> Welcome {
        self.say(1, Kind::Hello(hello)).await;
        self.request = 1;
        self.find("a welcome", |kind| match kind {
            Kind::Welcome(welcome) => Some(welcome.clone()),
            _ => None,
        })
        .await
    }

    /// A number that names a request.
    pub fn next_request(&mut self) -> u64 {
        self.request += 1;
        self.request
    }

    /// Sends one envelope in protobuf as a message of its own.
    pub async fn say(&mut self, request: u64, kind: Kind) {
        self.binary(envelope(request, kind)).await;
    }

    /// Sends a binary message as it is.
    pub async fn binary(&mut self, bytes: Vec<u8>) {
        self.put(Message::binary(bytes)).await;
    }

    /// Sends a text message as it is.
    pub async fn text(&mut self, text: &str) {
        self.put(Message::text(text)).await;
    }

    async fn put(&mut self, message: Message) {
        let sent = within(PATIENCE, "the hub takes a message", self.socket.send(message)).await;
        // A hub that closed has said why, and that is read next.
        if let Err(error) = sent
            && !matches!(
                error,
                Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)
            )
        {
            panic!("a message can't be sent: {error}");
        }
    }

    /// The next event, in order.
    pub async fn hear(&mut self) -> Event {
        within(PATIENCE, "the hub says something", self.listen()).await
    }

    /// The same without a deadline, for a task that ends otherwise. May be dropped between events.
    pub async fn listen(&mut self) -> Event {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return event;
            }
            self.receive().await;
        }
    }

    /// The first envelope that `wanted` takes; others stay for later, in order.
    #[track_caller]
    pub fn find<T>(
        &mut self,
        what: &str,
        wanted: impl FnMut(&Kind) -> Option<T>,
    ) -> impl Future<Output = T> {
        within(PATIENCE, what, self.search(what.to_owned(), wanted))
    }

    async fn search<T>(&mut self, what: String, mut wanted: impl FnMut(&Kind) -> Option<T>) -> T {
        let mut at = 0;
        loop {
            while at == self.waiting.len() {
                self.receive().await;
            }
            match &self.waiting[at] {
                Event::Envelope(Envelope { kind: Some(kind), .. }) => {
                    if let Some(found) = wanted(kind) {
                        self.waiting.remove(at);
                        return found;
                    }
                }
                Event::Envelope(_) | Event::Json(_) => {}
                end @ (Event::Closed(_) | Event::Lost) => {
                    panic!("{end:?} while waiting for {what}; heard: {:?}", self.waiting)
                }
            }
            at += 1;
        }
    }

    /// The answer to a request.
    pub async fn answer(&mut self, request: u64) -> Kind {
        let search = async {
            let mut at = 0;
            loop {
                while at == self.waiting.len() {
                    self.receive().await;
                }
                match &self.waiting[at] {
                    Event::Envelope(envelope) if envelope.request == request => break,
                    Event::Envelope(_) | Event::Json(_) => at += 1,
                    end @ (Event::Closed(_) | Event::Lost) => {
                        panic!("{end:?} instead of the answer to request {request}")
                    }
                }
            }
            self.waiting.remove(at)
        };
        match within(PATIENCE, "the answer to a request", search).await {
            Some(Event::Envelope(Envelope { kind: Some(kind), .. })) => kind,
            other => panic!("no answer but {other:?}"),
        }
    }

    /// Asks for a sign of life and waits for it: everything that was sent before has been handled.
    pub async fn barrier(&mut self) {
        let request = self.next_request();
        self.say(request, Kind::Ping(proto::messages::lamplighter::v1::Ping {})).await;
        self.answer(request).await;
    }

    /// The code of the close frame that comes; what is heard before it is dropped.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.hear().await {
                Event::Closed(code) => return code,
                Event::Lost => panic!("the connection ended without a close frame"),
                Event::Envelope(_) | Event::Json(_) => {}
            }
        }
    }

    /// What was heard and not asked for yet, in order.
    pub fn waiting(&self) -> impl Iterator<Item = &Event> {
        self.waiting.iter()
    }

    /// Says goodbye properly.
    pub async fn close(mut self) {
        // The hub may have closed first.
        drop(self.socket.close(None).await);
        while let Some(Ok(_)) = within(PATIENCE, "the end", self.socket.next()).await {}
    }

    async fn receive(&mut self) {
        match self.socket.next().await {
            Some(Ok(Message::Binary(bytes))) => {
                let mut rest = bytes.as_ref();
                while !rest.is_empty() {
                    let envelope = Envelope::decode_length_delimited(&mut rest);
                    let envelope = envelope.expect("the hub's envelopes are well-formed");
                    self.waiting.push_back(Event::Envelope(envelope));
                }
            }
            Some(Ok(Message::Text(text))) => {
                for line in text.lines() {
                    let value = serde_json::from_str(line).expect("the hub's lines are JSON");
                    self.waiting.push_back(Event::Json(value));
                }
            }
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map_or(1005, |frame| frame.code.into());
                self.waiting.push_back(Event::Closed(code));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(_)) | None => self.waiting.push_back(Event::Lost),
        }
    }
}

/// One envelope with its length in front.
pub fn envelope(request: u64, kind: Kind) -> Vec<u8> {
    Envelope { request, kind: Some(kind) }.encode_length_delimited_to_vec()
}
