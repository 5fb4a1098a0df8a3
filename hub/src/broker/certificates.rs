//! Which keys the certificates of devices may have: pinned, revoked, and found by their hash.
//!
//! A device without any record may come with every certificate that a CA of ours signed for it. One with
//! a record comes with a pinned key, or not at all: also where all that it had are revoked. A revoked key
//! stays revoked, whatever becomes of its device.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use proto::envelope::ErrorCode;
use proto::{CloseCode, DeviceId};
use serde::{Deserialize, Serialize};

use super::registry::{durable, json, operation};
use super::restore::{Restored, skip};
use super::{Broker, Ticket, audit};
use crate::access::Identity;
use crate::access::certificate::{CertificateNumber, KeyHash, Leaf, Presented};
use crate::audit::{Actor, Door, Record, Verb};
use crate::clock::Now;
use crate::codec::Refusal;
use crate::metrics::Limit;
use crate::store::{Operation, Store, StoreError, Table};

/// Keys that one device may have at a time: enough to exchange all of several.
pub const PINNED_MAX: usize = 16;
/// Records of keys in all, also revoked ones.
const RECORDS_MAX: usize = 1_000_000;

/// What the hub keeps of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Whose it is.
    pub device: String,
    /// Whom the certificate names; empty until it was seen.
    #[serde(default)]
    pub subject: String,
    /// The certificate's number, in hexadecimal; likewise.
    #[serde(default)]
    pub serial: String,
    /// ms since 1970 from when on the certificate is valid; 0 until it was seen.
    #[serde(default)]
    pub not_before_unix_ms: u64,
    /// ms since 1970 until when it is; likewise.
    #[serde(default)]
    pub not_after_unix_ms: u64,
    /// ms since 1970.
    pub pinned_unix_ms: u64,
    /// Who did, as in `operator ann`.
    pub pinned_by: String,
    /// ms since 1970 when a device first came with it after that; 0 if none did.
    #[serde(default)]
    pub first_seen_unix_ms: u64,
    /// ms since 1970; 0 if it isn't.
    #[serde(default)]
    pub revoked_unix_ms: u64,
    /// Who did; empty if nobody.
    #[serde(default)]
    pub revoked_by: String,
}

impl Pin {
    /// Whether no device may come with it any more.
    pub fn is_revoked(&self) -> bool {
        self.revoked_unix_ms != 0
    }

    fn show(&mut self, leaf: &Leaf) {
        self.subject = leaf.subject.clone();
        self.serial = leaf.serial.clone();
        self.not_before_unix_ms = leaf.not_before_unix_ms;
        self.not_after_unix_ms = leaf.not_after_unix_ms;
    }
}

/// A key that is to be pinned, and its certificate if that is at hand.
#[derive(Debug, Clone)]
pub struct NewPin {
    /// The key.
    pub key: KeyHash,
    /// What is known of its certificate.
    pub leaf: Option<Leaf>,
}

/// How pinning ended.
#[derive(Debug)]
pub enum Pinned {
    /// All are pinned, and durable; this is what the device has now.
    Done(Vec<(KeyHash, Pin)>),
    /// None is, since the device has this and not what was meant.
    Stale(Vec<(KeyHash, Pin)>),
}

/// What the hub makes of a device's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing is said of the device's keys.
    Free,
    Pinned,
    /// It has others.
    Foreign,
    Revoked,
}

/// All keys that are known.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    by_key: BTreeMap<KeyHash, Pin>,
    of_device: HashMap<String, Vec<KeyHash>>,
}

impl Pins {
    /// Reads what is stored.
    ///
    /// # Errors
    /// The store can't be read.
    pub(crate) fn read(store: &dyn Store, restored: &mut Restored) -> Result<Self, StoreError> {
        let mut pins = Self::default();
        store.scan(Table::Certificate, &mut |key, value| match read(key, value) {
            Ok((key, pin)) => pins.put(key, pin),
            Err(error) => skip("certificate", &error, &mut restored.unreadable),
        })?;
        Ok(pins)
    }

