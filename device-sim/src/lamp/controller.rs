//! The firmware's application in a simulated lamp: reads the lamp, reports, obeys; and writes down for
//! the ledgers what it did and what the hub answered.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use firmware_client::driver::{Application, Wake};
use firmware_client::{Client, Event, Journal, Lane, Light, Millis, Outcome, Report};
use proto::messages::lighting::v1::{ControlReason as Reason, ResetReason};

use super::command::{Ending, Execution};
use super::power::{ENTRY, SLOTS};
use super::{DETAIL_BYTES_MAX, End, FAULT_LASTS, PROOF_BYTES_MAX, Phase, Post, Shared};
use crate::clock::Micros;
use crate::encode::{self, Stamp};
use crate::ledger::device::{Judgement, ReportName, Stream};
use crate::ledger::hash;
use crate::physics::{self, ControlReason, Fault, FaultKind, Lamp, UnixMillis};
use crate::schedule::Periodic;

/// ms: how long a reboot waits for the hub to know of it.
const REBOOT_PATIENCE_MS: u64 = 3_000;
/// Acks that are timed at once; a lamp has fewer reports in its ring.
const TIMED_MAX: usize = 64;

/// The application of one boot.
pub(super) struct Controller<'l> {
    shared: &'l Shared,
    post: &'l Post,
    lamp: &'l mut Lamp,
    telemetry: &'l mut Periodic,
    boot: u32,
    booted_at: Micros,
    announcement: Option<(ResetReason, u32)>,
    /// Reports under way, with their intended moments.
    timed: VecDeque<(u64, Micros)>,
    displaced: u64,
    connecting_since: Option<Micros>,
    execution: Option<Execution>,
    ending: Option<(proto::CommandId, Ending)>,
    outcome_at: Option<Micros>,
    reboot_at: Option<Millis>,
    /// The hub doesn't know yet that the order to reboot succeeded.
    reboot_waits: bool,
}

impl<'l> Controller<'l> {
    pub(super) fn new(
        shared: &'l Shared,
        post: &'l Post,
        lamp: &'l mut Lamp,
        telemetry: &'l mut Periodic,
        boot: u32,
    ) -> Self {
        Self {
            shared,
            post,
            lamp,
            telemetry,
            boot,
            booted_at: shared.clock.now(),
            announcement: None,
            timed: VecDeque::new(),
            displaced: 0,
            connecting_since: None,
            execution: None,
            ending: None,
            outcome_at: None,
            reboot_at: None,
            reboot_waits: false,
        }
    }

    /// The first report of this boot says why there is one.
    pub(super) fn announce(&mut self, reason: ResetReason, power_off_s: u32) {
        self.announcement = Some((reason, power_off_s));
    }

    /// The machine runs no more: why.
    pub(super) fn end(self) -> End {
        if self.post.is_open.swap(false, Ordering::AcqRel) {
            let failed = self.post.power.has_failed();
            if failed {
                self.shared.metrics.disconnected(None);
            } else {
                self.shared.metrics.connected.fetch_sub(1, Ordering::Relaxed);
            }
        }
        match (self.post.power.has_failed(), *self.shared.phase.borrow()) {
            (_, Phase::Over) => End::Over,
            (true, Phase::Load | Phase::Settle) => End::PowerCut,
            (false, Phase::Load | Phase::Settle) => {
                self.post.book.lock().lost_power();
                End::Reboot
            }
        }
    }

    fn name(&self, seq: u64) -> ReportName {
        ReportName { boot: self.boot, seq }
    }

    fn on_welcome(&mut self, accepted_seq: u64) {
        let now = self.shared.clock.now();
        let judgement = self.post.book.lock().judge_greeting(self.boot, accepted_seq);
        if let Judgement::Broken(breach) = judgement {
            let (id, boot) = (&self.post.id, self.boot);
            self.shared.findings.add(breach, || {
                format!("{id}: the hub greets boot {boot} with seq {accepted_seq}, below its acks")
            });
        }
        self.post.is_open.store(true, Ordering::Release);
        self.shared.metrics.admitted();
        if let Some(since) = self.connecting_since.take() {
            self.shared.metrics.connect.record(now.since(since));
        }
        if self.post.in_storm.swap(false, Ordering::AcqRel) {
            let storm_at = Micros(self.shared.storm_at.load(Ordering::Acquire));
            self.shared.metrics.recovery.record(now.since(storm_at));
        }
    }

    fn on_disconnected(&mut self, code: Option<u16>) {
        if self.post.is_open.swap(false, Ordering::AcqRel) {
            self.shared.metrics.disconnected(code);
        } else {
            self.shared.metrics.connect_failures.add();
        }
        self.connecting_since = None;
    }

