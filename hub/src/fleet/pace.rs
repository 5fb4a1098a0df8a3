//! When the next targets have their turn, and when no more have one: windows, failures, waves, rate.

use std::collections::VecDeque;
use std::time::Duration;

use super::plan::StopKind;
use super::run::Fleet;
use super::target::Outcome;
use super::{Effect, FleetId, Limits};
use crate::clock::Now;

/// Targets that must have been handed over before a share of failures means anything.
const ABORT_BASE_MIN: u32 = 10;

impl Fleet {
    pub(super) fn go_on(
        &mut self,
        now: Now,
        limits: &Limits,
        id: FleetId,
        effects: &mut VecDeque<Effect>,
    ) {
        let window = self.plan.window;
        if window.to_unix_ms > 0 && self.plan.ttl_s_at(now.unix_ms).is_none() {
            if !self.queue.is_empty() {
                let detail = "the maintenance window ended before its turn".to_owned();
                self.stop(now, StopKind::WindowOver, detail, effects);
            }
        } else if let Some(share) = self.share_too_high() {
            let detail = format!("aborted: {share}");
            self.stop(now, StopKind::Aborted, detail, effects);
        } else if now.unix_ms >= window.from_unix_ms {
            self.hand_over(now, limits, id, effects);
        }
    }

    /// Why it must not go on, if too many targets failed.
    fn share_too_high(&self) -> Option<String> {
        let limit = self.plan.abort_above_pct?;
        let (total, bad) = (self.counts.total(), self.counts.bad());
        let over = total - self.counts.of(Outcome::Waiting);
        let counts = over >= ABORT_BASE_MIN.min(total);
        // Those that wait in the ledger for their devices can be withdrawn, too.
        let left = !self.queue.is_empty() || self.counts.of(Outcome::Accepted) > 0;
        let share = f64::from(bad) * 100.0;
        (counts && left && share > limit * f64::from(over))
            .then(|| format!("{bad} of {over} failed, more than {limit} %"))
    }

    fn hand_over(
        &mut self,
        now: Now,
        limits: &Limits,
        id: FleetId,
        effects: &mut VecDeque<Effect>,
    ) {
        let rate = self.plan.waves.per_s.min(limits.per_s_max);
        self.earn(now, rate);
        if self.resume_at.is_some_and(|resume| now.mono < resume) {
            return;
        }
        self.resume_at = None;
        while self.credit >= 1.0 && self.handed < limits.handed_max {
            let Some(index) = self.queue.pop_front() else { break };
            let Some(ttl_s) = self.plan.ttl_s_at(now.unix_ms) else { break };
            self.credit -= 1.0;
            self.handed += 1;
            let target = &mut self.targets[index as usize];
            target.handed = true;
            let (device, plan) = (target.device.clone(), self.plan.clone());
            let ttl = Duration::from_secs(u64::from(ttl_s));
            effects.push_back(Effect::HandOver { fleet: id, index, device, plan, ttl });
            self.wave_left = self.wave_left.saturating_sub(1);
            if self.wave_left == 0 {
                self.wave_left = self.plan.waves.size;
                let pause = Duration::from_secs(u64::from(self.plan.waves.pause_s));
                if !pause.is_zero() {
                    self.resume_at = Some(now.mono + pause);
                    break;
                }
            }
        }
    }

    /// Credit grows with time, up to a second's worth; the first target goes at once.
    fn earn(&mut self, now: Now, rate: f64) {
        let most = rate.max(1.0);
        match self.credited_at.replace(now.mono) {
            None => self.credit = 1.0,
            Some(at) => {
                let passed = now.mono.saturating_duration_since(at).as_secs_f64();
                self.credit = (self.credit + passed * rate).min(most);
            }
        }
    }
}
