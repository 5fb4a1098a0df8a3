//! Stories of one lamp under virtual time.

use super::*;
use crate::physics::{ControlReason, FaultChange, FaultCode, FaultPlan, LampState, Sample};

/// 21 November 2025, noon in Berlin; the sun sets at 16:06 and rises at 7:40.
const NOON: UnixMillis = UnixMillis(1_763_722_800_000);
const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;

fn spec(controller: ControllerKind) -> LampSpec {
    LampSpec {
        seed: 42,
        id: 7,
        place: Place { utc_offset_s: 3600, ..Place::new(52.52, 13.405) },
        class: LuminaireClass::Collector,
        controller,
        feeder: Feeder { cabinet: 3, phase: 1, position: 0.4 },
        constant_light: false,
        installed: UnixMillis(NOON.0 - 3 * 365 * 24 * HOUR),
        faults: FaultPlan::NONE,
        program: Some(Arc::new(Program::residential())),
    }
}

/// A lamp so many hours after noon.
fn lamp_at(controller: ControllerKind, hours: f64) -> Lamp {
    let mut lamp = Lamp::new(spec(controller), NOON);
    lamp.advance(NOON.plus_ms((hours * HOUR as f64) as u64));
    lamp.events();
    lamp
}

fn pass(lamp: &mut Lamp, ms: u64) {
    lamp.advance(lamp.now().plus_ms(ms));
}

fn watts(lamp: &Lamp) -> f32 {
    lamp.sample().active_power_w.expect("the meter runs")
}

/// Share of this piece's own full power, so that its spread drops out.
#[track_caller]
fn check_share(lamp: &Lamp, full_w: f32, share: f32) {
    let found = watts(lamp) / full_w;
    assert!((found - share).abs() < 0.02, "{found} of {full_w} W instead of {share}");
}

fn level(level_pct: u8) -> Override {
    Override { level_pct, ..Override::default() }
}

fn fault_changes(lamp: &mut Lamp) -> Vec<FaultChange> {
    let events = lamp.events().into_iter();
    events
        .filter_map(|event| if let Event::Fault(change) = event { Some(change) } else { None })
        .collect()
}

#[test]
fn the_hubs_light_comes_before_the_program_and_ends_by_the_lamps_own_clock() {
    let mut lamp = lamp_at(ControllerKind::Nema, 9.0);
    let guide = |until_ms| Guide {
        now: (20, ControlReason::Override),
        since: lamp.now(),
        until: lamp.now().plus_ms(until_ms),
        then: Some((60, ControlReason::Program)),
    };
    let (first, second) = (guide(HOUR), guide(2 * HOUR));
    let shows = |lamp: &Lamp| {
        let sample = lamp.sample();
        (sample.target_level_pct.expect("the lamp knows"), sample.reason)
    };
    lamp.follow(Some(first), first.since);
    pass(&mut lamp, MINUTE);
    assert_eq!(shows(&lamp), (20, ControlReason::Override));
    pass(&mut lamp, HOUR);
    assert_eq!(shows(&lamp), (60, ControlReason::Program), "nobody said anything");

    lamp.apply(level(90)).expect("it makes sense");
    lamp.follow(Some(second), second.since);
    pass(&mut lamp, 1_000);
    assert_eq!(shows(&lamp), (90, ControlReason::Override), "its own override is younger");
    let now = lamp.now();
    lamp.follow(None, now);
    pass(&mut lamp, 1_000);
    assert_eq!(shows(&lamp), (70, ControlReason::Program), "the lamp's own program, at 22:01");
}

mod faults;

