//! Opens the state of a hub, whatever state it is in.
//!
//! Three things can be wrong, and they end differently:
//!
//! ```text
//!   the data folder is unfit (links, modes, network, full, in use) ──▶ refuse, and say what to do
//!   the state is of a newer hub                                    ──▶ refuse
//!   sled fails, panics or hangs on its files                       ──▶ rename them, start fresh
//! ```
//!
//! sled runs in a thread of its own for that: a panic ends the thread and a hang is left behind. A
//! thread that was left behind holds on to its folder by descriptor (`sled::path_of`), so it can't
//! reach the fresh one. What the system refuses (no space, no permission, a failing disk) is no
//! damage, and never leads to a fresh start.
//!
//! To read every record takes seconds where there are a million, so the last values, which are most of
//! them, are read only after the start. If that fails, or a commit does, the hub ends and leaves a mark
//! (`Records::distrust`): with it the next opening reads every record, and damage shows here.
//!
//! What can't be seen: a log whose end is damaged looks to sled like one whose end was never written.
//! It then opens as it was before that point.

use std::any::Any;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tracing::{error, warn};

use super::folder::{Folder, at};
use super::sled::{SledStore, is_in_use, path_of};
use super::{FORMAT_KEY, Operation, Store, StoreError, Table};

#[cfg(test)]
mod tests;

/// The folder of sled in the data folder.
pub(super) const STATE_FOLDER: &str = "state";

/// The version of what the modules above put into the tables. Raise it when an older hub would
/// misread what a newer one wrote.
pub const FORMAT_VERSION: u32 = 1;

/// Where the state is, and how long opening it may take.
#[derive(Debug, Clone)]
pub struct OpenSettings {
    pub data_folder: PathBuf,
    /// After this long sled is held for hung. A million records take some seconds; be generous, for
    /// to pass it is to start empty.
    pub time_limit: Duration,
}

impl OpenSettings {
    /// Settings for `data_folder` with a limit of 60 s.
    pub fn new(data_folder: PathBuf) -> Self {
        Self { data_folder, time_limit: Duration::from_secs(60) }
    }
}

/// A store, and what happened on the way to it.
#[derive(Debug)]
pub struct Opened {
    pub store: SledStore,
    /// Where the state that sled could not open is now. If set, `store` is empty, and the caller
    /// restores it from the last export if there is one.
    pub quarantined: Option<PathBuf>,
    /// Keeps other hubs out for as long as it lives. Hold it longer than the store.
    pub lock: DataLock,
}

/// The lock on a data folder.
#[derive(Debug)]
pub struct DataLock {
    _folder: Folder,
}

/// Why the hub can't start on a data folder. Every message says what is wrong with which path.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("a fresh database could not be opened in `{path}`: {reason}")]
    Engine { path: PathBuf, reason: String },
    #[error("`{path}` is open to other users (mode {mode:o}); close it with `chmod o-rwx`")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("`{path}` belongs to user {owner}, and the hub runs as user {us}")]
    ForeignOwner { path: PathBuf, owner: u32, us: u32 },
    #[error("`{path}` has {free} bytes free; the hub needs {needed} to start")]
    Full { path: PathBuf, free: u64, needed: u64 },
    #[error("`{path}` is a hard link, so it has another name somewhere; remove one of them")]
    HardLink { path: PathBuf },
    #[error("{action} `{path}` failed: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("another hub (process {holder}) uses this data folder: it holds the lock `{path}`")]
    Locked { path: PathBuf, holder: String },
    #[error(
        "`{path}` is on a network file system ({kind}), whose locks and syncs can't be relied on; \
         use a local disk"
    )]
    NetworkFileSystem { path: PathBuf, kind: &'static str },
    #[error("`{path}` is not a folder")]
    NotFolder { path: PathBuf },
    #[error("the new state could not be written: {source}")]
    Store { source: StoreError },
    #[error("`{path}` is a symbolic link; the data folder must hold its files itself")]
    Symlink { path: PathBuf },
    #[error(
        "the state was written by a newer hub (format {found}; this hub knows up to {known}); \
         start that one, or use another data folder"
    )]
    TooNew { found: u32, known: u32 },
}

