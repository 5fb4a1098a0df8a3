//! Finds the devices that a selector means, by the registry and by what they reported last.
//!
//! Two passes. The first judges every device by the registry alone, under the lock of the devices,
//! as if nothing were known of reports; what is decided there stays decided ([`crate::selector`]). Only
//! for the rest are last values decoded, without that lock. So a street costs a walk over the registry,
//! and `street='Queen St' and power>40` in addition as many decodings as the street has lamps.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use proto::DeviceId;
use serde_json::Value as Json;

use super::Broker;
use super::devices::Device;
use crate::codec::Refusal;
use crate::selector::name::FAULT_PATH;
use crate::selector::{Fact, Facts, Name, Path, Selector, Truth, Value};

/// What a selector picked.
#[derive(Debug)]
pub(crate) struct Selection<T> {
    /// In the order of their ids.
    pub(crate) picked: Vec<(DeviceId, T)>,
    /// Devices of which not enough is known to tell.
    pub(crate) undecided: usize,
}

impl Broker {
    /// The devices that `selector` means, from after the id `cursor` on, with what `take` takes of
    /// each under the lock of the devices; where it takes nothing, the device isn't looked at.
    ///
    /// # Errors
    /// What is stored of a device has to be read, and can't.
    pub(crate) fn select<T>(
        &self,
        selector: &Selector,
        cursor: &str,
        take: impl Fn(&DeviceId, &Device) -> Option<T>,
    ) -> Result<Selection<T>, Refusal> {
        let mut picked = Vec::new();
        let mut open = Vec::new();
        let mut undecided = 0;
        for (id, device) in self.devices.lock().iter() {
            if id.as_str() <= cursor {
                continue;
            }
            let Some(taken) = take(id, device) else { continue };
            let entry = Entry::of(id, device);
            match selector.judge(&entry) {
                Truth::Yes => picked.push((id.clone(), taken)),
                Truth::Unknown if selector.asks_for_reports() => {
                    open.push((entry.into_owned(), taken));
                }
                Truth::Unknown => undecided += 1,
                Truth::No => {}
            }
        }
        for (entry, taken) in open {
            self.recall(&entry.id)?;
            let reported = Reported { broker: self, entry: &entry, decoded: RefCell::default() };
            match selector.judge(&reported) {
                Truth::Yes => picked.push((entry.id.into_owned(), taken)),
                Truth::Unknown => undecided += 1,
                Truth::No => {}
            }
        }
        picked.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Selection { picked, undecided })
    }

    /// Whether a registered device is meant by a selector of registrations. Takes the lock of the
    /// devices.
    pub fn is_meant(&self, device: &str, selector: &Selector) -> bool {
        let Ok(id) = DeviceId::parse(device) else { return false };
        let devices = self.devices.lock();
        devices.get(&id).is_some_and(|found| selector.judge(&Entry::of(&id, found)) == Truth::Yes)
    }

    /// The last values of one of a device's channels as JSON, the newest first.
    fn reported(&self, id: &DeviceId, channel: &str) -> Vec<Json> {
        let name = format!("{}.{id}.{channel}", proto::channels::PREFIX);
        let Some(channel) = self.existing_channel(&name) else { return Vec::new() };
        let last = channel.inner.lock().state.last().to_vec();
        let mut frames: Vec<_> = last.into_iter().map(|last| last.frame).collect();
        frames.sort_unstable_by_key(|frame| std::cmp::Reverse(frame.offset()));
        let decode = |frame: &std::sync::Arc<crate::codec::Frame>| {
            let message = frame.message();
            let payload = message.payload.unwrap_or_default();
            let text = self.types.payload_to_json(message.type_name, payload).ok()?;
            serde_json::from_str(&text).ok()
        };
        frames.iter().filter_map(decode).collect()
    }
}

/// What the registry knows of a device.
pub(super) struct Entry<'d> {
    id: Cow<'d, DeviceId>,
    profile: Cow<'d, str>,
    labels: Cow<'d, BTreeMap<String, String>>,
    online: Option<bool>,
}

impl<'d> Entry<'d> {
    pub(super) fn of(id: &'d DeviceId, device: &'d Device) -> Self {
        Self {
            id: Cow::Borrowed(id),
            profile: Cow::Borrowed(&device.registration.profile),
            labels: Cow::Borrowed(&device.registration.labels),
            online: device.presence.online(),
        }
    }

