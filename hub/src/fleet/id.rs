//! Names: of a fleet command, and of the request that each of its targets makes of it.

use data_encoding::HEXLOWER;
use proto::{CommandId, DeviceId};
use sha2::{Digest as _, Sha256};

/// Names a fleet command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FleetId(pub CommandId);

impl FleetId {
    /// Reads an id as it is shown.
    pub fn parse(text: &str) -> Option<Self> {
        CommandId::parse(text).ok().map(Self)
    }
}

impl std::fmt::Display for FleetId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The request id of a target's command: the fleet command in 32 hex digits, and 31 more of the device.
pub fn request_id(fleet: FleetId, device: &DeviceId) -> String {
    let mut id = HEXLOWER.encode(&fleet.0.to_bytes());
    id.push('-');
    id.push_str(&HEXLOWER.encode(&Sha256::digest(device.as_str().as_bytes()))[..31]);
    id
}

/// The fleet command that a request id may be of.
pub fn fleet_of(request_id: &str) -> Option<FleetId> {
    let (fleet, device) = request_id.split_once('-')?;
    if fleet.len() != 32 || device.len() != 31 {
        return None;
    }
    let bytes = HEXLOWER.decode(fleet.as_bytes()).ok()?.try_into().ok()?;
    Some(FleetId(CommandId::from_bytes(bytes)))
}
