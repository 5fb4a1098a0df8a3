//! Roles: named lists of grants, the two built-in ones and those of the configuration.
//!
//! A [`Role`] is made once, with everything that it includes, and never changes; a reload makes new
//! ones. What no grant allows is denied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use proto::ChannelPattern;

use super::grant::{Grant, Verb, names_devices};
use super::scope::{Scope, ScopeError};

/// Roles of one hub.
pub const ROLES_MAX: usize = 256;
/// Grants of one role, with those that it includes.
pub const GRANTS_MAX: usize = 64;
/// Bytes of a role's name.
pub const NAME_BYTES_MAX: usize = 32;

/// Words that name other things where a role's name may stand.
const RESERVED: [&str; 5] = ["device", "hub", "me", "role", "token"];

/// Sees everything, sends commands, manages devices and tokens.
pub const OPERATOR: &str = "operator";
/// Sees everything.
pub const VIEWER: &str = "viewer";

/// A named list of grants.
#[derive(Debug, PartialEq, Eq)]
pub struct Role {
    name: String,
    grants: Vec<Grant>,
}

/// A role as the configuration has it.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Its name.
    pub name: String,
    /// Roles whose grants it has as well.
    pub include: Vec<String>,
    /// Its own.
    pub grants: Vec<DraftGrant>,
}

/// A grant as the configuration has it.
#[derive(Debug, Clone, Default)]
pub struct DraftGrant {
    /// What may be done.
    pub verbs: Vec<Verb>,
    /// On which channels.
    pub pattern: String,
    /// Of which devices; all, if there is none.
    pub labels: Option<String>,
}

/// Why a configuration has no roles: then the hub doesn't start. Each names the role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    #[error("`{role}` includes itself, by way of {way}")]
    Circular { role: String, way: String },
    #[error("`{role}` has no grants: it would allow nothing; give it one or leave it out")]
    Empty { role: String },
    #[error("`{role}` has the labels `{text}`: it {error}")]
    Labels { role: String, text: String, error: ScopeError },
    #[error("`{role}` is no name for a role; use 1 to {NAME_BYTES_MAX} of a-z 0-9 - _")]
    Name { role: String },
    #[error("`{role}` grants `command` on `{pattern}`; write devices.<id>, devices.* or >")]
    NoDevices { role: String, pattern: String },
    #[error("`{role}` has a grant without verbs; write publish, subscribe, command or manage")]
    NoVerbs { role: String },
    #[error("`{role}` has the pattern `{pattern}`: it {error}")]
    Pattern { role: String, pattern: String, error: proto::name::NameError },
    #[error("has over {ROLES_MAX} roles")]
    TooMany,
    #[error("`{role}` has over {GRANTS_MAX} grants")]
    TooManyGrants { role: String },
    #[error("`{role}` stands twice, or is built in")]
    Twice { role: String },
    #[error("`{role}` includes `{unknown}`, which is no role; there are {known}")]
    Unknown { role: String, unknown: String, known: String },
}

/// All roles of a hub.
#[derive(Debug)]
pub struct Roles {
    by_name: BTreeMap<String, Arc<Role>>,
    /// Of all grants, each once.
    scopes: Vec<Arc<Scope>>,
}

impl Role {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All grants, its own first.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// The built-in role of this name, for a hub without roles of its own.
    ///
    /// # Panics
    /// `name` is neither [`OPERATOR`] nor [`VIEWER`].
    pub fn built_in(name: &str) -> Arc<Self> {
        static BUILT_IN: LazyLock<Roles> = LazyLock::new(Roles::default);
        BUILT_IN.get(name).expect("a built-in role").clone()
    }

    /// The grant by which it allows this on this channel, now.
    pub fn allows(&self, verb: Verb, name: &str) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.allows(verb, name))
    }

    /// Whether it may ask for all channels of a pattern. One grant must cover the pattern; where that
    /// has a scope, only what is in the scope is delivered.
    pub fn may_subscribe(&self, pattern: &ChannelPattern) -> bool {
        if pattern.is_exact() {
            return self.allows(Verb::Subscribe, pattern.as_str()).is_some();
        }
        self.grants.iter().any(|grant| grant.reaches(Verb::Subscribe, pattern))
    }

    /// Whether it has this verb on everything.
    pub fn allows_all(&self, verb: Verb) -> bool {
        let everything = |grant: &Grant| {
            grant.scope.is_none() && grant.verbs.contains(&verb) && grant.pattern.as_str() == ">"
        };
        self.grants.iter().any(everything)
    }

    /// Whether it has this verb on anything.
    pub fn has_verb(&self, verb: Verb) -> bool {
        self.grants.iter().any(|grant| grant.verbs.contains(&verb))
    }

    /// Whether what it receives has to be looked at message by message.
    pub fn is_scoped(&self) -> bool {
        self.grants
            .iter()
            .any(|grant| grant.scope.is_some() && grant.verbs.contains(&Verb::Subscribe))
    }

    /// Whether `other` allows nothing that this one doesn't: who has this role may give that one away.
    pub fn includes(&self, other: &Self) -> bool {
        other.grants.iter().all(|theirs| {
            let has = |verb: &Verb| self.grants.iter().any(|own| own.includes(*verb, theirs));
            theirs.verbs.iter().all(has)
        })
    }
}

