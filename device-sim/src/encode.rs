//! Physics into `lighting.v1`: what a lamp's controller would write into its messages.

use prost::Message;
use proto::messages::lighting::v1::{
    BootEvent, CommandResult, FaultEvent, LampSample, LightStateChange, RecordHeader, ResetReason,
    TelemetryBatch, TimeQuality,
};

use crate::physics;

/// Name and version that simulated lamps give for their firmware.
pub const FIRMWARE_VERSION: &str = concat!("sim-", env!("CARGO_PKG_VERSION"));

/// What the controller knows of the time when it makes a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// ms since 1970 by the device's clock; 0 if it never learned the time.
    pub time_unix_ms: u64,
    /// ms since this boot.
    pub uptime_ms: u64,
    /// How far the time can be trusted.
    pub quality: firmware_client::TimeQuality,
}

impl Stamp {
    /// The head of a record. Boot and sequence stand in the envelope already; a device on a paid
    /// radio doesn't send them twice.
    fn header(self) -> RecordHeader {
        let quality = match self.quality {
            firmware_client::TimeQuality::Unsynced => TimeQuality::Unsynced,
            firmware_client::TimeQuality::Holdover => TimeQuality::Holdover,
            firmware_client::TimeQuality::Synced => TimeQuality::Synced,
        };
        RecordHeader {
            time_unix_ms: self.time_unix_ms,
            uptime_ms: self.uptime_ms,
            time_quality: quality.into(),
            ..RecordHeader::default()
        }
    }
}

/// One sample as it stands in batches, results and faults.
pub fn sample(sample: &physics::Sample) -> LampSample {
    LampSample {
        offset_ms: 0,
        lamp_index: 0,
        state: sample.state as i32,
        reason: sample.reason as i32,
        target_level_pct: sample.target_level_pct.map(u32::from),
        actual_level_pct: sample.actual_level_pct.map(u32::from),
        supply_voltage_v: sample.supply_voltage_v,
        supply_current_a: sample.supply_current_a,
        active_power_w: sample.active_power_w,
        power_factor: sample.power_factor,
        power_factor_sense: sample.power_factor_sense as i32,
        active_energy_wh: sample.active_energy_wh,
        burn_time_s: sample.burn_time_s,
        switch_on_count: sample.switch_on_count,
        driver_temperature_c: sample.driver_temperature_c,
        controller_temperature_c: sample.controller_temperature_c,
        dali_level: sample.dali_level.map(u32::from),
        frequency_hz: sample.frequency_hz,
        apparent_energy_vah: sample.apparent_energy_vah,
        supply_loss_count: sample.supply_loss_count,
        counter_epoch: sample.counter_epoch,
        ambient_light_lx: sample.ambient_light_lx,
        tilt_deg: sample.tilt_deg,
    }
}

/// A batch of one sample.
pub fn telemetry(stamp: Stamp, reading: &physics::Sample) -> Vec<u8> {
    let batch = TelemetryBatch {
        header: Some(stamp.header()),
        samples: vec![sample(reading)],
        logger_id: 0,
    };
    batch.encode_to_vec()
}

/// A line of the switching log.
pub fn switching(stamp: Stamp, change: &physics::LightStateChange) -> Vec<u8> {
    let line = LightStateChange {
        header: Some(stamp.header()),
        lamp_index: 0,
        from_level_pct: Some(u32::from(change.from_level_pct)),
        to_level_pct: Some(u32::from(change.to_level_pct)),
        reason: change.reason as i32,
        power_after_w: Some(change.power_after_w),
        source_ref: change.source.as_deref().unwrap_or_default().to_owned(),
    };
    line.encode_to_vec()
}

