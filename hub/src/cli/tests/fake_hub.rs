//! A hub for tests: each connection of the socket plays the next script, HTTP answers from a table.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, spawn_local};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// What the hub does when it hears an envelope.
pub(crate) enum Reply {
    /// Says this.
    Say(Value),
    /// Closes with this code.
    Close(u16),
    /// Cuts the connection.
    Cut,
}

/// Answers one envelope.
pub(crate) type Script = Box<dyn FnMut(&Value) -> Vec<Reply>>;

/// A running fake hub; it ends when dropped.
pub(crate) struct FakeHub {
    /// ws://127.0.0.1:port
    pub(crate) url: String,
    heard: Rc<RefCell<Vec<Value>>>,
    asked: Rc<RefCell<Vec<String>>>,
    posted: Rc<RefCell<Vec<Value>>>,
    token: NamedTempFile,
    task: JoinHandle<()>,
}

/// What HTTP answers: the head of a request line, status, body. The first that fits is taken, once
/// if another follows that fits.
pub(crate) type Routes = Vec<(&'static str, u16, Value)>;

#[derive(Clone)]
struct Shared {
    heard: Rc<RefCell<Vec<Value>>>,
    asked: Rc<RefCell<Vec<String>>>,
    posted: Rc<RefCell<Vec<Value>>>,
    scripts: Rc<RefCell<VecDeque<Script>>>,
    routes: Rc<RefCell<Routes>>,
}

impl FakeHub {
    /// Starts on a port of the system's choice.
    pub(crate) async fn start(scripts: Vec<Script>, routes: Routes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("ws://{}", listener.local_addr().expect("bound"));
        let shared = Shared {
            heard: Rc::default(),
            asked: Rc::default(),
            posted: Rc::default(),
            scripts: Rc::new(RefCell::new(scripts.into())),
            routes: Rc::new(RefCell::new(routes)),
        };
        let (heard, asked) = (Rc::clone(&shared.heard), Rc::clone(&shared.asked));
        let posted = Rc::clone(&shared.posted);
        let task = spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a listener accepts");
                spawn_local(serve(stream, shared.clone()));
            }
        });
        let token = NamedTempFile::new().expect("temporary file");
        std::fs::write(token.path(), "secret-1").expect("writable");
        let only_us = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(token.path(), only_us).expect("our own file");
        Self { url, heard, asked, posted, token, task }
    }

    /// `--token-file=…`
    pub(crate) fn token_flag(&self) -> String {
        format!("--token-file={}", self.token.path().display())
    }

    /// Bodies of all envelopes of this kind that came in.
    pub(crate) fn heard(&self, kind: &str) -> Vec<Value> {
        self.heard.borrow().iter().filter_map(|envelope| envelope.get(kind).cloned()).collect()
    }

    /// Bodies of all HTTP requests that had one.
    pub(crate) fn posted(&self) -> Vec<Value> {
        self.posted.borrow().clone()
    }

    /// First lines of all HTTP requests.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, shared: Shared) {
    let mut head = [0_u8; 12];
    while stream.peek(&mut head).await.is_ok_and(|read| read < head.len()) {
        tokio::task::yield_now().await;
    }
    if head.starts_with(b"GET /v1/ws") {
        let script = shared.scripts.borrow_mut().pop_front();
        // A hub without a script left is gone.
        if let Some(script) = script {
            talk(stream, shared, script).await;
        }
    } else {
        answer(stream, shared).await;
    }
}

#[expect(clippy::result_large_err, reason = "the library's own signature")]
fn with_protocol(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let protocol = proto::SUBPROTOCOL.parse().expect("a header value");
    response.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    Ok(response)
}

async fn talk(stream: TcpStream, shared: Shared, mut script: Script) {
    let mut socket = accept_hdr_async(stream, with_protocol).await.expect("an upgrade");
    while let Some(Ok(Message::Text(text))) = socket.next().await {
        let envelope: Value = serde_json::from_str(text.as_str()).expect("the shell sends JSON");
        let mut replies = if envelope.get("hello").is_some() { vec![welcome()] } else { vec![] };
        replies.extend(script(&envelope));
        shared.heard.borrow_mut().push(envelope);
        for reply in replies {
            if !play(&mut socket, reply).await {
                return;
            }
        }
    }
}

fn welcome() -> Reply {
    Reply::Say(json!({"welcome": {"time_unix_ms": "1795296600000", "ping_interval_s": 30}}))
}

/// Whether the connection goes on. A close comes instead of a welcome if both are due.
async fn play(socket: &mut WebSocketStream<TcpStream>, reply: Reply) -> bool {
    match reply {
        Reply::Say(envelope) => socket.send(Message::text(envelope.to_string())).await.is_ok(),
        Reply::Cut => false,
        Reply::Close(code) => {
            let reason = proto::CloseCode(code).reason().into();
            let frame = CloseFrame { code: code.into(), reason };
            socket.close(Some(frame)).await.expect("the shell is there");
            while let Some(Ok(_)) = socket.next().await {}
            false
        }
    }
}

async fn answer(mut stream: TcpStream, shared: Shared) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(read) if read > 0 => request.extend_from_slice(&part[..read]),
            Ok(_) | Err(_) => return,
        }
    }
    let text = String::from_utf8(request).expect("HTTP of text");
    let line = text.lines().next().unwrap_or_default().to_owned();
    assert!(text.contains("authorization: Bearer secret-1"), "{text}");
    let (status, body) = route(&shared.routes, &line);
    shared.asked.borrow_mut().push(line);
    let sent = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
    shared.posted.borrow_mut().extend(sent);
    let body = if status == 204 { Bytes::new() } else { body.to_string().into() };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    for part in [head.as_bytes(), &body] {
        stream.write_all(part).await.expect("the shell reads");
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().expect("a number"))
}

fn route(routes: &RefCell<Routes>, line: &str) -> (u16, Value) {
    let mut routes = routes.borrow_mut();
    let fits: Vec<usize> =
        (0..routes.len()).filter(|index| line.starts_with(routes[*index].0)).collect();
    match fits.as_slice() {
        [] => (404, json!({"detail": "no such thing"})),
        [only] => (routes[*only].1, routes[*only].2.clone()),
        [first, ..] => {
            let (_, status, body) = routes.remove(*first);
            (status, body)
        }
    }
}
