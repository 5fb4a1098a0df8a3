//! The table of credentials, by the hash of their tokens.
//!
//! Records go to the store as JSON, one a credential; the table is all in memory. A removed
//! credential is gone at once, and the caller ends its sessions.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use proto::DeviceId;
use serde::{Deserialize, Serialize};

use super::certificate::Presented;
use super::jwt::Issued;
use super::{Identity, Roles, TokenHash};
use crate::clock::Now;

/// Names a credential without revealing it: the first 8 bytes of its hash, in hex.
pub type CredentialId = String;

/// Whom a credential speaks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A device, by its id.
    Device(String),
    /// An operator or a dashboard.
    Person {
        /// The name of the role that says what it may do.
        role: String,
        /// For people.
        name: String,
    },
}

/// What the hub keeps of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Whom it speaks for.
    pub subject: Subject,
    /// ms since 1970, UTC.
    pub created_unix_ms: u64,
}

/// What a credential that is accepted makes of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Who it is.
    pub identity: Identity,
    /// The token of this hub that it presented, if it was one.
    pub token: Option<TokenHash>,
    /// Who stands for it, if an issuer does, and ms since 1970 from when on nobody does.
    pub issued: Option<Box<(Issued, u64)>>,
    /// The device's certificate that it presented, if it was one.
    pub certificate: Option<Box<Presented>>,
}

impl Admission {
    /// By a token of this hub.
    pub fn by_token(identity: Identity, token: TokenHash) -> Self {
        Self { identity, token: Some(token), issued: None, certificate: None }
    }

    /// By a client certificate.
    pub fn by_certificate(device: &DeviceId, presented: Box<Presented>) -> Self {
        let identity = Identity::Device(device.clone());
        Self { identity, token: None, issued: None, certificate: Some(presented) }
    }

    /// When it ends by itself, if it does.
    pub fn ends(&self, now: Now) -> Option<Instant> {
        let (_, ends_unix_ms) = self.issued.as_deref()?;
        let left = Duration::from_millis(ends_unix_ms.saturating_sub(now.unix_ms));
        Some(now.mono + left)
    }
}

impl Credential {
    /// What a peer that presents it is; nobody, if its role doesn't exist any more.
    pub fn identity(&self, roles: &Roles) -> Option<Identity> {
        match &self.subject {
            Subject::Device(id) => DeviceId::parse(id).ok().map(Identity::Device),
            Subject::Person { role, name } => {
                let role = roles.get(role)?.clone();
                Some(Identity::Person { role, name: name.clone() })
            }
        }
    }
}

/// All credentials.
#[derive(Debug, Default)]
pub struct Directory {
    by_hash: HashMap<TokenHash, Credential>,
}

/// The id that people use for the credential with this hash.
pub fn credential_id(hash: &TokenHash) -> CredentialId {
    HEXLOWER.encode(&hash.0[..8])
}

impl Directory {
    /// Adds or replaces.
    pub fn insert(&mut self, hash: TokenHash, credential: Credential) {
        self.by_hash.insert(hash, credential);
    }

    /// The credential of a token.
    pub fn find(&self, hash: &TokenHash) -> Option<&Credential> {
        self.by_hash.get(hash)
    }

    /// Whether any speaks for a subject that `which` picks. Costs a walk over all.
    pub fn has(&self, which: impl Fn(&Subject) -> bool) -> bool {
        self.by_hash.values().any(|credential| which(&credential.subject))
    }

    /// Takes out those that `which` picks, and returns them. Costs a walk over all.
    pub fn remove_where(
        &mut self,
        mut which: impl FnMut(&TokenHash, &Credential) -> bool,
    ) -> Vec<(TokenHash, Credential)> {
        self.by_hash.extract_if(|hash, credential| which(hash, credential)).collect()
    }

    /// The credentials of people, oldest first.
    pub fn people(&self) -> Vec<(CredentialId, Credential)> {
        let mut people: Vec<_> = self
            .by_hash
            .iter()
            .filter(|(_, credential)| matches!(credential.subject, Subject::Person { .. }))
            .map(|(hash, credential)| (credential_id(hash), credential.clone()))
            .collect();
        people.sort_by(|a, b| (a.1.created_unix_ms, &a.0).cmp(&(b.1.created_unix_ms, &b.0)));
        people
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Token;

    #[test]
    fn a_token_is_found_by_its_hash_until_it_is_removed() {
        let token = Token::generate();
        let subject = Subject::Person { role: "viewer".to_owned(), name: "wall".to_owned() };
        let mut directory = Directory::default();
        directory.insert(token.hash(), Credential { subject, created_unix_ms: 1 });

        let found = directory.find(&token.hash());
        let found = found.and_then(|credential| credential.identity(&Roles::default()));
        assert_eq!(found.map(|identity| identity.to_string()), Some("viewer wall".to_owned()));

        let id = credential_id(&token.hash());
        assert_eq!(directory.people()[0].0, id);
        assert_eq!(directory.remove_where(|hash, _| credential_id(hash) == id).len(), 1);
        assert!(directory.find(&token.hash()).is_none());
    }

    #[test]
    fn a_token_that_was_stored_before_there_were_roles_still_counts() {
        for role in ["operator", "viewer"] {
            let stored = format!(
                r#"{{"subject":{{"person":{{"role":"{role}","name":"ann"}}}},"created_unix_ms":1}}"#
            );
            let credential: Credential = serde_json::from_str(&stored).expect("a record");
            let identity = credential.identity(&Roles::default()).expect("a built-in role");
            assert_eq!(identity.to_string(), format!("{role} ann"));
        }
    }

    #[test]
    fn a_token_whose_role_is_gone_is_nobodys() {
        let subject = Subject::Person { role: "gone".to_owned(), name: "ann".to_owned() };
        let credential = Credential { subject, created_unix_ms: 1 };
        assert_eq!(credential.identity(&Roles::default()), None);
    }
}
