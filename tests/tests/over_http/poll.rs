//! Long polling: a snapshot, then what came since, each at once or when there is something.

use tests::{Person, within};

use super::{all, hub, poll, put};

#[tokio::test]
async fn a_first_poll_is_the_snapshot_and_the_next_ones_bring_what_came_since() {
    let (hub, mut operator) = hub().await;
    let http = hub.http();
    put(&mut operator, "city.a", "1").await;
    let first = poll(&http, "pattern=city.*", 30).await;
    assert_eq!(
        (all(&first["snapshot"]), &first["recovered"]),
        (vec!["1".to_owned()], &false.into())
    );

    put(&mut operator, "city.b", "2").await;
    put(&mut operator, "city.a", "3").await;
    let since = format!("pattern=city.*&since={}", first["position"].as_str().expect("text"));
    let second = poll(&http, &since, 30).await;
    assert_eq!(
        (all(&second["messages"]), &second["recovered"]),
        (vec!["2".to_owned(), "3".to_owned()], &true.into())
    );
    assert!(all(&second["snapshot"]).is_empty());
}

#[tokio::test]
async fn a_poll_waits_for_the_next_message_and_silence_is_an_empty_list() {
    let (hub, mut operator) = hub().await;
    let http = hub.http();
    let first = poll(&http, "pattern=city.*", 0).await;
    let since = format!("pattern=city.*&since={}", first["position"].as_str().expect("text"));
    let silent = poll(&http, &since, 1).await;
    assert_eq!(silent["messages"], serde_json::json!([]));
    assert_eq!(silent["recovered"], true);

    let waits = tokio::spawn({
        let (http, since) = (http.clone(), since.clone());
        async move { poll(&http, &since, 60).await }
    });
    let waiting = || async { (hub.metric("lamplighter_http_readers").await > 0.5).then_some(()) };
    tests::deadline::until(tests::PATIENCE, "the poll waits", waiting).await;
    put(&mut operator, "city.a", "news").await;
    let answer = within(tests::PATIENCE, "the answer", waits).await.expect("answered");
    assert_eq!(all(&answer["messages"]), ["news"]);
    let again = format!("pattern=city.*&since={}", answer["position"].as_str().expect("text"));
    assert_eq!(poll(&http, &again, 0).await["messages"], serde_json::json!([]));
}

#[tokio::test]
async fn a_poll_with_a_position_of_another_life_gets_a_snapshot() {
    let (mut hub, mut operator) = hub().await;
    put(&mut operator, "city.a", "1").await;
    let first = poll(&hub.http(), "pattern=city.*", 0).await;
    hub.kill().await;
    hub.restart().await;
    let since = format!("pattern=city.*&since={}", first["position"].as_str().expect("text"));
    let second = poll(&hub.http(), &since, 30).await;
    assert_eq!(
        (all(&second["snapshot"]), &second["recovered"]),
        (vec!["1".to_owned()], &false.into())
    );
}

#[tokio::test]
async fn a_large_snapshot_is_one_document() {
    let (hub, mut operator) = hub().await;
    for at in 0..500 {
        put(&mut operator, &format!("city.x.{at}"), &"x".repeat(300)).await;
    }
    let first = poll(&hub.http(), "pattern=city.>", 0).await;
    assert_eq!(all(&first["snapshot"]).len(), 500);
}

#[tokio::test]
async fn a_poll_that_waits_is_answered_when_the_hub_stops() {
    let (mut hub, _operator) = hub().await;
    let http = hub.http();
    let first = poll(&http, "pattern=city.*", 0).await;
    let since = format!("pattern=city.*&since={}", first["position"].as_str().expect("text"));
    let waits = tokio::spawn(async move { poll(&http, &since, 60).await });
    let waiting = || async { (hub.metric("lamplighter_http_readers").await > 0.5).then_some(()) };
    tests::deadline::until(tests::PATIENCE, "the poll waits", waiting).await;
    hub.ask_to_stop();
    let answer = within(tests::PATIENCE, "the answer", waits).await.expect("answered");
    assert_eq!(answer["position"], first["position"]);
    assert_eq!(hub.wait(tests::PATIENCE).await.code(), Some(0));
    hub.restart().await;
    drop(Person::operator(&hub).await);
}
