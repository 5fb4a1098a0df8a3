//! Numbers out of payloads, by the way to them in their type, without decoding the rest. Those of one
//! message are read in one walk.

use proto::json::{FieldStep, NumberKind, Types};
use proto::wire::{Reader, Value};

use super::block::NOTHING;

/// What a slot of a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holds {
    /// The value that was measured last in it.
    Last,
    /// How much a counter grew by the reports of the slot, each against the report before it. A counter
    /// that falls, or begins anew, grew by nothing.
    Increase,
}

impl Holds {
    /// As in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Increase => "increase",
        }
    }
}

/// One number of a payload that is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// As people ask for it.
    pub name: String,
    /// The channel of each device that carries it: the last segments of its name.
    pub channel: String,
    /// The full name of the payload's message.
    pub type_name: String,
    /// As in `samples.actual_level_pct`.
    pub path: String,
    /// What a slot holds.
    pub holds: Holds,
    /// The least difference that is kept, in the field's own unit. A slot is a number of these.
    pub step: f64,
    /// Where it is.
    pub place: Place,
    /// Of an increase: what is raised when the counter begins anew.
    pub epoch: Option<Place>,
}

/// The way to a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    parents: Vec<u32>,
    number: u32,
    kind: NumberKind,
    /// It stands for 0 where it is left out.
    is_zero_if_absent: bool,
}

/// What a payload said of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// Nothing.
    Absent,
    /// A number of steps.
    Steps(i16),
    /// A number that a slot has no room for.
    Beyond,
}

impl Place {
    /// The way to the number at `path` in a type. Of repeated messages the last one counts.
    ///
    /// # Errors
    /// Says in words why there is no such number.
    pub fn parse(types: &Types, type_name: &str, path: &str) -> Result<Self, String> {
        let mut steps = types.number_at(type_name, path)?;
        let FieldStep { number, kind, is_zero_if_absent } =
            steps.pop().ok_or("names no field".to_owned())?;
        let kind = kind.ok_or_else(|| format!("`{path}` is no number"))?;
        let parents = steps.into_iter().map(|step| step.number).collect();
        Ok(Self { parents, number, kind, is_zero_if_absent })
    }

    /// Whether both numbers stand in the same message.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.parents == other.parents
    }

    /// What stands at places that are beside each other; nothing where a payload has no such number.
    pub fn read(places: &[Self], payload: &[u8], found: &mut [Option<f64>]) {
        let Some(message) = places.first().and_then(|place| place.parent(payload)) else { return };
        for (place, found) in places.iter().zip(&mut *found) {
            *found = place.is_zero_if_absent.then_some(0.0);
        }
        let mut reader = Reader::new(message);
        while let Ok(Some((number, value))) = reader.field() {
            for (place, found) in places.iter().zip(&mut *found) {
                if place.number == number {
                    *found = number_of(place.kind, value).or(*found);
                }
            }
        }
        for found in found {
            *found = found.filter(|number| number.is_finite());
        }
    }

    /// The message that holds the number: the last where there are several, as protobuf has it.
    fn parent<'p>(&self, payload: &'p [u8]) -> Option<&'p [u8]> {
        let mut message = payload;
        for parent in &self.parents {
            let mut found = None;
            let mut reader = Reader::new(message);
            while let Ok(Some((number, value))) = reader.field() {
                if let (true, Value::Bytes(bytes)) = (number == *parent, value) {
                    found = Some(bytes);
                }
            }
            message = found?;
        }
        Some(message)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counters beyond 2^53 are none of a lamp's")]
fn number_of(kind: NumberKind, value: Value<'_>) -> Option<f64> {
    match (kind, value) {
        (NumberKind::Unsigned, Value::Varint(number)) => Some(number as f64),
        (NumberKind::Signed, Value::Varint(number)) => Some(number.cast_signed() as f64),
        (NumberKind::Zigzag, Value::Varint(number)) => {
            Some(((number >> 1).cast_signed() ^ -(number & 1).cast_signed()) as f64)
        }
        (NumberKind::Float, Value::Fixed32(bits)) => Some(f64::from(f32::from_bits(bits))),
        (NumberKind::Float, Value::Fixed64(bits)) => Some(f64::from_bits(bits)),
        (NumberKind::Unsigned, Value::Fixed32(bits)) => Some(f64::from(bits)),
        (NumberKind::Unsigned, Value::Fixed64(bits)) => Some(bits as f64),
        (NumberKind::Signed, Value::Fixed32(bits)) => Some(f64::from(bits.cast_signed())),
        (NumberKind::Signed, Value::Fixed64(bits)) => Some(bits.cast_signed() as f64),
        _ => None,
    }
}

impl Field {
    /// What a report says of it, by what stands at its place and at that of its epoch; `before` is the same of
    /// the report before it, which an increase is counted from.
    pub(super) fn reading(
        &self,
        (now, epoch): (Option<f64>, Option<f64>),
        before: Option<(Option<f64>, Option<f64>)>,
    ) -> Reading {
        let Some(now) = now else { return Reading::Absent };
        match (self.holds, before) {
            (Holds::Last, _) => self.steps(now),
            (Holds::Increase, Some((Some(before), same))) if same == epoch => {
                self.steps((now - before).max(0.0))
            }
            (Holds::Increase, Some((Some(_), _))) => self.steps(0.0),
            (Holds::Increase, _) => Reading::Absent,
        }
    }

