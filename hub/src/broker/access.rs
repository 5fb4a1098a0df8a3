//! Who may do what, as it stands now: the policy, and what becomes of running sessions when it changes.
//!
//! A session's rights are those of its role when it began. When a reload takes the role away or changes
//! it, or the credential is gone, the session ends at once; it may come back, and begins with the rights
//! that it has then. So no check ever asks twice, and no right outlives its reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::{CloseCode, DeviceId};

use super::Broker;
use super::devices::SessionEntry;
use crate::access::{Admission, Identity, Policy};

impl Broker {
    /// What the configuration decides about access.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Replaces the policy and ends the sessions that it has no place for. Costs a walk over all devices
    /// for each scope, and one over all sessions. Returns how many sessions end.
    pub fn set_policy(&self, mut policy: Policy) -> usize {
        {
            // Nobody's labels change before the new scopes are in place.
            let devices = self.devices.lock();
            policy.roles.adopt(&self.policy.load().roles);
            for scope in policy.roles.scopes() {
                for (id, device) in devices.iter() {
                    scope.relabel(id.as_str(), &device.registration.labels);
                }
            }
            self.policy.store(Arc::new(policy));
        }
        self.senders_changed();
        self.recheck_access()
    }

    /// Ends every session that would not begin now as it did: for whoever changed the policy, the
    /// credentials or the registry. Returns how many.
    pub fn recheck_access(&self) -> usize {
        let entries: Vec<_> = self.sessions.lock().values().cloned().collect();
        entries.iter().filter(|entry| self.recheck_session(entry)).count()
    }

    /// The same for one session; true if it ends.
    pub(crate) fn recheck_session(&self, entry: &SessionEntry) -> bool {
        let Err(code) = self.still_holds(&entry.admission) else { return false };
        let peer = &entry.admission.identity;
        tracing::info!(%peer, reason = code.reason(), "session ends: access changed");
        entry.mailbox.end(code).wake();
        true
    }

    /// Whether a credential would be accepted now as it was.
    ///
    /// # Errors
    /// How whatever goes on by it has to end.
    pub fn still_holds(&self, admission: &Admission) -> Result<(), CloseCode> {
        if let Some(token) = &admission.token
            && self.directory.read().find(token).is_none()
        {
            return Err(CloseCode::REVOKED);
        }
        let policy = self.policy.load();
        if let Some((issued, _)) = admission.issued.as_deref()
            && !issued.still_holds(&policy.issuers)
        {
            return Err(CloseCode::REVOKED);
        }
        if let (Identity::Device(id), Some(presented)) =
            (&admission.identity, admission.certificate.as_deref())
            && !self.certificate_still_holds(id, presented)
        {
            return Err(CloseCode::REVOKED);
        }
        match &admission.identity {
            Identity::Device(id) if self.devices.lock().contains_key(id) => Ok(()),
            Identity::Device(_) => Err(CloseCode::REVOKED),
            Identity::Person { role, .. } => match policy.roles.get(role.name()) {
                None => Err(CloseCode::REVOKED),
                Some(current) if Arc::ptr_eq(current, role) => Ok(()),
                // It comes back at once, with the rights that it has now.
                Some(_) => Err(CloseCode::DRAIN),
            },
        }
    }

    /// Tells the scopes what labels a device has from now on. Call it with `Broker::devices` locked.
    pub(crate) fn relabel(&self, id: &DeviceId, labels: &BTreeMap<String, String>) {
        for scope in self.policy.load().roles.scopes() {
            scope.relabel(id.as_str(), labels);
        }
    }

    /// The same for a device that was removed.
    pub(crate) fn forget_labels(&self, id: &DeviceId) {
        for scope in self.policy.load().roles.scopes() {
            scope.forget(id.as_str());
        }
    }
}

#[cfg(test)]
mod tests;