/// Whether a text can name a role.
pub fn is_name(text: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(fits)
        && !RESERVED.contains(&text)
}

impl Default for Roles {
    /// The built-in ones.
    fn default() -> Self {
        let role = |name: &str, verbs: &[Verb]| {
            let pattern = ChannelPattern::parse(">").expect("a pattern");
            let grants = vec![Grant { verbs: verbs.to_vec(), pattern, scope: None }];
            (name.to_owned(), Arc::new(Role { name: name.to_owned(), grants }))
        };
        let roles = [role(OPERATOR, &Verb::ALL), role(VIEWER, &[Verb::Subscribe])];
        Self { by_name: roles.into(), scopes: Vec::new() }
    }
}

impl Roles {
    /// The built-in roles and these.
    ///
    /// # Errors
    /// A role grants nothing, includes what doesn't exist or itself, or has a grant that can't be read.
    pub fn new(drafts: &[Draft]) -> Result<Self, RoleError> {
        let mut roles = Self::default();
        if drafts.len() > ROLES_MAX {
            return Err(RoleError::TooMany);
        }
        let mut by_name = BTreeMap::new();
        for draft in drafts {
            let role = draft.name.clone();
            if !is_name(&role) {
                return Err(RoleError::Name { role });
            }
            if roles.by_name.contains_key(&role) || by_name.insert(&*draft.name, draft).is_some() {
                return Err(RoleError::Twice { role });
            }
        }
        for draft in drafts {
            let mut grants = Vec::new();
            roles.collect(draft, &by_name, &mut Vec::new(), &mut BTreeSet::new(), &mut grants)?;
            let role = draft.name.clone();
            if grants.is_empty() {
                return Err(RoleError::Empty { role });
            }
            if grants.len() > GRANTS_MAX {
                return Err(RoleError::TooManyGrants { role });
            }
            roles.by_name.insert(role.clone(), Arc::new(Role { name: role, grants }));
        }
        Ok(roles)
    }

