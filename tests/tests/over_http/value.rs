//! One channel's value, waited for by its version.

use serde_json::{Value, json};
use tests::{PATIENCE, deadline, within};

use super::{hub, put};

#[tokio::test]
async fn who_has_the_value_waits_for_the_next_one_and_gets_304_after_silence() {
    let (hub, mut operator) = hub().await;
    let http = hub.http();
    let path = "/v1/channels/city.news";
    put(&mut operator, "city.news", "1").await;
    let first = http.get(path).await;
    let newest = |wait: &'static str| {
        let (http, tag) = (http.clone(), first.etag.clone());
        async move { http.open(path, &[("if-none-match", &tag), ("prefer", wait)]).await }
    };
    let silent = newest("wait=1").await;
    assert_eq!(silent.status().as_u16(), 304);
    assert_eq!(silent.headers()["preference-applied"], "wait=1");
    assert_eq!(silent.headers()["etag"], first.etag.as_str());

    let waits = tokio::spawn(newest("wait=60"));
    let waiting = || async { (hub.metric("lamplighter_http_readers").await > 0.5).then_some(()) };
    deadline::until(PATIENCE, "the request waits", waiting).await;
    put(&mut operator, "city.news", "2").await;
    let answer = within(PATIENCE, "the answer", waits).await.expect("answered");
    assert_eq!(answer.status().as_u16(), 200);
    let value: Value = serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
    let now = http.get(path).await.json();
    assert_eq!((&value["revision"], &value["payload"]), (&now["revision"], &now["payload"]));
    assert_ne!(now["revision"], json!(first.etag.trim_matches('"')));

    let late = newest("wait=60").await;
    assert_eq!(late.status().as_u16(), 200, "there is another one already");
    assert!(!late.headers().contains_key("preference-applied"), "nothing was waited for");
}
