//! Keys of devices' certificates: pinned, exchanged, revoked; durable, in the log, and with effect at once.

use std::sync::Arc;

use proto::CloseCode;
use proto::messages::lamplighter::v1::envelope::Kind;
use rustls::HandshakeKind;
use serde_json::{Value, json};
use tests::cli::Cli;
use tests::http::Http;
use tests::{Client, Hub, Via, device, stream};

use super::reload::{device_certificate, handshake};

const PATH: &str = "/v1/devices/lamp-1/certificates";

/// A device's certificate, and the way to the hub with it.
struct Card {
    pem: String,
    config: Arc<rustls::ClientConfig>,
    via: Via,
}

impl Card {
    fn of(hub: &Hub, id: &str) -> Self {
        let (pem, key) = device_certificate(hub, id);
        let config = Arc::new(stream::presenting(&hub.dev_file("ca.pem"), &pem, &key));
        Self { pem, via: Via::Tls(hub.secure_address(), config.clone()), config }
    }

    /// Pins it; its key.
    async fn pin(&self, http: &Http) -> String {
        let made = http.post(PATH, &json!({"certificates": [self.pem]})).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let pins = made.json()["certificates"].as_array().expect("a list").clone();
        pins.last().expect("the newest")["key"].as_str().expect("a hash").to_owned()
    }

    async fn enters(&self, boot: u32) -> Client {
        let mut client = Client::dial(&self.via).await;
        client.greet(device::hello("", boot, true)).await;
        client
    }

    async fn is_turned_away(&self, boot: u32) -> u16 {
        let mut client = Client::dial(&self.via).await;
        client.say(1, Kind::Hello(device::hello("", boot, true))).await;
        client.close_code().await
    }
}