    fn on_acked(&mut self, seq: u64) {
        let metrics = &self.shared.metrics;
        let now = self.shared.clock.now();
        metrics.acked.add_many(self.post.book.lock().acked(self.name(seq)));
        while let Some((_, intended)) = self.timed.pop_front_if(|(report, _)| *report <= seq) {
            metrics.telemetry.record(now.since(intended));
            let storm_at = self.shared.storm_at.load(Ordering::Acquire);
            if storm_at != 0 && now.0 - storm_at < STORM_LASTS_US {
                metrics.telemetry_in_storm.record(now.since(intended));
            }
        }
    }

    /// The effect function: entered once for each command that starts.
    fn on_start(&mut self, now: Millis, id: proto::CommandId, type_name: &str, payload: &[u8]) {
        let at = self.shared.clock.now();
        let (findings, commands) = (&self.shared.findings, &self.shared.commands);
        self.shared.metrics.executions.add();
        commands.executed(findings, self.post.index, id, hash(payload), at);
        self.lamp.advance(UnixMillis(self.shared.clock.city_unix_ms()));
        let city = self.shared.clock.city();
        match Execution::begin(id, type_name, payload, now, city, self.lamp) {
            Ok(execution) => self.execution = Some(execution),
            Err(words) => self.ending = Some((id, Ending::rejected(words))),
        }
    }

    /// The hub says what the lamp should show; its clock is the run's.
    fn on_light(&mut self, light: &Light) {
        self.lamp.advance(UnixMillis(self.shared.clock.unix_ms()));
        let wish = |level_pct: Option<u8>, reason: u8| {
            let reason = match i32::from(reason).try_into() {
                Ok(Reason::Default) => ControlReason::Default,
                Ok(Reason::Program) => ControlReason::Program,
                Ok(Reason::Override) => ControlReason::Override,
                // A switch in the street is what the hub has heard from a lamp; ours have none.
                Ok(_) | Err(_) => return None,
            };
            Some((level_pct?, reason))
        };
        let until = if light.until_unix_ms == 0 { u64::MAX } else { light.until_unix_ms };
        let since = UnixMillis(light.since_unix_ms);
        let guide = wish(light.level_pct, light.reason).map(|now| physics::Guide {
            now,
            since,
            until: UnixMillis(until),
            then: wish(light.then_level_pct, light.then_reason),
        });
        self.lamp.follow(guide, since);
    }

    fn stamp<J: Journal>(&self, now: Millis, client: &Client<'_, J, SLOTS, ENTRY>) -> Stamp {
        Stamp {
            time_unix_ms: client.unix_ms(now).unwrap_or(0),
            uptime_ms: self.shared.clock.now().since(self.booted_at) / 1000,
            quality: client.time_quality(now),
        }
    }

    /// Hands a report to the machine, with its number in the book before anybody can see it.
    fn report<J: Journal>(
        &mut self,
        now: Millis,
        client: &mut Client<'_, J, SLOTS, ENTRY>,
        stream: Stream,
        payload: &[u8],
    ) -> Option<u64> {
        let report = match stream {
            Stream::Telemetry => Report { lane: Lane::Sample, ..Report::telemetry(payload) },
            Stream::Switching | Stream::Faults | Stream::Info => {
                Report::event(stream.suffix(), payload)
            }
        };
        let seq = client.report(now, &report).ok()?;
        let mut book = self.post.book.lock();
        let lost = client.stats().records_lost;
        if lost > self.displaced {
            book.displaced(stream == Stream::Telemetry, lost - self.displaced);
            self.shared.metrics.displaced.add_many(lost - self.displaced);
            self.displaced = lost;
        }
        book.attempt(stream, self.name(seq), hash(payload));
        self.shared.metrics.reports.add();
        Some(seq)
    }

    fn report_events<J: Journal>(&mut self, now: Millis, client: &mut Client<'_, J, SLOTS, ENTRY>) {
        for event in self.lamp.events() {
            let stamp = self.stamp(now, client);
            let (stream, payload) = match event {
                physics::Event::Light(change) => {
                    (Stream::Switching, encode::switching(stamp, &change))
                }
                physics::Event::Fault(change) => {
                    (Stream::Faults, encode::fault(stamp, &change, &self.lamp.sample()))
                }
            };
            self.report(now, client, stream, &payload);
        }
    }

    fn report_telemetry<J: Journal>(
        &mut self,
        now: Millis,
        client: &mut Client<'_, J, SLOTS, ENTRY>,
    ) {
        let at = self.shared.clock.now();
        while let Some(intended) = self.telemetry.take(at) {
            self.shared.metrics.lateness.record(at.since(intended));
            let payload = encode::telemetry(self.stamp(now, client), &self.lamp.sample());
            if let Some(seq) = self.report(now, client, Stream::Telemetry, &payload) {
                if self.timed.len() == TIMED_MAX {
                    self.timed.pop_front();
                }
                self.timed.push_back((seq, intended));
            }
        }
    }

