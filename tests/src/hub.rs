//! The hub as a process: started with settings, asked where it listens, killed, terminated, started
//! again on the same data.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::deadline::{PATIENCE, within};
use crate::http::Http;

/// Lines of the log that are shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// What every hub of the tests is told. Devices reconnect at will, and stopping doesn't take its time.
const SETTINGS: &[&str] = &[
    "drain.grace=0s",
    "drain.spread=0s",
    "drain.hard_stop=10s",
    "devices.session_every=1ms",
    "devices.session_burst=100000",
    "devices.sessions_per_minute=100000",
    "limits.accept_per_s=100000",
    "log.filter=debug",
];

/// How a hub is to be started.
#[derive(Debug, Clone)]
pub struct HubBuilder {
    binary: PathBuf,
    plain: bool,
    memory: bool,
    settings: Vec<String>,
    before: Vec<String>,
    config: Option<PathBuf>,
    folder: Option<PathBuf>,
    config_text: Option<String>,
}

/// A running hub, or one that was ended and can be started again. Ends with its value.
#[derive(Debug)]
pub struct Hub {
    builder: HubBuilder,
    folder: TempDir,
    child: Option<Child>,
    secure: SocketAddr,
    plain: Option<SocketAddr>,
}

impl Default for HubBuilder {
    fn default() -> Self {
        Self {
            binary: crate::binaries::hub().to_owned(),
            plain: false,
            memory: false,
            settings: SETTINGS.iter().map(|setting| (*setting).to_owned()).collect(),
            before: Vec::new(),
            config: None,
            folder: None,
            config_text: None,
        }
    }
}

impl HubBuilder {
    /// Clients come without TLS, for tests of thousands.
    pub fn plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Nothing goes to disk, where a test is not about that.
    pub fn memory(mut self) -> Self {
        self.memory = true;
        self
    }

    /// Any key of the configuration; a later one replaces an earlier one.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        let start = format!("{key}=");
        self.settings.retain(|setting| !setting.starts_with(&start));
        self.settings.push(start + value);
        self
    }

    /// Another program than the hub as it is.
    pub fn binary(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.binary);
        self
    }

    /// Runs the hub under a program, as in `strace -f -o FILE`.
    pub fn under(mut self, words: &[&str]) -> Self {
        self.before = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// A configuration file with this text, for what no single key can say.
    pub fn config_text(mut self, text: &str) -> Self {
        self.config_text = Some(text.to_owned());
        self
    }

    /// With this configuration file.
    pub fn config(mut self, path: &Path) -> Self {
        self.config = Some(path.to_owned());
        self
    }

    /// A data folder elsewhere than in the hub's own temporary folder.
    pub fn data_folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Starts it and waits until it listens.
    pub async fn start(self) -> Hub {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut hub = Hub { builder: self, folder, child: None, secure: nowhere, plain: None };
        hub.begin().await;
        hub
    }
}

