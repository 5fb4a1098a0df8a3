//! Which devices to look at again, and when: those that something happened to at once, the others when
//! their light may change.
//!
//! A device stands in each of the two lists at most once, so both are bounded by the devices that there are.

use std::collections::{BTreeSet, HashMap};

use proto::DeviceId;

/// Who is to be looked at.
#[derive(Debug, Default)]
pub struct Agenda {
    touched: BTreeSet<DeviceId>,
    due: BTreeSet<(u64, DeviceId)>,
    at: HashMap<DeviceId, u64>,
}

impl Agenda {
    /// Something happened to the device: it is looked at next. Costs a look-up.
    pub fn touch(&mut self, id: &DeviceId) {
        if !self.touched.contains(id) {
            self.touched.insert(id.clone());
        }
    }

    /// It is to be looked at then, in ms since 1970, and not at another time; `None` for not at all.
    pub fn set(&mut self, id: &DeviceId, at_unix_ms: Option<u64>) {
        if let Some(before) = self.at.remove(id) {
            self.due.remove(&(before, id.clone()));
        }
        if let Some(at) = at_unix_ms {
            self.at.insert(id.clone(), at);
            self.due.insert((at, id.clone()));
        }
    }

    /// Up to `limit` devices whose time has come, each once.
    pub fn take(&mut self, now_unix_ms: u64, limit: usize) -> Vec<DeviceId> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            let first = self.due.first().filter(|(at, _)| *at <= now_unix_ms);
            let id = match self.touched.pop_first().or_else(|| first.map(|(_, id)| id.clone())) {
                Some(id) => id,
                None => break,
            };
            self.set(&id, None);
            taken.push(id);
        }
        taken
    }

    /// Whether there is a device whose time has come.
    pub fn is_due(&self, now_unix_ms: u64) -> bool {
        !self.touched.is_empty() || self.due.first().is_some_and(|(at, _)| *at <= now_unix_ms)
    }

    /// Devices that wait for their time or are to be looked at now.
    pub fn len(&self) -> usize {
        self.touched.len() + self.due.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> DeviceId {
        DeviceId::parse(text).expect("a device id")
    }

    #[test]
    fn devices_come_when_touched_or_due_and_each_once() {
        let mut agenda = Agenda::default();
        agenda.set(&id("lamp-1"), Some(100));
        agenda.set(&id("lamp-1"), Some(200));
        agenda.set(&id("lamp-2"), Some(150));
        assert!(!agenda.is_due(149) && agenda.is_due(150));
        assert_eq!(agenda.take(99, 10), []);
        agenda.touch(&id("lamp-3"));
        agenda.touch(&id("lamp-3"));
        assert_eq!(agenda.take(150, 10), [id("lamp-3"), id("lamp-2")]);
        agenda.touch(&id("lamp-1"));
        assert_eq!(agenda.take(500, 10), [id("lamp-1")], "touched and due is once");
        assert!(agenda.is_empty());
    }

    #[test]
    fn one_turn_takes_no_more_than_its_share() {
        let mut agenda = Agenda::default();
        for n in 0..10 {
            agenda.set(&id(&format!("lamp-{n}")), Some(n));
        }
        assert_eq!(agenda.take(100, 4).len(), 4);
        assert_eq!(agenda.take(100, 40).len(), 6);
    }
}
