//! A server's process as the kernel accounts for it.

use std::fs;
use std::io;

/// A process to measure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pid: u32,
}

impl Process {
    pub(super) const fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// µs of CPU time so far, user and system, of all threads.
    ///
    /// # Errors
    /// The process is gone.
    pub(super) fn cpu_us(self) -> io::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let ticks = cpu_ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64 * 1e6)
    }

    /// KiB that are resident.
    ///
    /// # Errors
    /// The process is gone.
    pub(super) fn resident_kib(self) -> io::Result<f64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid))?;
        let kib = resident_kib(&rollup).ok_or(io::ErrorKind::InvalidData)?;
        Ok(kib as f64)
    }
}

/// Fields 14 and 15; the name in field 2 may hold spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn resident_kib(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find(|line| line.starts_with("Rss:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read_also_with_an_odd_name() {
        let stat = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 700 300 0 0 20 0 5 0 99";
        assert_eq!(cpu_ticks(stat), Some(1_000));
        assert_eq!(resident_kib("0-1 ---p\nRss:   2048 kB\nPss: 1 kB\n"), Some(2_048));
    }

    #[test]
    fn our_own_process_has_both_and_one_that_is_gone_has_neither() {
        let own = Process::new(std::process::id());
        assert!(own.cpu_us().is_ok() && own.resident_kib().is_ok_and(|kib| kib > 100.0));
        assert!(Process::new(u32::MAX).cpu_us().is_err());
    }
}