    fn put(&mut self, key: KeyHash, pin: Pin) {
        let keys = self.of_device.entry(pin.device.clone()).or_default();
        if !keys.contains(&key) {
            keys.push(key);
        }
        self.by_key.insert(key, pin);
    }

    fn of(&self, device: &str) -> Vec<(KeyHash, Pin)> {
        let keys = self.of_device.get(device).map(Vec::as_slice).unwrap_or_default();
        keys.iter().filter_map(|key| Some((*key, self.by_key.get(key)?.clone()))).collect()
    }

    fn judge(&self, device: &DeviceId, key: &KeyHash) -> Verdict {
        match self.by_key.get(key) {
            Some(pin) if pin.is_revoked() => Verdict::Revoked,
            Some(pin) if pin.device == device.as_str() => Verdict::Pinned,
            Some(_) => Verdict::Foreign,
            None if self.of_device.contains_key(device.as_str()) => Verdict::Foreign,
            None => Verdict::Free,
        }
    }

    /// The keys of a device that go with it: all but the revoked ones.
    fn going(&self, device: &DeviceId) -> Vec<KeyHash> {
        let keys = self.of(device.as_str()).into_iter();
        keys.filter(|(_, pin)| !pin.is_revoked()).map(|(key, _)| key).collect()
    }

    /// What has to be stored for a device to be removed.
    pub(crate) fn to_remove(&self, device: &DeviceId) -> Vec<Operation> {
        self.going(device).iter().map(|key| stored(key, None)).collect()
    }

    /// A device was removed.
    pub(crate) fn removed(&mut self, device: &DeviceId) {
        let going = self.going(device);
        for key in &going {
            self.by_key.remove(key);
        }
        if let Some(keys) = self.of_device.get_mut(device.as_str()) {
            keys.retain(|key| !going.contains(key));
            if keys.is_empty() {
                self.of_device.remove(device.as_str());
            }
        }
    }
}

fn stored(key: &KeyHash, pin: Option<&Pin>) -> Operation {
    operation(Table::Certificate, key.to_string().as_bytes(), pin.map(json))
}

fn read(key: &[u8], value: &[u8]) -> Result<(KeyHash, Pin), String> {
    let text = std::str::from_utf8(key).map_err(|error| error.to_string())?;
    let key = KeyHash::parse(text).ok_or("its key is no hash")?;
    let pin: Pin = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    DeviceId::parse(&pin.device).map_err(|error| format!("its device {error}"))?;
    Ok((key, pin))
}

/// Whether a record from elsewhere is one that a hub would read.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn check(key: &[u8], value: &[u8]) -> Result<(), String> {
    read(key, value).map(drop)
}

impl Broker {
    /// Whether a device may come with this certificate, as far as its key goes. The first time is noted; a
    /// key that nothing is said of is pinned, if the settings say so.
    ///
    /// # Errors
    /// The close code that the device gets.
    pub(crate) fn admit_key(
        &self,
        now: Now,
        id: &DeviceId,
        leaf: &Leaf,
        is_registered: bool,
    ) -> Result<(), CloseCode> {
        if self.revoked.load().contains(&leaf.number) {
            return Err(CloseCode::REVOKED);
        }
        let (verdict, is_new) = {
            let pins = self.pins.read();
            let pin = pins.by_key.get(&leaf.key);
            (pins.judge(id, &leaf.key), pin.is_some_and(|pin| pin.first_seen_unix_ms == 0))
        };
        match verdict {
            Verdict::Revoked => Err(CloseCode::REVOKED),
            Verdict::Foreign => Err(CloseCode::BAD_CREDENTIAL),
            Verdict::Pinned if is_new => {
                self.see_key(now, leaf);
                Ok(())
            }
            Verdict::Free if is_registered && self.settings().pin_first_use => {
                self.pin_itself(now, id, leaf)
            }
            Verdict::Pinned | Verdict::Free => Ok(()),
        }
    }

    /// Whether a device that came with this certificate might still.
    pub(crate) fn certificate_still_holds(&self, id: &DeviceId, presented: &Presented) -> bool {
        let verdict = self.pins.read().judge(id, &presented.key);
        matches!(verdict, Verdict::Free | Verdict::Pinned)
            && !self.revoked.load().contains(&presented.number)
    }