#[test]
fn a_night_follows_the_program_and_leaves_a_switching_log() {
    let mut lamp = Lamp::new(spec(ControllerKind::Nema), NOON);
    assert_eq!(watts(&lamp), 0.0, "relay open by day");

    lamp.advance(NOON.plus_ms(24 * HOUR - 1));

    let steps: Vec<(u8, u8)> = lamp
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Light(step) => {
                assert_eq!(step.reason, ControlReason::Program);
                assert_eq!(step.source.as_deref(), Some("residential-70-50"));
                (step.from_level_pct, step.to_level_pct)
            }
            Event::Fault(fault) => panic!("a sound lamp reports {fault:?}"),
        })
        .collect();
    assert_eq!(steps, [(0, 100), (100, 70), (70, 50), (50, 70), (70, 100), (100, 0)]);
}

#[test]
fn power_follows_the_level_of_the_program() {
    let mut lamp = lamp_at(ControllerKind::D4i, 6.0);
    let full_w = watts(&lamp);
    assert!((full_w / 65.0 - 1.0).abs() < 0.08, "{full_w} W");
    pass(&mut lamp, 5 * HOUR);
    check_share(&lamp, full_w, 0.659);
    pass(&mut lamp, 2 * HOUR);
    check_share(&lamp, full_w, 0.457);
    assert_eq!(lamp.sample().dali_level, Some(229));
}

#[test]
fn an_override_dims_the_lamp_and_ends_by_itself() {
    let mut lamp = lamp_at(ControllerKind::D4i, 6.0);
    let full_w = watts(&lamp);
    let wish = Override {
        expires: Some(lamp.now().plus_ms(10 * MINUTE)),
        ramp_to_ms: Some(5_000),
        source: Some(Arc::from("command-1")),
        ..level(40)
    };
    lamp.apply(wish).expect("a valid override");

    pass(&mut lamp, 2_500);
    let fading = lamp.sample();
    assert_eq!((fading.state, fading.reason), (LampState::Fading, ControlReason::Override));
    assert_eq!((fading.target_level_pct, fading.actual_level_pct), (Some(40), Some(70)));
    pass(&mut lamp, 2_500);
    check_share(&lamp, full_w, 0.362);
    let events = lamp.events();
    let Some(Event::Light(step)) = events.first() else { panic!("{events:?}") };
    assert_eq!((step.from_level_pct, step.to_level_pct), (100, 40));
    assert_eq!(step.source.as_deref(), Some("command-1"));
    assert_eq!(step.at, lamp.now());

    pass(&mut lamp, 10 * MINUTE);
    assert_eq!(lamp.sample().reason, ControlReason::Program);
    check_share(&lamp, full_w, 1.0);
    assert_eq!(lamp.running_override(), None);
}

#[test]
fn an_override_without_an_end_lasts_two_hours_and_resume_ends_it_sooner() {
    let mut lamp = lamp_at(ControllerKind::D4i, 6.0);
    lamp.apply(level(30)).expect("a valid override");
    pass(&mut lamp, 2 * HOUR - 1);
    assert_eq!(lamp.sample().actual_level_pct, Some(30));
    pass(&mut lamp, 10_000);
    assert_eq!(lamp.sample().actual_level_pct, Some(100));

    lamp.apply(level(0)).expect("a valid override");
    pass(&mut lamp, 10_000);
    assert_eq!(lamp.sample().state, LampState::Standby);
    lamp.resume(Some(0));
    assert_eq!(lamp.sample().actual_level_pct, Some(100));
}

#[test]
fn an_override_waits_for_its_start() {
    let mut lamp = lamp_at(ControllerKind::D4i, 6.0);
    let start = Some(lamp.now().plus_ms(HOUR));
    lamp.apply(Override { start, ..level(30) }).expect("a valid override");
    pass(&mut lamp, HOUR - 1);
    assert_eq!(lamp.sample().reason, ControlReason::Program);
    pass(&mut lamp, 10_000);
    assert_eq!(lamp.sample().actual_level_pct, Some(30));
}

#[test]
fn impossible_overrides_are_refused() {
    let mut lamp = lamp_at(ControllerKind::D4i, 6.0);
    assert_eq!(lamp.apply(level(101)), Err(OverrideError::LevelTooHigh { level_pct: 101 }));
    let past = Override { expires: Some(NOON), ..level(50) };
    assert_eq!(lamp.apply(past), Err(OverrideError::AlreadyOver));
    let slow = Override { ramp_to_ms: Some(5_400_001), ..level(50) };
    assert_eq!(lamp.apply(slow), Err(OverrideError::RampTooLong { ramp_ms: 5_400_001 }));
    assert_eq!(lamp.sample().reason, ControlReason::Program);
}