    /// The role of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Role>> {
        self.by_name.get(name)
    }

    /// Their names, for people: `operator, viewer`.
    pub fn names(&self) -> String {
        self.by_name.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// All scopes, for whoever tells them of devices.
    pub fn scopes(&self) -> &[Arc<Scope>] {
        &self.scopes
    }

    /// Takes over the roles of `before` that are the same here, so that whoever has one keeps it; their
    /// scopes are told of devices on.
    pub fn adopt(&mut self, before: &Self) {
        for (name, role) in &mut self.by_name {
            if let Some(same) = before.by_name.get(name).filter(|known| *known == role) {
                role.clone_from(same);
            }
        }
        let scopes = self.by_name.values().flat_map(|role| role.grants.iter());
        let mut scopes: Vec<_> = scopes.filter_map(|grant| grant.scope.clone()).collect();
        scopes.sort_by_key(Arc::as_ptr);
        scopes.dedup_by(|a, b| Arc::ptr_eq(a, b));
        self.scopes = scopes;
    }

    /// Adds the grants of a draft and of all that it includes; `way` leads here.
    fn collect<'d>(
        &mut self,
        draft: &'d Draft,
        by_name: &BTreeMap<&str, &'d Draft>,
        way: &mut Vec<&'d str>,
        done: &mut BTreeSet<&'d str>,
        grants: &mut Vec<Grant>,
    ) -> Result<(), RoleError> {
        if way.contains(&&*draft.name) {
            let role = draft.name.clone();
            return Err(RoleError::Circular { role, way: way.join(", ") });
        }
        if !done.insert(&draft.name) {
            return Ok(());
        }
        way.push(&draft.name);
        for grant in &draft.grants {
            grants.push(self.grant(&draft.name, grant)?);
        }
        for included in &draft.include {
            if let Some(draft) = by_name.get(&**included) {
                self.collect(draft, by_name, way, done, grants)?;
            } else if let Some(role) =
                [OPERATOR, VIEWER].contains(&&**included).then(|| &self.by_name[included])
            {
                grants.extend_from_slice(&role.grants);
            } else {
                let mut known: Vec<&str> = by_name.keys().copied().collect();
                known.extend([OPERATOR, VIEWER]);
                let (role, unknown) = (draft.name.clone(), included.clone());
                return Err(RoleError::Unknown { role, unknown, known: known.join(", ") });
            }
        }
        way.pop();
        Ok(())
    }

    fn grant(&mut self, role: &str, draft: &DraftGrant) -> Result<Grant, RoleError> {
        let (role, text) = (role.to_owned(), draft.pattern.clone());
        if draft.verbs.is_empty() {
            return Err(RoleError::NoVerbs { role });
        }
        let pattern = match ChannelPattern::parse(&text) {
            Ok(pattern) => pattern,
            Err(error) => return Err(RoleError::Pattern { role, pattern: text, error }),
        };
        if draft.verbs.contains(&Verb::Command) && !names_devices(&pattern) {
            return Err(RoleError::NoDevices { role, pattern: text });
        }
        let scope = match &draft.labels {
            None => None,
            Some(text) => match Scope::parse(text) {
                Ok(scope) => Some(self.scope(scope)),
                Err(error) => return Err(RoleError::Labels { role, text: text.clone(), error }),
            },
        };
        Ok(Grant { verbs: draft.verbs.clone(), pattern, scope })
    }

    fn scope(&mut self, scope: Scope) -> Arc<Scope> {
        if let Some(known) = self.scopes.iter().find(|known| ***known == scope) {
            return known.clone();
        }
        let scope = Arc::new(scope);
        self.scopes.push(scope.clone());
        scope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf5_an_empty_role_an_unknown_one_and_a_circle_are_refused() {
        check(&[draft("a", &[], &[])], "has no grants");
        check(&[draft("a", &["b"], &[])], "includes `b`, which is no role");
        check(&[draft("a", &["a"], &["city.>"])], "includes itself");
        let circle = [draft("a", &["b"], &["x"]), draft("b", &["c"], &[]), draft("c", &["a"], &[])];
        check(&circle, "includes itself, by way of a, b, c");
        check(&[draft("operator", &[], &[">"])], "built in");
        check(&[draft("a", &[], &["x"]), draft("a", &[], &["y"])], "twice");
        check(&[draft("A b", &[], &["x"])], "no name");
        check(&[draft("a", &[], &["x..y"])], "`x..y`");
        let mut role = draft("a", &[], &["devices.*.telemetry"]);
        role.grants[0].verbs = vec![Verb::Command];
        check(&[role.clone()], "devices.*");
        role.grants[0].verbs.clear();
        check(&[role.clone()], "without verbs");
        role.grants[0] =
            DraftGrant { labels: Some(String::new()), ..draft("a", &[], &["x"]).grants[0].clone() };
        check(&[role], "the labels");
    }

    #[test]
    fn a_role_has_the_grants_of_those_that_it_includes_once_each() {
        let drafts = [
            draft("all", &["one", "two"], &[]),
            draft("one", &["base"], &["x"]),
            draft("two", &["base", "viewer"], &["y"]),
            draft("base", &[], &["z"]),
        ];
        let roles = Roles::new(&drafts).expect("valid");
        let role = roles.get("all").expect("a role");
        let patterns: Vec<&str> =
            role.grants().iter().map(|grant| grant.pattern.as_str()).collect();
        assert_eq!(patterns, ["x", "z", "y", ">"]);
    }

    #[test]
    fn a_pattern_needs_one_grant_that_covers_all_of_it() {
        let drafts = [draft("a", &[], &["devices.*.faults", "devices.*.telemetry", "city.>"])];
        let roles = Roles::new(&drafts).expect("valid");
        let role = roles.get("a").expect("a role");
        let may = |text| role.may_subscribe(&ChannelPattern::parse(text).expect("valid"));
        for inside in
            ["devices.*.faults", "devices.lamp-1.faults", "city.news", "city.*", "city.a.>"]
        {
            assert!(may(inside), "{inside}");
        }
        for outside in [">", "*", "devices.>", "devices.*.*", "devices.lamp-1.>", "city", "*.news"]
        {
            assert!(!may(outside), "{outside}");
        }
    }

    #[test]
    fn who_has_less_gives_no_more_away() {
        let roles = Roles::new(&[draft("north", &[], &["devices.>"])]).expect("valid");
        let role = |name| roles.get(name).expect("a role");
        assert!(role(OPERATOR).includes(role("north")) && role(OPERATOR).includes(role(VIEWER)));
        assert!(role(VIEWER).includes(role("north")) && !role(VIEWER).includes(role(OPERATOR)));
        assert!(!role("north").includes(role(VIEWER)));
    }

    #[track_caller]
    fn check(drafts: &[Draft], wanted: &str) {
        let error = Roles::new(drafts).expect_err("refused").to_string();
        assert!(error.contains(wanted), "`{wanted}` isn't in: {error}");
    }

    fn draft(name: &str, include: &[&str], patterns: &[&str]) -> Draft {
        let grant = |pattern: &&str| DraftGrant {
            verbs: vec![Verb::Subscribe],
            pattern: (*pattern).to_owned(),
            labels: None,
        };
        let include = include.iter().map(|name| (*name).to_owned()).collect();
        Draft { name: name.to_owned(), include, grants: patterns.iter().map(grant).collect() }
    }
}
