//! What telemetry says of a switch in the street, read without decoding all of it.

use proto::messages::lighting::v1::ControlReason;
use proto::wire::{Reader, Value};

/// Somebody turned the switch at the lamp or in its cabinet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// %, 0 to 100: what the lamp shows since.
    pub level_pct: u8,
}

/// Of `lighting.v1.TelemetryBatch`.
const SAMPLES: u32 = 2;
/// Of `lighting.v1.LampSample`.
const REASON: u32 = 4;
const TARGET_LEVEL_PCT: u32 = 5;
const ACTUAL_LEVEL_PCT: u32 = 6;

/// Whether the last sample of a `TelemetryBatch` is under local control. Costs a walk over the fields,
/// well below a microsecond; what isn't a batch says nothing.
pub fn local(telemetry: &[u8]) -> Option<Local> {
    let mut last = None;
    let mut reader = Reader::new(telemetry);
    while let Ok(Some((field, value))) = reader.field() {
        if let (SAMPLES, Value::Bytes(sample)) = (field, value) {
            last = Some(sample);
        }
    }
    let (mut reason, mut target, mut actual) = (0, None, None);
    let mut reader = Reader::new(last?);
    while let Ok(Some((field, value))) = reader.field() {
        match (field, value) {
            (REASON, Value::Varint(number)) => reason = number,
            (TARGET_LEVEL_PCT, Value::Varint(level)) => target = Some(level),
            (ACTUAL_LEVEL_PCT, Value::Varint(level)) => actual = Some(level),
            (_, Value::Varint(_) | Value::Bytes(_) | Value::Fixed32(_) | Value::Fixed64(_)) => {}
        }
    }
    let is_local = reason == ControlReason::LocalOverride as u64;
    let level = actual.or(target).unwrap_or(u64::from(super::LEVEL_PCT_DEFAULT));
    is_local.then(|| Local { level_pct: u8::try_from(level.min(100)).unwrap_or(100) })
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use proto::messages::lighting::v1::{LampSample, TelemetryBatch};

    use super::*;

    #[test]
    fn the_last_sample_decides() {
        let sample = |reason: ControlReason, actual| LampSample {
            reason: reason.into(),
            actual_level_pct: actual,
            ..LampSample::default()
        };
        let batch =
            |samples| TelemetryBatch { samples, ..TelemetryBatch::default() }.encode_to_vec();
        let by_hand = sample(ControlReason::LocalOverride, Some(0));
        let program = sample(ControlReason::Program, Some(70));
        assert_eq!(local(&batch(vec![program, by_hand])), Some(Local { level_pct: 0 }));
        assert_eq!(local(&batch(vec![by_hand, program])), None);
        let without_level = sample(ControlReason::LocalOverride, None);
        assert_eq!(local(&batch(vec![without_level])), Some(Local { level_pct: 100 }));
        assert_eq!(local(&batch(Vec::new())), None);
        assert_eq!(local(b"\xff\xff"), None);
    }
}
