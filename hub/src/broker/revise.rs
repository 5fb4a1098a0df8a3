//! Changes of what stands: a device's registration, on the condition that it is the one meant.

use std::collections::BTreeMap;

use proto::DeviceId;

use super::devices::{Device, Registration};
use super::registry::{self, DeviceView, NewDevice, durable, registration_operation};
use super::{Broker, Ticket};
use crate::audit::{Actor, Record, Verb};
use crate::clock::Now;
use crate::codec::Refusal;
use crate::mailbox::Wakes;

/// What people decide about a device.
#[derive(
    Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(deny_unknown_fields)]
pub struct DeviceSettings {
    /// For selectors.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Which settings it shares with others.
    #[serde(default)]
    #[schema(max_length = 128)]
    pub profile: String,
    /// 1e-7 degrees, WGS 84. Goes with `longitude_e7`.
    #[serde(default)]
    #[schema(minimum = -900_000_000, maximum = 900_000_000)]
    pub latitude_e7: Option<i32>,
    /// 1e-7 degrees, WGS 84.
    #[serde(default)]
    #[schema(minimum = -1_800_000_000, maximum = 1_800_000_000)]
    pub longitude_e7: Option<i32>,
}

/// How a change ended.
#[derive(Debug)]
pub enum Revised {
    /// It is made and durable; this is the device now.
    Done(DeviceView),
    /// It wasn't made, since the device is this and not what was meant.
    Stale(DeviceView),
    /// There is no such device.
    Missing,
}

impl Broker {
    /// Replaces what people decided about a device by what `change` makes of it, if `is_meant` says
    /// that the device is the one meant; both see it under the registry's lock. Waits for the disk.
    ///
    /// # Errors
    /// The outcome is no valid device, or the store has no room.
    pub async fn revise_device<E: From<Refusal>>(
        &self,
        now: Now,
        id: &DeviceId,
        by: &Actor,
        is_meant: impl FnOnce(&DeviceView) -> bool + Send,
        change: impl FnOnce(DeviceSettings) -> Result<DeviceSettings, E> + Send,
    ) -> Result<Revised, E> {
        self.recall(id)?;
        let (done, wait) = tokio::sync::oneshot::channel();
        {
            let mut wakes = Wakes::default();
            let mut devices = self.devices.lock();
            let Some(device) = devices.get_mut(id) else { return Ok(Revised::Missing) };
            let view = self.view(id, device);
            if !is_meant(&view) {
                return Ok(Revised::Stale(view));
            }
            let revised = revise(id, device, change)?;
            let operations = vec![registration_operation(id, &revised)];
            let record = Record::done(by.clone(), Verb::ChangeDevice, id.as_str());
            self.submit_audited(now, operations, Some(Ticket::Waiter(done)), &[record])?;
            device.registration = revised;
            self.say_registration(now, id, &device.registration, &mut wakes);
        }
        durable(wait).await?;
        Ok(self.device(id)?.map_or(Revised::Missing, Revised::Done))
    }
}

fn revise<E: From<Refusal>>(
    id: &DeviceId,
    device: &Device,
    change: impl FnOnce(DeviceSettings) -> Result<DeviceSettings, E>,
) -> Result<Registration, E> {
    let DeviceSettings { labels, profile, latitude_e7, longitude_e7 } =
        change(settings(&device.registration))?;
    let id = id.as_str().to_owned();
    let new = NewDevice { id, labels, profile, latitude_e7, longitude_e7 };
    let (_, NewDevice { labels, profile, latitude_e7, longitude_e7, .. }) = registry::check(new)?;
    let Registration { created_unix_ms, token_hash, .. } = device.registration.clone();
    Ok(Registration { labels, profile, latitude_e7, longitude_e7, created_unix_ms, token_hash })
}

fn settings(registration: &Registration) -> DeviceSettings {
    let Registration { labels, profile, latitude_e7, longitude_e7, .. } = registration.clone();
    DeviceSettings { labels, profile, latitude_e7, longitude_e7 }
}
