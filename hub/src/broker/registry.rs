//! The registry of devices: added, listed, removed. What is answered is durable.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use prost::Message as _;
use proto::envelope::ErrorCode;
use proto::messages::lamplighter::v1::Registration as RegistrationMessage;
use proto::{CloseCode, DeviceId, channels};

use super::devices::{Device, Registration};
use super::{Broker, Ticket, audit};
use crate::access::directory::credential_id;
use crate::access::{Credential, Identity, Subject, Token};
use crate::audit::{Actor, Door, Record, Verb};
use crate::clock::Now;
use crate::codec::Refusal;
use crate::ledger;
use crate::mailbox::Wakes;
use crate::metrics::Limit;
use crate::store::{Operation, Table};

/// Labels of one device.
const LABELS_MAX: usize = 32;
/// Bytes of a label's key or value, or of a profile.
const LABEL_BYTES_MAX: usize = 128;

/// A device to be added.
#[derive(Debug, Clone, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    /// Its id.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{2,63}$")]
    pub id: String,
    /// For selectors. No key stands twice.
    #[serde(default, deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// Which settings it shares with others.
    #[serde(default)]
    #[schema(max_length = 128)]
    pub profile: String,
    /// 1e-7 degrees, WGS 84. Goes with `longitude_e7`.
    #[schema(minimum = -900_000_000, maximum = 900_000_000)]
    pub latitude_e7: Option<i32>,
    /// 1e-7 degrees, WGS 84.
    #[schema(minimum = -1_800_000_000, maximum = 1_800_000_000)]
    pub longitude_e7: Option<i32>,
}

/// Reads labels; a key that stands twice is refused, since it shows one label to one reader and
/// another to the next.
fn labels<'de, D>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    struct Labels;

    impl<'de> serde::de::Visitor<'de> for Labels {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object of texts")
        }

        fn visit_map<A>(self, mut map: A) -> Result<Self::Value, A::Error>
        where
            A: serde::de::MapAccess<'de>,
        {
            let mut labels = BTreeMap::new();
            while let Some((key, value)) = map.next_entry::<String, String>()? {
                if labels.insert(key.clone(), value).is_some() {
                    let text = format!("the label `{key}` stands twice");
                    return Err(serde::de::Error::custom(text));
                }
            }
            Ok(labels)
        }
    }

    deserializer.deserialize_map(Labels)
}

/// What happens to devices that exist already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// The request is refused.
    Refuse,
    /// They get a new token and the given labels; their sessions with the old token end.
    NewToken,
}

/// A device as its readers see it.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Device)]
pub struct DeviceView {
    /// Its id.
    pub id: String,
    /// Of its registration, which only grows; as text, like all 64-bit numbers.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub revision: u64,
    /// Of its presence, likewise; 0 before it was ever here.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub presence_revision: u64,
    /// For selectors.
    pub labels: BTreeMap<String, String>,
    /// Which settings it shares with others.
    pub profile: String,
    /// 1e-7 degrees, WGS 84.
    pub latitude_e7: Option<i32>,
    /// 1e-7 degrees, WGS 84.
    pub longitude_e7: Option<i32>,
    /// ms since 1970, UTC.
    pub created_unix_ms: u64,
    /// `null` where the hub doesn't know.
    pub online: Option<bool>,
    /// ms since 1970 from when on; 0 if never seen.
    pub since_unix_ms: u64,
    /// Why it is gone or unknown.
    pub reason: String,
}

