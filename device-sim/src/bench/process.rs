//! The hub's process as the kernel accounts for it.

use std::fs;
use std::time::Duration;

use crate::clock::micros;

/// What `clear_refs` takes for it, as in proc(5).
const FORGET_PEAK: &str = "5";

/// A process to measure; without an id there is nothing to tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct HubProcess {
    pid: Option<u32>,
}

impl HubProcess {
    pub(super) fn new(pid: Option<u32>) -> Self {
        Self { pid }
    }

    /// µs of CPU time so far, user and system.
    pub(super) fn cpu_us(&self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid?)).ok()?;
        let ticks_per_s = rustix::param::clock_ticks_per_second() as f64;
        Some(cpu_ticks(&stat)? as f64 / ticks_per_s * 1e6)
    }

    /// Counts CPU time from now on.
    pub(super) fn meter(&self) -> Meter {
        Meter { process: *self, from: self.cpu_us() }
    }

    /// KiB that are resident.
    pub(super) fn resident_kib(&self) -> Option<f64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid?)).ok()?;
        kib_of(&rollup, "Rss:").map(|kib| kib as f64)
    }

    /// Lets [`HubProcess::peak_kib`] begin anew; where the kernel refuses, the peak stays that of all the
    /// time.
    pub(super) fn forget_peak(&self) {
        if let Some(pid) = self.pid {
            drop(fs::write(format!("/proc/{pid}/clear_refs"), FORGET_PEAK));
        }
    }

    /// KiB that were resident at most, since the process began or its peak was forgotten.
    pub(super) fn peak_kib(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid?)).ok()?;
        kib_of(&status, "VmHWM:").map(|kib| kib as f64)
    }
}

/// CPU time from a moment on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter {
    process: HubProcess,
    from: Option<f64>,
}

impl Meter {
    /// µs so far.
    pub(super) fn spent_us(&self) -> Option<f64> {
        Some(self.process.cpu_us()? - self.from?)
    }

    /// % of a core over a span that is just over.
    pub(super) fn share(&self, span: Duration) -> Option<f64> {
        self.spent_us().map(|us| us / micros(span).max(1) as f64 * 100.0)
    }
}

/// KiB that the kernel holds for TCP, of all processes: what was written and not yet read.
pub(super) fn sockets_kib() -> Option<f64> {
    let text = fs::read_to_string("/proc/net/sockstat").ok()?;
    let pages = tcp_pages(&text)? as f64;
    Some(pages * rustix::param::page_size() as f64 / 1024.0)
}

fn tcp_pages(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find(|line| line.starts_with("TCP:"))?;
    line.rsplit_once("mem ")?.1.trim().parse().ok()
}

/// Fields 14 and 15; the name in field 2 may hold spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read_also_with_an_odd_name() {
        let stat = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 700 300 0 0 20 0 5 0 99";
        assert_eq!(cpu_ticks(stat), Some(1_000));
        let sockstat = "sockets: used 9\nTCP: inuse 5 orphan 0 tw 0 alloc 7 mem 12\nUDP: mem 3\n";
        assert_eq!(tcp_pages(sockstat), Some(12));
        assert_eq!(kib_of("0-1 ---p\nRss:   2048 kB\nPss: 1 kB\n", "Rss:"), Some(2_048));
    }

    #[test]
    fn our_own_process_has_both() {
        let own = HubProcess::new(Some(std::process::id()));
        assert!(own.cpu_us().is_some() && own.resident_kib().is_some_and(|kib| kib > 100.0));
        own.forget_peak();
        assert!(own.peak_kib().is_some_and(|kib| kib > 100.0));
        assert_eq!(HubProcess::new(None).cpu_us(), None);
    }
}