    fn into_owned(self) -> Entry<'static> {
        Entry {
            id: Cow::Owned(self.id.into_owned()),
            profile: Cow::Owned(self.profile.into_owned()),
            labels: Cow::Owned(self.labels.into_owned()),
            online: self.online,
        }
    }
}

impl Facts for Entry<'_> {
    fn fact(&self, name: &Name) -> Fact<'_> {
        let text = |text| Fact::Known(Value::Text(Cow::Borrowed(text)));
        match name {
            Name::Id => text(self.id.as_str()),
            Name::Profile => text(&self.profile),
            Name::Online => match self.online {
                Some(true) => text("true"),
                Some(false) => text("false"),
                None => Fact::Missing,
            },
            Name::Label(label) => {
                self.labels.get(&**label).map_or(Fact::Missing, |value| text(value))
            }
            Name::Reported(_) => Fact::Open,
        }
    }
}

/// The same, and what the device reported; a channel is decoded when it is first asked for.
struct Reported<'r> {
    broker: &'r Broker,
    entry: &'r Entry<'r>,
    decoded: RefCell<BTreeMap<&'static str, Vec<Json>>>,
}

impl Facts for Reported<'_> {
    fn fact(&self, name: &Name) -> Fact<'_> {
        let Name::Reported(path) = name else { return self.entry.fact(name) };
        let mut decoded = self.decoded.borrow_mut();
        let values = decoded
            .entry(path.channel)
            .or_insert_with(|| self.broker.reported(&self.entry.id, path.channel));
        let found = values.iter().find_map(|value| find(value, path));
        found.map_or(Fact::Missing, Fact::Known)
    }
}

/// What stands at the end of a path; a list stands for its last item.
fn find(document: &Json, path: &Path) -> Option<Value<'static>> {
    let short = path.short;
    if short.is_some_and(|short| short.path == FAULT_PATH)
        && document.get("active") != Some(&Json::Bool(true))
    {
        return Some(Value::Text(Cow::Borrowed("none")));
    }
    let mut at = newest(document)?;
    for field in &path.fields {
        at = newest(at.get(&**field)?)?;
    }
    match at {
        Json::Number(number) => number.as_f64().map(Value::Number),
        Json::Bool(flag) => Some(Value::Text(Cow::Owned(flag.to_string()))),
        Json::String(text) => {
            let word = short.filter(|short| !short.prefix.is_empty());
            let word = word.and_then(|short| text.strip_prefix(short.prefix));
            let text = word.map_or_else(|| text.clone(), str::to_ascii_lowercase);
            Some(Value::Text(Cow::Owned(text)))
        }
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn newest(value: &Json) -> Option<&Json> {
    match value {
        Json::Array(items) => items.last(),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_the_newest_item_and_words_lose_their_prefix() {
        let telemetry = json!({"samples": [
            {"state": "LAMP_STATE_OFF", "active_power_w": 0.0},
            {"state": "LAMP_STATE_ON", "active_power_w": 43.5, "switch_on_count": 7},
        ]});
        check(&telemetry, "power", Some(&Value::Number(43.5)));
        check(&telemetry, "state", Some(&text("on")));
        check(&telemetry, "telemetry.samples.state", Some(&text("LAMP_STATE_ON")));
        check(&telemetry, "telemetry.samples.switch_on_count", Some(&Value::Number(7.0)));
        for nothing in ["voltage", "telemetry.samples", "telemetry.samples.state.x", "telemetry."] {
            check(&telemetry, nothing, None);
        }
        check(&json!({"samples": []}), "power", None);
    }

    #[test]
    fn a_fault_that_ended_is_none() {
        let fault = json!({"code": "FAULT_CODE_LAMP_FAILURE", "active": true});
        check(&fault, "fault", Some(&text("lamp_failure")));
        check(&json!({"code": "FAULT_CODE_LAMP_FAILURE"}), "fault", Some(&text("none")));
        check(&fault, "faults.code", Some(&text("FAULT_CODE_LAMP_FAILURE")));
    }

    #[track_caller]
    fn check(document: &Json, name: &str, wanted: Option<&Value<'_>>) {
        let path = Path::named(name).expect("a path");
        assert_eq!(find(document, &path).as_ref(), wanted, "{name}");
    }

    fn text(text: &'static str) -> Value<'static> {
        Value::Text(text.into())
    }
}
