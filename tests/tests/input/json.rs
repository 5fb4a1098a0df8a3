//! BJ: JSON that others guess at. Over the socket it is told and closed; over HTTP it is 400.

use tests::raw::{Raw, TEXT, frame, request, status};
use tests::{Client, Event, Hub, Via};

use crate::hostile;

#[tokio::test]
async fn bj1_nesting() {
    let nested = |depth: usize| {
        let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        format!("{{\"publish\":{{\"channel\":\"a.b\",\"data\":{value}}}}}")
    };
    check(&[
        ("BJ1 17", &nested(17)),
        ("BJ1 10,000", &nested(10_000)),
        ("BJ1 20,000 open", &"[".repeat(20_000)),
    ])
    .await;
}

#[tokio::test]
async fn bj2_a_key_that_stands_twice() {
    check(&[
        ("BJ2 device", "{\"send\":{\"device\":\"lamp-a\",\"device\":\"lamp-b\"}}"),
        ("BJ2 request", "{\"request\":\"1\",\"request\":\"2\",\"ping\":{}}"),
        ("BJ2 kind", "{\"ping\":{},\"ping\":{}}"),
        ("BJ2 two kinds", "{\"ping\":{},\"ready\":{}}"),
        ("BJ2 both spellings", "{\"send\":{\"ttl_s\":5,\"ttlS\":6}}"),
        ("BJ2 in the data", "{\"publish\":{\"channel\":\"a.b\",\"data\":{\"x\":1,\"x\":2}}}"),
    ])
    .await;
}

#[tokio::test]
async fn bj4_numbers() {
    let data = |number: &str| format!("{{\"publish\":{{\"channel\":\"a.b\",\"data\":{number}}}}}");
    check(&[
        ("BJ4 1e999", &data("1e999")),
        ("BJ4 2^53+1", &data("9007199254740993")),
        ("BJ4 2^53+1 as seq", "{\"publish\":{\"seq\":9007199254740993}}"),
        ("BJ4 -0", "{\"publish\":{\"seq\":-0}}"),
        ("BJ4 NaN", &data("NaN")),
        ("BJ4 leading zeros", &data("007")),
        ("BJ4 plus", &data("+1")),
        ("BJ4 hexadecimal", &data("0x10")),
    ])
    .await;
}

#[tokio::test]
async fn bj5_texts_and_documents() {
    check(&[
        ("BJ5 lone surrogate", "{\"publish\":{\"channel\":\"\\ud800\"}}"),
        ("BJ5 byte order mark", "\u{feff}{\"ping\":{}}"),
        ("BJ5 NUL", "{\"publish\":{\"channel\":\"a\\u0000b\"}}"),
        ("BJ5 trailing garbage", "{\"ping\":{}} x"),
        ("BJ5 two documents", "{\"ping\":{}} {\"ping\":{}}"),
        ("BJ5 no object", "\"ping\""),
        ("BJ5 comment", "{\"ping\":{}} // hello"),
        ("BJ5 trailing comma", "{\"ping\":{},}"),
        ("BJ5 unknown field", "{\"pinging\":{}}"),
    ])
    .await;
}

