//! `hub export` and `hub import`: backup, and moving to another machine.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::connect::Connection;
use super::exit::Failure;
use super::http::Http;
use super::out::{Out, note};
use crate::server::transfer::{self, Existing, TransferError};

/// `hub export`
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Where to, made with mode 0600; without it to standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Read the data of a hub that isn't running
    #[arg(long, requires = "data_dir")]
    pub(crate) offline: bool,
    /// The data folder, with --offline
    #[arg(long, value_name = "DIR", requires = "offline")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// `hub import`
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// What `hub export` wrote
    pub(crate) file: PathBuf,
    /// The data folder, of a hub that isn't running; made if it is missing
    #[arg(long, value_name = "DIR", env = "LAMPLIGHTER_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
    /// The folder has something already: add what it lacks
    #[arg(long)]
    pub(crate) merge: bool,
}

/// Runs `hub export`.
pub(crate) async fn export(args: &ExportArgs, connection: &Connection) -> Result<(), Failure> {
    let http = Http::new(&connection.target()?)?;
    let mut sink = Sink::open(args.out.as_deref())?;
    let mut tail = Vec::new();
    http.download("/v1/export", &mut |piece| {
        keep_last_line(&mut tail, piece);
        sink.write_all(piece).map_err(|error| sink_failed(args.out.as_deref(), &error))
    })
    .await?;
    if !tail.starts_with(b"{\"end\":") {
        return Err(Failure::Unreachable("the export was cut off; try again".to_owned()));
    }
    sink.finish()
}

/// Runs `hub export --offline`.
pub(crate) fn export_offline(args: &ExportArgs) -> Result<(), Failure> {
    let folder = args.data_dir.clone().unwrap_or_default();
    let mut sink = Sink::open(args.out.as_deref())?;
    transfer::export_offline(&folder, &mut sink).map_err(|error| failure(&error))?;
    sink.finish()
}

/// Runs `hub import`.
pub(crate) fn import(args: &ImportArgs, out: &mut Out) -> Result<(), Failure> {
    let existing = if args.merge { Existing::Merge } else { Existing::Refuse };
    let end = transfer::import(&args.data_dir, &args.file, existing);
    let end = end.map_err(|error| failure(&error))?;
    let counts = end.records.iter().map(|(table, count)| format!("{table} {count}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    out.line(&format!("imported {}: {counts}", args.file.display()))
}

fn failure(error: &TransferError) -> Failure {
    match error {
        TransferError::NotEmpty { .. } => Failure::Conflict(error.to_string()),
        TransferError::File { .. }
        | TransferError::Import { .. }
        | TransferError::Open(_)
        | TransferError::Store(_) => Failure::Refused(error.to_string()),
    }
}

/// Keeps what follows the last line end but one.
fn keep_last_line(tail: &mut Vec<u8>, piece: &[u8]) {
    const TAIL_BYTES_MAX: usize = 4096;
    tail.extend_from_slice(piece);
    let body = tail.strip_suffix(b"\n").unwrap_or(tail);
    let start = body.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    tail.drain(..start);
    // A longer line is no last one; its beginning says so.
    tail.truncate(TAIL_BYTES_MAX);
}

/// Standard output, or a file that is there whole or not at all.
enum Sink {
    Stdout(io::Stdout),
    File { file: BufWriter<File>, part: PathBuf, path: PathBuf },
}

impl Sink {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Stdout(io::stdout())) };
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let mut options = OpenOptions::new();
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&part);
        let file = opened.map_err(|error| sink_failed(Some(&part), &error))?;
        Ok(Self::File { file: BufWriter::new(file), part, path: path.to_owned() })
    }

    /// On disk, under its name.
    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Stdout(mut stdout) => stdout.flush().map_err(|error| sink_failed(None, &error)),
            Self::File { mut file, part, path } => {
                let done = file
                    .flush()
                    .and_then(|()| file.get_ref().sync_all())
                    .and_then(|()| std::fs::rename(&part, &path));
                done.map_err(|error| sink_failed(Some(&path), &error))?;
                note(&format!("wrote {}", path.display()));
                Ok(())
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File { file, .. } => file.flush(),
        }
    }
}

fn sink_failed(path: Option<&Path>, error: &io::Error) -> Failure {
    match path {
        None if error.kind() == io::ErrorKind::BrokenPipe => Failure::PipeClosed,
        None => Failure::Refused(format!("standard output: {error}")),
        Some(path) => Failure::Refused(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_found_over_pieces() {
        let mut tail = Vec::new();
        for piece in ["{\"a\":1}\n{\"b\"", ":2}\n", "{\"end\":", "{}}\n"] {
            keep_last_line(&mut tail, piece.as_bytes());
        }
        assert_eq!(tail, b"{\"end\":{}}\n");
    }
}
