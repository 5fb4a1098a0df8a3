//! The hub's own exports, and the way back from them when the state is lost.
//!
//! `<data folder>/exports/latest.jsonl` is written now and then, `previous.jsonl` is the one before. A
//! hub that finds its state empty (set aside as damaged, deleted, or read by the engine as one that was
//! never written) begins with the latest that is whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::transfer::{self, TransferError};
use crate::audit::Actor;
use crate::broker::Broker;
use crate::broker::restore::check_record;
use crate::clock::Now;
use crate::store::Store;

const FOLDER: &str = "exports";
const LATEST: &str = "latest.jsonl";
const PREVIOUS: &str = "previous.jsonl";
/// How often it is looked whether an export is due.
const LOOK: Duration = Duration::from_secs(60);

/// Writes an export whenever the latest is older than `every`, until the hub stops.
pub async fn run(
    broker: Arc<Broker>,
    data_folder: PathBuf,
    every: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let mut looks = tokio::time::interval(LOOK.min(every));
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first comes at once, when the hub has enough to do.
    looks.tick().await;
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        let (broker, folder) = (broker.clone(), data_folder.join(FOLDER));
        let work = move || {
            let now = Now::read();
            if is_due(&folder, every, now) { write(&broker, &folder, now) } else { Ok(()) }
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => tracing::error!(%reason, "the export failed; the last one stays"),
            Err(error) => tracing::error!(%error, "the export failed; the last one stays"),
        }
    }
}

fn is_due(folder: &Path, every: Duration, now: Now) -> bool {
    let Ok(latest) = fs::metadata(folder.join(LATEST)) else { return true };
    let written = u64::try_from(latest.mtime()).unwrap_or(0);
    // A clock that went back makes it due as well.
    let age = (now.unix_ms / 1000).checked_sub(written);
    age.is_none_or(|age| Duration::from_secs(age) >= every)
}

/// Writes an export beside the latest, then puts it in its place.
fn write(broker: &Broker, folder: &Path, now: Now) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let part = folder.join("latest.part");
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&part);
    let mut file = BufWriter::new(file.map_err(failed)?);
    let mut written = Ok(());
    let exported = broker.export(now, |piece| {
        written = file.write_all(&piece);
        written.is_ok()
    });
    written.map_err(failed)?;
    exported.map_err(|refusal| refusal.message)?;
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    let latest = folder.join(LATEST);
    if latest.exists() {
        fs::rename(&latest, folder.join(PREVIOUS)).map_err(failed)?;
    }
    fs::rename(&part, &latest).map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Fills an empty store from the latest export that is whole, if there is one. A file that is not
/// whole is told and passed over: it must not keep the hub down.
///
/// # Errors
/// The store can't be read or written.
pub fn restore(store: &mut dyn Store, data_folder: &Path, now: Now) -> Result<(), TransferError> {
    for name in [LATEST, PREVIOUS] {
        let file = data_folder.join(FOLDER).join(name);
        if !file.exists() {
            continue;
        }
        let (header, end) = match transfer::read(&file, &mut |record| check_record(&record)) {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "an export can't be used to restore the state");
                continue;
            }
        };
        let exported_unix_ms = header.unix_ms;
        tracing::error!(file = %file.display(), exported_unix_ms,
            "the state is empty: restoring it from the hub's own export");
        return transfer::begin_with(store, &file, now, &end, Actor::hub());
    }
    Ok(())
}
