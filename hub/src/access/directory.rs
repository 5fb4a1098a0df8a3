//! The table of credentials, by the hash of their tokens.
//!
//! Records go to the store as JSON, one a credential; the table is all in memory. A removed
//! credential is gone at once, and the caller ends its sessions.

use std::collections::HashMap;

use proto::DeviceId;
use serde::{Deserialize, Serialize};

use super::{Identity, Role, TokenHash};

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
        /// What it may do.
        role: Role,
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

impl Credential {
    /// What a peer that presents it is.
    pub fn identity(&self) -> Option<Identity> {
        match &self.subject {
            Subject::Device(id) => DeviceId::parse(id).ok().map(Identity::Device),
            Subject::Person { role, name } => {
                Some(Identity::Person { role: *role, name: name.clone() })
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
    hash.0[..8].iter().map(|byte| format!("{byte:02x}")).collect()
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
        let subject = Subject::Person { role: Role::Viewer, name: "wall".to_owned() };
        let mut directory = Directory::default();
        directory.insert(token.hash(), Credential { subject, created_unix_ms: 1 });

        let found = directory.find(&token.hash()).and_then(Credential::identity);
        assert_eq!(found.map(|identity| identity.to_string()), Some("viewer wall".to_owned()));

        let id = credential_id(&token.hash());
        assert_eq!(directory.people()[0].0, id);
        assert_eq!(directory.remove_where(|hash, _| credential_id(hash) == id).len(), 1);
        assert!(directory.find(&token.hash()).is_none());
    }
}