    /// What the lists of revoked certificates say from now on; sessions with such end. Costs a walk over
    /// all sessions. Returns how many end.
    pub fn set_revoked(&self, revoked: HashSet<CertificateNumber>) -> usize {
        if revoked == **self.revoked.load() {
            return 0;
        }
        self.revoked.store(Arc::new(revoked));
        self.recheck_access()
    }

    fn see_key(&self, now: Now, leaf: &Leaf) {
        let mut pins = self.pins.write();
        let Some(pin) = pins.by_key.get_mut(&leaf.key) else { return };
        let mut seen = pin.clone();
        seen.first_seen_unix_ms = now.unix_ms;
        seen.show(leaf);
        // If the store has no room it is noted the next time.
        if self.submit(vec![stored(&leaf.key, Some(&seen))], None).is_ok() {
            *pin = seen;
        }
    }

    fn pin_itself(&self, now: Now, id: &DeviceId, leaf: &Leaf) -> Result<(), CloseCode> {
        let mut pins = self.pins.write();
        if pins.judge(id, &leaf.key) != Verdict::Free || pins.by_key.len() >= RECORDS_MAX {
            return Err(CloseCode::OVERLOAD);
        }
        let by = audit::actor(&Identity::Device(id.clone()), None, None, Door::Socket);
        let mut pin = pin(id, &by, now);
        pin.first_seen_unix_ms = now.unix_ms;
        pin.show(leaf);
        let record = Record::done(by, Verb::PinCertificate, id.as_str());
        let record = record.detail(format!("{} at its first use", leaf.key));
        let operations = vec![stored(&leaf.key, Some(&pin))];
        let taken = self.submit_audited(now, operations, None, &[record]);
        taken.map_err(|_| CloseCode::OVERLOAD)?;
        pins.put(leaf.key, pin);
        Ok(())
    }

