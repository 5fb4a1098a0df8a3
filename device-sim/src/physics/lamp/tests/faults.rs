//! What is broken shows as it should, is reported once, and clears when repaired.

use super::*;

/// Injects a fault, lets time pass, repairs it, lets time pass; checks that just these codes came,
/// and went when repaired.
#[track_caller]
fn check_fault(lamp: &mut Lamp, kind: FaultKind, minutes: u64, codes: &[FaultCode]) {
    lamp.inject(Fault { kind, until: None, strength: Some(0.8) });
    pass(lamp, minutes * MINUTE);
    let started = fault_changes(lamp);
    let found: Vec<FaultCode> = started.iter().map(|change| change.code).collect();
    assert_eq!(found, codes, "{kind:?}");
    assert!(started.iter().all(|change| change.active && change.occurrence_count == 1));

    lamp.repair(kind);
    pass(lamp, 3 * MINUTE);
    let ended = fault_changes(lamp);
    let mut gone: Vec<u64> = ended.iter().map(|change| change.fault_id).collect();
    let mut came: Vec<u64> = started.iter().map(|change| change.fault_id).collect();
    gone.sort_unstable();
    came.sort_unstable();
    assert_eq!(gone, came, "{kind:?} ends: {ended:?}");
    assert!(ended.iter().all(|change| !change.active));
}

#[test]
fn a_dead_driver_is_dark_and_silent_until_repaired() {
    let mut lamp = lamp_at(ControllerKind::D4i, 6.0);
    let codes = [FaultCode::ControlGearCommFailure, FaultCode::LampFailure];
    check_fault(&mut lamp, FaultKind::DriverDead, 5, &codes);

    lamp.inject(Fault { kind: FaultKind::DriverDead, until: None, strength: None });
    let sample = lamp.sample();
    assert!((0.4..2.1).contains(&watts(&lamp)));
    assert!(sample.power_factor.expect("some current") < 0.3);
    assert_eq!((sample.actual_level_pct, sample.dali_level), (Some(0), None));
    assert_eq!(sample.driver_temperature_c, None);
}

#[test]
fn a_broken_dim_wire_leaves_full_light() {
    let mut lamp = lamp_at(ControllerKind::Nema, 14.0);
    check_fault(&mut lamp, FaultKind::DimmingBroken, 10, &[FaultCode::DimmingFailure]);
    lamp.inject(Fault { kind: FaultKind::DimmingBroken, until: None, strength: None });
    let sample = lamp.sample();
    assert_eq!((sample.target_level_pct, sample.actual_level_pct), (Some(50), Some(100)));
}

#[test]
fn a_welded_relay_burns_by_day() {
    let mut lamp = lamp_at(ControllerKind::Nema, 1.0);
    let codes = [FaultCode::RelayFailure, FaultCode::LampUnexpectedOn];
    check_fault(&mut lamp, FaultKind::RelayWelded, 10, &codes);
}

#[test]
fn an_open_relay_carries_no_current() {
    let mut lamp = lamp_at(ControllerKind::Nema, 6.0);
    let codes = [FaultCode::LampFailure, FaultCode::RelayFailure];
    check_fault(&mut lamp, FaultKind::RelayOpen, 10, &codes);
}

#[test]
fn other_faults_raise_their_own_codes_and_clear() {
    let table: [(FaultKind, u64, &[FaultCode]); 7] = [
        (FaultKind::LedOpen, 5, &[FaultCode::LightSourceOpenCircuit, FaultCode::LampFailure]),
        (FaultKind::LedShort, 5, &[FaultCode::LightSourceShortCircuit]),
        (FaultKind::LowPowerFactor, 10, &[FaultCode::PowerFactorTooLow]),
        (FaultKind::WrongAssetData, 10, &[FaultCode::LampPowerTooHigh]),
        (FaultKind::SupplyLow, 5, &[FaultCode::SupplyVoltageTooLow]),
        (FaultKind::SupplyHigh, 5, &[FaultCode::SupplyVoltageTooHigh]),
        (FaultKind::Tilt, 5, &[FaultCode::OrientationChanged]),
    ];
    for (kind, minutes, codes) in table {
        check_fault(&mut lamp_at(ControllerKind::D4i, 6.0), kind, minutes, codes);
    }
}