#[test]
fn identify_blinks_and_returns() {
    let mut lamp = lamp_at(ControllerKind::D4i, 6.0);
    lamp.identify(0);
    let seen: Vec<Option<u8>> = (0..4)
        .map(|_| {
            pass(&mut lamp, 500);
            lamp.sample().actual_level_pct
        })
        .collect();
    assert_eq!(seen, [Some(20), Some(100), Some(20), Some(100)]);
    assert_eq!(lamp.sample().reason, ControlReason::Commissioning);
    pass(&mut lamp, 30_000);
    assert_eq!(lamp.sample().reason, ControlReason::Program);
    assert_eq!(lamp.events().len(), 0, "a blink is no line of the switching log");
}

#[test]
fn energy_and_burn_time_integrate_over_the_night() {
    let mut lamp = Lamp::new(spec(ControllerKind::D4i), NOON);
    let before = lamp.sample();
    lamp.advance(NOON.plus_ms(24 * HOUR));
    let after = lamp.sample();

    let night = spec(ControllerKind::D4i).place.night(NOON);
    let burnt =
        u64::from(after.burn_time_s.expect("counted") - before.burn_time_s.expect("counted"));
    assert!(burnt.abs_diff((night.sunrise.0 - night.sunset.0) / 1000) <= 4, "{burnt} s");
    // 7.55 h at 65.0 W, 3 h at 42.8 W, 5 h at 29.7 W, and standby by day.
    let energy =
        after.active_energy_wh.expect("counted") - before.active_energy_wh.expect("counted");
    assert!((energy as f64 / 779.0 - 1.0).abs() < 0.08, "{energy} Wh");
    assert_eq!(after.switch_on_count, before.switch_on_count.map(|count| count + 1));
}

#[test]
fn a_year_with_dimming_takes_192_kwh() {
    let energy = |lamp: &Lamp| lamp.sample().active_energy_wh.expect("counted") as f64;
    // One day of each half-month stands for it; spread and meter of this piece drop out.
    let (mut used_wh, mut undimmed_wh) = (0.0, 0.0);
    for part in 0..24 {
        let noon = NOON.plus_ms((f64::from(part) * 365.25 / 24.0) as u64 * 24 * HOUR);
        // Summer time from the end of March to the end of October, as Berlin has it.
        let summer = (9..23).contains(&part);
        let mut spec = spec(ControllerKind::Nema);
        spec.place.utc_offset_s = if summer { 7200 } else { 3600 };
        let mut lamp = Lamp::new(spec, noon);
        let before = energy(&lamp);
        lamp.advance(noon.plus_ms(24 * HOUR));
        used_wh += energy(&lamp) - before;
        let night = lamp.place.night(noon);
        undimmed_wh += (night.sunrise.0 - night.sunset.0) as f64 / HOUR as f64 * 65.0;
    }
    let to_kwh = 365.25 / 24.0 / 1000.0;
    let piece = lamp_at(ControllerKind::Nema, 6.0).present.load.power_w / 65.0;
    let used_kwh = used_wh * to_kwh / f64::from(piece);
    assert!((used_kwh / 192.0 - 1.0).abs() < 0.02, "{used_kwh} kWh");
    assert!((undimmed_wh * to_kwh / 278.0 - 1.0).abs() < 0.01, "{undimmed_wh}");
}

