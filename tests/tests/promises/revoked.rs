//! Lists of revoked certificates: taken up while the hub runs, with effect at once; bad ones are refused.

use std::fs;
use std::sync::Arc;

use proto::CloseCode;
use proto::messages::lamplighter::v1::envelope::Kind;
use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope,
    Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::HandshakeKind;
use tempfile::{NamedTempFile, TempDir};
use tests::cli::Cli;
use tests::deadline::until;
use tests::{Client, Hub, PATIENCE, Via, device, stream};

use super::reload::{DONE, REFUSED, handshake, hang_up, metric, numbered_certificate, reload};

/// A hub with a configuration that names a list, which isn't there before the hub has made its CA.
struct Bench {
    hub: Hub,
    configuration: NamedTempFile,
    folder: TempDir,
}

impl Bench {
    async fn start() -> Self {
        let configuration = NamedTempFile::new().expect("a file");
        let folder = tempfile::tempdir().expect("a folder");
        let hub = Hub::builder().memory().config(configuration.path());
        let hub = hub.set("devices.session_burst", "100").start().await;
        Self { hub, configuration, folder }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("revoked.pem")
    }

    /// Has the hub take up a list that revokes these numbers.
    async fn revoke(&self, numbers: &[u64]) {
        fs::write(self.path(), list(&self.hub, numbers, 2096, false).0).expect("ours");
        let text = format!("[tls]\ncrl = {:?}\n", self.path());
        fs::write(self.configuration.path(), text).expect("ours");
        let http = self.hub.http();
        reload(&self.hub, &http).await;
    }

    fn card(&self, id: &str, number: u64) -> Arc<rustls::ClientConfig> {
        let (chain, key) = numbered_certificate(&self.hub, id, Some(number));
        Arc::new(stream::presenting(&self.hub.dev_file("ca.pem"), &chain, &key))
    }

    fn via(&self, card: &Arc<rustls::ClientConfig>) -> Via {
        Via::Tls(self.hub.secure_address(), card.clone())
    }

    async fn enters(&self, card: &Arc<rustls::ClientConfig>, boot: u32) -> Client {
        let mut client = Client::dial(&self.via(card)).await;
        client.greet(device::hello("", boot, true)).await;
        client
    }
}