    /// A value as a number of steps.
    fn steps(&self, value: f64) -> Reading {
        let steps = (value / self.step).round();
        if steps > f64::from(NOTHING) && steps <= f64::from(i16::MAX) {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and within the range")]
            let steps = steps as i16;
            return Reading::Steps(steps);
        }
        Reading::Beyond
    }

    /// What a slot's number of steps stands for, without the noise of the arithmetic.
    pub fn value(&self, steps: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "sums of 16-bit numbers")]
        let value = steps as f64 * self.step;
        (value * 1e6).round() / 1e6
    }

    /// What tells it from other fields on disk: what it means, not how it is called.
    pub fn print(&self) -> u32 {
        let text =
            format!("{}\0{}\0{}\0{}", self.type_name, self.path, self.holds.word(), self.step);
        // FNV-1a, which is the same in every version of the hub.
        text.bytes()
            .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use prost::Message as _;
    use proto::messages::lighting::v1::{LampSample, TelemetryBatch};

    use super::*;
    use crate::series::Sheet;

    const BATCH: &str = "lighting.v1.TelemetryBatch";

    pub(in super::super) fn field(name: &str, path: &str, step: f64, holds: Holds) -> Field {
        let place = |path| Place::parse(&Types::built_in(), BATCH, path).expect("a number");
        Field {
            name: name.to_owned(),
            channel: "telemetry".to_owned(),
            type_name: BATCH.to_owned(),
            path: path.to_owned(),
            holds,
            step,
            place: place(path),
            epoch: (holds == Holds::Increase).then(|| place("samples.counter_epoch")),
        }
    }

    fn read(field: &Field, payload: &[u8], held: Option<&[u8]>) -> Reading {
        let [(_, reading)] = Sheet::new(vec![field.clone()]).readings(BATCH, payload, held)[..]
        else {
            panic!("one field, one reading")
        };
        reading
    }

    fn batch(samples: Vec<LampSample>) -> Vec<u8> {
        TelemetryBatch { samples, ..TelemetryBatch::default() }.encode_to_vec()
    }

    #[test]
    fn the_last_sample_counts_and_what_is_absent_is_not_0() {
        let level = field("level", "samples.actual_level_pct", 1.0, Holds::Last);
        let power = field("power", "samples.active_power_w", 0.1, Holds::Last);
        let one = LampSample { actual_level_pct: Some(100), ..LampSample::default() };
        let two = LampSample {
            actual_level_pct: Some(0),
            active_power_w: Some(43.26),
            ..LampSample::default()
        };
        let payload = batch(vec![one, two]);
        assert_eq!(read(&level, &payload, None), Reading::Steps(0));
        assert_eq!(read(&power, &payload, None), Reading::Steps(433));
        assert_eq!(power.value(433), 43.3);
        assert_eq!(read(&power, &batch(vec![two, one]), None), Reading::Absent);
        for payload in [batch(vec![]), b"\xff\xff".to_vec(), Vec::new()] {
            assert_eq!(read(&level, &payload, None), Reading::Absent);
        }
    }

    #[test]
    fn what_a_slot_has_no_room_for_is_said() {
        let power = field("power", "samples.active_power_w", 0.1, Holds::Last);
        for watts in [4000.0, -4000.0, 1e30] {
            let sample = LampSample { active_power_w: Some(watts), ..LampSample::default() };
            assert_eq!(read(&power, &batch(vec![sample]), None), Reading::Beyond, "{watts}");
        }
    }

    #[test]
    fn a_counter_grows_from_report_to_report_and_never_by_a_reset() {
        let energy = field("energy", "samples.active_energy_wh", 1.0, Holds::Increase);
        let told = |energy, counter_epoch| {
            batch(vec![LampSample {
                active_energy_wh: energy,
                counter_epoch,
                ..LampSample::default()
            }])
        };
        let held = told(Some(1_000_000), 1);
        for (energy_wh, epoch, expected) in [
            (Some(1_000_025), 1, Reading::Steps(25)),
            (Some(1_000_000), 1, Reading::Steps(0)),
            (Some(999_000), 1, Reading::Steps(0)),
            (Some(1_000_025), 2, Reading::Steps(0)),
            (None, 1, Reading::Absent),
            (Some(1_100_000), 1, Reading::Beyond),
        ] {
            assert_eq!(
                read(&energy, &told(energy_wh, epoch), Some(&held)),
                expected,
                "{energy_wh:?}"
            );
        }
        assert_eq!(
            read(&energy, &held, None),
            Reading::Absent,
            "what it burned before is not tonight's"
        );
        assert_eq!(read(&energy, &held, Some(&told(None, 1))), Reading::Absent);
    }

    #[test]
    fn a_way_that_leads_nowhere_is_refused_in_words() {
        for (path, part) in [
            ("", "``"),
            ("samples", "is no number"),
            ("samples.nothing", "`samples.nothing`"),
            ("samples.actual_level_pct.more", "`samples.actual_level_pct.more`"),
            ("header.device_id", ""),
        ] {
            let error = Place::parse(&Types::built_in(), BATCH, path).expect_err(path);
            assert!(error.contains(part), "{path}: {error}");
        }
        assert!(Place::parse(&Types::built_in(), "a.B", "c").is_err());
    }
}