/// The start or end of a fault.
pub fn fault(stamp: Stamp, change: &physics::FaultChange, reading: &physics::Sample) -> Vec<u8> {
    let event = FaultEvent {
        header: Some(stamp.header()),
        lamp_index: 0,
        code: change.code as i32,
        active: change.active,
        severity: change.severity as i32,
        fault_id: change.fault_id,
        occurrence_count: change.occurrence_count,
        measured_value: Some(change.measured_value),
        threshold_value: Some(change.threshold_value),
        snapshot: Some(sample(reading)),
    };
    event.encode_to_vec()
}

/// The first record of a boot.
pub fn boot(stamp: Stamp, reason: ResetReason, power_off_s: u32) -> Vec<u8> {
    let event = BootEvent {
        header: Some(stamp.header()),
        reset_reason: reason.into(),
        power_off_s,
        power_cycle_seen: reason == ResetReason::PowerOn,
        firmware_version: FIRMWARE_VERSION.to_owned(),
        lamps_found: 1,
        ..BootEvent::default()
    };
    event.encode_to_vec()
}

/// The proof that a command had its effect. Only what the order was about: the slot in the device's
/// journal is short.
pub fn proof(stamp: Stamp, after: &physics::Sample, latency_ms: u32) -> Vec<u8> {
    let result = CommandResult {
        header: Some(stamp.header()),
        detail: String::new(),
        after: vec![sample(after)],
        latency_ms,
    };
    result.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::city::City;
    use crate::physics::{FaultPlan, Lamp, Override, UnixMillis};
    use proto::messages::lighting::v1::ControlReason;

    const NOW: UnixMillis = UnixMillis(1_795_000_000_000);
    const STAMP: Stamp = Stamp {
        time_unix_ms: NOW.0,
        uptime_ms: 5_000,
        quality: firmware_client::TimeQuality::Synced,
    };

    fn lamp() -> Lamp {
        let city = City::new(7, "lamp-", None, NOW, FaultPlan::NONE);
        Lamp::new(city.spec(1), NOW)
    }

    #[test]
    fn a_lamp_that_was_dimmed_says_so_in_its_batch() {
        let mut lamp = lamp();
        let full_w = lamp.sample().active_power_w.expect("metered");
        lamp.apply(Override { level_pct: 40, ..Override::default() }).expect("a level");
        lamp.advance(NOW.plus_ms(5_000));
        let bytes = telemetry(STAMP, &lamp.sample());
        let batch = TelemetryBatch::decode(&*bytes).expect("what was encoded");
        let sample = &batch.samples[0];
        assert_eq!(sample.actual_level_pct, Some(40));
        assert_eq!(sample.reason(), ControlReason::Override);
        assert!(sample.active_power_w.expect("metered") < full_w * 0.6);
        assert_eq!(batch.header.expect("a head").time_unix_ms, NOW.0);
    }

    #[test]
    fn a_proof_fits_the_slot_of_the_journal() {
        let mut lamp = lamp();
        lamp.advance(NOW.plus_ms(400 * 86_400_000));
        let bytes = proof(STAMP, &lamp.sample(), 90_000);
        assert!(bytes.len() <= crate::lamp::PROOF_BYTES_MAX, "{}", bytes.len());
        assert_eq!(CommandResult::decode(&*bytes).expect("what was encoded").latency_ms, 90_000);
    }

    #[test]
    fn the_switching_log_names_what_changed_the_light() {
        let mut lamp = lamp();
        let source = Some("01890a5d".into());
        lamp.apply(Override { level_pct: 30, source, ..Override::default() }).expect("a level");
        lamp.advance(NOW.plus_ms(5_000));
        let events = lamp.events();
        let change = events.iter().find_map(|event| match event {
            physics::Event::Light(change) => Some(change),
            physics::Event::Fault(_) => None,
        });
        let bytes = switching(STAMP, change.expect("a change of light"));
        let line = LightStateChange::decode(&*bytes).expect("what was encoded");
        assert_eq!((line.to_level_pct, line.source_ref.as_str()), (Some(30), "01890a5d"));
    }
}
