//! BH: what comes instead of a good HTTP upgrade.

use std::time::Duration;

use tests::raw::{BINARY, PING, Raw, frame, request, status, upgrade_request};
use tests::{Hub, Via};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::hostile;

/// Cut without an answer.
const CUT: u16 = 0;
const WS: &str = "GET /v1/ws HTTP/1.1";

#[tokio::test]
async fn bh1_a_head_over_its_bounds() {
    let many: Vec<(&str, &str)> = (0..41).map(|_| ("", "X-More: 1")).collect();
    let long = "a".repeat(8 * 1024);
    let halves = "b".repeat(5 * 1024);
    check(&[
        ("BH1 41 headers more", upgrade_request(&many), &[431]),
        ("BH1 one header of 8 KiB", upgrade_request(&[("X-Long", &long)]), &[431]),
        ("BH1 a head over 8 KiB", upgrade_request(&[("X-A", &halves), ("X-B", &halves)]), &[431]),
    ])
    .await;
}

#[tokio::test]
async fn bh2_a_head_that_comes_byte_by_byte_is_cut_in_total_time() {
    let hub = Hub::builder().plain().memory().set("limits.head_timeout", "1s").start().await;
    let mut raw = Raw::open(&Via::of(&hub)).await;
    let mut cut = false;
    // Each byte is a sign of life, but the time is for the whole head.
    for byte in request(WS, &[]).bytes().cycle().take(200) {
        raw.write(&[if byte == b'\n' { b'x' } else { byte }]).await;
        if raw.says_within(Duration::from_millis(100)).await {
            cut = true;
            break;
        }
    }
    assert!(cut, "BH2: the hub listens to a slow head for ever");
    let answer = raw.to_end().await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || status(&text) == 408, "BH2: {text}");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bh4_other_versions_of_http() {
    check(&[
        ("BH4 1.0", request("GET /v1/ws HTTP/1.0", &[]), &[505]),
        ("BH4 0.9", "GET /v1/ws\r\n\r\n".to_owned(), &[400, 505, CUT]),
        ("BH4 3.7", request("GET /v1/ws HTTP/3.7", &[]), &[400, 505, CUT]),
        (
            "BH4 2 with prior knowledge",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            &[400, 505, CUT],
        ),
    ])
    .await;
}

#[tokio::test]
async fn bh5_other_paths() {
    let long = format!("GET /{} HTTP/1.1", "p".repeat(4096));
    check(&[
        ("BH5 wrong path", request("GET /v1/secret-marker HTTP/1.1", &[]), &[404]),
        ("BH5 two slashes", request("GET //v1/ws HTTP/1.1", &[]), &[404]),
        ("BH5 dots", request("GET /v1/ws/.. HTTP/1.1", &[]), &[404]),
        ("BH5 encoded slash", request("GET /v1/ws%2f HTTP/1.1", &[]), &[404]),
        ("BH5 query", request("GET /v1/ws?token=secret-marker HTTP/1.1", &[]), &[400]),
        ("BH5 absolute", request("GET http://localhost/v1/ws HTTP/1.1", &[]), &[404]),
        ("BH5 absolute, elsewhere", request("GET http://evil.example/v1/ws HTTP/1.1", &[]), &[404]),
        ("BH5 4 KiB", request(&long, &[]), &[404]),
        ("BH5 no method of ours", request("POST /v1/ws HTTP/1.1", &[]), &[405]),
    ])
    .await;
}

#[tokio::test]
async fn bh6_hosts() {
    check(&[
        ("BH6 no host", upgrade_request(&[("Host", "")]), &[400]),
        ("BH6 two hosts", upgrade_request(&[("", "Host: another")]), &[400]),
    ])
    .await;
    let hub = Hub::builder().plain().memory().set("http.hosts", "[\"hub.example\"]").start().await;
    for (host, wanted) in [("hub.example", 101), ("hub.example:8443", 101), ("evil.example", 421)] {
        let text = upgrade_request(&[("Host", host)]);
        let (head, _) = answer(&hub, text.as_bytes()).await;
        assert_eq!(status(&head), wanted, "BH6 {host}: {head}");
    }
    let api = request("GET /v1/devices HTTP/1.1", &[("Host", "evil.example")]);
    let (head, _) = answer(&hub, api.as_bytes()).await;
    assert_eq!(status(&head), 421, "BH6: {head}");
}

