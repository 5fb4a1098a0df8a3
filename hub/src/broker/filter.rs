//! Lets through what belongs to the devices that a reader chose by their labels.
//!
//! A verdict on a device is remembered until the registry changes, so a stream asks for the lock of the
//! registry once a device and change, and not once a message.

use std::collections::HashMap;

use proto::channels;

use super::Broker;
use crate::selector::Selector;

/// Verdicts that one reader remembers; beyond that others are looked up each time.
const VERDICTS_MAX: usize = 4_096;

/// One reader's choice.
#[derive(Debug)]
pub struct Filter {
    selector: Selector,
    verdicts: HashMap<Box<str>, Verdict>,
}

#[derive(Debug, Clone, Copy)]
struct Verdict {
    is_meant: bool,
    generation: u64,
}

impl Filter {
    /// Nothing is known yet.
    pub fn new(selector: Selector) -> Self {
        Self { selector, verdicts: HashMap::new() }
    }

    /// Whether a message of this channel is for the reader. Channels that belong to no device are not.
    /// The registration of a device that was meant and is no more goes through, so that the reader
    /// sees it leave.
    pub fn passes(&mut self, broker: &Broker, channel: &str) -> bool {
        let Some(device) = channels::device_of(channel) else { return false };
        let before = self.verdicts.get(device).copied();
        let generation = broker.registry_generation();
        if let Some(verdict) = before
            && verdict.generation == generation
        {
            return verdict.is_meant;
        }
        let is_meant = broker.is_meant(device, &self.selector);
        self.remember(device, Verdict { is_meant, generation });
        let leaves = before.is_some_and(|before| before.is_meant) && is_registration(channel);
        is_meant || leaves
    }

    fn remember(&mut self, device: &str, verdict: Verdict) {
        if let Some(known) = self.verdicts.get_mut(device) {
            *known = verdict;
            return;
        }
        if self.verdicts.len() >= VERDICTS_MAX {
            // Who is meant has to be remembered, to be seen leaving.
            self.verdicts.retain(|_, known| known.is_meant);
        }
        if self.verdicts.len() < VERDICTS_MAX {
            self.verdicts.insert(device.into(), verdict);
        }
    }
}

fn is_registration(channel: &str) -> bool {
    channels::known(channel).is_some_and(|(_, kind)| *kind == channels::REGISTRATION)
}
