//! What the hub says. One function a kind of envelope; all of them end in state, notices, or a close.

use proto::envelope::{Ack, Batch, Error, GoAway, Kind, Message, Pong, Welcome};
use proto::{CloseCode, ErrorCode, channels, limits};

use super::{Client, Phase};
use crate::event::{Admission, Event};
use crate::journal::Journal;
use crate::light::Light;
use crate::time::Millis;

/// ms: a pong that took longer says too little about the time.
const ROUND_TRIP_MS_MAX: u64 = 10_000;
/// ms: the shortest pause after "later", so that no hub makes the device spin.
const PAUSE_MS_MIN: u64 = 1_000;

impl<J: Journal, const SLOTS: usize, const ENTRY: usize> Client<'_, J, SLOTS, ENTRY> {
    pub(super) fn receive(&mut self, now: Millis, message: &[u8]) {
        let Ok(batch) = Batch::parse(message) else {
            self.stats.malformed += 1;
            self.close(now, CloseCode::MALFORMED);
            return;
        };
        for envelope in batch {
            if matches!(self.phase, Phase::Closing { .. }) {
                return;
            }
            match (envelope.kind, self.phase) {
                (Kind::Welcome(welcome), Phase::Greeting { .. }) => self.on_welcome(now, &welcome),
                (Kind::Error(error), _) => self.on_error(now, envelope.request, &error),
                (Kind::GoAway(go_away), _) => self.on_go_away(&go_away),
                (Kind::Ack(ack), Phase::Open { .. }) => self.on_ack(envelope.request, &ack),
                (Kind::Pong(pong), Phase::Open { .. }) => self.on_pong(now, &pong),
                (Kind::Deliver(deliver), Phase::Open { .. }) => {
                    let taken = self.commands.deliver(now, &deliver);
                    self.stats.commands_ignored += u32::from(!taken);
                }
                (Kind::Message(message), Phase::Open { .. }) => self.on_value(&message),
                (Kind::Snapshot(page), Phase::Open { .. }) => {
                    page.values().for_each(|message| self.on_value(&message));
                }
                // What a device doesn't expect here, or what is younger than this firmware.
                _ => {}
            }
        }
    }

    fn on_welcome(&mut self, now: Millis, welcome: &Welcome<'_>) {
        self.stats.admissions += 1;
        self.phase = Phase::Open { since: now };
        self.link.owes_subscribe = self.config.follows_light;
        self.link.resync_at = now.after(self.config.resync_after_ms);
        self.link.set_ping_interval(welcome.ping_interval_s);
        self.retry.window(welcome.reconnect_window_s);
        if welcome.message_size_max > 0 {
            let size = usize::try_from(welcome.message_size_max).unwrap_or(usize::MAX);
            self.link.message_size_max = size.min(limits::MESSAGE_BYTES_MAX);
        }
        self.notice(Event::Welcome(Admission {
            ping_interval_s: self.link.ping_interval_s,
            reconnect_window_s: welcome.reconnect_window_s,
            accepted_seq: welcome.accepted_seq,
        }));
        self.learn_time(now, welcome.time_unix_ms);
        if welcome.accepted_seq > self.outbox.sent_max() {
            self.on_boot_taken(now);
        } else if welcome.accepted_seq > 0 {
            self.on_accepted(welcome.accepted_seq);
        }
    }

    fn learn_time(&mut self, now: Millis, unix_ms: u64) {
        if self.clock.learn(now, unix_ms) {
            self.outbox.convert(&self.clock);
            self.notice(Event::TimeLearned { unix_ms });
        }
    }

    /// Reports of this boot were accepted that this boot never sent: the journal lost count, as a
    /// replaced flash does. Under the old number the hub would take new reports for old ones.
    fn on_boot_taken(&mut self, now: Millis) {
        match self.journal.raise_boot() {
            Ok(boot) => {
                self.boot = boot;
                self.outbox.renumbered();
                self.notice(Event::BootRaised { boot });
            }
            Err(_) => self.notice(Event::JournalFailed),
        }
        self.close(now, CloseCode::NORMAL);
    }

    fn on_accepted(&mut self, seq: u64) {
        self.stats.reports_acked += self.outbox.acked(seq) as u64;
        self.notice(Event::Acked { seq: seq.min(self.outbox.sent_max()) });
    }

    fn on_ack(&mut self, request: u64, ack: &Ack<'_>) {
        if ack.seq > 0 && (ack.boot == self.boot || ack.boot == 0) {
            self.on_accepted(ack.seq);
        }
        self.settle(request);
    }

    fn settle(&mut self, request: u64) {
        if let Some((id, state, recorded)) = self.commands.settled(&mut self.journal, request) {
            self.notice(Event::CommandSettled { id, state });
            if recorded.is_err() {
                self.notice(Event::JournalFailed);
            }
        }
    }

    fn on_error(&mut self, now: Millis, request: u64, error: &Error<'_>) {
        if error.retry_after_ms > 0 {
            self.on_later(now, request, error);
        } else if error.code == ErrorCode::StaleEpoch && error.seq == 0 {
            self.on_boot_taken(now);
        } else if error.seq > 0 {
            if self.outbox.refuse(error.seq) {
                self.stats.reports_refused += 1;
                self.notice(Event::ReportRefused { seq: error.seq, code: error.code });
            }
        } else if request > 0 {
            // The hub doesn't want this outcome, now or later.
            self.settle(request);
        } else {
            self.notice(Event::HubError { code: error.code, retry_after_ms: 0 });
        }
    }

    /// "Not now": everything that is not acknowledged goes again after a pause.
    fn on_later(&mut self, now: Millis, request: u64, error: &Error<'_>) {
        let until = now.after(u64::from(error.retry_after_ms).max(PAUSE_MS_MIN));
        self.link.retry_at = self.link.retry_at.max(until);
        if !self.commands.retry(request) {
            self.outbox.rewind();
        }
        let retry_after_ms = error.retry_after_ms;
        self.notice(Event::HubError { code: error.code, retry_after_ms });
    }

    /// A value of one of the device's own channels.
    fn on_value(&mut self, message: &Message<'_>) {
        let known = channels::known(message.channel);
        let is_light = known.is_some_and(|(_, kind)| *kind == channels::EFFECTIVE);
        if !is_light || !self.config.follows_light {
            return;
        }
        match Light::decode(message.payload.unwrap_or_default()) {
            Some(light) => self.notice(Event::Light(light)),
            None => self.stats.malformed += 1,
        }
    }

    fn on_pong(&mut self, now: Millis, pong: &Pong<'_>) {
        let Some(pinged_at) = self.link.pinged_at.take() else { return };
        let round_trip = now.since(pinged_at);
        if round_trip <= ROUND_TRIP_MS_MAX {
            self.learn_time(now, pong.time_unix_ms.saturating_add(round_trip / 2));
        }
    }

    fn on_go_away(&mut self, go_away: &GoAway<'_>) {
        self.retry.window(go_away.reconnect_window_s);
    }
}
