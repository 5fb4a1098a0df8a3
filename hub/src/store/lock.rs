//! The lock that keeps a second hub out of a data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tracing::info;

use super::OpenError;
use super::folder::at;

/// Holds the lock of a running hub, and for people its process id.
const LOCK_FILE: &str = "lock";

/// How long a lock may stay held before another hub is said to run. The kernel takes back the memory
/// of a killed hub before its locks: 2 s for one of 4 GiB.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The right to use one data folder, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    /// An exclusive lock of the kernel, so it ends with the process whatever ends that.
    _file: File,
}

impl Lock {
    /// Takes the lock of `folder`, or waits a while for a hub that is being torn down.
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        let file = take_within(LOCK_WAIT, &folder.join(LOCK_FILE))?;
        Ok(Self { _file: file })
    }
}

fn take_within(wait: Duration, path: &Path) -> Result<File, OpenError> {
    // O_NOFOLLOW: a link planted here would have us write into another file.
    let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)
        .map_err(at("opening", path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => file = wait_for(file, wait, path)?,
        Err(TryLockError::Error(error)) => return Err(at("locking", path)(error)),
    }
    write_holder(&mut file).map_err(at("writing", path))?;
    Ok(file)
}

fn wait_for(mut file: File, wait: Duration, path: &Path) -> Result<File, OpenError> {
    let holder = holder(&mut file);
    info!(%holder, "the data folder is in use; waiting for it");
    let (locked, answer) = mpsc::sync_channel(1);
    // The kernel's wait has no limit, so it has a thread. Should it come too late, nobody listens, and
    // the file, and with it the lock, is dropped.
    thread::spawn(move || {
        let result = file.lock();
        drop(locked.send(result.map(|()| file)));
    });
    match answer.recv_timeout(wait) {
        Ok(locked) => locked.map_err(at("locking", path)),
        Err(_) => Err(OpenError::Locked { path: path.to_owned(), holder }),
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(16).read_to_string(&mut text));
    match read {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        Ok(_) | Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn a_second_hub_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(LOCK_FILE);
        let first = take_within(Duration::ZERO, &path).expect("nobody holds it");
        assert_eq!(fs::metadata(&path).expect("it exists").mode() & 0o777, 0o600);

        let refused = take_within(Duration::ZERO, &path).expect_err("it is held").to_string();
        assert!(refused.contains(&format!("another hub (process {})", std::process::id())));

        drop(first);
        Lock::take(folder.path()).expect("the lock is free again");
    }

    #[test]
    fn a_hub_that_is_being_torn_down_is_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = Lock::take(folder.path()).expect("nobody holds it");
        let path = folder.path().to_owned();
        let second = thread::spawn(move || Lock::take(&path).map(drop));

        drop(first);

        second.join().expect("no panic").expect("the lock becomes free");
    }

    #[test]
    fn the_lock_is_not_taken_through_a_link() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").expect("a file");
        symlink(&victim, folder.path().join(LOCK_FILE)).expect("a link");

        let refused = Lock::take(folder.path()).expect_err("it is a link").to_string();

        assert!(refused.contains("lock"));
        assert_eq!(fs::read_to_string(victim).expect("it is there"), "precious");
    }
}
