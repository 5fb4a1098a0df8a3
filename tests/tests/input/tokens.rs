//! BK: tokens that are none of the hub's.

use proto::messages::lamplighter::v1::Hello;
use proto::messages::lamplighter::v1::envelope::Kind;
use tests::raw::{Raw, request, status};
use tests::{Client, Hub, Via, person};

use crate::hostile;

#[tokio::test]
async fn bk_garbage_is_no_token() {
    let hub = hostile::hub().await;
    let good = hub.dev_token("operator");
    let cut = good[..good.len() - 1].to_owned();
    for (id, token) in [
        ("empty", String::new()),
        ("the prefix alone", "ll_".to_owned()),
        ("cut by one", cut.clone()),
        ("one too many", good.clone() + "A"),
        ("another case", good.to_uppercase()),
        ("a NUL behind", good.clone() + "\0"),
        ("two tokens", format!("{good} {good}")),
        ("BK1 alg none", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcGVyYXRvciJ9.".to_owned()),
        ("BK2 a path", "../../etc/passwd".to_owned()),
        ("BK2 SQL", "' OR 1=1".to_owned()),
        ("BK8 nested JSON", "[".repeat(1000)),
        ("BK8 3,500 bytes", "t".repeat(3500)),
        ("emoji", "💡".repeat(50)),
    ] {
        assert_eq!(greeting(&hub, token).await, 4501, "{id}");
    }
    hostile::serves(&hub).await;
}

/// Longer than any greeting may be: it isn't even read as one.
#[tokio::test]
async fn bk8_a_token_of_8_kib() {
    let hub = hostile::hub().await;
    for length in [8 * 1024, 60 * 1024] {
        let code = greeting(&hub, "t".repeat(length)).await;
        assert!([4501, 4504].contains(&code), "BK8 {length} bytes: {code}");
    }
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bk_the_same_over_http() {
    let hub = hostile::hub().await;
    let good = hub.dev_token("operator");
    let first = "GET /v1/devices HTTP/1.1";
    let bearer = format!("Bearer {good}");
    let twice = format!("Authorization: {bearer}");
    for (id, changes, wanted) in [
        ("good", vec![("Authorization", bearer.as_str())], 200),
        ("none", vec![], 401),
        ("another scheme", vec![("Authorization", "Basic YTpi")], 401),
        ("no scheme", vec![("Authorization", good.as_str())], 401),
        ("garbage", vec![("Authorization", "Bearer garbage")], 401),
        ("empty", vec![("Authorization", "Bearer ")], 401),
        ("two headers", vec![("Authorization", bearer.as_str()), ("", twice.as_str())], 401),
    ] {
        let changes = [vec![("Upgrade", ""), ("Connection", "close")], changes].concat();
        let mut raw = Raw::open(&Via::of(&hub)).await;
        raw.write(request(first, &changes).as_bytes()).await;
        let answer = String::from_utf8_lossy(&raw.to_end().await).into_owned();
        assert_eq!(status(&answer), wanted, "{id}: {answer}");
        let lower = answer.to_lowercase();
        assert!(wanted == 200 || lower.contains("www-authenticate: bearer"), "{id}: {answer}");
    }
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bk6_a_device_manages_nothing_and_a_viewer_changes_nothing() {
    let hub = hostile::hub().await;
    let device = hub.register("lamp-key").await;
    let http = tests::http::Http::new(&hub, &device);
    for path in ["/v1/devices", "/v1/devices/lamp-key", "/v1/tokens"] {
        assert_eq!(http.get(path).await.status, 403, "BK6 device: {path}");
    }
    let viewer = tests::http::Http::new(&hub, &hub.dev_token("viewer"));
    assert_eq!(viewer.get("/v1/devices").await.status, 200);
    let body = serde_json::json!({ "id": "lamp-new" });
    assert_eq!(viewer.post("/v1/devices", &body).await.status, 403, "BK6 viewer");
    assert_eq!(viewer.delete("/v1/devices/lamp-key").await.status, 403, "BK6 viewer");
    let body = serde_json::json!({ "role": "operator", "name": "me" });
    assert_eq!(viewer.post("/v1/tokens", &body).await.status, 403, "BK6 viewer");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bk6_a_device_that_sends_a_command_and_an_operator_that_takes_one_are_cut() {
    let hub = hostile::hub().await;
    let token = hub.register("lamp-key").await;
    for (id, token, kind) in [
        ("device", token, Kind::Send(person::command("lamp-key", "x"))),
        ("operator", hub.dev_token("operator"), Kind::Ready(Default::default())),
    ] {
        let mut client = Client::dial(&Via::of(&hub)).await;
        client.greet(Hello { boot: 1, ..person::hello(&token) }).await;
        client.say(2, kind).await;
        assert_eq!(client.close_code().await, 4505, "BK6 {id}");
    }
    hostile::serves(&hub).await;
}

async fn greeting(hub: &Hub, token: String) -> u16 {
    let mut client = Client::dial(&Via::of(hub)).await;
    let hello = Hello { token, ..person::hello("") };
    client.say(1, Kind::Hello(hello)).await;
    client.close_code().await
}
