//! Checks properties of the source tree that the compiler does not see: the layers of the hub, what
//! the crates know of each other, lengths, head comments, stray markers, and links in the documents.
//!
//! Each rule is a function from a [`Source`] or a text to faults, so that it can be shown to catch
//! what it is for; this file runs the rules over the tree and fails with file and line.
//!
//! Read in this order: [`source`], [`layers`], [`page`], [`documents`].

mod source;

mod layers;

mod page;

mod documents;

use std::fs;
use std::path::Path;

use source::{Source, median, ninth_decile, root, rust_sources};

/// Folders at the top; those of the machine (hidden ones, `target`) don't count.
const FOLDERS: &[&str] =
    &["deploy", "device-sim", "docs", "firmware-client", "hub", "proto", "tests"];

/// Documents that a newcomer is promised.
const DOCUMENTS: &[&str] = &[
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "docs/architecture.md",
    "docs/decisions/README.md",
    "docs/glossary.md",
    "docs/protocol.md",
];

#[test]
fn modules_of_the_hub_depend_downwards() {
    let sources = rust_sources();
    let hub = sources.iter().filter(|source| source.path.starts_with("hub/src/"));
    assert_clean(hub.flat_map(layers::module_faults));
}

#[test]
fn crates_know_only_those_below_them() {
    let faults = layers::CRATES
        .iter()
        .flat_map(|(name, _)| layers::crate_faults(name, &read(format!("{name}/Cargo.toml"))));
    assert_clean(faults);
}

#[test]
fn no_file_is_longer_than_the_limit() {
    assert_clean(rust_sources().iter().flat_map(page::length_faults));
}

#[test]
fn every_file_opens_with_a_sentence() {
    assert_clean(rust_sources().iter().flat_map(page::head_faults));
}

#[test]
fn nothing_is_left_for_later() {
    assert_clean(rust_sources().iter().flat_map(page::marker_faults));
}

#[test]
fn no_code_is_commented_out() {
    assert_clean(rust_sources().iter().flat_map(page::dead_code_faults));
}

#[test]
fn only_clock_modules_and_tests_may_lift_the_ban_on_clocks() {
    assert_clean(rust_sources().iter().flat_map(page::clock_faults));
}

#[test]
fn top_level_folders_are_those_that_were_agreed() {
    let faults = fs::read_dir(root())
        .expect("the root is readable")
        .map(|entry| entry.expect("entries are readable"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !source::is_of_the_machine(name) && !FOLDERS.contains(&name.as_str()))
        .map(|name| format!("{name}/: no such folder was agreed at the top"));
    assert_clean(faults);
}

#[test]
fn promised_documents_exist() {
    let missing = DOCUMENTS.iter().filter(|name| !root().join(name).is_file());
    assert_clean(missing.map(|name| format!("{name}: is missing")));
}

#[test]
fn links_in_documents_resolve() {
    let faults = documents::markdown_files().into_iter().flat_map(|path| {
        let text = read(&path);
        documents::link_faults(&path, &text, |target| root().join(target).exists())
    });
    assert_clean(faults);
}

#[test]
fn the_index_of_decisions_is_complete() {
    let index = read("docs/decisions/README.md");
    let unlisted = documents::markdown_files()
        .into_iter()
        .filter_map(|path| path.strip_prefix("docs/decisions/").map(str::to_owned))
        .filter(|name| name != "README.md" && !index.contains(&format!("({name})")));
    assert_clean(unlisted.map(|name| format!("docs/decisions/README.md: `{name}` isn't listed")));
}

#[test]
fn the_architecture_names_every_module_of_the_hub() {
    let page = read("docs/architecture.md");
    assert_clean(documents::unnamed_modules(&page, &layers::modules_of(rust_sources())));
}

/// Not a rule: shows where the tree stands against its targets, with `--nocapture`.
#[test]
fn lengths_stand_beside_their_targets() {
    let sources = rust_sources();
    let files: Vec<usize> = sources.iter().map(Source::line_count).collect();
    let functions: Vec<usize> = sources.iter().flat_map(page::function_lengths).collect();
    let comments: usize = sources.iter().map(Source::comment_line_count).sum();
    let lines: usize = files.iter().sum();

    println!("files      {} of {lines} lines", files.len());
    println!(
        "           median {} (180), ninth decile {} (350)",
        median(&files),
        ninth_decile(&files)
    );
    println!("functions  {}", functions.len());
    println!(
        "           median {} (8), ninth decile {} (30)",
        median(&functions),
        ninth_decile(&functions)
    );
    println!("comments   {} % of lines (15 to 20)", comments * 100 / lines);
    assert!(files.len() > 20 && functions.len() > 100, "the walk found the sources");
}

#[track_caller]
fn assert_clean(faults: impl IntoIterator<Item = String>) {
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// A file of the tree, by its path from the root; a missing one reads as empty, since
/// [`promised_documents_exist`] tells of it by name.
fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}