#[test]
fn a_cycling_lamp_is_reported_once_and_counts_its_starts() {
    let mut lamp = lamp_at(ControllerKind::D4i, 5.0);
    let before = lamp.sample().switch_on_count.expect("counted");
    lamp.inject(Fault { kind: FaultKind::Cycling, until: None, strength: None });
    pass(&mut lamp, 12 * HOUR);
    let starts = lamp.sample().switch_on_count.expect("counted") - before;
    assert!((40..100).contains(&starts), "{starts}");
    let changes = fault_changes(&mut lamp);
    let raised = changes.iter().filter(|c| c.active && c.code == FaultCode::CyclingFailure);
    assert_eq!(raised.count(), 1);

    lamp.repair(FaultKind::Cycling);
    pass(&mut lamp, 7 * HOUR);
    let ended = fault_changes(&mut lamp);
    assert!(ended.iter().any(|c| !c.active && c.code == FaultCode::CyclingFailure), "{ended:?}");
}

#[test]
fn a_blocked_heat_path_derates_in_a_hot_summer_night_only() {
    let mut winter = lamp_at(ControllerKind::D4i, 6.0);
    winter.inject(Fault { kind: FaultKind::BlockedHeatPath, until: None, strength: None });
    pass(&mut winter, 3 * HOUR);
    assert_eq!(fault_changes(&mut winter), []);

    // Half a year later, on a lamp that burns all night at 100 %.
    let july = NOON.plus_ms(245 * 24 * HOUR);
    let mut lamp = Lamp::new(LampSpec { program: None, ..spec(ControllerKind::D4i) }, july);
    lamp.inject(Fault { kind: FaultKind::BlockedHeatPath, until: None, strength: None });
    lamp.advance(july.plus_ms(48 * HOUR));
    let codes: Vec<FaultCode> = fault_changes(&mut lamp).iter().map(|change| change.code).collect();
    assert!(codes.contains(&FaultCode::ControlGearThermalDerating), "{codes:?}");
}

#[test]
fn a_lost_clock_ends_in_light() {
    let mut lamp = lamp_at(ControllerKind::Nema, 1.0);
    let until = Some(lamp.now().plus_ms(40 * MINUTE));
    lamp.inject(Fault { kind: FaultKind::ClockLost, until, strength: None });
    pass(&mut lamp, 14 * MINUTE);
    assert_eq!(lamp.sample().state, LampState::Off);
    pass(&mut lamp, 2 * MINUTE);
    let sample = lamp.sample();
    assert_eq!((sample.reason, sample.actual_level_pct), (ControlReason::Failsafe, Some(100)));
    pass(&mut lamp, 30 * MINUTE);
    assert_eq!(lamp.sample().reason, ControlReason::Program);
    assert_eq!(fault_changes(&mut lamp), []);
}

#[test]
fn a_sound_city_raises_no_faults_but_those_of_its_mains() {
    let program = Arc::new(Program::residential());
    let centre = spec(ControllerKind::D4i).place;
    let mut found = Vec::new();
    for number in 0..40 {
        let spec =
            LampSpec::in_city(9, number * 137, centre, NOON, FaultPlan::NONE, Arc::clone(&program));
        let mut lamp = Lamp::new(spec, NOON);
        lamp.advance(NOON.plus_ms(2 * 24 * HOUR));
        found.extend(fault_changes(&mut lamp));
        assert_eq!(lamp.events_lost(), 0);
    }
    found.retain(|change| change.code != FaultCode::SupplyVoltageTooLow);
    assert_eq!(found, []);
}
