//! The driver over real sockets on loopback, against a hub of a few lines.

use std::sync::Arc;
use std::time::Duration;

use firmware_client::driver::{
    Application, ClientCertificate, Clock, HostConfig, LinkControl, UrlError, Wake, run, tls_config,
};
use firmware_client::{
    Backoff, Buffers, Client, Config, Event, Journal, MemoryJournal, Millis, Outcome, Report,
    Verdict,
};
use futures_util::{SinkExt, StreamExt};
use proto::envelope::{Ack, Batch, Deliver, Envelope, Kind, Welcome};
use proto::{CommandId, CommandState};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

const COMMAND: CommandId = CommandId::from_bytes([9; 16]);

/// Reports once, carries out one command, and stops when the hub knows of both.
#[derive(Default)]
struct Lamp {
    reported: bool,
    running: Option<CommandId>,
    acked: u64,
    settled: Option<CommandState>,
    admissions: u32,
    admissions_wanted: u32,
}

impl<J: Journal, const SLOTS: usize, const ENTRY: usize> Application<J, SLOTS, ENTRY> for Lamp {
    fn event(&mut self, _: Millis, event: &Event<'_>) {
        match event {
            Event::Welcome(_) => self.admissions += 1,
            Event::Acked { seq } => self.acked = *seq,
            Event::CommandStart { id, .. } => self.running = Some(*id),
            Event::CommandSettled { state, .. } => self.settled = Some(*state),
            _ => {}
        }
    }

    fn poll(&mut self, now: Millis, client: &mut Client<'_, J, SLOTS, ENTRY>) -> Wake {
        if !self.reported {
            self.reported = client.report(now, &Report::telemetry(b"sample")).is_ok();
        }
        if let Some(id) = self.running.take() {
            let outcome = Outcome { verdict: Verdict::Succeeded, detail: "", result: b"" };
            client.command_done(id, &outcome).expect("it runs");
        }
        let done = self.acked == 1 && self.settled.is_some();
        if done && self.admissions >= self.admissions_wanted { Wake::Stop } else { Wake::Idle }
    }
}

/// Admits, pings, delivers one command, acknowledges everything.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Option<()> {
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let agree = |_: &Request, mut response: Response| {
        let protocol = HeaderValue::from_static(proto::SUBPROTOCOL);
        response.headers_mut().insert("sec-websocket-protocol", protocol);
        Ok(response)
    };
    let mut socket: WebSocketStream<S> = accept_hdr_async(stream, agree).await.ok()?;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Binary(bytes) = message else { continue };
        let mut out = Vec::new();
        for envelope in Batch::parse(&bytes).expect("the device speaks the protocol") {
            let id = COMMAND.text();
            let kind = match envelope.kind {
                Kind::Hello(_) => {
                    Envelope::new(Kind::Welcome(Welcome::default())).encode_delimited(&mut out);
                    let remaining_ms = 60_000;
                    Kind::Deliver(Deliver {
                        command: id.as_str(),
                        remaining_ms,
                        ..Deliver::default()
                    })
                }
                Kind::Publish(publish) => Kind::Ack(Ack { seq: publish.seq, ..Ack::default() }),
                _ => Kind::Ack(Ack::default()),
            };
            Envelope { request: envelope.request, kind }.encode_delimited(&mut out);
        }
        socket.send(Message::Ping(Vec::new().into())).await.ok()?;
        socket.send(Message::binary(out)).await.ok()?;
    }
    Some(())
}

fn config(seed: u64) -> Config<'static> {
    let backoff = Backoff { first_window_ms: 50, ..Backoff::DEFAULT };
    Config { backoff, ..Config::new("lamp-0042", seed) }
}

