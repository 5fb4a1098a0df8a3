//! BT: what comes instead of a good TLS handshake.

use std::time::Duration;

use proto::messages::lamplighter::v1::envelope::Kind;
use tests::raw::Raw;
use tests::{Client, Hub, HubBuilder, Via, person, stream};
use tokio_tungstenite::tungstenite::Error;

use crate::hostile;

/// The first byte of a record that holds an alert.
const ALERT: u8 = 21;
const PROTOCOL_VERSION: u8 = 70;
/// Said first to a hello that lacks what every current version has.
const HANDSHAKE_FAILURE: u8 = 40;

fn builder() -> HubBuilder {
    Hub::builder().memory().set("limits.handshake_timeout", "1s")
}

/// The way to the TLS listener for bytes that are none.
fn bare(hub: &Hub) -> Via {
    Via::Plain(hub.secure_address())
}

#[tokio::test]
async fn bt1_bt2_silence_and_drops_are_cut_in_total_time() {
    let hub = builder().start().await;
    let mut silent = Raw::open(&bare(&hub)).await;
    assert!(silent.to_end().await.is_empty(), "BT1");
    let mut slow = Raw::open(&bare(&hub)).await;
    let hello = client_hello(3);
    let mut cut = false;
    for byte in hello.iter().cycle().take(200) {
        slow.write(&[*byte]).await;
        if slow.says_within(Duration::from_millis(100)).await {
            cut = true;
            break;
        }
    }
    assert!(cut, "BT2: the hub listens to a slow handshake for ever");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bt4_old_versions_get_an_alert() {
    let hub = builder().start().await;
    for (id, minor) in [("BT4 TLS 1.0", 1), ("BT4 TLS 1.1", 2), ("BT4 TLS 1.2", 3)] {
        let mut raw = Raw::open(&bare(&hub)).await;
        raw.write(&client_hello(minor)).await;
        let answer = raw.to_end().await;
        let description = answer.get(6).filter(|_| answer[0] == ALERT);
        let wanted = [PROTOCOL_VERSION, HANDSHAKE_FAILURE];
        assert!(description.is_some_and(|said| wanted.contains(said)), "{id}: {answer:02x?}");
    }
    let mut raw = Raw::open(&bare(&hub)).await;
    raw.write(b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10").await;
    raw.close_write().await;
    let answer = raw.to_end().await;
    assert!(answer.is_empty() || answer[0] == ALERT, "BT4 SSLv2: {answer:02x?}");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bt5_bt6_a_hello_in_one_byte_records_and_hellos_that_lie() {
    let hub = builder().start().await;
    let whole = client_hello(3);
    let pieces: Vec<u8> = whole[5..].iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
    let mut rows = vec![("BT5 one-byte records", pieces)];
    for (id, length) in [("BT6 16 MiB", 0x00ff_ffff_u32), ("BT6 64 KiB + 1", 0x0001_0001)] {
        let length = length.to_be_bytes();
        rows.push((id, [&[22, 3, 1, 0, 8, 1], &length[1..], &[3, 3, 0, 0]].concat()));
    }
    rows.push(("BT6 a record of 64 KiB", [&[22, 3, 1, 0xff, 0xff][..], &[0; 600]].concat()));
    let before = hostile::memory_kib(&hub);
    for (id, bytes) in rows {
        let mut raw = Raw::open(&bare(&hub)).await;
        raw.write(&bytes).await;
        let answer = raw.to_end().await;
        assert!(answer.is_empty() || [ALERT, 22].contains(&answer[0]), "{id}: {answer:02x?}");
    }
    let grown = hostile::memory_kib(&hub).saturating_sub(before);
    assert!(grown < 4096, "BT6: the hub grew by {grown} KiB");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bt8_a_client_that_only_speaks_h2() {
    let hub = builder().start().await;
    let mut config = stream::trusting(&hub.dev_file("ca.pem"));
    config.alpn_protocols = vec![b"h2".to_vec()];
    refused(&hub, "BT8", config, "NoApplicationProtocol").await;
}

/// Certificates are optional, since devices may have tokens: without either nobody is let in.
#[tokio::test]
async fn bt14_neither_certificate_nor_token() {
    let hub = builder().start().await;
    let mut client = Client::dial(&Via::of(&hub)).await;
    client.say(1, Kind::Hello(person::hello(""))).await;
    assert_eq!(client.close_code().await, 4501, "BT14");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bt16_certificates_of_nobody_we_know() {
    let hub = builder().start().await;
    let params = rcgen::CertificateParams::new(vec![]).expect("no names");
    let key = rcgen::KeyPair::generate().expect("randomness");
    let own = params.self_signed(&key).expect("valid parameters");
    let ca = hub.dev_file("ca.pem");
    let config = stream::presenting(&ca, &own.pem(), &key.serialize_pem());
    refused(&hub, "BT16 self-signed", config, "UnknownCA").await;
}

async fn refused(hub: &Hub, id: &str, config: rustls::ClientConfig, wanted: &str) {
    let tried = Client::try_dial(&Via::with_tls(hub, config)).await;
    let error = match tried {
        Err(Error::Io(error)) => error.to_string(),
        Err(other) => other.to_string(),
        Ok(_) => panic!("{id}: let in"),
    };
    assert!(error.contains(wanted), "{id}: {error}");
    hostile::serves(hub).await;
}

/// A hello of TLS 1.`minor - 1` without extensions, in its record.
fn client_hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend_from_slice(&[0x5a; 32]);
    // No session; ECDHE suites and RSA with AES; no compression.
    body.extend_from_slice(&[0, 0, 6, 0xc0, 0x2b, 0xc0, 0x2f, 0, 0x2f, 1, 0]);
    let length = body.len() as u8;
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length], body.as_slice()].concat()
}