#[test]
fn short_and_long_steps_give_the_same_night() {
    let mut once = Lamp::new(spec(ControllerKind::Nema), NOON);
    let mut often = once.clone();
    once.advance(NOON.plus_ms(12 * HOUR));
    while often.now() < once.now() {
        often.advance(often.now().plus_ms(7_001).min(once.now()));
    }
    let (once, often) = (once.sample(), often.sample());
    let energy = |sample: &Sample| sample.active_energy_wh.expect("counted");
    assert!(energy(&once).abs_diff(energy(&often)) <= 1, "{once:?} {often:?}");
    assert!(
        once.burn_time_s.expect("counted").abs_diff(often.burn_time_s.expect("counted")) <= 1,
        "{once:?} {often:?}"
    );
}

#[test]
fn a_rerun_is_identical_and_another_lamp_differs() {
    let broken = FaultPlan { scale: 200.0, repair_days: 2.0 };
    let story = |id| {
        let mut lamp =
            Lamp::new(LampSpec { id, faults: broken, ..spec(ControllerKind::D4i) }, NOON);
        let mut told = Vec::new();
        lamp.inject(Fault { kind: FaultKind::Cycling, until: None, strength: None });
        for quarter in 0..4 * 24 * 8 {
            lamp.advance(NOON.plus_ms(quarter * 15 * MINUTE));
            told.push((lamp.sample(), lamp.events()));
        }
        told
    };
    let first = story(7);
    assert_eq!(first, story(7));
    assert_ne!(first, story(8));
}

#[test]
fn neighbours_on_a_feeder_measure_the_same_mains() {
    let lamp = lamp_at(ControllerKind::D4i, 6.0);
    let feeder = Feeder { position: 0.45, ..spec(ControllerKind::D4i).feeder };
    let mut next = Lamp::new(LampSpec { id: 8, feeder, ..spec(ControllerKind::D4i) }, NOON);
    next.advance(lamp.now());
    let volts = |lamp: &Lamp| lamp.sample().supply_voltage_v.expect("the meter runs");
    assert!((volts(&lamp) - volts(&next)).abs() < 2.0);
}

#[test]
fn returning_mains_run_the_test_and_raise_no_faults() {
    let mut lamp = lamp_at(ControllerKind::Nema, 6.0);
    let before = lamp.sample();
    lamp.set_mains(false);
    pass(&mut lamp, 10 * MINUTE);
    assert_eq!(watts(&lamp), 0.0);
    lamp.set_mains(true);

    let mut levels = Vec::new();
    for _ in 0..60 {
        let sample = lamp.sample();
        if sample.reason == ControlReason::Commissioning
            && levels.last() != Some(&sample.target_level_pct)
        {
            levels.push(sample.target_level_pct);
        }
        pass(&mut lamp, 1_000);
    }
    assert_eq!(levels, [Some(100), Some(50), Some(5), Some(100), Some(0)]);
    pass(&mut lamp, 10 * MINUTE);
    let after = lamp.sample();
    assert_eq!((after.reason, after.actual_level_pct), (ControlReason::Program, Some(100)));
    assert_eq!(after.supply_loss_count, before.supply_loss_count.map(|count| count + 1));
    assert!(after.active_energy_wh < before.active_energy_wh, "counters stepped back");
    assert_eq!(fault_changes(&mut lamp), []);
}

#[test]
fn a_long_override_survives_a_restart_and_a_nearly_ended_one_does_not() {
    for (left_ms, survives) in [(10 * MINUTE, true), (30_000, false)] {
        let mut lamp = lamp_at(ControllerKind::D4i, 6.0);
        let expires = Some(lamp.now().plus_ms(left_ms));
        lamp.apply(Override { expires, ..level(40) }).expect("a valid override");
        lamp.restart();
        assert_eq!(lamp.running_override().is_some(), survives);
    }
}

#[test]
fn counters_that_are_reset_begin_a_new_epoch() {
    let mut lamp = lamp_at(ControllerKind::D4i, 6.0);
    lamp.reset_counters(CounterSet { energy: true, ..CounterSet::default() });
    let sample = lamp.sample();
    assert_eq!((sample.active_energy_wh, sample.counter_epoch), (Some(0), 1));
    assert!(sample.burn_time_s > Some(1_000_000));
}