/// Opens the state in `settings.data_folder`, creating what is missing. `now_unix_s` (s since 1970,
/// UTC) names the folder of a state that has to be set aside.
pub fn open(settings: &OpenSettings, now_unix_s: u64) -> Result<Opened, OpenError> {
    open_with(settings, now_unix_s, open_verified)
}

/// What sled made of its folder.
#[derive(Debug)]
enum Fault {
    /// The files are not what sled can use.
    Damaged(String),
    /// The system said no; the files may be fine.
    Refused(io::Error),
    TooNew(u32),
}

type Opener = fn(Arc<OwnedFd>) -> Result<SledStore, Fault>;

fn open_with(
    settings: &OpenSettings,
    now_unix_s: u64,
    opener: Opener,
) -> Result<Opened, OpenError> {
    let folder = Folder::take(&settings.data_folder)?;
    let state = folder.create(STATE_FOLDER)?;
    let (store, quarantined) = match open_state(&state, settings.time_limit, opener)? {
        Ok(store) => (store, None),
        Err(reason) => {
            let aside = set_aside(&folder, &state, now_unix_s)?;
            error!(
                %reason, state = %state.display(), quarantined = %aside.display(),
                "the stored state could not be opened; it was set aside, and the hub starts empty"
            );
            folder.create(STATE_FOLDER)?;
            let fresh = open_state(&state, settings.time_limit, open_verified)?;
            let store =
                fresh.map_err(|reason| OpenError::Engine { path: state.clone(), reason })?;
            (store, Some(aside))
        }
    };
    let store = with_format(store)?;
    Ok(Opened { store, quarantined, lock: DataLock { _folder: folder } })
}

/// `Ok(Err(reason))` if the folder has to be set aside.
fn open_state(
    path: &Path,
    limit: Duration,
    opener: Opener,
) -> Result<Result<SledStore, String>, OpenError> {
    let folder = File::open(path).map_err(at("opening", path))?;
    let folder = Arc::new(OwnedFd::from(folder));
    fs::metadata(path_of(&folder)).map_err(at("reaching through /proc", path))?;
    if is_in_use(&folder).map_err(at("examining", path))? {
        return Err(OpenError::Locked { path: path.to_owned(), holder: "unknown".to_owned() });
    }
    let mut entries = fs::read_dir(path).map_err(at("listing", path))?;
    let is_new = entries.next().is_none();
    let opening = bounded(limit, move || {
        let store = opener(folder)?;
        check_format(&store, is_new).map(|()| store)
    });
    match opening.map_err(at("starting a thread to open", path))? {
        Ok(Ok(store)) => Ok(Ok(store)),
        Ok(Err(Fault::Damaged(reason))) | Err(reason) => Ok(Err(reason)),
        Ok(Err(Fault::Refused(source))) => Err(at("opening the database in", path)(source)),
        Ok(Err(Fault::TooNew(found))) => Err(OpenError::TooNew { found, known: FORMAT_VERSION }),
    }
}

/// Runs `work` in a thread of its own. The inner error says that it panicked or took longer than
/// `limit`; in the latter case the thread goes on, and what it returns is dropped there.
fn bounded<R: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> R + Send + 'static,
) -> io::Result<Result<R, String>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name("store-open".to_owned()).spawn(move || {
        // Nobody listens any more if the limit has passed; then the result ends here.
        drop(sender.send(work()));
    })?;
    Ok(match receiver.recv_timeout(limit) {
        Ok(result) => Ok(result),
        Err(RecvTimeoutError::Timeout) => Err(format!("opening took longer than {limit:?}")),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => Err(format!("opening panicked: {}", panic_message(&*panic))),
            Ok(()) => Err("opening ended without a result".to_owned()),
        },
    })
}