    /// Keys in the order of their hashes, from after `after` on, that `which` picks; one more than `limit` is
    /// never looked for. Costs a walk over what is passed over.
    pub fn certificates(
        &self,
        after: Option<&KeyHash>,
        limit: usize,
        which: impl Fn(&Pin) -> bool,
    ) -> Vec<(KeyHash, Pin)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let pins = self.pins.read();
        let range = (after.map_or(Unbounded, Excluded), Unbounded);
        let picked = pins.by_key.range(range).filter(|(_, pin)| which(pin));
        picked.take(limit).map(|(key, pin)| (*key, pin.clone())).collect()
    }

    /// The keys of one device, in the order in which they were pinned.
    pub fn certificates_of(&self, id: &DeviceId) -> Vec<(KeyHash, Pin)> {
        self.pins.read().of(id.as_str())
    }

    /// Whose key it is, if it is known.
    pub fn certificate(&self, key: &KeyHash) -> Option<Pin> {
        self.pins.read().by_key.get(key).cloned()
    }

    /// Pins keys of a device, all or none, if `is_meant` says so of those that it has. Sessions that it began
    /// with others end. Waits for the disk.
    ///
    /// # Errors
    /// There is no such device, a key is revoked or another's, or there are as many as may be.
    pub async fn pin_certificates(
        &self,
        now: Now,
        id: &DeviceId,
        new: Vec<NewPin>,
        by: &Actor,
        is_meant: impl FnOnce(&[(KeyHash, Pin)]) -> bool + Send,
    ) -> Result<Pinned, Refusal> {
        self.recall(id)?;
        let (done, wait) = tokio::sync::oneshot::channel();
        {
            let devices = self.devices.lock();
            if !devices.contains_key(id) {
                let text = format!("{id} is not registered");
                return Err(Refusal::new(ErrorCode::NotFound, "id", text));
            }
            let mut pins = self.pins.write();
            let held = pins.of(id.as_str());
            if !is_meant(&held) {
                return Ok(Pinned::Stale(held));
            }
            let made = self.to_pin(&pins, &held, id, new, by, now)?;
            let detail = |key: &KeyHash| {
                Record::done(by.clone(), Verb::PinCertificate, id.as_str()).detail(key.to_string())
            };
            let records: Vec<_> = made.keys().map(detail).collect();
            let operations = made.iter().map(|(key, pin)| stored(key, Some(pin))).collect();
            self.submit_audited(now, operations, Some(Ticket::Waiter(done)), &records)?;
            for (key, pin) in made {
                pins.put(key, pin);
            }
        }
        self.end_by_key(|device, _| device == id);
        durable(wait).await?;
        Ok(Pinned::Done(self.certificates_of(id)))
    }

    /// What is to be pinned of these; those that are already stay as they are.
    fn to_pin(
        &self,
        pins: &Pins,
        held: &[(KeyHash, Pin)],
        id: &DeviceId,
        new: Vec<NewPin>,
        by: &Actor,
        now: Now,
    ) -> Result<BTreeMap<KeyHash, Pin>, Refusal> {
        let mut made = BTreeMap::new();
        for NewPin { key, leaf } in new {
            match pins.by_key.get(&key) {
                Some(pin) if pin.is_revoked() => {
                    let text = format!("{key} is revoked, for good; give the device a new key");
                    return Err(Refusal::new(ErrorCode::Conflict, "keys", text));
                }
                Some(pin) if pin.device != id.as_str() => {
                    let text = format!("{key} is pinned for {}", pin.device);
                    return Err(Refusal::new(ErrorCode::Conflict, "keys", text));
                }
                Some(_) => continue,
                None => {}
            }
            let mut pin = pin(id, by, now);
            if let Some(leaf) = &leaf {
                pin.show(leaf);
            }
            made.insert(key, pin);
        }
        let standing = held.iter().filter(|(_, pin)| !pin.is_revoked()).count();
        if standing + made.len() > PINNED_MAX || pins.by_key.len() + made.len() > RECORDS_MAX {
            self.metrics.limit_hit(Limit::Certificates);
            let text = format!("a device has at most {PINNED_MAX} keys, a hub {RECORDS_MAX}");
            return Err(Refusal::new(ErrorCode::Limit, "keys", text));
        }
        Ok(made)
    }

    /// Revokes a key for good: its sessions end at once, and none begins. Waits for the disk.
    ///
    /// # Errors
    /// There is no such key, or it is revoked already.
    pub async fn revoke_certificate(
        &self,
        now: Now,
        key: &KeyHash,
        by: &Actor,
    ) -> Result<(), Refusal> {
        let (done, wait) = tokio::sync::oneshot::channel();
        {
            let mut pins = self.pins.write();
            let Some(pin) = pins.by_key.get_mut(key).filter(|pin| !pin.is_revoked()) else {
                let text = "no such key is pinned; pin it first to revoke it";
                return Err(Refusal::new(ErrorCode::NotFound, "key", text));
            };
            let mut revoked = pin.clone();
            revoked.revoked_unix_ms = now.unix_ms;
            revoked.revoked_by = by.who.clone();
            let record = Record::done(by.clone(), Verb::RevokeCertificate, pin.device.as_str());
            let operations = vec![stored(key, Some(&revoked))];
            let ticket = Some(Ticket::Waiter(done));
            self.submit_audited(now, operations, ticket, &[record.detail(key.to_string())])?;
            *pin = revoked;
        }
        self.end_by_key(|_, used| used == key);
        durable(wait).await
    }

    /// Ends the sessions of these devices with keys that hold no more.
    fn end_by_key(&self, which: impl Fn(&DeviceId, &KeyHash) -> bool) {
        self.close_sessions(CloseCode::REVOKED, |entry| {
            match (&entry.admission.identity, entry.admission.certificate.as_deref()) {
                (Identity::Device(id), Some(presented)) => {
                    which(id, &presented.key) && !self.certificate_still_holds(id, presented)
                }
                _ => false,
            }
        });
    }
}

fn pin(id: &DeviceId, by: &Actor, now: Now) -> Pin {
    let (device, pinned_by) = (id.as_str().to_owned(), by.who.clone());
    Pin { device, pinned_by, pinned_unix_ms: now.unix_ms, ..Pin::default() }
}