impl Broker {
    /// Adds devices, all or none, each with a token that is shown here and never again. The answer
    /// waits for the disk.
    ///
    /// # Errors
    /// An id or a label is not valid, a device exists, or there are as many as may be.
    pub async fn add_devices(
        &self,
        now: Now,
        new: Vec<NewDevice>,
        existing: Existing,
        by: &Actor,
    ) -> Result<Vec<(DeviceId, Token)>, Refusal> {
        let checked: Vec<(DeviceId, NewDevice)> =
            new.into_iter().map(check).collect::<Result<_, _>>()?;
        for (id, _) in &checked {
            self.recall(id)?;
        }
        let (done, wait) = tokio::sync::oneshot::channel();
        let added = {
            let mut wakes = Wakes::default();
            let mut devices = self.devices.lock();
            self.may_add(&devices, &checked, existing)?;
            let mut operations = Vec::new();
            let mut added = Vec::new();
            let mut records = Vec::new();
            for (id, new) in checked {
                let token = Token::generate();
                let is_known = devices.contains_key(&id);
                let verb = if is_known { Verb::ChangeDevice } else { Verb::AddDevice };
                let record = Record::done(by.clone(), verb, id.as_str());
                records.push(record.detail(format!("token {}", credential_id(&token.hash()))));
                operations.extend(self.add(now, &mut devices, &id, new, &token, &mut wakes));
                added.push((id, token));
            }
            self.submit_audited(now, operations, Some(Ticket::Waiter(done)), &records)?;
            added
        };
        durable(wait).await?;
        Ok(added)
    }

    fn may_add(
        &self,
        devices: &super::devices::Devices,
        new: &[(DeviceId, NewDevice)],
        existing: Existing,
    ) -> Result<(), Refusal> {
        let mut fresh = 0;
        for (id, _) in new {
            if !devices.contains_key(id) {
                fresh += 1;
            } else if existing == Existing::Refuse {
                let text = format!("{id} is registered already");
                return Err(Refusal::new(ErrorCode::Conflict, "id", text));
            }
        }
        if devices.len() + fresh > self.settings().devices_max {
            self.metrics.limit_hit(Limit::Devices);
            let text = format!("at most {} devices may be registered", self.settings().devices_max);
            return Err(Refusal::new(ErrorCode::Limit, "", text));
        }
        Ok(())
    }

    fn add(
        &self,
        now: Now,
        devices: &mut super::devices::Devices,
        id: &DeviceId,
        new: NewDevice,
        token: &Token,
        wakes: &mut Wakes,
    ) -> Vec<Operation> {
        let mut operations = Vec::new();
        let device =
            devices.entry(id.clone()).or_insert_with(|| Device::new(Registration::default()));
        let created = match device.registration.created_unix_ms {
            0 => now.unix_ms,
            created => created,
        };
        if let Some(old) = device.token.replace(token.hash()) {
            self.directory.write().remove_where(|hash, _| *hash == old);
            self.close_sessions(CloseCode::REVOKED, |entry| entry.admission.token == Some(old));
            operations.push(operation(Table::Token, &old.0, None));
        }
        // What the request leaves out stays as it was.
        let kept = std::mem::take(&mut device.registration);
        device.registration = Registration {
            labels: if new.labels.is_empty() { kept.labels } else { new.labels },
            profile: if new.profile.is_empty() { kept.profile } else { new.profile },
            latitude_e7: new.latitude_e7.or(kept.latitude_e7),
            longitude_e7: new.longitude_e7.or(kept.longitude_e7),
            created_unix_ms: created,
            token_hash: HEXLOWER.encode(&token.hash().0),
        };
        let credential = Credential {
            subject: Subject::Device(id.as_str().to_owned()),
            created_unix_ms: now.unix_ms,
        };
        operations.push(operation(Table::Token, &token.hash().0, Some(json(&credential))));
        operations.push(registration_operation(id, &device.registration));
        self.directory.write().insert(token.hash(), credential);
        self.say_registration(now, id, &device.registration, wakes);
        operations
    }

