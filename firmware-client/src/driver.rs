//! A driver for computers: tokio, rustls, WebSocket around one [`Client`].
//!
//! Simulators and gateways run thousands of these in one process, each a task with the very machine
//! that a lamp runs. A driver reads the clock, carries bytes, and asks the application; all decisions
//! are the machine's.
//!
//! ```text
//!   Application ◀─ event ── run() ── poll_transmit ──▶ socket (TCP, TLS, WebSocket)
//!        └──── poll(client) ──▶ │ ◀── message, close ──────┘
//!                            LinkControl: cut, stall, delay
//! ```
//!
//! Read in this order: this file, then `socket` and `tls`, then `control` and `clock`.
//!
//! # Cost
//!
//! An idle connection keeps the machine, the caller's buffers, a WebSocket with 1 KiB to read and
//! 1 KiB to write, and rustls' own state on the heap. The future of a connection under way is boxed
//! and dropped when it stands.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use socket::Socket;

use crate::client::Client;
use crate::event::Event;
use crate::journal::Journal;
use crate::time::Millis;
use proto::CloseCode;

mod clock;
mod control;
mod socket;
mod tls;

pub use clock::Clock;
pub use control::LinkControl;
pub use socket::{ConnectError, HostConfig, UrlError};
pub use tls::{ClientCertificate, TlsError, tls_config};

/// s: how long a write may take before the connection counts as lost.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// s: how long the close handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of one outgoing message, beside a token: a window of a lamp's reports.
const TRANSMIT_BYTES: usize = 8 * 1024;

/// When the driver should ask the application again if nothing else happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// At this moment.
    At(Millis),
    /// Only after the next event, or [`LinkControl::wake`].
    Idle,
    /// Never: close the connection and return from [`run`].
    Stop,
}

