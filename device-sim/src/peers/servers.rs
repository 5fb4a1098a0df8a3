//! The servers that are compared: how each is started, and what the generator speaks with it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use firmware_client::driver::tls_config;
use rustls::ClientConfig;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::connection::Target;
use super::dialect::{Dialect, Floor, Lamplighter, Mqtt, Nats, SocketIo};
use super::process::Process;

const READY_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const STOP_MAX: Duration = Duration::from_secs(5);
/// A free port may be taken by another program before the server has it.
const PORT_TRIES: usize = 3;

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ServerKind {
    Floor,
    Lamplighter,
    Mosquitto,
    Nats,
    Socketio,
}

impl ServerKind {
    /// All, in the order of the rounds.
    pub(super) const ALL: [Self; 5] =
        [Self::Lamplighter, Self::Mosquitto, Self::Nats, Self::Socketio, Self::Floor];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Lamplighter => "lamplighter",
            Self::Mosquitto => "mosquitto",
            Self::Nats => "nats",
            Self::Socketio => "socketio",
        }
    }

    /// Its protocol, for devices that say this boot.
    pub(super) fn dialect(self, boot: u32) -> Box<dyn Dialect> {
        match self {
            Self::Floor => Box::new(Floor),
            Self::Lamplighter => Box::new(Lamplighter::new(boot)),
            Self::Mosquitto => Box::new(Mqtt),
            Self::Nats => Box::new(Nats),
            Self::Socketio => Box::new(SocketIo),
        }
    }

    /// The floor has none: TLS is a library's cost, not the program's.
    pub(super) const fn has_tls(self) -> bool {
        !matches!(self, Self::Floor)
    }
}

/// Where programs and certificates are.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    /// Holds `hub` and `floor`.
    pub(super) own: PathBuf,
    /// Holds the peers' programs in `bin`.
    pub(super) peers: PathBuf,
    /// The core of all servers.
    pub(super) core: u32,
}

/// Certificate, its key and who signed it; the hub's own for development.
#[derive(Debug, Clone)]
pub(super) struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    authority: Arc<ClientConfig>,
}

impl Certificates {
    /// Those that a hub made in its data folder.
    ///
    /// # Errors
    /// They can't be read.
    pub(super) fn of(data: &Path) -> io::Result<Self> {
        let folder = data.join("dev");
        let authority =
            tls_config(&std::fs::read(folder.join("ca.pem"))?, None).map_err(io::Error::other)?;
        let mut authority = authority.as_ref().clone();
        // Each connect is a full handshake.
        authority.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
            authority: Arc::new(authority),
        })
    }
}

/// A server that runs. Dropping it kills it.
pub(super) struct Server {
    child: Child,
    pub(super) process: Process,
    pub(super) target: Target,
    work: TempDir,
}

impl Server {
    /// Starts a server and waits until it takes connections; with TLS if there are certificates.
    ///
    /// # Errors
    /// It can't be started, or doesn't become ready.
    pub(super) async fn start(
        kind: ServerKind,
        programs: &Programs,
        certificates: Option<&Certificates>,
    ) -> io::Result<Self> {
        let mut outcome = Err(io::ErrorKind::AddrInUse.into());
        for _ in 0..PORT_TRIES {
            outcome = Self::start_once(kind, programs, certificates).await;
            if outcome.is_ok() {
                break;
            }
        }
        outcome.map_err(|error| io::Error::other(format!("{} did not start: {error}", kind.name())))
    }

    async fn start_once(
        kind: ServerKind,
        programs: &Programs,
        certificates: Option<&Certificates>,
    ) -> io::Result<Self> {
        let work = tempfile::tempdir()?;
        let port = free_port()?;
        let mut command = command(kind, programs, certificates, work.path(), port)?;
        let log = std::fs::File::create(work.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        // A Ctrl-C is ours; we end it.
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        let scheme = if certificates.is_some() { "wss" } else { "ws" };
        let address = match kind {
            ServerKind::Mosquitto | ServerKind::Nats => connected(&mut child, port).await,
            ServerKind::Floor | ServerKind::Lamplighter | ServerKind::Socketio => {
                timeout(READY_MAX, told_address(&mut child, scheme))
                    .await
                    .unwrap_or(Err(io::ErrorKind::TimedOut.into()))
            }
        };
        let log = std::fs::read_to_string(work.path().join("log")).unwrap_or_default();
        let address = address.map_err(|error| io::Error::other(format!("{error} {log}")))?;
        let process = Process::new(child.id().ok_or(io::ErrorKind::NotFound)?);
        let own = match (kind, certificates) {
            // It makes its own, whatever others were given.
            (ServerKind::Lamplighter, Some(_)) => {
                Some(Certificates::of(&work.path().join("data"))?)
            }
            (_, certificates) => certificates.cloned(),
        };
        let tls = own.map(|certificates| certificates.authority);
        Ok(Self { child, process, target: Target { address, tls }, work })
    }

    /// The hub's data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.work.path().join("data")
    }

