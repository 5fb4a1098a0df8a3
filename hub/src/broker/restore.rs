//! How a broker comes to life: what it needs before anyone can connect.
//!
//! Credentials, the registry, commands and the ceiling of offsets are read here. Last values are far
//! more, and nobody needs all of them at once: they come later ([`super::loading`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use arc_swap::ArcSwap;
use data_encoding::HEXLOWER_PERMISSIVE;
use parking_lot::{Mutex, RwLock};
use proto::DeviceId;

use super::certificates::Pins;
use super::channel::Channels;
use super::commands::Desk;
use super::devices::{Device, Devices, Registration};
use super::light::Lights;
use super::loading::Loading;
use super::registry::operation;
use super::room::Room;
use super::schemas::Schemas;
use super::sequence::Sequence;
use super::stored::Restart;
use super::{Broker, Settings, Ticket, audit};
use crate::access::{Credential, Directory, TokenHash};
use crate::audit::Entry;
use crate::clock::Now;
use crate::codec::{Frame, LiveTypes};
use crate::ledger::Ledger;
use crate::mailbox::Budget;
use crate::metrics::Metrics;
use crate::router::Router;
use crate::store::{Operation, Store, StoreError, Table, Writer};
use crate::twin::Rules;

/// Where the ceiling of offsets is, in [`Table::Meta`].
pub const CEILING_KEY: &[u8] = b"ceiling";

/// What was found in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Last values.
    pub values: usize,
    /// Devices.
    pub devices: usize,
    /// Commands.
    pub commands: usize,
    /// Descriptor sets.
    pub schemas: usize,
    /// Records of fleet commands.
    pub fleets: usize,
    /// Records that could not be read; each was logged, and stays in the store as it is.
    pub unreadable: usize,
}

pub(crate) fn ceiling_operation(ceiling: u64) -> Operation {
    operation(Table::Meta, CEILING_KEY, Some(ceiling.to_be_bytes().to_vec().into()))
}

impl Broker {
    /// Reads the store, but for the last values. The caller then starts the writer on the same store and gives it to
    /// [`Broker::begin`].
    ///
    /// # Errors
    /// The store can't be read.
    pub fn restore(
        settings: Settings,
        rules: Rules,
        metrics: Arc<Metrics>,
        store: &dyn Store,
        now: Now,
    ) -> Result<(Arc<Self>, Restored), StoreError> {
        let mut restored = Restored::default();
        let directory = tokens(store, &mut restored)?;
        let pins = Pins::read(store, &mut restored)?;
        let devices = registrations(store, &directory, &mut restored)?;
        let mut ledger = Ledger::new(settings.ledger);
        store.scan(Table::Command, &mut |_, record| match ledger.restore(now, record) {
            Ok(_) => restored.commands += 1,
            Err(error) => skip("command", &error, &mut restored.unreadable),
        })?;
        let fleets = super::fleet::restore(&settings, store, now, &ledger, &mut restored)?;
        let types = LiveTypes::new(metrics.not_converted.clone());
        let schemas = Schemas::read(store, &types, &mut restored)?;
        let lights = Lights::restore(store, &types.load(), devices.keys(), &mut restored)?;
        let mut sequence = Sequence::start(random_epoch(), ceiling(store)?);
        let (offset, _) = sequence.advance();
        let restart = Restart { offset, unix_ms: now.unix_ms };
        metrics.values_loading.set(1);
        let audit = audit::Stored::read(&*store.records())?.chain(settings.audit);
        let broker = Self {
            metrics,
            types,
            schemas: Mutex::new(schemas),
            rules: ArcSwap::from_pointee(rules),
            channels: RwLock::new(Channels::to_be_loaded()),
            sequence: Mutex::new(sequence),
            router: Router::default(),
            devices: Mutex::new(devices),
            absent: Mutex::default(),
            sessions: Mutex::new(HashMap::new()),
            directory: RwLock::new(directory),
            pins: RwLock::new(pins),
            revoked: ArcSwap::default(),
            policy: ArcSwap::default(),
            senders_changed: AtomicBool::new(false),
            desk: Mutex::new(Desk::new(ledger, fleets)),
            writer: std::sync::OnceLock::new(),
            room: Room::new(settings.data_folder.clone()),
            loading: Loading::new(store.records(), restart, restored),
            registry_generation: AtomicU64::new(0),
            audit: audit::Log::new(audit, store.records(), now),
            lights,
            pasts: super::series::Pasts::new(&settings.series, store.records()),
            budget: Budget::new(settings.mailbox_total_bytes),
            next_mailbox: AtomicU64::new(1),
            settings: ArcSwap::from_pointee(settings),
        };
        Ok((Arc::new(broker), restored))
    }

