//! BC: names that are no channels, and subscriptions without measure.

use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::{ErrorCode, Publish, Subscribe, Unsubscribe};
use tests::client::envelope;
use tests::{Client, Device, Person};

use crate::hostile;

#[tokio::test]
async fn bc1_names_with_wrong_segments() {
    let nine = ["a"; 9].join(".");
    let long = [["a"; 64].concat(), ["b"; 64].concat()].join(".");
    check(&[
        ("BC1 a dot", "."),
        ("BC1 an empty segment", "a..b"),
        ("BC1 a trailing dot", "a.b."),
        ("BC1 a leading dot", ".a.b"),
        ("BC1 9 levels", &nine),
        ("BC1 129 bytes", &long),
        ("BC1 a segment of 65 bytes", &["a"; 65].concat()),
    ])
    .await;
}

#[tokio::test]
async fn bc2_names_with_wrong_characters() {
    check(&[
        ("BC2 #", "a.#"),
        ("BC2 +", "a.+"),
        ("BC2 a star in a segment", "a.b*"),
        ("BC2 a tail that is not last", "a.>.b"),
        ("BC2 $SYS", "$SYS.x"),
        ("BC2 space", "a. b"),
        ("BC2 CR LF", "a.b\r\n"),
        ("BC2 NUL", "a.\0"),
        ("BC2 emoji", "a.💡"),
        ("BC2 right to left", "a.\u{202e}b"),
        ("BC2 NFC", "caf\u{e9}.a"),
        ("BC2 NFD", "cafe\u{301}.a"),
        ("BC2 upper case", "A.b\u{130}"),
    ])
    .await;
}

