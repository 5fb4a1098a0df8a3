//! The data folder: whether it is fit to hold the state.
//!
//! Nothing is repaired: what is wrong with a folder is told with the path and left to the operator.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::OpenError;
use super::lock::Lock;

/// The file systems' own folder for what their check found. It belongs to root.
const LOST_AND_FOUND: &str = "lost+found";

/// Bytes that must be free for the hub to start: some segments of the engine, and its snapshot.
const FREE_MIN: u64 = 32 * 1_024 * 1_024;

/// Magic numbers of `statfs(2)` whose locks and syncs can't be relied on.
const NETWORK: [(u32, &str); 12] = [
    (0x0000_517B, "SMB"),
    (0x0000_564C, "NCP"),
    (0x0000_6969, "NFS"),
    (0x00C3_6400, "Ceph"),
    (0x0102_1997, "9P"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0xFE53_4D42, "SMB"),
    (0xFF53_4D42, "CIFS"),
];

/// Magic numbers of what is there until the next start, or may be anything.
const VOLATILE: [(u32, &str); 4] = [
    (0x0102_1994, "tmpfs"),
    (0x6573_5546, "FUSE"),
    (0x794C_7630, "overlayfs"),
    (0x8584_58F6, "ramfs"),
];

/// A data folder that passed the checks and is ours until this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: Lock,
}

impl Folder {
    /// Creates the folder if it is missing (mode 0700), checks it, and takes the lock.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        create_if_missing(path)?;
        let path = fs::canonicalize(path).map_err(at("resolving", path))?;
        check_file_system(&path)?;
        check_root(&path)?;
        let lock = Lock::take(&path)?;
        check_entries(&path)?;
        check_room(&path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes created and renamed entries durable.
    pub(super) fn sync(&self) -> Result<(), OpenError> {
        let synced = File::open(&self.path).and_then(|folder| folder.sync_all());
        synced.map_err(at("syncing", &self.path))
    }

    /// Creates a folder inside, mode 0700, if it is missing.
    pub(super) fn create(&self, name: &str) -> Result<PathBuf, OpenError> {
        let path = self.path.join(name);
        create_if_missing(&path)?;
        self.sync()?;
        Ok(path)
    }
}

/// Turns an error of the system into one that says where and while doing what.
pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io { action, path: path.to_owned(), source }
}