    /// Takes the writer and makes the ceiling of this epoch durable. Nothing is published before. The
    /// caller then has [`Broker::load_values`] run.
    ///
    /// # Errors
    /// The store has stopped.
    pub async fn begin(
        &self,
        writer: Writer<Ticket>,
        now: Now,
    ) -> Result<(), crate::codec::Refusal> {
        assert!(self.writer.set(writer).is_ok(), "a broker begins once");
        let ceiling = self.sequence.lock().ceiling();
        let (done, wait) = tokio::sync::oneshot::channel();
        self.submit(vec![ceiling_operation(ceiling)], Some(Ticket::Waiter(done)))?;
        super::registry::durable(wait).await?;
        self.commands_tick(now);
        Ok(())
    }
}

/// Two hubs that ran on one folder, one after the other, never have the same epoch.
fn random_epoch() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    u64::from_be_bytes(bytes) >> 11 | 1
}

fn ceiling(store: &dyn Store) -> Result<u64, StoreError> {
    let mut ceiling = 0;
    store.scan(Table::Meta, &mut |key, value| {
        if key == CEILING_KEY
            && let Ok(bytes) = value.try_into()
        {
            ceiling = u64::from_be_bytes(bytes);
        }
    })?;
    Ok(ceiling)
}

fn tokens(store: &dyn Store, restored: &mut Restored) -> Result<Directory, StoreError> {
    let mut directory = Directory::default();
    store.scan(Table::Token, &mut |key, value| match (
        key.try_into(),
        serde_json::from_slice::<Credential>(value),
    ) {
        (Ok(hash), Ok(credential)) => directory.insert(TokenHash(hash), credential),
        (Ok(_), Err(error)) => skip("token", &error, &mut restored.unreadable),
        (Err(_), _) => skip("token", &"its key is no hash", &mut restored.unreadable),
    })?;
    Ok(directory)
}

fn registrations(
    store: &dyn Store,
    directory: &Directory,
    restored: &mut Restored,
) -> Result<Devices, StoreError> {
    let mut devices = Devices::new();
    store.scan(Table::Device, &mut |key, value| {
        let id = std::str::from_utf8(key).ok().and_then(|text| DeviceId::parse(text).ok());
        match (id, serde_json::from_slice::<Registration>(value)) {
            (Some(id), Ok(registration)) => {
                let token = token_hash(&registration.token_hash);
                let mut device = Device::new(registration);
                device.unread = true;
                device.token = token.filter(|token| directory.find(token).is_some());
                devices.insert(id, device);
            }
            (Some(_), Err(error)) => skip("device", &error, &mut restored.unreadable),
            (None, _) => skip("device", &"its key is no id", &mut restored.unreadable),
        }
    })?;
    restored.devices = devices.len();
    Ok(devices)
}

fn token_hash(hex: &str) -> Option<TokenHash> {
    HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?.try_into().ok().map(TokenHash)
}

/// Whether a record from elsewhere is one that a hub would read.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_record(record: &Operation) -> Result<(), String> {
    let key = record.key();
    let Some(value) = record.value() else { return Ok(()) };
    let text = |error: &dyn std::fmt::Display| format!("is no {:?}: {error}", record.table());
    match record.table() {
        Table::Device => {
            let id = std::str::from_utf8(key).map_err(|error| text(&error))?;
            DeviceId::parse(id).map_err(|error| text(&error))?;
            serde_json::from_slice::<Registration>(value).map(drop).map_err(|error| text(&error))
        }
        Table::Token if key.len() != 32 => Err(text(&"its key is no hash")),
        Table::Token => {
            serde_json::from_slice::<Credential>(value).map(drop).map_err(|error| text(&error))
        }
        Table::LastValue => {
            let frame = Frame::restore(value).map_err(|error| text(&error))?;
            let message = frame.message();
            let known = super::publish::last_value_key(message.channel, message.type_name);
            if *known == *key { Ok(()) } else { Err(text(&"it is of another channel")) }
        }
        Table::Command => {
            let mut ledger = Ledger::new(crate::ledger::Limits::default());
            ledger.restore(Now::read(), value).map(drop).map_err(|error| text(&error))
        }
        Table::Audit => {
            serde_json::from_slice::<Entry>(value).map(drop).map_err(|error| text(&error))
        }
        Table::Fleet => crate::fleet::Fleets::check(key, value).map_err(|error| text(&error)),
        Table::Schema => super::schemas::check_stored(key, value).map_err(|error| text(&error)),
        Table::Profile => super::profiles::check(key, value).map_err(|error| text(&error)),
        Table::Override => super::overrides::check(key, value).map_err(|error| text(&error)),
        Table::Certificate => super::certificates::check(key, value).map_err(|error| text(&error)),
        Table::Series => Err(text(&"exports have no pasts")),
        Table::Meta => Ok(()),
    }
}

pub(super) fn skip(what: &str, error: &dyn std::fmt::Display, unreadable: &mut usize) {
    *unreadable += 1;
    tracing::error!(record = what, %error, "a stored record can't be read; it is left as it is");
}
