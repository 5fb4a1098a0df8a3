//! Types of payloads: added while the hub runs, read by each subscriber as it wants, and put into
//! quarantine where they are not what they say.

mod encodings;

mod over_http;

mod quarantine;

mod schemas;

mod keeping;

use serde_json::{Value, json};
use tests::schema::descriptor_set;
use tests::{Client, Event, Hub, Via};

/// A channel rule with messages that aren't built in.
const BINS: &str = "[[channel]]
pattern = \"site.*.bins\"
types = [\"fleet.v1.Bin\"]
history = 8
";

/// The first version of the schema behind it.
const BIN: &str = "package fleet.v1; message Bin { string id = 1; uint32 fill_pct = 2; }";

/// The schema, compiled.
fn fleet(source: &str) -> Vec<u8> {
    descriptor_set(&[("fleet/v1/bin.proto", source)])
}

/// A bin of the first version.
fn bin(id: &str, fill_pct: u8) -> Vec<u8> {
    let mut bytes = vec![0x0a, u8::try_from(id.len()).expect("short")];
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend([0x10, fill_pct]);
    bytes
}

/// An operator who writes and reads text.
async fn greeted(hub: &Hub) -> Client {
    let mut client = Client::dial(&Via::of(hub)).await;
    let hello = json!({ "protocol": 1, "token": hub.dev_token("operator") });
    say(&mut client, 1, "hello", &hello).await;
    heard(&mut client, "welcome").await;
    client
}

async fn say(client: &mut Client, request: u64, kind: &str, body: &Value) {
    client.text(&json!({ "request": request.to_string(), kind: body }).to_string()).await;
}

/// The next envelope of this kind.
async fn heard(client: &mut Client, kind: &str) -> Value {
    loop {
        match client.hear().await {
            Event::Json(envelope) => {
                if let Some(body) = envelope.get(kind) {
                    return body.clone();
                }
                assert!(envelope.get("error").is_none(), "{envelope}");
            }
            other => panic!("{other:?} instead of text with `{kind}`"),
        }
    }
}
