//! Cores that don't sleep while single messages are timed.
//!
//! A virtual core that has nothing to do goes back to its host, and a busy host returns it when it likes: after 1 to
//! 5 ms, where a message takes 0.1. Who has less to do sleeps more, and would look slower for it. So on each
//! core a program runs that gives way to everybody at once (`SCHED_IDLE`, sched(7)) and uses the time that is left.

use std::io;
use std::process::Stdio;

use rustix::thread::{CpuSet, sched_getaffinity};
use tokio::process::{Child, Command};

/// Programs that keep cores awake, until they are dropped; or until this process is gone.
pub(super) struct Awake(#[expect(dead_code, reason = "they end with it")] Vec<Child>);

impl Awake {
    /// Keeps this core awake, and those that this process may use.
    ///
    /// # Errors
    /// There is no `chrt` or `taskset`.
    pub(super) fn keep(server_core: u32) -> io::Result<Self> {
        let own = sched_getaffinity(None)?;
        let is_used = |core: usize| own.is_set(core) || core == server_core as usize;
        (0..CpuSet::MAX_CPU)
            .filter(|core| is_used(*core))
            .map(occupy)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn occupy(core: usize) -> io::Result<Child> {
    // It looks now and then only, and else leaves caches and the kernel alone.
    let count = "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done";
    let work = format!("while [ -d /proc/{} ]; do {count}; done", std::process::id());
    Command::new("chrt")
        .args(["--idle", "0", "taskset", "--cpu-list", &core.to_string(), "sh", "-c", &work])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}