    /// Registers a device that came with a valid certificate, if the settings say so.
    pub(crate) fn register_itself(&self, now: Now, id: &DeviceId) -> bool {
        let mut wakes = Wakes::default();
        if self.recall(id).is_err() {
            return false;
        }
        let mut devices = self.devices.lock();
        if devices.contains_key(id) {
            return true;
        }
        if !self.settings().auto_register || devices.len() >= self.settings().devices_max {
            return false;
        }
        let registration = Registration { created_unix_ms: now.unix_ms, ..Registration::default() };
        let by = audit::actor(&Identity::Device(id.clone()), None, None, Door::Socket);
        let record = Record::done(by, Verb::AddDevice, id.as_str()).detail("by its certificate");
        let operations = vec![registration_operation(id, &registration)];
        if self.submit_audited(now, operations, None, &[record]).is_err() {
            return false;
        }
        self.say_registration(now, id, &registration, &mut wakes);
        devices.insert(id.clone(), Device::new(registration));
        true
    }

    /// Takes a device out, if `is_meant` says so of it: its session and its waiting commands end. The
    /// answer waits for the disk; it is the device where that wasn't the one meant, and nothing happened.
    ///
    /// # Errors
    /// There is no such device.
    pub async fn remove_device(
        &self,
        now: Now,
        id: &DeviceId,
        by: &Actor,
        is_meant: impl FnOnce(&DeviceView) -> bool + Send,
    ) -> Result<Option<DeviceView>, Refusal> {
        self.recall(id)?;
        let (done, wait) = tokio::sync::oneshot::channel();
        {
            let mut wakes = Wakes::default();
            let mut devices = self.devices.lock();
            let Some(device) = devices.get(id) else {
                let text = format!("{id} is not registered");
                return Err(Refusal::new(ErrorCode::NotFound, "id", text));
            };
            let view = self.view(id, device);
            if !is_meant(&view) {
                return Ok(Some(view));
            }
            let mut operations = vec![operation(Table::Device, id.as_str().as_bytes(), None)];
            if let Some(token) = device.token {
                operations.push(operation(Table::Token, &token.0, None));
            }
            let record = Record::done(by.clone(), Verb::RemoveDevice, id.as_str());
            let ticket = Some(Ticket::Waiter(done));
            let mut pins = self.pins.write();
            operations.extend(pins.to_remove(id));
            self.submit_audited(now, operations, ticket, &[record])?;
            pins.removed(id);
            drop(pins);
            if let Some(device) = devices.remove(id) {
                if let Some(token) = device.token {
                    self.directory.write().remove_where(|hash, _| *hash == token);
                }
                if let Some(session) = device.session {
                    self.metrics.devices_online.dec();
                    wakes.add(session.end(CloseCode::REVOKED));
                }
            }
            let removed = RegistrationMessage {
                device: id.as_str().to_owned(),
                removed: true,
                ..RegistrationMessage::default()
            };
            self.publish_own(
                now,
                &channels::REGISTRATION,
                id,
                &removed.encode_to_vec(),
                &mut wakes,
            );
            // After that: who could see the device sees that it is gone.
            self.forget_labels(id);
            self.lights.removed(id);
        }
        self.tell_ledger(now, ledger::Input::DeviceRemoved { device: id.clone() });
        durable(wait).await.map(|()| None)
    }

    /// One device.
    ///
    /// # Errors
    /// What is stored of it has to be read, and can't.
    pub fn device(&self, id: &DeviceId) -> Result<Option<DeviceView>, Refusal> {
        self.recall(id)?;
        Ok(self.devices.lock().get(id).map(|device| self.view(id, device)))
    }

    /// What readers see of a device. Looks at its channels.
    pub(crate) fn view(&self, id: &DeviceId, device: &Device) -> DeviceView {
        let revision = |kind: &channels::DeviceChannel| {
            let channel = self.existing_channel(kind.of(id).as_str());
            channel.map_or(0, |channel| channel.inner.lock().state.revision())
        };
        let registration = &device.registration;
        DeviceView {
            id: id.as_str().to_owned(),
            revision: revision(&channels::REGISTRATION),
            presence_revision: revision(&channels::PRESENCE),
            labels: registration.labels.clone(),
            profile: registration.profile.clone(),
            latitude_e7: registration.latitude_e7,
            longitude_e7: registration.longitude_e7,
            created_unix_ms: registration.created_unix_ms,
            online: device.presence.online(),
            since_unix_ms: device.presence.since_unix_ms(),
            reason: device.presence.reason().to_owned(),
        }
    }

