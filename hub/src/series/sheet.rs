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
