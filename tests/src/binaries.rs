//! Where the real programs are.
//!
//! `LAMPLIGHTER_BIN_DIR` names their folder, if they are built already. Without it the first test that
//! needs one runs `cargo build` beside its own executable, so that `cargo test` alone is never stale:
//! cargo gives the names of programs only to tests of their own package.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const FOLDER_VARIABLE: &str = "LAMPLIGHTER_BIN_DIR";
const BROKEN_VARIABLE: &str = "LAMPLIGHTER_BROKEN_HUB";

/// The hub.
pub fn hub() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        given("hub").unwrap_or_else(|| {
            let target = target_folder();
            build(&target, &["--package", "hub", "--bins"]);
            target.join(profile()).join("hub")
        })
    })
}

/// The simulator.
pub fn device_sim() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        given("device-sim").unwrap_or_else(|| {
            let target = target_folder();
            build(&target, &["--package", "device-sim", "--bins"]);
            target.join(profile()).join("device-sim")
        })
    })
}

/// A hub that acknowledges before the disk has it, if it is told to: the proof that the crash tests
/// would catch one. `make test` builds it beside the hub.
pub fn hub_broken_ack() -> PathBuf {
    let beside = || hub().with_file_name("hub-broken-ack");
    let path = std::env::var_os(BROKEN_VARIABLE).map_or_else(beside, PathBuf::from);
    assert!(
        path.is_file(),
        "no hub that is broken on purpose: run `make test`, or name one in {BROKEN_VARIABLE}; looked for {}",
        path.display()
    );
    path
}

fn given(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(FOLDER_VARIABLE)?;
    let path = PathBuf::from(folder).join(name);
    assert!(path.is_file(), "{FOLDER_VARIABLE} has no `{name}`: {}", path.display());
    Some(path)
}

/// `<target>` of `<target>/<profile>/deps/<this executable>`.
fn target_folder() -> PathBuf {
    let this = std::env::current_exe().expect("the system knows this executable");
    let folder = this.ancestors().nth(3).expect("tests lie in <target>/<profile>/deps");
    folder.to_owned()
}

fn profile() -> String {
    let this = std::env::current_exe().expect("the system knows this executable");
    let folder = this.ancestors().nth(2).and_then(Path::file_name);
    folder.expect("tests lie in <target>/<profile>/deps").to_string_lossy().into_owned()
}

fn build(target: &Path, what: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let profile = match profile().as_str() {
        "debug" => "dev".to_owned(),
        other => other.to_owned(),
    };
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--profile", &profile])
        .args(what)
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    let built = status.is_ok_and(|status| status.success());
    assert!(built, "cargo can't build {what:?}; its messages are above");
}