    pub(crate) fn say_registration(
        &self,
        now: Now,
        id: &DeviceId,
        registration: &Registration,
        wakes: &mut Wakes,
    ) {
        self.relabel(id, &registration.labels);
        self.lights.registered(id);
        let message = RegistrationMessage {
            device: id.as_str().to_owned(),
            labels: registration.labels.clone(),
            profile: registration.profile.clone(),
            latitude_e7: registration.latitude_e7,
            longitude_e7: registration.longitude_e7,
            created_unix_ms: registration.created_unix_ms,
            removed: false,
        };
        self.publish_own(now, &channels::REGISTRATION, id, &message.encode_to_vec(), wakes);
    }
}

/// Waits until a commit is done.
pub(crate) async fn durable(wait: tokio::sync::oneshot::Receiver<()>) -> Result<(), Refusal> {
    wait.await.map_err(|_| {
        let text = "the store has stopped; whether it was kept is unknown";
        Refusal::retry(ErrorCode::Unavailable, "", text, 5000)
    })
}

pub(crate) fn operation(table: Table, key: &[u8], value: Option<bytes::Bytes>) -> Operation {
    let made = match value {
        Some(value) => Operation::put(table, key, value),
        None => Operation::delete(table, key),
    };
    made.expect("keys and values are checked against the protocol's limits, which are lower")
}

pub(crate) fn json(value: &impl serde::Serialize) -> bytes::Bytes {
    serde_json::to_vec(value).expect("records of text and numbers have JSON").into()
}

pub(crate) fn registration_operation(id: &DeviceId, registration: &Registration) -> Operation {
    operation(Table::Device, id.as_str().as_bytes(), Some(json(registration)))
}

/// 64-bit numbers are text in JSON, where readers may take numbers for doubles.
fn as_text<S: serde::Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

pub(crate) fn check(new: NewDevice) -> Result<(DeviceId, NewDevice), Refusal> {
    let bad = |field, text: String| Err(Refusal::new(ErrorCode::BadValue, field, text));
    let id = match DeviceId::parse(&new.id) {
        Ok(id) => id,
        Err(error) => {
            return bad(
                "id",
                format!("is not a device id: it {error}; use [a-z0-9][a-z0-9-]{{2,63}}"),
            );
        }
    };
    if new.labels.len() > LABELS_MAX {
        return bad(
            "labels",
            format!("{id} has {} labels; at most {LABELS_MAX}", new.labels.len()),
        );
    }
    let texts = new.labels.iter().flat_map(|(key, value)| [key, value]).chain([&new.profile]);
    for text in texts {
        if text.len() > LABEL_BYTES_MAX || text.chars().any(char::is_control) {
            let text = format!(
                "a label of {id} is over {LABEL_BYTES_MAX} bytes or has control characters"
            );
            return bad("labels", text);
        }
    }
    if new.labels.keys().any(|key| key.is_empty() || key.contains(['=', ',', '\'', '"'])) {
        return bad("labels", format!("a label key of {id} is empty or has one of = , ' \""));
    }
    let in_range = |value: Option<i32>, max: i32| value.is_none_or(|v| (-max..=max).contains(&v));
    let position = (new.latitude_e7, new.longitude_e7);
    if !in_range(position.0, 900_000_000)
        || !in_range(position.1, 1_800_000_000)
        || position.0.is_some() != position.1.is_some()
    {
        let text = format!("the position of {id} needs both, within ±90 and ±180 degrees");
        return bad("latitude_e7", text);
    }
    Ok((id, new))
}
