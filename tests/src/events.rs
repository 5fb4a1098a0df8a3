//! A reader of server-sent events that takes what it is given only when the test asks.

use reqwest::Response;
use serde_json::Value;

use crate::deadline::{PATIENCE, within};

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    response: Response,
    heard: String,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `message`, `snapshot`, `gap`, …
    pub kind: String,
    /// Its position, if it has one.
    pub id: Option<String>,
    /// What it says.
    pub data: Value,
}

impl Events {
    /// Of an answer whose head has come.
    pub fn new(response: Response) -> Self {
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, heard: String::new() }
    }

    /// The next event, or `None` at the end of the stream, clean or not.
    pub async fn next(&mut self) -> Option<Event> {
        within(PATIENCE, "an event", self.listen()).await
    }

    /// The same without a deadline.
    pub async fn listen(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.heard.split_once("\n\n") {
                let event = parse(block);
                self.heard = rest.to_owned();
                if event.is_some() {
                    return event;
                }
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.heard.push_str(std::str::from_utf8(&chunk).expect("whole characters"));
        }
    }

    /// The next event of this kind, over others.
    pub async fn find(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended: no {kind}"));
            if event.kind == kind {
                return event;
            }
        }
    }
}

/// An event; none where a block sets only the time or the position, or is a sign of life.
fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let data = field("data: ")?;
    Some(Event {
        kind: field("event: ").unwrap_or("message").to_owned(),
        id: field("id: ").map(str::to_owned),
        data: serde_json::from_str(data).expect("JSON"),
    })
}