#[tokio::test]
async fn bj5_overlong_utf8_is_no_text() {
    let hub = hostile::hub().await;
    let mut raw = Raw::upgrade(&Via::of(&hub)).await;
    raw.write(&frame(TEXT, b"{\"ping\":{\"\xc1\xa1\":1}}")).await;
    assert_eq!(raw.close_code().await, Some(1007), "BJ5 overlong");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bj_bodies_of_http() {
    let hub = hostile::hub().await;
    let device = |rest: &str| format!("{{\"id\":\"lamp-http\"{rest}}}");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (id, body) in [
        ("BJ1 100,000 open", "[".repeat(100_000)),
        ("BJ1 100,000", deep.clone()),
        ("BJ1 in a device", device(&format!(",\"x\":{deep}"))),
        ("BJ2 id", "{\"id\":\"lamp-a\",\"id\":\"lamp-b\"}".to_owned()),
        ("BJ2 label", device(",\"labels\":{\"a\":\"1\",\"a\":\"2\"}")),
        ("BJ4 1e999", device(",\"latitude_e7\":1e999,\"longitude_e7\":1")),
        ("BJ4 a fraction", device(",\"latitude_e7\":1.5,\"longitude_e7\":1")),
        ("BJ5 BOM", format!("\u{feff}{}", device(""))),
        ("BJ5 two documents", device("") + "{}"),
        ("BJ5 lone surrogate", "{\"id\":\"\\ud800\"}".to_owned()),
        ("BJ5 empty", String::new()),
        ("BJ unknown field", device(",\"tolken\":\"x\"")),
        ("BJ a label that is no text", device(",\"labels\":{\"a\":1}")),
        ("BJ an id out of form", "{\"id\":\"../../etc\"}".to_owned()),
    ] {
        let answer = post(&hub, &body).await;
        assert_eq!(status(&answer), 400, "{id}: {answer}");
        assert!(answer.contains("application/problem+json"), "{id}: {answer}");
    }
    let large = post(&hub, &device(&format!(",\"profile\":\"{}\"", "x".repeat(1024 * 1024)))).await;
    assert!([400, 413].contains(&status(&large)), "over 1 MiB: {large}");
    let listed = hub.http().get("/v1/devices").await.json();
    assert_eq!(listed["devices"], serde_json::json!([]), "nothing was registered");
    hostile::serves(&hub).await;
}

/// Left out or 0, it is the default of 600 s.
#[tokio::test]
async fn bj8_a_life_that_no_command_may_have() {
    let hub = hostile::hub().await;
    let http = hub.http();
    let device = serde_json::json!({"id": "lamp-ttl"});
    assert_eq!(http.post("/v1/devices", &device).await.status, 201);
    for ttl in ["0", "-1", "\"5\"", "4", "691200", "1e9", "5.5", "null", "missing"] {
        let member = if ttl == "missing" { String::new() } else { format!(",\"ttl_s\":{ttl}") };
        let text = format!("{{\"device\":\"lamp-ttl\",\"data\":{{\"resume\":{{}}}}{member}}}");
        let order: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let answer = http.post("/v1/commands", &order).await;
        assert_eq!(answer.status, 400, "BJ8 {ttl}: {}", answer.body);
        assert!(answer.body.contains("ttl_s"), "BJ8 {ttl}: {}", answer.body);
    }
    let none = http.get("/v1/commands?device=lamp-ttl").await.json();
    assert_eq!(none["commands"], serde_json::json!([]), "nothing was sent");
    hostile::serves(&hub).await;
}

async fn post(hub: &Hub, body: &str) -> String {
    let token = format!("Bearer {}", hub.dev_token("operator"));
    let length = body.len().to_string();
    let first = "POST /v1/devices HTTP/1.1";
    let text = request(
        first,
        &[
            ("Upgrade", ""),
            ("Connection", "close"),
            ("Authorization", &token),
            ("Content-Type", "application/json"),
            ("Content-Length", &length),
        ],
    );
    let mut raw = Raw::open(&Via::of(hub)).await;
    raw.write(&[text.as_bytes(), body.as_bytes()].concat()).await;
    String::from_utf8_lossy(&raw.to_end().await).into_owned()
}

/// Each text is told to be wrong, then closed with `MALFORMED`.
async fn check(rows: &[(&str, &str)]) {
    let hub = hostile::hub().await;
    for (id, text) in rows {
        let mut client = Client::dial(&Via::of(&hub)).await;
        let hello = format!(
            "{{\"request\":\"1\",\"hello\":{{\"protocol\":1,\"token\":\"{}\"}}}}",
            hub.dev_token("operator")
        );
        client.text(&hello).await;
        let welcome = client.hear().await;
        assert!(
            matches!(&welcome, Event::Json(line) if line["welcome"].is_object()),
            "{welcome:?}"
        );
        client.text(text).await;
        let told = client.hear().await;
        let Event::Json(line) = &told else { panic!("{id}: {told:?}") };
        assert_eq!(line["error"]["code"], "ERROR_CODE_MALFORMED", "{id}: {line}");
        assert_eq!(client.close_code().await, 4504, "{id}");
    }
    hostile::serves(&hub).await;
}
