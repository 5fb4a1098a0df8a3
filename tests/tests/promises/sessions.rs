//! Who is here: take-overs, flapping links, and the presence that everybody sees.

use prost::Message as _;
use proto::CloseCode;
use proto::messages::lamplighter::v1::Presence;
use tests::{Device, Hub, Person, person};

/// Promise P13 and fault 6.3.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_session_wins_and_presence_stays_online() {
    let hub = Hub::builder().memory().set("devices.offline_after", "0s").start().await;
    let token = hub.register("lamp-1").await;
    let mut viewer = Person::viewer(&hub).await;
    viewer.watch("devices.lamp-1.presence").await;
    let mut older = Device::connect(&hub, "lamp-1", &token, 1).await;
    assert!(presence(&mut viewer).await.online);
    let mut newer = Device::connect(&hub, "lamp-1", &token, 1).await;
    assert_eq!(older.client.close_code().await, CloseCode::REPLACED.0);
    newer.report_durably(1).await;
    drop(newer);
    // The next event is the end of the newer session: the older one's end made none.
    let gone = presence(&mut viewer).await;
    assert_eq!((gone.online, gone.generation), (false, 2));
}

/// Fault 6.16.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_flaps_make_one_offline_event() {
    let hub = Hub::builder().memory().set("devices.offline_after", "2s").start().await;
    let token = hub.register("lamp-1").await;
    let mut viewer = Person::viewer(&hub).await;
    viewer.watch("devices.lamp-1.presence").await;
    for _ in 0..20 {
        Device::connect(&hub, "lamp-1", &token, 1).await.client.close().await;
    }
    assert!(presence(&mut viewer).await.online);
    let gone = presence(&mut viewer).await;
    assert_eq!((gone.online, gone.generation), (false, 20));
}

async fn presence(viewer: &mut Person) -> Presence {
    let message = viewer.message().await;
    Presence::decode(person::payload(&message)).expect("a presence")
}
