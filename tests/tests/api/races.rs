//! Several writers of one value at once: no update is lost.

use prost::Message as _;
use proto::messages::lamplighter::v1::{ErrorCode, Message};
use proto::messages::lighting::v1::DeviceConfig;
use serde_json::{Value, json};
use tests::http::Http;
use tests::{Hub, Person, person};

const ROUNDS: u64 = 1_000;
const DESIRED: &str = "devices.lamp-0042.desired";
const PATH: &str = "/v1/channels/devices.lamp-0042.desired";

/// Two writers raise one number, each by what it has read: as many changes arrive as were taken.
/// PROMISES.md, section 6, number 22.
#[tokio::test(flavor = "multi_thread")]
async fn fault_22_of_two_writers_of_desired_one_gets_412_with_the_current_version() {
    let hub = Hub::builder().plain().memory().start().await;
    let http = hub.http();
    assert_eq!(http.post("/v1/devices", &json!({"id": "lamp-0042"})).await.status, 201);
    let first = http.call("PUT", PATH, &[("if-none-match", "*")], &version(0)).await;
    assert_eq!(first.status, 200, "{}", first.body);

    let writers = [http.clone(), http.clone()].map(|http| tokio::spawn(raise(http)));
    let mut conflicts = 0;
    for writer in writers {
        conflicts += writer.await.expect("the writer ends");
    }
    let last = http.get(PATH).await.json();
    assert_eq!(last["data"]["version"], (2 * ROUNDS).to_string(), "an update was lost: {last}");
    assert!(conflicts > 0, "the writers never met, so this proves nothing");
}

/// The same, where one of the two is on the socket.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_of_desired_one_on_the_socket_no_update_is_lost() {
    let hub = Hub::builder().plain().memory().start().await;
    let http = hub.http();
    hub.register("lamp-0042").await;
    let first = http.call("PUT", PATH, &[("if-none-match", "*")], &version(0)).await;
    assert_eq!(first.status, 200, "{}", first.body);

    let person = Person::operator(&hub).await;
    let other = tokio::spawn(raise(http.clone()));
    let conflicts = raise_on_the_socket(person).await + other.await.expect("the writer ends");
    let last = http.get(PATH).await.json();
    assert_eq!(last["data"]["version"], (2 * ROUNDS).to_string(), "an update was lost: {last}");
    assert!(conflicts > 0, "the writers never met, so this proves nothing");
}

async fn raise_on_the_socket(mut person: Person) -> u64 {
    let read = |message: &Message| {
        let config = DeviceConfig::decode(person::payload(message)).expect("of its type");
        (message.offset, config.version)
    };
    person.subscribe(DESIRED, None, true).await;
    // A value that is replaced while the snapshot is on its way isn't in it: its successor follows as a message.
    let begun = match person.snapshot().await.pop() {
        Some(value) => value,
        None => person.message().await,
    };
    let (mut revision, mut held) = read(&begun);
    let (mut conflicts, mut done) = (0, 0);
    while done < ROUNDS {
        let raised = DeviceConfig { version: held + 1, ..DeviceConfig::default() };
        match person.replace(DESIRED, raised.encode_to_vec(), revision).await {
            Ok(ack) => {
                done += 1;
                (revision, held) = (ack.revision, held + 1);
            }
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::Conflict, "{error:?}");
                assert!(error.revision > revision, "it says what stands: {error:?}");
                conflicts += 1;
                while revision < error.revision {
                    (revision, held) = read(&person.message().await);
                }
            }
        }
    }
    conflicts
}

async fn raise(http: Http) -> u64 {
    let (mut conflicts, mut done) = (0, 0);
    let mut current = http.get(PATH).await;
    let (mut tag, mut value) = (current.etag.clone(), current.json());
    while done < ROUNDS {
        let held: u64 = value["data"]["version"].as_str().unwrap_or("0").parse().expect("a number");
        current = http.call("PUT", PATH, &[("if-match", &tag)], &version(held + 1)).await;
        match current.status {
            200 => {
                done += 1;
                tag = current.etag.clone();
                value = json!({"data": version(held + 1)});
            }
            412 => {
                conflicts += 1;
                assert!(!current.etag.is_empty(), "412 says what is current: {}", current.body);
                tag = current.etag.clone();
                value = current.json()["current"].clone();
            }
            status => panic!("{status}: {}", current.body),
        }
    }
    conflicts
}

fn version(number: u64) -> Value {
    json!({"version": number.to_string()})
}