fn create_if_missing(path: &Path) -> Result<(), OpenError> {
    match DirBuilder::new().mode(0o700).recursive(true).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(OpenError::NotFolder { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(OpenError::NotFolder { path: path.to_owned() })
        }
        Err(error) => Err(at("creating", path)(error)),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum FileSystem {
    Local,
    Network(&'static str),
    Volatile(&'static str),
}

fn check_file_system(path: &Path) -> Result<(), OpenError> {
    let stat = rustix::fs::statfs(path).map_err(io::Error::from).map_err(at("examining", path))?;
    // The width of the field differs between architectures; the numbers have 32 bits.
    match file_system(stat.f_type as u32) {
        FileSystem::Local => Ok(()),
        FileSystem::Network(kind) => {
            Err(OpenError::NetworkFileSystem { path: path.to_owned(), kind })
        }
        FileSystem::Volatile(kind) => {
            warn!(
                path = %path.display(), kind,
                "the data folder may not survive a restart of the machine; \
                 put it on a disk before anything depends on it"
            );
            Ok(())
        }
    }
}

fn file_system(magic: u32) -> FileSystem {
    let name = |table: &[(u32, &'static str)]| {
        table.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)
    };
    match (name(&NETWORK), name(&VOLATILE)) {
        (Some(kind), _) => FileSystem::Network(kind),
        (None, Some(kind)) => FileSystem::Volatile(kind),
        (None, None) => FileSystem::Local,
    }
}

/// The folder itself may be readable, and may belong to someone else (volumes of containers often
/// do): what is in it is protected. But who may write to it may exchange what is in it.
fn check_root(path: &Path) -> Result<(), OpenError> {
    let metadata = fs::metadata(path).map_err(at("examining", path))?;
    refuse_modes(path, &metadata, 0o002)
}

fn check_entries(path: &Path) -> Result<(), OpenError> {
    for entry in entries(path)? {
        if entry.file_name().is_some_and(|name| name == LOST_AND_FOUND) {
            continue;
        }
        let metadata = check_entry(&entry)?;
        refuse_modes(&entry, &metadata, 0o007)?;
    }
    // sled leaves modes to the umask. Its folder is closed to others, so only tricks matter.
    let state = path.join(super::open::STATE_FOLDER);
    for folder in [state.clone(), state.join("blobs")] {
        if folder.exists() {
            entries(&folder)?.iter().try_for_each(|entry| check_entry(entry).map(drop))?;
        }
    }
    Ok(())
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, OpenError> {
    fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(at("listing", path))
}

fn check_entry(path: &Path) -> Result<Metadata, OpenError> {
    let metadata = fs::symlink_metadata(path).map_err(at("examining", path))?;
    let us = rustix::process::geteuid().as_raw();
    if metadata.is_symlink() {
        return Err(OpenError::Symlink { path: path.to_owned() });
    }
    if metadata.is_file() && metadata.nlink() > 1 {
        return Err(OpenError::HardLink { path: path.to_owned() });
    }
    if metadata.uid() != us {
        return Err(OpenError::ForeignOwner { path: path.to_owned(), owner: metadata.uid(), us });
    }
    Ok(metadata)
}

fn refuse_modes(path: &Path, metadata: &Metadata, refused: u32) -> Result<(), OpenError> {
    let mode = metadata.mode() & 0o777;
    if mode & refused == 0 {
        return Ok(());
    }
    Err(OpenError::Exposed { path: path.to_owned(), mode })
}

fn check_room(path: &Path) -> Result<(), OpenError> {
    let stat = rustix::fs::statvfs(path).map_err(io::Error::from).map_err(at("examining", path))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free >= FREE_MIN {
        return Ok(());
    }
    Err(OpenError::Full { path: path.to_owned(), free, needed: FREE_MIN })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_missing_folder_is_created_for_its_owner_alone() {
        let bench = Bench::new();

        Folder::take(&bench.data.join("deeper")).expect("it can be created");

        assert_eq!(mode(&bench.data), 0o700);
        assert_eq!(mode(&bench.data.join("deeper")), 0o700);
        assert_eq!(mode(&bench.data.join("deeper/lock")), 0o600);
    }

    #[test]
    fn links_are_refused() {
        let bench = Bench::filled();
        symlink("/etc/hosts", bench.data.join("a")).expect("a link");
        assert!(bench.refusal().contains("a` is a symbolic link"));

        let bench = Bench::filled();
        fs::write(bench.data.join("a"), "").expect("a file");
        fs::hard_link(bench.data.join("a"), bench.data.join("state/b")).expect("a link");
        bench.close("a");
        assert!(bench.refusal().contains("is a hard link"));

        let bench = Bench::filled();
        symlink("/etc", bench.data.join("state/blobs")).expect("a link");
        assert!(bench.refusal().contains("blobs` is a symbolic link"));
    }

    #[test]
    fn what_others_can_read_is_refused() {
        let bench = Bench::filled();
        fs::write(bench.data.join("key.pem"), "").expect("a file");
        fs::set_permissions(bench.data.join("key.pem"), Permissions::from_mode(0o644))
            .expect("it is ours");

        assert!(bench.refusal().contains("key.pem` is open to other users (mode 644)"));
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused_and_one_they_can_read_is_not() {
        let bench = Bench::filled();

        fs::set_permissions(&bench.data, Permissions::from_mode(0o755)).expect("it is ours");
        Folder::take(&bench.data).expect("what is inside is closed");

        fs::set_permissions(&bench.data, Permissions::from_mode(0o777)).expect("it is ours");
        assert!(bench.refusal().contains("(mode 777)"));
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_refused() {
        let bench = Bench::new();
        fs::write(&bench.data, "").expect("a file");

        assert!(bench.refusal().contains("data` is not a folder"));
    }

    #[test]
    fn file_systems_are_told_by_their_numbers() {
        const EXT4: u32 = 0xEF53;
        assert_eq!(file_system(EXT4), FileSystem::Local);
        assert_eq!(file_system(0x6969), FileSystem::Network("NFS"));
        assert_eq!(file_system(0xFF53_4D42), FileSystem::Network("CIFS"));
        assert_eq!(file_system(0x0102_1994), FileSystem::Volatile("tmpfs"));
    }

    struct Bench {
        data: PathBuf,
        _folder: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            Self { data: folder.path().join("data"), _folder: folder }
        }

        /// A data folder as a hub leaves it.
        fn filled() -> Self {
            let bench = Self::new();
            let folder = Folder::take(&bench.data).expect("it can be created");
            folder.create("state").expect("it can be created");
            bench
        }

        fn close(&self, name: &str) {
            fs::set_permissions(self.data.join(name), Permissions::from_mode(0o600))
                .expect("it is ours");
        }

        fn refusal(&self) -> String {
            Folder::take(&self.data).expect_err("it must be refused").to_string()
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it exists").mode() & 0o777
    }
}