#[tokio::test]
async fn bh8_what_the_connection_header_says() {
    check(&[
        ("BH8 close", upgrade_request(&[("Connection", "close, upgrade")]), &[400]),
        ("BH8 missing", upgrade_request(&[("Connection", "")]), &[400]),
        ("BH8 keep-alive", upgrade_request(&[("Connection", "keep-alive")]), &[400]),
        ("BH8 among others", upgrade_request(&[("Connection", "keep-alive, UPGRADE")]), &[101]),
    ])
    .await;
}

#[tokio::test]
async fn bh9_versions_of_websocket() {
    let hub = hostile::hub().await;
    for (id, text) in [
        ("BH9 8", upgrade_request(&[("Sec-WebSocket-Version", "8")])),
        ("BH9 missing", upgrade_request(&[("Sec-WebSocket-Version", "")])),
        ("BH9 two", upgrade_request(&[("", "Sec-WebSocket-Version: 8")])),
        ("BH9 a list", upgrade_request(&[("Sec-WebSocket-Version", "13, 8")])),
    ] {
        let head = answer(&hub, text.as_bytes()).await.0;
        assert_eq!(status(&head), 426, "{id}: {head}");
        assert!(head.to_lowercase().contains("sec-websocket-version: 13\r\n"), "{id}: {head}");
    }
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bh10_keys() {
    const NAME: &str = "Sec-WebSocket-Key";
    check(&[
        ("BH10 missing", upgrade_request(&[(NAME, "")]), &[400]),
        ("BH10 15 bytes", upgrade_request(&[(NAME, "AAAAAAAAAAAAAAAAAAAA")]), &[400]),
        ("BH10 no base64", upgrade_request(&[(NAME, "not!base64!at!all!!!!!==")]), &[400]),
        (
            "BH10 two",
            upgrade_request(&[("", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")]),
            &[400],
        ),
    ])
    .await;
}

#[tokio::test]
async fn bh12_extensions_are_accepted_without_being_used() {
    let hub = hostile::hub().await;
    for (id, value) in [
        ("BH12 good", "permessage-deflate; client_max_window_bits"),
        ("BH12 malformed", "permessage-deflate; =;;,,\"x"),
        ("BH12 twice", "permessage-deflate, permessage-deflate"),
    ] {
        let text = upgrade_request(&[("Sec-WebSocket-Extensions", value)]);
        let head = answer(&hub, text.as_bytes()).await.0;
        assert_eq!(status(&head), 101, "{id}: {head}");
        assert!(!head.to_lowercase().contains("sec-websocket-extensions"), "{id}: {head}");
    }
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bh13_origins_that_are_not_in_the_list() {
    let origins = "[\"https://good.example\"]";
    let hub = Hub::builder().plain().memory().set("http.origins", origins).start().await;
    for (id, value, wanted) in [
        ("BH13 known", "https://good.example", 101),
        ("BH13 foreign", "https://evil.example", 403),
        ("BH13 null", "null", 403),
        ("BH13 our name in front", "https://good.example.evil", 403),
        ("BH13 our name behind", "https://evil.good.example", 403),
        ("BH13 port", "https://good.example:444", 403),
        ("BH13 upper case", "HTTPS://GOOD.EXAMPLE", 403),
        ("BH13 other scheme", "http://good.example", 403),
    ] {
        let text = upgrade_request(&[("Origin", value)]);
        let head = answer(&hub, text.as_bytes()).await.0;
        assert_eq!(status(&head), wanted, "{id}: {head}");
    }
    let known = "Origin: https://good.example";
    let text = upgrade_request(&[("", known), ("", known)]);
    let head = answer(&hub, text.as_bytes()).await.0;
    assert_eq!(status(&head), 403, "BH13 two: {head}");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bh13_the_same_for_the_requests_of_pages() {
    const LIST: &str = "GET /v1/devices HTTP/1.1";
    let origins = "[\"https://good.example\"]";
    let hub = Hub::builder().plain().memory().set("http.origins", origins).start().await;
    let bearer = format!("Bearer {}", hub.dev_token("operator"));
    let ask = async |first: &str, origin: &str| {
        let plain = [("Upgrade", ""), ("Connection", "close"), ("Authorization", &*bearer)];
        let changes = [&plain[..], &[("Origin", origin)]].concat();
        answer(&hub, request(first, &changes).as_bytes()).await.0.to_lowercase()
    };
    for origin in [
        "https://evil.example",
        "null",
        "https://good.example.evil",
        "https://evil.good.example",
        "https://good.example:444",
        "https://good.example:443",
        "HTTPS://GOOD.EXAMPLE",
        "http://good.example",
        "https://good.example/",
        "file://",
        "https://good.example, https://good.example",
    ] {
        let head = ask(LIST, origin).await;
        assert_eq!(status(&head), 403, "BH13 {origin}: {head}");
        assert!(!head.contains("access-control"), "BH13 {origin}: {head}");
    }
    let head = ask(LIST, "https://good.example").await;
    assert_eq!(status(&head), 200, "{head}");
    assert!(head.contains("access-control-allow-origin: https://good.example"), "{head}");
    assert!(!head.contains("set-cookie") && !head.contains("allow-credentials"), "{head}");
    let preflight = request(
        "OPTIONS /v1/devices HTTP/1.1",
        &[
            ("Upgrade", ""),
            ("Connection", "close"),
            ("Origin", "https://good.example"),
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "authorization"),
        ],
    );
    let head = answer(&hub, preflight.as_bytes()).await.0.to_lowercase();
    assert_eq!(status(&head), 204, "{head}");
    assert!(head.contains("access-control-allow-headers: authorization"), "{head}");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bh14_an_upgrade_with_a_body() {
    const LENGTH: &str = "Content-Length";
    check(&[
        ("BH14 5", upgrade_request(&[(LENGTH, "5")]) + "hello", &[400]),
        ("BH14 +5", upgrade_request(&[(LENGTH, "+5")]) + "hello", &[400]),
        ("BH14 5, 5", upgrade_request(&[(LENGTH, "5, 5")]) + "hello", &[400]),
        ("BH14 5 and 6", upgrade_request(&[(LENGTH, "5"), ("", "Content-Length: 6")]), &[400]),
        (
            "BH14 chunked",
            upgrade_request(&[("Transfer-Encoding", "chunked")]) + "0\r\n\r\n",
            &[400],
        ),
        ("BH14 both", upgrade_request(&[(LENGTH, "5"), ("Transfer-Encoding", "chunked")]), &[400]),
    ])
    .await;
}

#[tokio::test]
async fn bh16_frames_before_the_answer_are_refused() {
    let hub = hostile::hub().await;
    for (id, early) in [
        ("BH16 ping", frame(PING, b"early")),
        ("BH16 garbage", b"garbage".to_vec()),
        ("BH16 half a frame", frame(BINARY, &[0; 20])[..9].to_vec()),
        ("BH16 another request", upgrade_request(&[]).into_bytes()),
    ] {
        let bytes = [upgrade_request(&[]).into_bytes(), early].concat();
        let (head, rest) = answer_to_end(&hub, &bytes).await;
        assert_eq!(status(&head), 400, "{id}: {head}");
        assert!(head.to_ascii_lowercase().contains("connection: close"), "{id}: {head}");
        assert_eq!(rest, b"frames must wait for the answer to the upgrade", "{id}");
    }
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bh_garbage_instead_of_http() {
    check(&[
        ("BH nothing but line ends", "\r\n".repeat(5000), &[400, 431, CUT]),
        ("BH binary", "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), &[400, CUT]),
        ("BH a header without a colon", upgrade_request(&[("", "nonsense")]), &[400]),
        ("BH a header with a NUL", upgrade_request(&[("X-Nul", "a\0b")]), &[400]),
        ("BH a folded header", upgrade_request(&[("", "X-Fold: a\r\n b")]), &[400]),
        ("BH a space before the colon", upgrade_request(&[("", "X-Space : a")]), &[400]),
        ("BH17 forwarded for", upgrade_request(&[("X-Forwarded-For", "10.0.0.1")]), &[101]),
    ])
    .await;
}

/// The hub stands behind no proxy that would speak first: what such a one says is no HTTP.
#[tokio::test]
async fn bh18_a_proxy_header_is_cut() {
    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    let hub = hostile::hub().await;
    let upgrade = upgrade_request(&[]).into_bytes();
    let version_1 = [b"PROXY TCP4 10.0.0.1 10.0.0.2 1234 443\r\n", upgrade.as_slice()].concat();
    let version_2 = [SIGNATURE, &[0x21, 0x11, 0, 12], &[0; 12], &upgrade].concat();
    let long = [SIGNATURE, &[0x21, 0x11, 0x28, 0], &[7; 10 * 1024], &upgrade].concat();
    for (id, bytes) in [("BH18 v1", version_1), ("BH18 v2", version_2), ("BH18 10 KiB", long)] {
        let (head, _) = answer(&hub, &bytes).await;
        assert!(head.is_empty() || [400, 431].contains(&status(&head)), "{id}: {head}");
    }
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bh20_a_scanner_finds_nothing_and_is_held_back() {
    const ASKED: usize = 1000;
    let exempt = "[\"127.0.0.1/32\"]";
    let hub = Hub::builder().plain().memory().set("limits.address_exempt", exempt);
    let hub = hub.set("limits.address_per_s", "1").start().await;
    let mut answered = 0;
    for at in 0..ASKED {
        let path = ["/admin", "/wp-login.php", "/.env"][at % 3];
        let answer = scan(&hub, path).await;
        assert!(answer.is_empty() || status(&answer) == 404, "BH20 {path}: {answer}");
        answered += usize::from(!answer.is_empty());
    }
    let held_back = hub.metric("lamplighter_limit_hits_total{limit=\"Address\"}").await;
    assert!((1..ASKED / 2).contains(&answered), "{answered}");
    assert_eq!(held_back, (ASKED - answered) as f64);
    hostile::serves(&hub).await;
}

/// One request from an address that is nobody else's; empty, if the hub cut without an answer.
async fn scan(hub: &Hub, path: &str) -> String {
    let socket = TcpSocket::new_v4().expect("a descriptor");
    socket.bind(([127, 0, 0, 9], 0).into()).expect("all of 127/8 is this machine");
    let mut socket =
        socket.connect(hub.plain_address().expect("built so")).await.expect("it listens");
    let text = request(&format!("GET {path} HTTP/1.1"), &[("Connection", "close")]);
    let mut answer = Vec::new();
    // A socket that is cut may be reset under either.
    socket.write_all(text.as_bytes()).await.ok();
    socket.read_to_end(&mut answer).await.ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Every row gets one of its statuses on a connection of its own, and nothing of it comes back.
async fn check(rows: &[(&str, String, &[u16])]) {
    let hub = hostile::hub().await;
    for (id, text, wanted) in rows {
        let (head, body) = answer(&hub, text.as_bytes()).await;
        assert!(wanted.contains(&status(&head)), "{id}: wanted {wanted:?}, got {head}");
        let said = format!("{head}{}", String::from_utf8_lossy(&body));
        assert!(!said.contains("secret-marker"), "{id}: echoed: {said}");
    }
    hostile::serves(&hub).await;
}

/// The head of the answer, empty if the hub cut without one, and what came along.
async fn answer(hub: &Hub, bytes: &[u8]) -> (String, Vec<u8>) {
    let mut raw = Raw::open(&Via::of(hub)).await;
    raw.write(bytes).await;
    let Some(head) = raw.head().await else { return (String::new(), Vec::new()) };
    // An upgraded connection stays open; every other ends or says how long its answer is.
    let body = if status(&head) == 101 { Vec::new() } else { rest(&mut raw, &head).await };
    (head, body)
}

async fn answer_to_end(hub: &Hub, bytes: &[u8]) -> (String, Vec<u8>) {
    let mut raw = Raw::open(&Via::of(hub)).await;
    raw.write(bytes).await;
    let head = raw.head().await.unwrap_or_default();
    (head, raw.to_end().await)
}

async fn rest(raw: &mut Raw, head: &str) -> Vec<u8> {
    raw.close_write().await;
    let rest = raw.to_end().await;
    assert!(rest.len() < 4096, "a refusal is short: {head}");
    rest
}