async fn start() -> Hub {
    let hub = Hub::builder().set("devices.auto_register", "false");
    let hub = hub.set("devices.session_burst", "100").set("devices.sessions_per_minute", "1000");
    let hub = hub.start().await;
    hub.register("lamp-1").await;
    hub
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_pinned_key_a_device_comes_with_that_one_and_keys_are_exchanged_without_a_gap() {
    let hub = start().await;
    let http = hub.http();
    let (old, new) = (Card::of(&hub, "lamp-1"), Card::of(&hub, "lamp-1"));
    // Nothing is pinned: every certificate that the CA signed.
    let first = new.enters(1).await;
    drop(first);
    let mut foreign = new.enters(2).await;
    let old_key = old.pin(&http).await;
    assert_eq!(foreign.close_code().await, CloseCode::REVOKED.0, "it came with another key");
    assert_eq!(new.is_turned_away(3).await, CloseCode::BAD_CREDENTIAL.0);
    let mut running = old.enters(4).await;

    let new_key = new.pin(&http).await;
    running.barrier().await;
    drop(new.enters(5).await);
    assert_eq!(http.delete(&format!("/v1/certificates/{old_key}")).await.status, 204);
    assert_eq!(old.is_turned_away(6).await, CloseCode::REVOKED.0);
    drop(new.enters(7).await);

    let shown = http.get("/v1/certificates").await.json();
    let pins = shown["certificates"].as_array().expect("a list");
    assert_eq!(pins.len(), 2, "{shown}");
    for pin in pins {
        let is_old = pin["key"] == json!(old_key);
        assert!(is_old || pin["key"] == json!(new_key), "{pin}");
        assert_eq!(pin["revoked_unix_ms"] != 0, is_old, "{pin}");
        assert_eq!((&pin["device"], &pin["pinned_by"]), (&json!("lamp-1"), &json!("operator dev")));
        assert!(pin["first_seen_unix_ms"] != 0 && pin["not_after_unix_ms"] != 0, "{pin}");
        assert!(pin["serial"].as_str().is_some_and(|serial| !serial.is_empty()), "{pin}");
    }
    for (what, times) in [("pin-certificate", 2), ("revoke-certificate", 1)] {
        let page = http.get(&format!("/v1/audit?what={what}")).await.json();
        let records = page["records"].as_array().expect("a list");
        assert_eq!(records.len(), times, "{page}");
        assert!(records.iter().all(|record| record["object"] == "lamp-1"), "{page}");
    }
}

/// P24, also where the key is on a resumed TLS session, after kill -9, and when its device is gone.
#[tokio::test(flavor = "multi_thread")]
async fn p24_a_revoked_key_ends_its_session_and_begins_none_whatever_happens_then() {
    let mut hub = start().await;
    let http = hub.http();
    let card = Card::of(&hub, "lamp-1");
    let key = card.pin(&http).await;
    let mut running = card.enters(1).await;
    assert_eq!(handshake(&hub, &card.config).await, HandshakeKind::Resumed);
    assert_eq!(http.delete(&format!("/v1/certificates/{key}")).await.status, 204);
    assert_eq!(running.close_code().await, CloseCode::REVOKED.0);
    assert_eq!(handshake(&hub, &card.config).await, HandshakeKind::Resumed);
    assert_eq!(card.is_turned_away(2).await, CloseCode::REVOKED.0, "on a resumed session");
    assert_eq!(http.delete(&format!("/v1/certificates/{key}")).await.status, 404, "it is");
    let again = http.post(PATH, &json!({"keys": [key]})).await;
    assert_eq!(again.status, 409, "for good: {}", again.body);
    // Nor does another key come where the only one is revoked.
    assert_eq!(Card::of(&hub, "lamp-1").is_turned_away(3).await, CloseCode::BAD_CREDENTIAL.0);

    hub.kill().await;
    hub.restart().await;
    let card = Card { via: Via::Tls(hub.secure_address(), card.config.clone()), ..card };
    assert_eq!(card.is_turned_away(4).await, CloseCode::REVOKED.0, "after kill -9");
    let http = hub.http();
    assert_eq!(http.delete("/v1/devices/lamp-1").await.status, 204);
    hub.register("lamp-1").await;
    assert_eq!(card.is_turned_away(5).await, CloseCode::REVOKED.0, "of another registration");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_is_pinned_only_where_the_settings_say_so() {
    let hub = Hub::builder().memory().set("devices.pin_first_use", "true");
    let hub = hub.set("devices.session_burst", "100").start().await;
    hub.register("lamp-1").await;
    let (first, second) = (Card::of(&hub, "lamp-1"), Card::of(&hub, "lamp-1"));
    drop(first.enters(1).await);
    assert_eq!(second.is_turned_away(2).await, CloseCode::BAD_CREDENTIAL.0);
    let shown = hub.http().get(PATH).await.json();
    assert_eq!(shown["certificates"][0]["pinned_by"], "device lamp-1", "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_have_versions_and_bad_ones_are_refused_by_name() {
    let hub = start().await;
    let http = hub.http();
    hub.register("lamp-2").await;
    let none = http.get(PATH).await;
    let (one, other) = ("1".repeat(64), "2".repeat(64));
    let pin = async |etag: &str, keys: &[&str]| {
        http.call("POST", PATH, &[("if-match", etag)], &json!({"keys": keys})).await
    };
    let made = pin(&none.etag, &[&one]).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let stale = pin(&none.etag, &[&other]).await;
    assert_eq!((stale.status, stale.etag.as_str()), (412, made.etag.as_str()), "{}", stale.body);
    assert_eq!(stale.json()["current"]["certificates"][0]["key"], json!(one));
    assert_eq!(pin(&made.etag, &[&other, &one]).await.status, 201);

    let card = Card::of(&hub, "lamp-2");
    let many: Vec<String> = (0..15).map(|n| format!("{n:064x}")).collect();
    for (path, body, status, field) in [
        (PATH, json!({}), 400, "keys"),
        (PATH, json!({"keys": ["A".repeat(64)]}), 400, "keys"),
        (PATH, json!({"keys": ["1"]}), 400, "keys"),
        (PATH, json!({"certificates": ["no PEM"]}), 400, "certificates"),
        (PATH, json!({"certificates": [card.pem]}), 400, "certificates"),
        (PATH, json!({"keys": many}), 409, "keys"),
        ("/v1/devices/lamp-2/certificates", json!({"keys": [one]}), 409, "keys"),
        ("/v1/devices/lamp-9/certificates", json!({"keys": [one]}), 404, "id"),
    ] {
        let refused = http.post(path, &body).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.body);
        assert_eq!(refused.json()["field"], field, "{body}: {}", refused.body);
    }
    let viewer = Http::new(&hub, &hub.dev_token("viewer"));
    assert_eq!(viewer.get("/v1/certificates").await.status, 200);
    assert_eq!(viewer.delete(&format!("/v1/certificates/{one}")).await.status, 403);
    assert_eq!(viewer.post(PATH, &json!({"keys": [one]})).await.status, 403);
    let page = http.get("/v1/certificates?limit=1").await.json();
    let next = page["next"].as_str().expect("one more");
    let rest = http.get(&format!("/v1/certificates?cursor={next}")).await.json();
    assert_eq!(rest["certificates"][0]["key"], json!(other), "{rest}");
    assert_eq!(rest["next"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_pins_lists_and_revokes() {
    let hub = start().await;
    let cli = Cli::of(&hub);
    let card = Card::of(&hub, "lamp-1");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &card.pem).expect("ours");
    let file = file.path().display().to_string();
    let pinned = cli.run(&["certificate", "pin", "lamp-1", "--file", &file]).await;
    assert_eq!(pinned.code, 0, "{pinned:?}");
    drop(card.enters(1).await);
    let listed = cli.run(&["certificate", "list", "--json"]).await;
    let pin: Value = serde_json::from_str(&listed.out).expect("one line");
    let key = pin["key"].as_str().expect("a hash");
    let revoked = cli.run(&["certificate", "revoke", key]).await;
    assert_eq!(revoked.code, 0, "{revoked:?}");
    assert_eq!(card.is_turned_away(2).await, CloseCode::REVOKED.0);
    let table = cli.run(&["certificate", "list", "--device", "lamp-1"]).await;
    assert!(table.out.contains("revoked") && table.out.contains(&key[..12]), "{table:?}");
    let wrong = cli.run(&["certificate", "revoke", "x"]).await;
    assert_ne!(wrong.code, 0, "{wrong:?}");
}