/// What the device is for.
pub trait Application<J: Journal, const SLOTS: usize, const ENTRY: usize> {
    /// Something happened. Keep what matters of it; act in [`Application::poll`].
    fn event(&mut self, now: Millis, event: &Event<'_>);

    /// Act: report, finish commands, look at the machine. Called after events and when woken.
    fn poll(&mut self, now: Millis, client: &mut Client<'_, J, SLOTS, ENTRY>) -> Wake;
}

type Connecting = Pin<Box<dyn Future<Output = Result<Box<Socket>, ConnectError>> + Send>>;

/// The connection as the driver sees it.
enum State {
    Down,
    Connecting(Connecting),
    Up(Box<Socket>),
}

/// What the driver was woken by.
enum Input {
    Connected(Result<Box<Socket>, ConnectError>),
    Received(Option<Message>),
    Cut,
    Timeout,
    Woken,
}

/// Runs a device until its application says [`Wake::Stop`]. Dropping the future drops the link, as a
/// loss of power does.
pub async fn run<J, A, const SLOTS: usize, const ENTRY: usize>(
    host: &HostConfig,
    clock: Clock,
    control: &LinkControl,
    client: &mut Client<'_, J, SLOTS, ENTRY>,
    application: &mut A,
) where
    J: Journal,
    A: Application<J, SLOTS, ENTRY>,
{
    let mut state = State::Down;
    loop {
        let wake = settle(host, clock, control, client, application, &mut state).await;
        if wake == Wake::Stop {
            hang_up(&mut state, CloseCode::NORMAL).await;
            return;
        }
        let until = match (client.deadline(), wake) {
            (Some(deadline), Wake::At(wake)) => Some(deadline.min(wake)),
            (None, Wake::At(moment)) => Some(moment),
            (deadline, Wake::Idle | Wake::Stop) => deadline,
        };
        let input = next_input(&mut state, control, clock, until).await;
        take(clock, client, &mut state, control, input).await;
    }
}

/// Takes events and transmits until the machine has nothing more to say.
async fn settle<J, A, const SLOTS: usize, const ENTRY: usize>(
    host: &HostConfig,
    clock: Clock,
    control: &LinkControl,
    client: &mut Client<'_, J, SLOTS, ENTRY>,
    application: &mut A,
    state: &mut State,
) -> Wake
where
    J: Journal,
    A: Application<J, SLOTS, ENTRY>,
{
    loop {
        let now = clock.now();
        let mut quiet = true;
        while let Some(event) = client.poll_event(now) {
            quiet = false;
            application.event(now, &event);
            match event {
                Event::ConnectNow => {
                    *state = State::Connecting(Box::pin(socket::connect(host.clone())))
                }
                Event::CloseConnection(code) => {
                    hang_up(state, code).await;
                    client.handle_closed(clock.now(), None);
                }
                _ => {}
            }
        }
        let wake = application.poll(now, client);
        if wake == Wake::Stop {
            return wake;
        }
        quiet &= control.is_stalled() || transmit(clock, client, state).await;
        if quiet {
            return wake;
        }
    }
}

/// Writes what the machine has to say. True if that was nothing.
async fn transmit<J: Journal, const SLOTS: usize, const ENTRY: usize>(
    clock: Clock,
    client: &mut Client<'_, J, SLOTS, ENTRY>,
    state: &mut State,
) -> bool {
    let State::Up(socket) = state else { return true };
    let (mut written, mut failed) = (false, false);
    while !failed && let Some(message) = next_message(clock.now(), client) {
        written = true;
        failed = !matches!(timeout(WRITE_TIMEOUT, socket.feed(message)).await, Ok(Ok(())));
    }
    if written && !failed {
        failed = !matches!(timeout(WRITE_TIMEOUT, socket.flush()).await, Ok(Ok(())));
    }
    if failed {
        *state = State::Down;
        client.handle_closed(clock.now(), None);
    }
    !written
}

/// The buffer lies on the stack of this function: in the future it would cost each idle task.
fn next_message<J: Journal, const SLOTS: usize, const ENTRY: usize>(
    now: Millis,
    client: &mut Client<'_, J, SLOTS, ENTRY>,
) -> Option<Message> {
    let mut buffer = [0; TRANSMIT_BYTES];
    let length = client.poll_transmit(now, &mut buffer)?;
    Some(Message::binary(buffer[..length].to_vec()))
}

/// Waits for whatever comes first.
async fn next_input(
    state: &mut State,
    control: &LinkControl,
    clock: Clock,
    until: Option<Millis>,
) -> Input {
    let timer = async {
        match until {
            Some(moment) => sleep_until(clock.instant(moment)).await,
            None => std::future::pending().await,
        }
    };
    let link = async {
        match state {
            State::Down => std::future::pending().await,
            State::Connecting(connecting) => Input::Connected(connecting.as_mut().await),
            State::Up(_) if control.is_stalled() => std::future::pending().await,
            State::Up(socket) => Input::Received(match socket.next().await {
                Some(Ok(message)) => Some(message),
                Some(Err(_)) | None => None,
            }),
        }
    };
    tokio::select! {
        biased;
        () = control.changed() => if control.take_cut() { Input::Cut } else { Input::Woken },
        input = link => input,
        () = timer => Input::Timeout,
    }
}

/// Hands one input to the machine.
async fn take<J: Journal, const SLOTS: usize, const ENTRY: usize>(
    clock: Clock,
    client: &mut Client<'_, J, SLOTS, ENTRY>,
    state: &mut State,
    control: &LinkControl,
    input: Input,
) {
    match input {
        Input::Woken => {}
        Input::Timeout => client.handle_timeout(clock.now()),
        Input::Cut => {
            *state = State::Down;
            client.handle_closed(clock.now(), None);
        }
        Input::Connected(Ok(socket)) => {
            *state = State::Up(socket);
            client.handle_connected(clock.now());
        }
        Input::Connected(Err(error)) => {
            control.note_failure(&error);
            *state = State::Down;
            client.handle_closed(clock.now(), None);
        }
        Input::Received(Some(Message::Binary(bytes))) => {
            let delay = control.delay();
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            client.handle_message(clock.now(), &bytes);
            if control.is_doubling() {
                client.handle_message(clock.now(), &bytes);
            }
        }
        Input::Received(Some(Message::Close(frame))) => {
            // The answer to a close frame leaves with the flush; then the hub hangs up.
            if let State::Up(socket) = state {
                drop(timeout(CLOSE_TIMEOUT, socket.flush()).await);
            }
            *state = State::Down;
            client.handle_closed(clock.now(), frame.map(|frame| CloseCode(frame.code.into())));
        }
        Input::Received(Some(_)) => client.handle_alive(clock.now()),
        Input::Received(None) => {
            *state = State::Down;
            client.handle_closed(clock.now(), None);
        }
    }
}

/// Says goodbye if there is anyone to say it to, for a short while.
async fn hang_up(state: &mut State, code: CloseCode) {
    if let State::Up(socket) = state {
        let reason = code.reason().into();
        let frame = CloseFrame { code: code.0.into(), reason };
        drop(timeout(CLOSE_TIMEOUT, socket.close(Some(frame))).await);
    }
    *state = State::Down;
}
