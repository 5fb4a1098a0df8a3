//! BS: data folders that a hub makes, refuses with the reason, or sets aside.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use tests::Hub;
use tests::cli::{Cli, Ran};

use crate::hostile;

#[tokio::test]
async fn bs1_missing_and_empty_folders_are_made_ready() {
    let root = tempfile::tempdir().expect("a folder");
    let empty = root.path().join("empty");
    fs::create_dir(&empty).expect("ours");
    for folder in [empty, root.path().join("missing/deeper")] {
        let mut hub = Hub::builder().plain().data_folder(&folder).start().await;
        hub.register("lamp-kept").await;
        assert!(hub.terminate().await.success());
        hub.restart().await;
        assert_eq!(hub.http().get("/v1/devices/lamp-kept").await.status, 200);
    }
}

#[tokio::test]
async fn bs1_what_is_no_folder_is_refused() {
    let root = tempfile::tempdir().expect("a folder");
    let file = root.path().join("file");
    fs::write(&file, "x").expect("ours");
    refused("BS1 a file", &file, "not a folder").await;
    refused("BS1 below a file", &file.join("data"), "not a folder").await;
}

#[tokio::test]
async fn bs2_a_second_hub_on_one_folder_is_refused_and_the_first_goes_on() {
    let hub = Hub::builder().plain().start().await;
    let ran = refused("BS2", &hub.data_folder(), "another hub").await;
    assert!(ran.err.contains(&hub.pid().to_string()), "BS2 names the process: {}", ran.err);
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bs6_a_damaged_state_is_set_aside_and_said() {
    for (id, name) in [("BS6 conf garbage", "conf"), ("BS6 db garbage", "db")] {
        let mut hub = Hub::builder().plain().start().await;
        hub.register("lamp-lost").await;
        assert!(hub.terminate().await.success());
        let state = hub.data_folder().join("state");
        let file = state.join(name);
        assert!(file.exists(), "{id}: sled has other files now");
        fs::write(&file, vec![0xa5; 64 * 1024]).expect("ours");
        hub.restart().await;
        hostile::serves(&hub).await;
        let aside = fs::read_dir(hub.data_folder()).expect("ours").flatten();
        let aside = aside.filter(|entry| entry.file_name().to_string_lossy().starts_with("state"));
        let count = aside.count();
        // A log that looks like one that was never written opens as an empty one.
        assert!(count >= 2 || name == "db", "{id}: nothing was set aside");
    }
}

#[tokio::test]
async fn bs6_a_state_folder_that_is_gone_is_a_fresh_start() {
    let mut hub = Hub::builder().plain().start().await;
    assert!(hub.terminate().await.success());
    fs::remove_dir_all(hub.data_folder().join("state")).expect("ours");
    hub.restart().await;
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bs8_links_and_open_modes_are_refused() {
    let root = tempfile::tempdir().expect("a folder");
    let elsewhere = root.path().join("elsewhere");
    fs::write(&elsewhere, "x").expect("ours");

    let linked = made(root.path(), "linked");
    symlink(&elsewhere, linked.join("secret")).expect("ours");
    refused("BS8 symbolic link", &linked, "symbolic link").await;

    let lock = made(root.path(), "lock-link");
    symlink(&elsewhere, lock.join("lock")).expect("ours");
    refused("BS8 a lock that is a link", &lock, "lock").await;
    assert_eq!(fs::read_to_string(&elsewhere).expect("ours"), "x", "written through a link");

    let hard = made(root.path(), "hard");
    fs::hard_link(&elsewhere, hard.join("twin")).expect("ours");
    refused("BS8 hard link", &hard, "hard link").await;

    let open = made(root.path(), "open");
    fs::write(open.join("notes"), "x").expect("ours");
    fs::set_permissions(open.join("notes"), Permissions::from_mode(0o644)).expect("ours");
    refused("BS8 readable by all", &open, "chmod").await;

    let world = made(root.path(), "world");
    fs::set_permissions(&world, Permissions::from_mode(0o777)).expect("ours");
    refused("BS8 writable by all", &world, "chmod").await;
}

fn made(root: &Path, name: &str) -> std::path::PathBuf {
    let folder = root.join(name);
    fs::create_dir(&folder).expect("ours");
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).expect("ours");
    folder
}

async fn refused(id: &str, folder: &Path, reason: &str) -> Ran {
    let folder = folder.display().to_string();
    let words = ["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir", &folder];
    let ran = Cli::default().run(&words).await;
    assert!(ran.code > 0, "{id}: {ran:?}");
    assert!(ran.err.contains(reason), "{id}: `{reason}` isn't named: {}", ran.err);
    assert!(!ran.out.contains("ready"), "{id}: {ran:?}");
    ran
}
