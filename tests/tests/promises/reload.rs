//! Changed files are taken up while the hub runs; bad ones are not, and what was there stays.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use proto::CloseCode;
use proto::messages::lamplighter::v1::Subscribe;
use proto::messages::lamplighter::v1::envelope::Kind;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType, SerialNumber};
use rustix::process::{Pid, Signal, kill_process};
use rustls::HandshakeKind;
use tests::deadline::until;
use tests::http::Http;
use tests::{Client, Hub, PATIENCE, Person, Via, device, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Fault 6.18.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_new_handshakes_use_it_old_sockets_live() {
    let hub = Hub::start().await;
    let mut old = Person::operator(&hub).await;
    let trust = trust(&hub);
    let before = leaf(&hub, &trust).await;
    let wanted = replace_certificate(&hub, 2096);
    hang_up(&hub);
    until(PATIENCE, "handshakes with the new certificate", async || {
        (leaf(&hub, &trust).await == wanted).then_some(())
    })
    .await;
    assert_ne!(before, wanted);
    old.client.barrier().await;
    Person::operator(&hub).await.client.barrier().await;
    assert!(metric(&hub.http(), DONE).await >= 1.0);
    let page = hub.http().get("/v1/audit?what=change-configuration").await.json();
    // A look between the writing of the certificate and of its key refuses the pair; its record has no detail.
    let records = page["records"].as_array().expect("a list");
    let detail = records.iter().find_map(|record| record["detail"].as_str());
    let detail = detail.expect("what has changed");
    assert!(detail.contains("server.pem") && !detail.contains("ca.pem"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_is_taken_up_without_a_signal() {
    let hub = Hub::start().await;
    let trust = trust(&hub);
    let wanted = replace_certificate(&hub, 2096);
    until(PATIENCE, "handshakes with the new certificate", async || {
        (leaf(&hub, &trust).await == wanted).then_some(())
    })
    .await;
}

/// Who resumes a session shows no certificate, so sessions must not outlive the CAs that let them in.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_resumed_after_a_new_certificate_and_not_after_new_authorities() {
    let hub = Hub::start().await;
    let (http, trust) = (hub.http(), trust(&hub));
    assert_eq!(handshake(&hub, &trust).await, HandshakeKind::Full);
    assert_eq!(handshake(&hub, &trust).await, HandshakeKind::Resumed);
    replace_certificate(&hub, 2096);
    reload(&hub, &http).await;
    assert_eq!(handshake(&hub, &trust).await, HandshakeKind::Resumed);
    let authority = KeyPair::generate().expect("randomness");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let second = params.self_signed(&authority).expect("valid parameters").pem();
    let first = fs::read_to_string(hub.dev_file("ca.pem")).expect("the hub made it");
    write(&hub.dev_file("ca.pem"), &(first + &second));
    reload(&hub, &http).await;
    assert_eq!(handshake(&hub, &trust).await, HandshakeKind::Full);
}

/// A resumed session shows no certificate; it stands for the one that it began with, and that is judged anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_is_turned_away_on_a_resumed_tls_session() {
    let hub = Hub::builder().set("devices.auto_register", "false").start().await;
    hub.register("lamp-1").await;
    let (chain, key) = device_certificate(&hub, "lamp-1");
    let config = Arc::new(stream::presenting(&hub.dev_file("ca.pem"), &chain, &key));
    let via = Via::Tls(hub.secure_address(), config.clone());
    let mut first = Client::dial(&via).await;
    first.greet(device::hello("", 1, true)).await;
    assert_eq!(handshake(&hub, &config).await, HandshakeKind::Resumed);

    assert_eq!(hub.http().delete("/v1/devices/lamp-1").await.status, 204);
    assert_eq!(first.close_code().await, CloseCode::REVOKED.0, "the running session ends");
    assert_eq!(handshake(&hub, &config).await, HandshakeKind::Resumed);
    let mut again = Client::dial(&via).await;
    again.say(1, Kind::Hello(device::hello("", 2, true))).await;
    assert_eq!(again.close_code().await, CloseCode::REVOKED.0, "and no other begins");
    let recorded = async || {
        let page = hub.http().get("/v1/audit?what=connect").await.json();
        let records = page["records"].as_array().expect("a list").clone();
        let is_it = |record: &serde_json::Value| {
            record["result"] == "REVOKED" && record["object"] == "certificate of lamp-1"
        };
        records.iter().any(is_it).then_some(())
    };
    until(PATIENCE, "the refusal in the audit log", recorded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bf4_a_bad_key_or_certificate_leaves_the_old_in_force_and_is_named() {
    let hub = Hub::start().await;
    // From before the files are spoiled.
    let (http, trust) = (hub.http(), trust(&hub));
    let good = leaf(&hub, &trust).await;
    let (pem, key, ca) =
        (hub.dev_file("server.pem"), hub.dev_file("server.key"), hub.dev_file("ca.pem"));
    let other = KeyPair::generate().expect("randomness").serialize_pem();
    let secret = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAoGCCqGSIb3DQMH\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let rows: [(&str, &dyn Fn(), &str); 7] = [
        ("BF4 another's key", &|| write(&key, &other), "server.key"),
        ("BF4 encrypted key", &|| write(&key, secret), "server.key"),
        ("BF4 key 0644", &|| set_mode(&key, 0o644), "chmod 600"),
        ("BF4 no key", &|| fs::remove_file(&key).expect("ours"), "server.key"),
        ("BF4 expired", &|| drop(replace_certificate(&hub, 2002)), "server.pem"),
        ("BF4 half a certificate", &|| write(&pem, "-----BEGIN CERT"), "server.pem"),
        ("BF4 CA file with no certificate", &|| write(&ca, ""), "ca.pem"),
    ];
    let old = [&pem, &key, &ca].map(|path| (path.clone(), fs::read_to_string(path).expect("ours")));
    for (id, spoil, wanted) in rows {
        let (before, said) = (metric(&http, REFUSED).await, hub.log().len());
        spoil();
        hang_up(&hub);
        let refused = async || (metric(&http, REFUSED).await > before).then_some(());
        until(PATIENCE, id, refused).await;
        let log = hub.log()[said..].to_owned();
        assert!(log.contains("reload refused") && log.contains(wanted), "{id}: {log}");
        for (path, text) in &old {
            write(path, text);
        }
        assert_eq!(leaf(&hub, &trust).await, good, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bf2_a_bad_configuration_leaves_the_old_in_force_and_a_good_one_is_taken_up() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), "").expect("ours");
    let hub = Hub::builder().config(file.path()).memory().start().await;
    let http = hub.http();
    for (id, text, wanted) in [
        ("BF2 unknown key", "[limits]\nacept_per_s = 1\n", "acept_per_s"),
        ("BF2 no TOML", "limits: 3\n", "line 1"),
        ("BF2 out of range", "[limits]\nhandshakes = 0\n", "limits.handshakes"),
    ] {
        let (before, said) = (metric(&http, REFUSED).await, hub.log().len());
        fs::write(file.path(), text).expect("ours");
        hang_up(&hub);
        let refused = async || (metric(&http, REFUSED).await > before).then_some(());
        until(PATIENCE, id, refused).await;
        let log = hub.log()[said..].to_owned();
        assert!(log.contains("reload refused") && log.contains(wanted), "{id}: {log}");
        Person::operator(&hub).await.client.barrier().await;
    }

    let mut old = Person::operator(&hub).await;
    let text = "[limits]\nperson_subscriptions = 1\nconnections = 77\n";
    fs::write(file.path(), text).expect("ours");
    let taken = async || (metric(&http, DONE).await > 0.0).then_some(());
    until(PATIENCE, "it is taken up", taken).await;
    let mut fresh = Person::operator(&hub).await;
    fresh.watch("a").await;
    let second = Subscribe { pattern: "b".to_owned(), ..Subscribe::default() };
    fresh.ask(Kind::Subscribe(second)).await.expect_err("new connections have the new bounds");
    old.watch("a").await;
    old.watch("b").await;
    assert!(hub.log().contains("needs a restart") && hub.log().contains("limits.connections"));
}

pub(crate) const DONE: &str = "lamplighter_reloads_total{result=\"Done\"}";
pub(crate) const REFUSED: &str = "lamplighter_reloads_total{result=\"Refused\"}";

pub(crate) fn hang_up(hub: &Hub) {
    let pid = Pid::from_raw(hub.pid()).expect("never 0");
    kill_process(pid, Signal::HUP).expect("it is ours");
}

pub(crate) async fn metric(http: &Http, line: &str) -> f64 {
    let page = http.get("/metrics").await.body;
    let found = page.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().expect("a number"))
}

fn trust(hub: &Hub) -> Arc<rustls::ClientConfig> {
    Arc::new(stream::trusting(&hub.dev_file("ca.pem")))
}

/// Has the hub take up what has changed.
pub(crate) async fn reload(hub: &Hub, http: &Http) {
    let before = metric(http, DONE).await;
    hang_up(hub);
    let taken = async || (metric(http, DONE).await > before).then_some(());
    until(PATIENCE, "it is taken up", taken).await;
}

/// How a connection begins that remembers what earlier ones were given.
pub(crate) async fn handshake(hub: &Hub, trust: &Arc<rustls::ClientConfig>) -> HandshakeKind {
    let mut tls = connect(hub, trust).await;
    // The ticket for the next one comes before the answer.
    tls.write_all(b"GET /healthz HTTP/1.1\r\nhost: hub\r\n\r\n").await.expect("it takes bytes");
    tls.read_u8().await.expect("an answer");
    tls.get_ref().1.handshake_kind().expect("it is over")
}

/// The certificate that the hub shows now.
async fn leaf(hub: &Hub, trust: &Arc<rustls::ClientConfig>) -> Vec<u8> {
    let tls = connect(hub, trust).await;
    tls.get_ref().1.peer_certificates().expect("a chain")[0].to_vec()
}

async fn connect(hub: &Hub, trust: &Arc<rustls::ClientConfig>) -> TlsStream<TcpStream> {
    let socket = TcpStream::connect(hub.secure_address()).await.expect("it listens");
    let name = "localhost".try_into().expect("a name");
    TlsConnector::from(trust.clone()).connect(name, socket).await.expect("a handshake")
}

/// A device's chain and key, by the hub's own CA.
pub(crate) fn device_certificate(hub: &Hub, id: &str) -> (String, String) {
    numbered_certificate(hub, id, None)
}

/// The same with a number of the test's choice.
pub(crate) fn numbered_certificate(hub: &Hub, id: &str, number: Option<u64>) -> (String, String) {
    let read = |name: &str| fs::read_to_string(hub.dev_file(name)).expect("the hub made it");
    let authority = KeyPair::from_pem(&read("ca.key")).expect("a key");
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), authority).expect("a CA");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    let uri = format!("urn:lamplighter:device:{id}");
    params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("ASCII"))];
    params.serial_number = number.map(SerialNumber::from);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().expect("randomness");
    let certificate = params.signed_by(&key, &issuer).expect("valid parameters");
    (certificate.pem(), key.serialize_pem())
}

/// Makes a certificate by the hub's own CA, good until a year, and puts it in place; its bytes.
fn replace_certificate(hub: &Hub, year: i32) -> Vec<u8> {
    let read = |name: &str| fs::read_to_string(hub.dev_file(name)).expect("the hub made it");
    let authority = KeyPair::from_pem(&read("ca.key")).expect("a key");
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), authority).expect("a CA");
    let mut params =
        CertificateParams::new(["localhost", "127.0.0.1"].map(str::to_owned)).expect("a name");
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().expect("randomness");
    let certificate = params.signed_by(&key, &issuer).expect("valid parameters");
    write(&hub.dev_file("server.key"), &key.serialize_pem());
    write(&hub.dev_file("server.pem"), &certificate.pem());
    certificate.der().to_vec()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("ours");
    set_mode(path, 0o600);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
}
