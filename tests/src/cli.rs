//! The command line by its real binary: words in; exit code and both outputs out.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::Hub;
use crate::deadline::{PATIENCE, within};

/// A shell that knows a hub and has a token, or none of both.
#[derive(Debug, Clone, Default)]
pub struct Cli {
    variables: Vec<(String, String)>,
    folder: Option<PathBuf>,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Cli {
    /// As the operator of this hub.
    pub fn of(hub: &Hub) -> Self {
        Self::with_token(hub, "operator")
    }

    /// With a token that `--dev` made: `operator` or `viewer`.
    pub fn with_token(hub: &Hub, role: &str) -> Self {
        let shell = Self::default().var("LAMPLIGHTER_HUB", &hub.url());
        let shell = shell.var("LAMPLIGHTER_CA_FILE", &hub.dev_file("ca.pem").to_string_lossy());
        let token = hub.dev_file(&format!("{role}.token"));
        shell.var("LAMPLIGHTER_TOKEN_FILE", &token.to_string_lossy())
    }

    /// Sets a variable of the environment; a later one replaces an earlier one.
    pub fn var(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs in this folder.
    pub fn folder(mut self, folder: PathBuf) -> Self {
        self.folder = Some(folder);
        self
    }

    /// The program, not yet started. Its environment has nothing of ours but what was set.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(crate::binaries::hub());
        command.args(words).env_clear().envs(self.variables.clone());
        command.stdin(Stdio::null()).kill_on_drop(true);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    /// Runs it to its end.
    pub async fn run(&self, words: &[&str]) -> Ran {
        let output = self.command(words).output();
        let output = within(PATIENCE, &format!("`hub {}` ends", words.join(" ")), output).await;
        let output = output.expect("the program can be started");
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it to its end, which must be success; its standard output.
    pub async fn ok(&self, words: &[&str]) -> String {
        let ran = self.run(words).await;
        assert_eq!(ran.code, 0, "hub {words:?}: {ran:?}");
        ran.out
    }

    /// Starts it; the test reads its standard output line by line.
    pub fn start(&self, words: &[&str]) -> Running {
        let mut child = self
            .command(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program can be started");
        let out = child.stdout.take().expect("stdout is a pipe");
        Running { child, lines: BufReader::new(out).lines() }
    }
}

impl Running {
    /// The next line of standard output, or `None` at its end.
    pub async fn line(&mut self) -> Option<String> {
        let line = within(PATIENCE, "a line of output", self.lines.next_line()).await;
        line.expect("text")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.child.id().expect("it runs").cast_signed();
        let pid = rustix::process::Pid::from_raw(pid).expect("never 0");
        rustix::process::kill_process(pid, signal).expect("it is ours");
    }

    /// Signals until it ends; two that come at once count as one.
    pub async fn end_by(mut self, signal: rustix::process::Signal) -> ExitStatus {
        const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
        let ended = async {
            loop {
                self.signal(signal);
                if let Ok(status) = tokio::time::timeout(PAUSE, self.child.wait()).await {
                    return status.expect("a child");
                }
            }
        };
        within(PATIENCE, "the program ends by its signals", ended).await
    }

    /// Waits for its end.
    pub async fn end(mut self) -> ExitStatus {
        within(PATIENCE, "the program ends", self.child.wait()).await.expect("a child")
    }
}
