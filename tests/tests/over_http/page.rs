//! A page with the browser's module, in a process of its own, that prints what it sees.

use std::process::Stdio;

use tempfile::TempDir;
use tests::{PATIENCE, within};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Where the module's sources are.
pub(super) const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../hub/sdk");

/// What a page runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runtime {
    /// Node, with the module from the sources.
    Node,
    /// A browser, with the module from the hub.
    Chromium,
}

/// The page.
pub(super) struct Page {
    _child: Child,
    _input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// For what a browser leaves behind.
    _folder: TempDir,
}

impl Page {
    /// A page that plays one of the stories in `hub/sdk/test/story.js`. `place` is the hub's address and a
    /// token.
    pub(super) async fn open(runtime: Runtime, story: &str, way: &str, place: &str) -> Self {
        let program = match runtime {
            Runtime::Node => "test/page.js",
            Runtime::Chromium => "test/chromium.js",
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = Command::new("node")
            .args(["--experimental-websocket", "--no-warnings", program, story, way])
            .current_dir(SDK)
            .env("TMPDIR", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("Node 20 or later is here");
        let out = child.stdout.take().expect("stdout is a pipe");
        let mut input = child.stdin.take().expect("stdin is a pipe");
        input.write_all(format!("{place}\n").as_bytes()).await.expect("the page listens");
        Self { _child: child, _input: input, lines: BufReader::new(out).lines(), _folder: folder }
    }

    /// What it says next: the kind, and the rest.
    pub(super) async fn line(&mut self) -> (String, String) {
        let line = self.lines.next_line().await.expect("text").expect("the page goes on");
        let (kind, rest) = line.split_once(' ').unwrap_or((&line, ""));
        (kind.to_owned(), rest.to_owned())
    }

    /// The next thing that it says, which must be of this kind. Connections and complaints are no news.
    pub(super) async fn hears(&mut self, kind: &str) -> String {
        let what = format!("`{kind}` of the page");
        loop {
            let (said, rest) = within(PATIENCE, &what, self.line()).await;
            if said == kind {
                return rest;
            }
            let is_noise = ["open", "lost", "complaint", "snapshot"].contains(&said.as_str());
            assert!(is_noise, "`{said} {rest}` instead of `{kind}`");
        }
    }
}
