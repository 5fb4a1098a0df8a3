//! Who may use whom: the layers inside the hub, and the crates among each other.
//!
//! The tables here are those of `docs/architecture.md`; a change of the one is a change of the other.

use std::collections::BTreeSet;

use crate::source::Source;

/// Modules of `hub`, lowest layer first. A module may use those of earlier rows only.
const LAYERS: &[&[&str]] = &[
    &["clock", "metrics", "selector"],
    &["access", "codec"],
    &["audit", "fleet", "ledger", "light", "mailbox", "series", "session", "twin"],
    &["router", "store"],
    &["broker"],
    &["http", "pusher", "transport"],
    &["config"],
    &["server"],
    &["bin", "cli", "lib", "main"],
];

/// Our crates, and which of ours each may name in its manifest, for whatever purpose.
pub(crate) const CRATES: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("hub", &["proto"]),
    ("firmware-client", &["proto"]),
    ("device-sim", &["firmware-client", "proto"]),
    ("tests", &["device-sim", "firmware-client", "hub", "proto"]),
];

/// Uses in one file of `hub/src` that point sideways or upwards.
pub(crate) fn module_faults(source: &Source) -> Vec<String> {
    let module = module_of(source);
    let Some(own) = layer(module) else {
        return vec![format!("{}: `{module}` is in no layer; add it to LAYERS", source.path)];
    };
    let mut faults = Vec::new();
    for (at, used) in used_modules(source) {
        if used.is_empty() {
            faults.push(source.fault_at(at, "write one `use crate::…` per module"));
        } else if used != module && layer(used).is_some_and(|used| own <= used) {
            faults.push(source.fault_at(at, &format!("`{module}` must not use `{used}`")));
        }
    }
    faults
}

/// The top-level modules that these sources make up, without the roots of the crate.
pub(crate) fn modules_of(sources: &[Source]) -> BTreeSet<String> {
    let hub = sources.iter().filter(|source| source.path.starts_with("hub/src/"));
    let modules = hub.map(module_of).filter(|name| !matches!(*name, "bin" | "lib" | "main"));
    modules.map(str::to_owned).collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

fn module_of(source: &Source) -> &str {
    let first = segments(source).next().unwrap_or_default();
    first.trim_end_matches(".rs")
}

fn segments(source: &Source) -> impl Iterator<Item = &str> {
    source.path.strip_prefix("hub/src/").unwrap_or(&source.path).split('/')
}

/// How many `super::` lead from a file to the root of its crate.
fn depth(source: &Source) -> usize {
    segments(source).filter(|name| *name != "mod.rs").count()
}

/// First path segments after the root of the crate, whether in a `use` or in an expression, and
/// whether reached by `crate::` or by climbing.
fn used_modules(source: &Source) -> Vec<(usize, &str)> {
    let code = &source.code;
    let named = code.match_indices("crate::").map(|(at, found)| (at, &code[at + found.len()..]));
    let mut used: Vec<(usize, &str)> = named.map(|(at, rest)| (at, first_word(rest))).collect();

    let climb = "super::".repeat(depth(source));
    let climbed = code.match_indices(&climb).map(|(at, _)| (at, &code[at + climb.len()..]));
    let climbed = climbed.map(|(at, rest)| (at, first_word(rest.trim_start_matches("super::"))));
    used.extend(climbed.filter(|(_, name)| layer(name).is_some()));
    used
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| c != '_' && !c.is_alphanumeric()).next().unwrap_or_default()
}

/// Dependencies in a manifest that the table doesn't allow.
pub(crate) fn crate_faults(name: &str, manifest: &str) -> Vec<String> {
    let row = CRATES.iter().find(|(own, _)| *own == name);
    let allowed = row.map_or(&[][..], |(_, allowed)| allowed);
    dependencies(manifest)
        .filter(|used| CRATES.iter().any(|(ours, _)| ours == used) && !allowed.contains(used))
        .map(|used| format!("{name}/Cargo.toml: `{name}` must not use `{used}`"))
        .collect()
}

/// Names in all tables of dependencies, in each of TOML's ways to write them.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut is_table = false;
    manifest.lines().filter_map(move |line| {
        let Some(header) = line.trim().strip_prefix('[') else {
            let key = line.split(['=', '.']).next().unwrap_or_default().trim();
            return is_table.then_some(key.trim_matches('"'));
        };
        let header = header.trim_end_matches(']');
        is_table = header.ends_with("dependencies");
        header.split_once("dependencies.").map(|(_, name)| name.trim_matches('"'))
    })
}

#[test]
fn a_use_of_a_higher_layer_is_caught() {
    check("hub/src/session/mod.rs", "use crate::broker::Broker;", 1);
    check("hub/src/session/mod.rs", "fn f() { crate::http::serve() }", 1);
    check("hub/src/clock.rs", "use super::server::Server;", 1);
    check("hub/src/router/trie.rs", "use super::super::broker;", 1);
    check("hub/src/broker/mod.rs", "use crate::session::Session;", 0);
    check("hub/src/broker/publish.rs", "use super::sequence;", 0);
}

#[test]
fn a_use_within_a_layer_is_caught_and_within_a_module_is_not() {
    check("hub/src/twin/mod.rs", "use crate::ledger::Ledger;", 1);
    check("hub/src/twin/rules.rs", "use crate::twin::Value;", 0);
}

#[test]
fn several_modules_in_one_use_are_caught() {
    check("hub/src/broker/mod.rs", "use crate::{codec, http};", 1);
}

#[test]
fn comments_and_strings_use_nothing() {
    check(
        "hub/src/codec/mod.rs",
        "//! See [`crate::broker`].\nconst A: &str = \"crate::http\";",
        0,
    );
}

#[test]
fn a_module_outside_the_table_is_caught() {
    check("hub/src/helpers.rs", "", 1);
}

#[test]
fn crates_that_must_not_meet_are_caught() {
    let ways = [
        "[dependencies]\nfirmware-client = { workspace = true }",
        "[dev-dependencies]\nfirmware-client.workspace = true",
        "[dependencies.firmware-client]\npath = \"../firmware-client\"",
        "[target.'cfg(unix)'.dependencies]\n\"firmware-client\" = \"1\"",
    ];
    for manifest in ways {
        assert_eq!(crate_faults("hub", manifest).len(), 1, "{manifest}");
        assert_eq!(crate_faults("device-sim", manifest), [""; 0], "{manifest}");
    }
    assert_eq!(crate_faults("hub", "[features]\nfirmware-client = []"), [""; 0]);
}

#[cfg(test)]
#[track_caller]
fn check(path: &str, text: &str, count: usize) {
    let faults = module_faults(&Source::new(path, text));
    assert_eq!(faults.len(), count, "{faults:?}");
}
