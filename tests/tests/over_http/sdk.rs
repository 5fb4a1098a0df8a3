//! The browser's module, run by Node against a hub that is killed and comes back.

use std::process::Stdio;

use tests::http::Http;
use tests::{Device, Hub, PATIENCE, within};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../hub/sdk");

#[tokio::test]
async fn the_module_is_served_to_everybody_and_revalidated() {
    let hub = Hub::builder().plain().memory().start().await;
    let stranger = Http::new(&hub, "");
    let first = stranger.open("/sdk/lamplighter.js", &[]).await;
    assert_eq!(first.headers()["content-type"], "text/javascript; charset=utf-8");
    let tag = first.headers()["etag"].to_str().expect("text").to_owned();
    let held = stranger.open("/sdk/lamplighter.js", &[("if-none-match", &tag)]).await;
    assert_eq!(held.status().as_u16(), 304);
    assert_eq!(stranger.get("/sdk/lamplighter.d.ts").await.status, 200);
    assert_eq!(stranger.get("/sdk/other.js").await.status, 404);
}

#[tokio::test]
async fn the_parts_of_the_module_hold_by_themselves() {
    let tests = Command::new("node")
        .args(["--test", "test/parts.test.js"])
        .current_dir(SDK)
        .stdin(Stdio::null())
        .output();
    let ran = within(PATIENCE, "the tests in Node", tests).await.expect("Node 20 or later is here");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
}

#[tokio::test]
async fn a_page_sees_everything_once_over_the_websocket_through_a_crash() {
    through_a_crash("websocket").await;
}

#[tokio::test]
async fn a_page_sees_everything_once_over_events_through_a_crash() {
    through_a_crash("events").await;
}

#[tokio::test]
async fn a_page_sees_everything_once_over_polling_through_a_crash() {
    through_a_crash("poll").await;
}

#[tokio::test]
async fn a_page_falls_back_when_the_websocket_is_blocked() {
    let hub = Hub::builder().plain().memory().start().await;
    let mut page = Page::open(&hub, "blocked").await;
    assert_eq!(page.hears("open").await, "events");
}

#[tokio::test]
async fn a_page_sends_a_command_and_follows_it_to_its_end() {
    let hub = Hub::builder().plain().memory().start().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let mut page = Page::open(&hub, "command").await;
    let command = lamp.command().await;
    assert_eq!(page.hears("sent").await, command.command);
    lamp.obey(&command.command).await;
    assert_eq!(page.hears("done").await, "SUCCEEDED");
    assert_eq!(page.hears("published").await, "true");
}

/// The page prints each number that it sees in its collection; none may be missing or come twice.
async fn through_a_crash(transport: &str) {
    let mut hub = Hub::builder().plain().start().await;
    let token = hub.register("lamp-1").await;
    let mut lamp = Device::connect(&hub, "lamp-1", &token, 1).await;
    lamp.report_durably(1).await;
    let mut page = Page::open(&hub, transport).await;
    assert_eq!(page.hears("open").await, transport);
    assert_eq!(page.hears("snapshot").await, "1");
    for number in 2..20 {
        lamp.report_durably(number).await;
        assert_eq!(page.hears("update").await, number.to_string());
    }
    hub.kill().await;
    hub.restart().await;
    let mut lamp = Device::connect(&hub, "lamp-1", &token, 2).await;
    // While the page is away; after its return it is in the snapshot or comes live.
    lamp.report_durably(100).await;
    page.moves_to(&hub).await;
    assert_eq!(page.hears("reload").await, "restart");
    assert_eq!(page.hears("update").await, "100");
    for number in 101..120 {
        lamp.report_durably(number).await;
        assert_eq!(page.hears("update").await, number.to_string());
    }
}

/// A page in Node, which prints what it sees.
struct Page {
    _child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Page {
    async fn open(hub: &Hub, story: &str) -> Self {
        let mut child = Command::new("node")
            .args(["--experimental-websocket", "--no-warnings", "test/page.js", story])
            .current_dir(SDK)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("Node 20 or later is here");
        let out = child.stdout.take().expect("stdout is a pipe");
        let input = child.stdin.take().expect("stdin is a pipe");
        let mut page = Self { _child: child, input, lines: BufReader::new(out).lines() };
        page.moves_to(hub).await;
        page
    }

    /// Tells it where the hub is, and the token: after a restart the port is another.
    async fn moves_to(&mut self, hub: &Hub) {
        let url = hub.url().replacen("ws", "http", 1);
        let line = format!("{url} {}\n", hub.dev_token("operator"));
        self.input.write_all(line.as_bytes()).await.expect("the page listens");
    }

    /// The next thing that it says, which must be of this kind. A loss is said by `lost` and is no news.
    async fn hears(&mut self, kind: &str) -> String {
        let what = format!("`{kind}` of the page");
        loop {
            let line = within(PATIENCE, &what, self.lines.next_line());
            let line = line.await.expect("text").expect("the page goes on");
            let (said, rest) = line.split_once(' ').unwrap_or((&line, ""));
            if said == kind {
                return rest.to_owned();
            }
            let is_news = ["update", "enter", "leave", "error", "reload"].contains(&said);
            assert!(!is_news, "`{line}` instead of `{kind}`");
        }
    }
}