    /// Ends it, waits for its end, and leaves the folder with its files.
    pub(super) async fn stop(mut self) -> io::Result<TempDir> {
        self.child.start_kill()?;
        timeout(STOP_MAX, self.child.wait()).await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(self.work)
    }
}

/// The server's command line, and its configuration written into the folder.
fn command(
    kind: ServerKind,
    programs: &Programs,
    certificates: Option<&Certificates>,
    work: &Path,
    port: u16,
) -> io::Result<Command> {
    let program = match kind {
        ServerKind::Lamplighter => programs.own.join("hub"),
        ServerKind::Floor => programs.own.join("floor"),
        ServerKind::Mosquitto => programs.peers.join("bin/mosquitto"),
        ServerKind::Nats => programs.peers.join("bin/nats-server"),
        ServerKind::Socketio => programs.peers.join("bin/socketio"),
    };
    let configuration = work.join("server.conf");
    std::fs::write(&configuration, configured(kind, certificates, work, port))?;
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(programs.core.to_string()).arg(program.canonicalize()?);
    match kind {
        ServerKind::Lamplighter => {
            command.args(["serve", "--dev", "--config"]).arg(configuration);
            command.arg("--data-dir").arg(work.join("data"));
            command.args(["--listen", "127.0.0.1:0", "--listen-plain", "127.0.0.1:0"]);
        }
        ServerKind::Mosquitto | ServerKind::Nats => {
            command.arg("-c").arg(configuration);
        }
        ServerKind::Socketio => {
            let files = certificates.map(|files| [&files.certificate, &files.key]);
            command.args(files.into_iter().flatten());
        }
        ServerKind::Floor => {}
    }
    Ok(command)
}

fn configured(
    kind: ServerKind,
    certificates: Option<&Certificates>,
    work: &Path,
    port: u16,
) -> String {
    let (template, tls) = match kind {
        ServerKind::Lamplighter => (include_str!("../../../deploy/peers/hub.toml"), String::new()),
        ServerKind::Mosquitto => {
            let tls = certificates.map(|files| {
                let (certificate, key) = (files.certificate.display(), files.key.display());
                format!("certfile {certificate}\nkeyfile {key}")
            });
            (include_str!("../../../deploy/peers/mosquitto.conf"), tls.unwrap_or_default())
        }
        ServerKind::Nats => {
            let tls = certificates.map(|files| {
                let (certificate, key) = (files.certificate.display(), files.key.display());
                format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\" }}")
            });
            let tls = tls.unwrap_or_else(|| "no_tls: true".to_owned());
            (include_str!("../../../deploy/peers/nats.conf"), tls)
        }
        ServerKind::Socketio | ServerKind::Floor => ("", String::new()),
    };
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    let places = [("{port}", port.to_string()), ("{tls}", tls), ("{user}", user)];
    let work = ("{work}", work.display().to_string());
    places
        .into_iter()
        .chain([work])
        .fold(template.to_owned(), |text, (place, value)| text.replace(place, &value))
}

/// A port that nobody has, nor had a moment ago: some servers don't take it then, which a listener of
/// ours, that says `SO_REUSEADDR`, would.
fn free_port() -> io::Result<u16> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    Ok(socket.local_addr()?.port())
}

/// Waits until the port answers.
async fn connected(child: &mut Child, port: u16) -> io::Result<SocketAddr> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let trying = async {
        loop {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(address);
            }
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(status.to_string()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    timeout(READY_MAX, trying).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

/// The address in the line `ready <scheme>://<address>`.
async fn told_address(child: &mut Child, scheme: &str) -> io::Result<SocketAddr> {
    let out = child.stdout.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut lines = BufReader::new(out).lines();
    while let Some(line) = lines.next_line().await? {
        let address = line.strip_prefix("ready ").and_then(|url| url.split_once("://"));
        if let Some((found, address)) = address
            && found == scheme
        {
            return address.parse().map_err(io::Error::other);
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_in_a_configuration_is_filled_in() {
        for kind in ServerKind::ALL {
            let text = configured(kind, None, Path::new("/w"), 4711);
            let mut lines = text.lines().filter(|line| !line.starts_with('#'));
            let places = ["{port}", "{tls}", "{user}", "{work}"];
            assert!(!lines.any(|line| places.iter().any(|place| line.contains(place))));
            let is_by_port = matches!(kind, ServerKind::Mosquitto | ServerKind::Nats);
            assert_eq!(text.contains("4711"), is_by_port, "{}", kind.name());
        }
        assert!(configured(ServerKind::Nats, None, Path::new("/w"), 1).contains("no_tls: true"));
    }
}