/// The text that a panic was raised with.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_owned())
}

fn open_verified(folder: Arc<OwnedFd>) -> Result<SledStore, Fault> {
    let store = SledStore::open(folder).map_err(fault)?;
    store.verify().map_err(fault)?;
    store.trust().map_err(|error| fault(error.into()))?;
    Ok(store)
}

/// sled may take a damaged log for an empty one. The format version is the first record of every
/// state, so a state without it has lost its records (or the hub died in its very first moment).
fn check_format(store: &SledStore, is_new: bool) -> Result<(), Fault> {
    match format_of(store)? {
        Some(found) if found > FORMAT_VERSION => Err(Fault::TooNew(found)),
        None if !is_new => Err(Fault::Damaged("its first record is missing".to_owned())),
        Some(_) | None => Ok(()),
    }
}

fn fault(error: ::sled::Error) -> Fault {
    match error {
        ::sled::Error::Io(error) if is_refusal(&error) => Fault::Refused(error),
        error => Fault::Damaged(error.to_string()),
    }
}

/// Whether sled could not go on because the system said no.
pub(super) fn is_refused(error: &::sled::Error) -> bool {
    matches!(error, ::sled::Error::Io(error) if is_refusal(error))
}

/// Whether the system, and not the content of the files, is the reason.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{
        FileTooLarge, Interrupted, OutOfMemory, PermissionDenied, QuotaExceeded,
        ReadOnlyFilesystem, StorageFull,
    };
    let kinds = [
        FileTooLarge,
        Interrupted,
        OutOfMemory,
        PermissionDenied,
        QuotaExceeded,
        ReadOnlyFilesystem,
        StorageFull,
    ];
    let codes = [rustix::io::Errno::IO, rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    kinds.contains(&error.kind())
        || rustix::io::Errno::from_io_error(error).is_some_and(|code| codes.contains(&code))
}

/// The format version of the records, if there is one.
fn format_of(store: &SledStore) -> Result<Option<u32>, Fault> {
    let mut stored = None;
    let scanned = store.scan(Table::Meta, &mut |key, value| {
        if key == FORMAT_KEY {
            stored = Some(<[u8; 4]>::try_from(value).map(u32::from_be_bytes));
        }
    });
    scanned.map_err(|error| Fault::Damaged(error.to_string()))?;
    stored
        .transpose()
        .map_err(|_| Fault::Damaged("the format version does not have four bytes".to_owned()))
}

/// Writes the format version into a store that has none, which is a new one.
fn with_format(mut store: SledStore) -> Result<SledStore, OpenError> {
    let has_format = format_of(&store).is_ok_and(|format| format.is_some());
    if !has_format {
        let version = Bytes::copy_from_slice(&FORMAT_VERSION.to_be_bytes());
        let operation =
            Operation::put(Table::Meta, FORMAT_KEY, version).expect("four bytes are not too large");
        store.commit(&[operation]).map_err(|source| OpenError::Store { source })?;
    }
    Ok(store)
}

/// Renames the folder of the state to a name that is free.
fn set_aside(folder: &Folder, state: &Path, now_unix_s: u64) -> Result<PathBuf, OpenError> {
    let name = format!("{STATE_FOLDER}.corrupt-{now_unix_s}");
    let names = (2_u32..).map(|count| format!("{name}-{count}"));
    let aside = std::iter::once(name.clone())
        .chain(names)
        .map(|name| folder.path().join(name))
        .find(|path| fs::symlink_metadata(path).is_err())
        .expect("an endless row of names has one that is free");
    fs::rename(state, &aside).map_err(at("renaming", state))?;
    folder.sync()?;
    warn!(from = %state.display(), to = %aside.display(), "renamed; nothing was deleted");
    Ok(aside)
}
