//! Takes connections in, at a pace that the hub can stand.
//!
//! Before the first byte of TLS a connection costs a token of the accept rate, a permit of the hub and
//! a place of its address; handshakes are few at once and short. A storm waits in the kernel's
//! backlog, where it costs nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use proto::CloseCode;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::address::{Addresses, Place};
use super::early::Watched;
use super::upgrade::Origin;
use super::wire::Wire;
use super::{Shared, tls};
use crate::broker::credentials::Certificate;
use crate::clock;
use crate::mailbox::Pulse;
use crate::metrics::Limit;

/// Connections that wait in the kernel.
const BACKLOG: i32 = 4096;
/// How long to wait when descriptors ran out.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);
/// After so long without an ack of TCP a peer is gone.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that wait in the kernel unsent. What a slow reader doesn't take waits in its mailbox instead,
/// where it is counted, bounded and replaced by newer values.
const UNSENT_BYTES_MAX: u32 = 16 * 1024;
const HEAD_BYTES_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 40;

/// One listening socket.
pub struct Listener {
    socket: TcpListener,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
}

/// Places that all listeners share.
#[derive(Debug, Clone)]
pub struct Gate {
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    addresses: Arc<Addresses>,
}

impl Gate {
    /// Room for so many connections.
    pub fn new(shared: &Shared, connections_max: usize) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(connections_max)),
            handshakes: Arc::new(Semaphore::new(shared.settings.handshakes_max)),
            addresses: Addresses::new(&shared.settings),
        }
    }
}

impl Listener {
    /// Binds. Without TLS it is for loopback only; the caller sees to that. Each handshake takes the
    /// configuration that is there when it begins.
    ///
    /// # Errors
    /// The address is in use or not ours.
    pub fn bind(address: SocketAddr, tls: Option<Arc<ArcSwap<ServerConfig>>>) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        tune(&socket)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket: TcpListener::from_std(socket.into())?, tls })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes connections until `stop` says so. Each takes the bounds that are there when it comes.
    pub async fn run(
        self,
        live: Arc<ArcSwap<Shared>>,
        gate: Gate,
        router: Router,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut pace = Pace::new(live.load().settings.accept_rate);
        loop {
            let accepted = tokio::select! {
                accepted = pace.accept(&self.socket) => accepted,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let shared = live.load_full();
            pace.per_s = shared.settings.accept_rate as f32;
            let (socket, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                    continue;
                }
            };
            shared.broker.metrics.connections_total.inc();
            let Ok(permit) = gate.connections.clone().try_acquire_owned() else {
                shared.broker.metrics.limit_hit(Limit::Connections);
                continue;
            };
            let Some(place) = gate.addresses.enter(address.ip(), clock::mono()) else {
                shared.broker.metrics.limit_hit(Limit::Address);
                continue;
            };
            let guest = Guest { socket, address, permit, place };
            let tls = self.tls.as_ref().map(|tls| tls.load_full());
            let handshakes = gate.handshakes.clone();
            tokio::spawn(welcome(guest, tls, handshakes, shared, router.clone()));
        }
    }
}

struct Guest {
    socket: TcpStream,
    address: SocketAddr,
    permit: tokio::sync::OwnedSemaphorePermit,
    place: Place,
}

/// From the accepted socket to HTTP.
async fn welcome(
    guest: Guest,
    tls: Option<Arc<ServerConfig>>,
    handshakes: Arc<Semaphore>,
    shared: Arc<Shared>,
    router: Router,
) {
    let Guest { socket, address, permit, place } = guest;
    let early = Arc::default();
    let origin = |certificate| Arc::new(Origin { address, certificate, place, permit, early });
    let Some(config) = tls else {
        return serve(Wire::plain(socket), router, shared, origin(Certificate::None)).await;
    };
    let wire = timeout(shared.settings.handshake_timeout, async {
        let _turn = handshakes.acquire().await;
        Wire::accept(socket, config).await
    });
    match wire.await {
        Ok(Ok(wire)) => {
            let certificate = match wire.peer_certificates() {
                [leaf, ..] => tls::device_of(leaf),
                [] => Certificate::None,
            };
            serve(wire, router, shared, origin(certificate)).await;
        }
        Ok(Err(error)) => {
            shared.broker.metrics.handshake_failures.inc();
            tracing::debug!(%address, %error, "TLS handshake failed");
        }
        Err(_) => shared.broker.metrics.limit_hit(Limit::HandshakeTime),
    }
}

/// Serves HTTP/1.1 until the connection is upgraded or ends, or its reader takes nothing any more.
async fn serve(wire: Wire, router: Router, shared: Arc<Shared>, origin: Arc<Origin>) {
    let head_timeout = shared.settings.head_timeout;
    let address = origin.address;
    let pulse = Arc::new(Pulse::default());
    let stalled = stalled(pulse.clone(), shared.settings.write_stall);
    let broker = shared.broker.clone();
    let wire = Watched::new(wire, origin.early.clone());
    let service = hyper::service::service_fn(move |mut request: hyper::Request<_>| {
        request.extensions_mut().insert(origin.address);
        request.extensions_mut().insert(origin.clone());
        request.extensions_mut().insert(shared.clone());
        request.extensions_mut().insert(pulse.clone());
        hyper::service::Service::call(&TowerToHyperService::new(router.clone()), request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(wire), service)
        .with_upgrades();
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, "an HTTP connection ended badly");
        },
        () = stalled => {
            broker.metrics.limit_hit(Limit::WriteTime);
            broker.metrics.closed(CloseCode::SLOW.0);
            tracing::info!(%address, "cut: it reads nothing over HTTP");
        }
    }
}

/// Ends when a response made no progress for the time of a stall.
async fn stalled(pulse: Arc<Pulse>, stall: Duration) {
    let mut seen = (None, 0);
    loop {
        tokio::time::sleep(stall / 2).await;
        seen = match pulse.on_its_way() {
            Some(piece) if seen.0 == Some(piece) => (seen.0, seen.1 + 1),
            other => (other, 0),
        };
        if seen.1 >= 2 {
            return;
        }
    }
}

/// For all connections: Linux hands the options of a listening socket on to those that it accepts, which
/// saves three system calls each.
fn tune(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))
}

/// A token bucket in front of accept.
struct Pace {
    per_s: f32,
    credit: f32,
    at: std::time::Instant,
}

impl Pace {
    fn new(per_s: u32) -> Self {
        Self { per_s: per_s as f32, credit: per_s as f32, at: clock::mono() }
    }

    async fn accept(&mut self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let now = clock::mono();
        let passed = (now - self.at).as_secs_f32();
        self.credit = (self.credit + passed * self.per_s).min(self.per_s);
        self.at = now;
        if self.credit < 1.0 {
            let wait = (1.0 - self.credit) / self.per_s;
            tokio::time::sleep(Duration::from_secs_f32(wait)).await;
        }
        let accepted = listener.accept().await;
        self.credit -= 1.0;
        accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_accepted_has_the_options_of_the_listener() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(loopback, None).expect("a free port");
        let _peer =
            std::net::TcpStream::connect(listener.address().expect("bound")).expect("it listens");
        let (accepted, _) = listener.socket.accept().await.expect("it has come");
        let accepted = socket2::SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().expect("TCP"));
        assert_eq!(accepted.tcp_notsent_lowat().expect("TCP"), UNSENT_BYTES_MAX);
        assert_eq!(accepted.tcp_user_timeout().expect("TCP"), Some(TCP_USER_TIMEOUT));
    }
}
