//! What is submitted while someone reads the whole store: together with what was read it is the state
//! of the moment at which the tap is closed.

use std::collections::HashMap;

use super::Operation;

/// The last operation of each key since the tap was opened.
#[derive(Debug)]
pub struct Tap {
    changed: HashMap<Box<[u8]>, Operation>,
    bytes: usize,
    bytes_max: usize,
    is_over: bool,
}

impl Tap {
    /// Takes so many bytes of keys and values at most.
    pub fn new(bytes_max: usize) -> Self {
        Self { changed: HashMap::new(), bytes: 0, bytes_max, is_over: false }
    }

    /// Notes what is submitted.
    pub(super) fn note(&mut self, operations: &[Operation]) {
        for operation in operations.iter().filter(|_| !self.is_over) {
            self.bytes += operation.size();
            let older = self.changed.insert(operation.stored_key.clone(), operation.clone());
            self.bytes -= older.map_or(0, |older| older.size());
        }
        if self.bytes > self.bytes_max {
            self.is_over = true;
            self.changed = HashMap::new();
        }
    }

    /// What was submitted, a key once, in no order; nothing if it was more than the tap takes.
    pub fn into_operations(self) -> Option<impl Iterator<Item = Operation>> {
        (!self.is_over).then(|| self.changed.into_values())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::Table;

    #[test]
    fn the_last_operation_of_a_key_stays_and_too_much_is_said() {
        let put = |key: &str, value: &'static str| {
            Operation::put(Table::Device, key.as_bytes(), Bytes::from(value)).expect("short")
        };
        let mut tap = Tap::new(10);
        tap.note(&[put("a", "1"), put("a", "22")]);
        let kept: Vec<_> = tap.into_operations().expect("few").collect();
        assert_eq!(kept, [put("a", "22")]);

        let mut tap = Tap::new(10);
        tap.note(&[put("a", "1"), put("b", "123456789")]);
        tap.note(&[put("c", "1")]);
        assert!(tap.into_operations().is_none());
    }
}