#[tokio::test]
async fn bc2_patterns_are_no_names_to_publish_to() {
    let hub = hostile::hub().await;
    let mut person = Person::operator(&hub).await;
    for pattern in ["*", ">", "a.*", "a.>", "*.a"] {
        let refused = person.publish(pattern, b"x".to_vec()).await;
        let error = refused.expect_err("BC2: a pattern is no name");
        assert_eq!(error.code(), ErrorCode::BadChannel, "BC2 {pattern}: {error:?}");
    }
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bc4_the_65th_subscription_of_a_device_is_refused_and_a_second_one_is_the_same() {
    let hub = hostile::hub().await;
    let mut device = Device::start(&hub, "lamp-subs").await;
    let pattern = |number: usize| format!("devices.lamp-subs.x{number}");
    for number in 0..64 {
        assert_eq!(subscribe(&mut device.client, &pattern(number)).await, Ok(()), "BC4 {number}");
    }
    let refused = subscribe(&mut device.client, &pattern(64)).await;
    assert_eq!(refused, Err(ErrorCode::Limit), "BC4 the 65th");
    assert_eq!(subscribe(&mut device.client, &pattern(3)).await, Ok(()), "BC4 again");
    unsubscribe(&mut device.client, &pattern(3)).await;
    assert_eq!(subscribe(&mut device.client, &pattern(64)).await, Ok(()), "BC4 room again");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bc4_a_pattern_that_was_subscribed_twice_delivers_once() {
    let hub = hostile::hub().await;
    let mut person = Person::operator(&hub).await;
    person.watch("site.a").await;
    person.watch("site.a").await;
    for payload in [b"1", b"2"] {
        person.publish("site.a", payload.to_vec()).await.expect("an operator may");
    }
    let got = [person.message().await.offset, person.message().await.offset];
    assert!(got[0] < got[1], "BC4: twice the same: {got:?}");
}

#[tokio::test]
async fn bc5_to_end_what_never_began_is_fine() {
    let hub = hostile::hub().await;
    let mut person = Person::operator(&hub).await;
    unsubscribe(&mut person.client, "never.subscribed").await;
    person.watch("site.a").await;
    unsubscribe(&mut person.client, "site.>").await;
    person.publish("site.a", b"still".to_vec()).await.expect("an operator may");
    assert_eq!(person.message().await.channel, "site.a", "BC5: the other one goes on");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bc6_subscribing_and_ending_10000_times_a_second_is_cut_and_a_page_that_opens_is_not() {
    let hub = hostile::hub().await;
    let limit = "lamplighter_limit_hits_total{limit=\"SubscriptionChanges\"}";
    let mut witness = Person::viewer(&hub).await;
    witness.watch("devices.lamp-other.telemetry").await;
    let mut other = Device::start(&hub, "lamp-other").await;

    // A page that exchanges all of what it shows.
    let mut page = Person::viewer(&hub).await;
    let patterns: Vec<String> = (0..256).map(|number| format!("site.x{number}")).collect();
    page.client.binary(patterns.iter().flat_map(|pattern| begin(pattern)).collect()).await;
    page.client.binary(patterns.iter().flat_map(|pattern| end(pattern)).collect()).await;
    page.client.barrier().await;
    assert_eq!(hub.metric(limit).await, 0.0, "BC6: a page that opens");

    let mut person = Person::operator(&hub).await;
    loops(&mut person.client, "site.a", 10_000).await;
    assert_eq!(person.client.close_code().await, 4003, "BC6: a person");
    assert_eq!(hub.metric(limit).await, 1.0, "BC6: a person");

    let mut device = Device::start(&hub, "lamp-loops").await;
    loops(&mut device.client, "devices.lamp-loops.desired", 1000).await;
    assert_eq!(device.client.close_code().await, 4003, "BC6: a device");
    assert_eq!(hub.metric(limit).await, 2.0, "BC6: a device");

    // Others notice nothing, and who was cut may come back.
    other.report_durably(7).await;
    page.client.barrier().await;
    assert_eq!(witness.numbers(1).await, [7], "BC6: the others");
    hostile::serves(&hub).await;
}

/// Begins and ends the same subscription, a hundred times a message.
async fn loops(client: &mut Client, pattern: &str, changes: usize) {
    let hundred = [begin(pattern), end(pattern)].concat().repeat(50);
    for _ in 0..changes / 100 {
        client.binary(hundred.clone()).await;
    }
}

fn begin(pattern: &str) -> Vec<u8> {
    let pattern = pattern.to_owned();
    envelope(0, Kind::Subscribe(Subscribe { pattern, ..Subscribe::default() }))
}

fn end(pattern: &str) -> Vec<u8> {
    envelope(0, Kind::Unsubscribe(Unsubscribe { pattern: pattern.to_owned() }))
}

/// No row is a channel or a pattern, whatever is asked with it; the connection lives on.
async fn check(rows: &[(&str, &str)]) {
    let hub = hostile::hub().await;
    let mut person = Person::operator(&hub).await;
    for (id, name) in rows {
        let wishes = [
            Kind::Subscribe(Subscribe { pattern: (*name).to_owned(), ..Subscribe::default() }),
            Kind::Unsubscribe(Unsubscribe { pattern: (*name).to_owned() }),
            Kind::Publish(Publish { channel: (*name).to_owned(), ..Publish::default() }),
        ];
        for wish in wishes {
            let error = person.ask(wish).await.expect_err(id);
            assert_eq!(error.code(), ErrorCode::BadChannel, "{id}: {error:?}");
        }
    }
    let empty = Subscribe::default();
    let error = person.ask(Kind::Subscribe(empty)).await.expect_err("BC1 empty");
    assert_eq!(error.code(), ErrorCode::BadChannel, "BC1 empty: {error:?}");
    hostile::serves(&hub).await;
}

async fn subscribe(client: &mut Client, pattern: &str) -> Result<(), ErrorCode> {
    let request = client.next_request();
    let wish = Subscribe { pattern: pattern.to_owned(), ..Subscribe::default() };
    client.say(request, Kind::Subscribe(wish)).await;
    match client.answer(request).await {
        Kind::Ack(_) => Ok(()),
        Kind::Error(error) => Err(error.code()),
        other => panic!("{other:?}"),
    }
}

async fn unsubscribe(client: &mut Client, pattern: &str) {
    let request = client.next_request();
    client.say(request, Kind::Unsubscribe(Unsubscribe { pattern: pattern.to_owned() })).await;
    let answer = client.answer(request).await;
    assert!(matches!(answer, Kind::Ack(_)), "{answer:?}");
}
