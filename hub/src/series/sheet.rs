//! All numbers of one kind of channel, read in one walk over a payload, however many there are.

use smallvec::SmallVec;

use super::field::{Field, Holds, Place, Reading};

/// Fields, and each place that they read, once.
#[derive(Debug)]
pub struct Sheet {
    fields: Vec<Field>,
    /// Those in the same message stand together.
    places: Vec<Place>,
    /// Of each field, where its number and its epoch stand in `places`.
    read: Vec<(usize, Option<usize>)>,
}

/// What a payload has at each place.
type Numbers = SmallVec<[Option<f64>; 8]>;

impl Sheet {
    /// Of these fields, in their order.
    pub fn new(fields: Vec<Field>) -> Self {
        let mut places: Vec<Place> = fields
            .iter()
            .flat_map(|field| [Some(&field.place), field.epoch.as_ref()])
            .flatten()
            .cloned()
            .collect();
        places.sort();
        places.dedup();
        let at = |place: &Place| places.iter().position(|known| known == place);
        let read = fields
            .iter()
            .map(|field| (at(&field.place).unwrap_or_default(), field.epoch.as_ref().and_then(at)))
            .collect();
        Self { fields, places, read }
    }

    /// The fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// What a payload of this type says of each field. `held` is the report before it, which increases are
    /// counted from.
    pub fn readings(
        &self,
        type_name: &str,
        payload: &[u8],
        held: Option<&[u8]>,
    ) -> SmallVec<[(Holds, Reading); 4]> {
        let counts = self.fields.iter().any(|field| field.holds == Holds::Increase);
        let now = self.numbers(payload);
        let before = held.filter(|_| counts).map(|held| self.numbers(held));
        let reading = |(field, (number, epoch)): (&Field, &(usize, Option<usize>))| {
            let read = |of: &Numbers| (of[*number], epoch.and_then(|epoch| of[epoch]));
            let reading = if field.type_name == type_name {
                field.reading(read(&now), before.as_ref().map(read))
            } else {
                Reading::Absent
            };
            (field.holds, reading)
        };
        self.fields.iter().zip(&self.read).map(reading).collect()
    }

    fn numbers(&self, payload: &[u8]) -> Numbers {
        let mut numbers = Numbers::from_elem(None, self.places.len());
        let mut first = 0;
        for together in self.places.chunk_by(Place::is_beside) {
            let next = first + together.len();
            Place::read(together, payload, &mut numbers[first..next]);
            first = next;
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use proto::json::Types;
    use proto::messages::lighting::v1::{LampSample, TelemetryBatch};

    use super::*;
    use crate::series::field::tests::field;

    #[test]
    fn fields_of_several_messages_and_types_are_read_together_and_keep_their_order() {
        let batch = "lighting.v1.TelemetryBatch";
        let profile = "lighting.v1.EnergyInterval";
        let mut other = field("interval", "logger_id", 1.0, Holds::Last);
        other.type_name = profile.to_owned();
        other.place = Place::parse(&Types::built_in(), profile, "interval_s").expect("a number");
        let sheet = Sheet::new(vec![
            field("logger", "logger_id", 1.0, Holds::Last),
            field("energy", "samples.active_energy_wh", 1.0, Holds::Increase),
            other,
            field("epoch", "samples.counter_epoch", 1.0, Holds::Last),
            field("level", "samples.actual_level_pct", 1.0, Holds::Last),
            field("voltage", "samples.supply_voltage_v", 1.0, Holds::Last),
        ]);
        let told = |logger_id, energy| {
            let sample = LampSample {
                actual_level_pct: Some(70),
                active_energy_wh: Some(energy),
                counter_epoch: 4,
                ..LampSample::default()
            };
            let samples = vec![LampSample::default(), sample];
            TelemetryBatch { samples, logger_id, ..TelemetryBatch::default() }.encode_to_vec()
        };
        let readings = |type_name, payload: &[u8], held: Option<&[u8]>| {
            let all = sheet.readings(type_name, payload, held);
            all.into_iter().map(|(_, reading)| reading).collect::<Vec<_>>()
        };
        use Reading::{Absent, Steps};
        assert_eq!(
            readings(batch, &told(3, 1_025), Some(&told(2, 1_000))),
            [Steps(3), Steps(25), Absent, Steps(4), Steps(70), Absent]
        );
        assert_eq!(
            readings(batch, &told(3, 1_025), None),
            [Steps(3), Absent, Absent, Steps(4), Steps(70), Absent],
            "an increase counts from a report before"
        );
        // Field 2 is a message in one of the types and a number in the other.
        let interval = [0x10, 0x88, 0x0e];
        assert_eq!(
            readings(profile, &interval, None),
            [Absent, Absent, Steps(1_800), Absent, Absent, Absent]
        );
    }
}