    fn finish_command<J: Journal>(
        &mut self,
        now: Millis,
        client: &mut Client<'_, J, SLOTS, ENTRY>,
    ) {
        if let Some(execution) = &mut self.execution
            && let Some(ending) = execution.look(now, self.lamp)
        {
            let id = execution.id;
            self.execution = None;
            self.ending = Some((id, ending));
        }
        let Some((id, ending)) = self.ending.take() else { return };
        let stamp = self.stamp(now, client);
        let proof =
            ending.after.as_ref().map(|after| encode::proof(stamp, after, ending.latency_ms));
        let proof = proof.filter(|proof| proof.len() <= PROOF_BYTES_MAX).unwrap_or_default();
        let detail = clip(&ending.detail);
        let outcome = Outcome { verdict: ending.verdict, detail, result: &proof };
        // Refused only if the command doesn't run any more, and then there is nobody to tell.
        if client.command_done(id, &outcome).is_ok() {
            self.outcome_at = Some(self.shared.clock.now());
        }
        if let Some(delay_ms) = ending.reboot_after_ms {
            self.reboot_at = Some(now.after(REBOOT_PATIENCE_MS + delay_ms));
            self.reboot_waits = true;
        }
    }

    fn take_fault(&mut self) {
        let number = self.post.fault.swap(0, Ordering::AcqRel);
        let kind = number.checked_sub(1).and_then(|kind| FaultKind::ALL.get(kind as usize));
        if let Some(kind) = kind {
            let lasts_ms = u64::try_from(FAULT_LASTS.as_millis()).unwrap_or(u64::MAX);
            let until = Some(self.lamp.now().plus_ms(lasts_ms));
            self.lamp.inject(Fault { kind: *kind, until, strength: None });
        }
    }

    /// The machine's clock counts from the same moment as ours, in ms; it must not be woken too early.
    fn next_wake(&self) -> Wake {
        let telemetry = Millis(self.telemetry.next().0.div_ceil(1000));
        let loading = *self.shared.phase.borrow() == Phase::Load;
        let moments = [
            loading.then_some(telemetry),
            self.execution.as_ref().map(Execution::look_at),
            self.reboot_at,
        ];
        moments.into_iter().flatten().min().map_or(Wake::Idle, Wake::At)
    }
}

/// µs: acks that come so long after the links were cut still count as the storm's.
const STORM_LASTS_US: u64 = 60_000_000;

/// The longest start of the words that fits the journal's slot.
fn clip(words: &str) -> &str {
    let mut end = words.len().min(DETAIL_BYTES_MAX);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    &words[..end]
}

impl<J: Journal> Application<J, SLOTS, ENTRY> for Controller<'_> {
    fn event(&mut self, now: Millis, event: &Event<'_>) {
        // A controller without power notices nothing.
        if self.post.power.has_failed() {
            return;
        }
        match *event {
            Event::ConnectNow => self.connecting_since = Some(self.shared.clock.now()),
            Event::Welcome(admission) => self.on_welcome(admission.accepted_seq),
            Event::Disconnected { code, .. } => self.on_disconnected(code.map(|code| code.0)),
            Event::Acked { seq } => self.on_acked(seq),
            Event::ReportRefused { seq, .. } => {
                self.post.book.lock().refused(self.name(seq));
                self.shared.metrics.refused.add();
            }
            Event::Light(light) => self.on_light(&light),
            Event::CommandStart { id, type_name, payload, .. } => {
                self.on_start(now, id, type_name, payload)
            }
            Event::CommandSettled { .. } => {
                let since = self.outcome_at.take();
                if let Some(since) = since {
                    self.shared
                        .metrics
                        .outcome_settled
                        .record(self.shared.clock.now().since(since));
                }
                if std::mem::take(&mut self.reboot_waits) {
                    let earlier =
                        |at: Millis| Millis(at.0.saturating_sub(REBOOT_PATIENCE_MS)).max(now);
                    self.reboot_at = self.reboot_at.map(earlier);
                }
            }
            Event::BootRaised { boot } => {
                self.post.book.lock().renumbered(self.boot, boot);
                self.boot = boot;
            }
            Event::CloseConnection(_)
            | Event::TimeLearned { .. }
            | Event::HubError { .. }
            | Event::JournalFailed => {}
        }
    }

    fn poll(&mut self, now: Millis, client: &mut Client<'_, J, SLOTS, ENTRY>) -> Wake {
        let phase = *self.shared.phase.borrow();
        if phase == Phase::Over
            || self.post.power.has_failed()
            || self.reboot_at.is_some_and(|at| now >= at)
        {
            return Wake::Stop;
        }
        self.lamp.advance(UnixMillis(self.shared.clock.city_unix_ms()));
        self.take_fault();
        if let Some((reason, power_off_s)) = self.announcement.take() {
            let payload = encode::boot(self.stamp(now, client), reason, power_off_s);
            self.report(now, client, Stream::Info, &payload);
        }
        if phase == Phase::Load {
            self.report_events(now, client);
            self.report_telemetry(now, client);
        }
        self.finish_command(now, client);
        self.next_wake()
    }
}
