//! Everything about access that the configuration decides, as one value that a reload replaces.

use std::sync::Arc;

use super::jwt::Issuer;
use super::origin::Origins;
use super::role::Roles;

/// Who may do what, whom the hub believes, and whose web pages may ask.
#[derive(Debug, Default)]
pub struct Policy {
    /// What the roles allow.
    pub roles: Roles,
    /// Whose tokens are taken beside the hub's own.
    pub issuers: Vec<Arc<Issuer>>,
    /// Whose web pages may ask.
    pub origins: Origins,
}