async fn live(host: HostConfig, lamp: Lamp, control: Arc<LinkControl>) -> Lamp {
    let mut lamp = lamp;
    let (mut samples, mut events, mut commands) = ([0; 1024], [0; 1024], [0; 512]);
    let buffers = Buffers { samples: &mut samples, events: &mut events, commands: &mut commands };
    let clock = Clock::start();
    let journal = MemoryJournal::<16, 128>::default();
    let client: Result<Client<'_, _>, _> = Client::new(config(1), buffers, journal, clock.now());
    let mut client = client.expect("memory can be read");
    run(&host, clock, &control, &mut client, &mut lamp).await;
    lamp
}

#[tokio::test]
async fn a_lamp_reports_and_obeys_over_a_plain_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let hub = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("the lamp comes");
        serve(stream).await
    });
    let host = HostConfig::new(&format!("ws://{address}"), None).expect("a url");
    let host = host.from_source("127.0.0.7".parse().expect("an address"));
    let lamp =
        tokio::time::timeout(Duration::from_secs(20), live(host, Lamp::default(), Arc::default()))
            .await
            .expect("it stops when all is known");
    assert_eq!((lamp.acked, lamp.settled), (1, Some(CommandState::Succeeded)));
    hub.await.expect("the hub ends with the connection");
}

#[tokio::test]
async fn a_lamp_shows_its_certificate_and_returns_after_a_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let identity = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
    let (cert_pem, key_pem) = (identity.cert.pem(), identity.signing_key.serialize_pem());
    let acceptor = server_tls(&identity);
    let hub = tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.expect("tls");
                assert!(
                    stream.get_ref().1.peer_certificates().is_some(),
                    "the lamp showed its own"
                );
                serve(stream).await
            });
        }
    });
    let certificate =
        ClientCertificate { chain_pem: cert_pem.as_bytes(), key_pem: key_pem.as_bytes() };
    let tls = tls_config(cert_pem.as_bytes(), Some(certificate)).expect("good pem");
    let url = format!("wss://localhost:{}", address.port());
    let host = HostConfig::new(&url, Some(tls)).expect("a url").at(address);
    let control = Arc::new(LinkControl::new());
    let lamp = Lamp { admissions_wanted: 2, ..Lamp::default() };
    let life = tokio::spawn(live(host, lamp, control.clone()));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    control.cut();
    let lamp =
        tokio::time::timeout(Duration::from_secs(30), life).await.expect("in time").expect("lives");
    assert_eq!(lamp.admissions, 2, "{:?}", control.last_failure());
    hub.abort();
}

fn server_tls(identity: &rcgen::CertifiedKey<rcgen::KeyPair>) -> tokio_rustls::TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(identity.cert.der().clone()).expect("a certificate");
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .build()
            .expect("a root");
    let key = rustls_pki_types::PrivateKeyDer::try_from(identity.signing_key.serialize_der());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.cert.der().clone()], key.expect("pkcs #8"));
    Arc::new(server.expect("they fit")).into()
}

#[tokio::test]
async fn a_stalled_link_rests_until_the_stall_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let hub = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("the lamp comes");
        serve(stream).await
    });
    let host = HostConfig::new(&format!("ws://{address}"), None).expect("a url");
    let control = Arc::new(LinkControl::new());
    control.stall(true);
    let life = tokio::spawn(live(host, Lamp::default(), control.clone()));
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(!life.is_finished());
    control.stall(false);
    let lamp =
        tokio::time::timeout(Duration::from_secs(20), life).await.expect("in time").expect("lives");
    assert_eq!(lamp.acked, 1);
    hub.await.expect("the hub ends with the connection");
}

#[test]
fn urls_that_make_no_sense_are_refused() {
    let error = |url| HostConfig::new(url, None).expect_err("refused");
    assert_eq!(error("wss://hub"), UrlError::Tls);
    assert_eq!(error("https://hub"), UrlError::Scheme);
    assert_eq!(error("hub:8443"), UrlError::Scheme);
    assert!(matches!(error("::"), UrlError::NotUrl(_)));
    assert!(HostConfig::new("ws://[::1]:8080/v1/ws", None).is_ok());
}
