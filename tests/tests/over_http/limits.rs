//! Readers over HTTP are bounded, and a wrong request is told what is wrong.

use tests::Hub;
use tests::http::Http;

use super::stream;

#[tokio::test]
async fn an_identity_has_a_bounded_number_of_streams_and_gets_its_place_back() {
    let hub =
        Hub::builder().plain().memory().set("limits.identity_http_readers", "1").start().await;
    let http = hub.http();
    let mut first = stream(&http, "pattern=city.*", None).await;
    first.find("ack").await;
    let refused = http.open("/v1/events?pattern=city.*", &[]).await;
    assert_eq!(refused.status().as_u16(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(hub.metric("lamplighter_limit_hits_total{limit=\"HttpReaders\"}").await >= 1.0);
    let viewer = Http::new(&hub, &hub.dev_token("viewer"));
    stream(&viewer, "pattern=city.*", None).await;
    drop(first);
    let free = || async {
        (http.open("/v1/poll?pattern=city.*", &[]).await.status().as_u16() == 200).then_some(())
    };
    tests::deadline::until(tests::PATIENCE, "the place is free again", free).await;
}

#[tokio::test]
async fn a_wrong_request_is_refused_with_the_field_that_is_wrong() {
    let hub = Hub::in_memory().await;
    let http = hub.http();
    for (query, field) in [
        ("", "pattern"),
        ("pattern=a..b", "pattern"),
        ("pattern=a&since=yesterday", "since"),
        ("pattern=a&snapshot=1", "snapshot"),
        ("pattern=a&labels=street", "labels"),
    ] {
        for path in ["events", "poll"] {
            let answer = http.get(&format!("/v1/{path}?{query}")).await;
            assert_eq!(answer.status, 400, "{query}");
            assert_eq!(answer.json()["field"], field, "{query}");
        }
    }
    for path in ["/v1/events?pattern=a", "/v1/poll?pattern=a"] {
        assert_eq!(Http::new(&hub, "").get(path).await.status, 401);
        let lamp = hub.register("lamp-1").await;
        assert_eq!(Http::new(&hub, &lamp).get(path).await.status, 403);
    }
}
