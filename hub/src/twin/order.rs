//! The order of a device's reports: by `(boot, seq)`, whatever order they arrive in.

/// The identity of a report. The device raises `boot` at every start and numbers from 1 in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportId {
    /// Counts the device's starts.
    pub boot: u32,
    /// Counts the reports of that boot; 0 for values without a place in the order.
    pub seq: u64,
}

/// How a report stands to the value that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Take it. `skipped` reports between the two were never seen here.
    Newer {
        /// 0 if it is the next one, or if there was nothing to compare with.
        skipped: u64,
    },
    /// The held value itself, once more.
    Duplicate,
    /// Measured before the held value.
    Late,
}

/// Judges a report against the held one. Values without a sequence are always newer.
pub fn judge(held: Option<ReportId>, report: ReportId) -> Verdict {
    let Some(held) = held else { return Verdict::Newer { skipped: 0 } };
    if report.seq == 0 || held.seq == 0 || report.boot > held.boot {
        return Verdict::Newer { skipped: 0 };
    }
    match report.cmp(&held) {
        std::cmp::Ordering::Greater => Verdict::Newer { skipped: report.seq - held.seq - 1 },
        std::cmp::Ordering::Equal => Verdict::Duplicate,
        std::cmp::Ordering::Less => Verdict::Late,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_boot_wins_over_any_sequence() {
        check((1, u64::MAX), (2, 1), Verdict::Newer { skipped: 0 });
        check((2, 1), (1, u64::MAX), Verdict::Late);
    }

    #[test]
    fn within_a_boot_the_sequence_decides() {
        check((1, 5), (1, 6), Verdict::Newer { skipped: 0 });
        check((1, 5), (1, 9), Verdict::Newer { skipped: 3 });
        check((1, 5), (1, 5), Verdict::Duplicate);
        check((1, 5), (1, 4), Verdict::Late);
        check((1, 5), (1, u64::MAX), Verdict::Newer { skipped: u64::MAX - 6 });
    }

    #[test]
    fn a_value_without_a_sequence_is_always_newer() {
        check((0, 0), (0, 0), Verdict::Newer { skipped: 0 });
        check((1, 5), (0, 0), Verdict::Newer { skipped: 0 });
        assert_eq!(judge(None, id((1, 7))), Verdict::Newer { skipped: 0 });
    }

    #[track_caller]
    fn check(held: (u32, u64), report: (u32, u64), verdict: Verdict) {
        assert_eq!(judge(Some(id(held)), id(report)), verdict);
    }

    fn id((boot, seq): (u32, u64)) -> ReportId {
        ReportId { boot, seq }
    }
}