/// A list by the hub's own CA, good until a year; as PEM and as DER.
fn list(hub: &Hub, numbers: &[u64], year: i32, is_partial: bool) -> (String, Vec<u8>) {
    let read = |name: &str| fs::read_to_string(hub.dev_file(name)).expect("the hub made it");
    let authority = KeyPair::from_pem(&read("ca.key")).expect("a key");
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), authority).expect("a CA");
    let revoked = numbers.iter().map(|number| RevokedCertParams {
        serial_number: SerialNumber::from(*number),
        revocation_time: date_time_ymd(2002, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let point = is_partial.then(|| CrlIssuingDistributionPoint {
        distribution_point: CrlDistributionPoint { uris: vec!["http://ca.example".to_owned()] },
        scope: Some(CrlScope::UserCertsOnly),
    });
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2001, 1, 1),
        next_update: date_time_ymd(year, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: point,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = params.signed_by(&issuer).expect("valid parameters");
    (list.pem().expect("PEM"), list.der().to_vec())
}

/// P24: a list ends the session, refuses the handshake, and a TLS session that is resumed is judged anew.
#[tokio::test(flavor = "multi_thread")]
async fn p24_a_list_of_revoked_certificates_ends_sessions_and_begins_none() {
    let bench = Bench::start().await;
    for id in ["lamp-1", "lamp-2"] {
        bench.hub.register(id).await;
    }
    let (lost, good) = (bench.card("lamp-1", 77), bench.card("lamp-2", 78));
    let mut running = bench.enters(&lost, 1).await;
    let mut other = bench.enters(&good, 1).await;
    assert_eq!(handshake(&bench.hub, &lost).await, HandshakeKind::Resumed);

    bench.revoke(&[77, 1234]).await;
    assert_eq!(running.close_code().await, CloseCode::REVOKED.0);
    other.barrier().await;
    assert_eq!(handshake(&bench.hub, &lost).await, HandshakeKind::Resumed);
    let mut again = Client::dial(&bench.via(&lost)).await;
    again.say(1, Kind::Hello(device::hello("", 2, true))).await;
    assert_eq!(again.close_code().await, CloseCode::REVOKED.0, "on a resumed session");
    // Without anything to resume it doesn't come as far as that.
    let fresh = bench.card("lamp-1", 77);
    assert!(Client::try_dial(&bench.via(&fresh)).await.is_err(), "the handshake is refused");
    drop(bench.enters(&good, 2).await);
    drop(bench.enters(&bench.card("lamp-1", 79), 3).await);

    // Taken back, it counts no more.
    bench.revoke(&[1234]).await;
    drop(bench.enters(&lost, 4).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn bt24_a_bad_list_of_revoked_certificates_is_refused_by_name_and_the_old_one_stays() {
    let bench = Bench::start().await;
    bench.hub.register("lamp-1").await;
    bench.revoke(&[77]).await;
    let (good, der) = list(&bench.hub, &[77], 2096, false);
    let (expired, _) = list(&bench.hub, &[77], 2003, false);
    let (partial, empty_bits) = list(&bench.hub, &[77], 2096, true);
    // onlyContainsUserCerts becomes onlySomeReasons without a bit.
    let at = empty_bits.windows(3).position(|bytes| bytes == [0x81, 0x01, 0xff]).expect("a scope");
    let empty_bits = [&empty_bits[..at], &[0x83, 0x01, 0x00], &empty_bits[at + 3..]].concat();
    let rows: [(&str, Vec<u8>, &str); 7] = [
        ("BT24 empty", Vec::new(), "no list in it"),
        ("BT24 truncated PEM", good.as_bytes()[..good.len() / 2].to_vec(), "cut off"),
        ("BT24 truncated DER", der[..der.len() - 1].to_vec(), "cut off"),
        ("BT24 expired", expired.into_bytes(), "out of date"),
        ("BT24 100 MB", vec![0x30; 100_000_000], "at most"),
        ("BT24 empty BIT STRING", empty_bits, "empty bit string"),
        ("BT24 another thing", b"-----BEGIN".to_vec(), "revoked.pem"),
    ];
    let http = bench.hub.http();
    for (id, bytes, wanted) in rows {
        let (before, said) = (metric(&http, REFUSED).await, bench.hub.log().len());
        fs::write(bench.path(), &bytes).expect("ours");
        hang_up(&bench.hub);
        let refused = async || (metric(&http, REFUSED).await > before).then_some(());
        until(PATIENCE, id, refused).await;
        let log = bench.hub.log()[said..].to_owned();
        assert!(log.contains("reload refused") && log.contains("revoked.pem"), "{id}: {log}");
        assert!(log.contains(wanted) && !log.contains("panicked"), "{id}: {log}");
        let fresh = bench.card("lamp-1", 77);
        assert!(Client::try_dial(&bench.via(&fresh)).await.is_err(), "{id}: the old one counts");

        let data = bench.folder.path().join("data");
        let setting = format!("tls.crl={:?}", bench.path());
        let words = ["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir"];
        let words = [&words[..], &[data.to_str().expect("text"), "--set", &setting]].concat();
        let ran = Cli::default().run(&words).await;
        assert!(ran.code > 0 && ran.err.contains("revoked.pem"), "{id}: {ran:?}");
    }
    // As DER, and for a part of the certificates, it is as good.
    for bytes in [der, partial.into_bytes()] {
        let before = metric(&http, DONE).await;
        fs::write(bench.path(), bytes).expect("ours");
        let taken = async || (metric(&http, DONE).await > before).then_some(());
        until(PATIENCE, "it is taken up", taken).await;
        let fresh = bench.card("lamp-1", 77);
        assert!(Client::try_dial(&bench.via(&fresh)).await.is_err());
    }
}