impl Hub {
    /// A hub with a store on disk and TLS, as a test of the product wants it.
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }

    /// The same, started.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// One without a disk.
    pub async fn in_memory() -> Self {
        Self::builder().memory().start().await
    }

    /// Starts it again on the same data, if it was ended.
    pub async fn restart(&mut self) {
        assert!(self.child.is_none(), "the hub still runs: kill or terminate it first");
        self.begin().await;
    }

    /// SIGKILL, and waits until it is gone.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("the hub runs");
        signal(hub_pid(&child, !self.builder.before.is_empty()), Signal::KILL);
        within(PATIENCE, "the hub dies", child.wait()).await.expect("a child");
    }

    /// SIGTERM; its exit code.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.wait(PATIENCE).await
    }

    /// SIGTERM, without waiting.
    pub fn ask_to_stop(&self) {
        let child = self.child.as_ref().expect("the hub runs");
        signal(hub_pid(child, !self.builder.before.is_empty()), Signal::TERM);
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self, limit: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("the hub runs");
        within(limit, "the hub ends", child.wait()).await.expect("a child")
    }

    /// The same, for other settings on the same data.
    pub fn change(&mut self, change: impl FnOnce(HubBuilder) -> HubBuilder) {
        self.builder = change(self.builder.clone());
    }

    /// Where clients connect: with TLS, unless the hub was built plain.
    pub fn url(&self) -> String {
        match self.plain {
            Some(address) => format!("ws://{address}"),
            None => format!("wss://{}", self.secure),
        }
    }

    /// Where it listens with TLS.
    pub fn secure_address(&self) -> SocketAddr {
        self.secure
    }

    /// Where it listens without.
    pub fn plain_address(&self) -> Option<SocketAddr> {
        self.plain
    }

    /// The process, for looking at it from outside.
    pub fn pid(&self) -> i32 {
        let child = self.child.as_ref().expect("the hub runs");
        hub_pid(child, !self.builder.before.is_empty()).as_raw_nonzero().get()
    }

    /// Its data folder.
    pub fn data_folder(&self) -> PathBuf {
        self.builder.folder.clone().unwrap_or_else(|| self.folder.path().join("data"))
    }

    /// A file that `--dev` made.
    pub fn dev_file(&self, name: &str) -> PathBuf {
        self.data_folder().join("dev").join(name)
    }

    /// A token that `--dev` made: `operator` or `viewer`.
    pub fn dev_token(&self, role: &str) -> String {
        let text = fs::read_to_string(self.dev_file(&format!("{role}.token")));
        text.expect("the hub wrote it").trim().to_owned()
    }

    /// All it logged, of all its lives.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Its HTTP side, as the operator.
    pub fn http(&self) -> Http {
        Http::new(self, &self.dev_token("operator"))
    }

    /// Registers a device, or gives a registered one a new token; the token.
    pub async fn register(&self, id: &str) -> String {
        let body = serde_json::json!({ "id": id });
        let made = self.http().post("/v1/devices?existing=new-token", &body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.json()["devices"][0]["token"].as_str().expect("a token").to_owned()
    }

    /// Registers many; their tokens in order.
    pub async fn register_many(&self, ids: &[String]) -> Vec<String> {
        let mut tokens = Vec::new();
        for some in ids.chunks(1000) {
            let body = some.iter().map(|id| serde_json::json!({ "id": id })).collect();
            let made = self.http().post("/v1/devices", &serde_json::Value::Array(body)).await;
            assert_eq!(made.status, 201, "{}", made.body);
            let answer = made.json();
            let devices = answer["devices"].as_array().expect("a list");
            let token =
                |one: &serde_json::Value| one["token"].as_str().expect("a token").to_owned();
            tokens.extend(devices.iter().map(token));
        }
        tokens
    }

    /// The value of one line of `/metrics`; 0 if it isn't there yet.
    pub async fn metric(&self, line: &str) -> f64 {
        let page = self.http().get("/metrics").await.body;
        let found = page.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0.0, |value| value.parse().expect("a number"))
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("hub.log")
    }

    fn command(&self) -> Command {
        let builder = &self.builder;
        let mut words: Vec<String> = builder.before.clone();
        words.push(builder.binary.display().to_string());
        words
            .extend(["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir"].map(str::to_owned));
        words.push(self.data_folder().display().to_string());
        if builder.plain {
            words.extend(["--listen-plain", "127.0.0.1:0"].map(str::to_owned));
        }
        if builder.memory {
            words.extend(["--store", "memory"].map(str::to_owned));
        }
        if let Some(text) = &builder.config_text {
            let path = self.folder.path().join("hub.toml");
            fs::write(&path, text).expect("the folder is ours");
            words.extend(["--config".to_owned(), path.display().to_string()]);
        }
        if let Some(config) = &builder.config {
            words.extend(["--config".to_owned(), config.display().to_string()]);
        }
        for setting in &builder.settings {
            words.extend(["--set".to_owned(), setting.clone()]);
        }
        let log = File::options().create(true).append(true).open(self.log_path());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.expect("the folder is ours"))
            .kill_on_drop(true);
        command
    }

    async fn begin(&mut self) {
        let mut child = self.command().spawn().expect("the program can be started");
        let out = child.stdout.take().expect("stdout is a pipe");
        self.child = Some(child);
        self.plain = None;
        let mut lines = BufReader::new(out).lines();
        let wanted = 1 + usize::from(self.builder.plain);
        for _ in 0..wanted {
            let line = within(PATIENCE, "the hub says that it is ready", lines.next_line()).await;
            let Some(line) = line.expect("stdout is text") else {
                panic!("the hub ended before it was ready");
            };
            let (scheme, address) = line
                .strip_prefix("ready ")
                .and_then(|url| url.split_once("://"))
                .unwrap_or_else(|| panic!("unexpected on stdout: {line}"));
            let address = address.parse().expect("an address and a port");
            match scheme {
                "wss" => self.secure = address,
                "ws" => self.plain = Some(address),
                other => panic!("unexpected scheme: {other}"),
            }
        }
        // Read on: a hub whose stdout is full would stand still.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(child) = &self.child
            && !self.builder.before.is_empty()
        {
            // The program around it doesn't take its child with it.
            signal(hub_pid(child, true), Signal::KILL);
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!(
                "--- the hub's log, the end of {} lines ---\n{}",
                lines.len(),
                shown.join("\n")
            );
        }
    }
}

/// The hub itself, also where a program was put around it.
fn hub_pid(child: &Child, wrapped: bool) -> Pid {
    let own = child.id().expect("not waited for yet");
    let pid = if wrapped { first_child(own).unwrap_or(own) } else { own };
    Pid::from_raw(pid.cast_signed()).expect("never 0")
}

fn first_child(parent: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn signal(pid: Pid, signal: Signal) {
    // It may be gone already, which is what was wanted.
    kill_process(pid, signal).ok();
}
