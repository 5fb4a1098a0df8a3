//! Links in the documents, and what the page of the architecture must name.

use std::collections::BTreeSet;

use crate::source::files_below;

/// Every document of the tree, by its path from the root.
pub(crate) fn markdown_files() -> Vec<String> {
    files_below("", "md")
}

/// Relative links of a document that lead nowhere; `exists` is asked for paths from the root.
pub(crate) fn link_faults(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut faults = Vec::new();
    for (number, target) in links(text) {
        let file = target.split('#').next().unwrap_or_default();
        let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
        let from_root = format!("{folder}/{file}");
        if !is_elsewhere && !file.is_empty() && !exists(from_root.trim_start_matches('/')) {
            faults.push(format!("{path}:{number}: `{target}` leads nowhere"));
        }
    }
    faults
}

/// Targets of links outside code blocks, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut is_code = false;
    let mut found = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        is_code ^= line.trim_start().starts_with("```");
        if is_code {
            continue;
        }
        let ends = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        found.extend(ends.map(|target| (number, target)));
    }
    found
}

/// Modules that a page doesn't name, be it alone or within a path.
pub(crate) fn unnamed_modules(page: &str, modules: &BTreeSet<String>) -> Vec<String> {
    let is_of_a_word = |c: char| c == '_' || c.is_alphanumeric();
    let named: BTreeSet<&str> = page.split(|c| !is_of_a_word(c)).collect();
    let unnamed = modules.iter().filter(|module| !named.contains(module.as_str()));
    unnamed.map(|module| format!("docs/architecture.md: doesn't name `{module}`")).collect()
}

#[test]
fn a_link_that_leads_nowhere_is_caught_with_its_line() {
    let text = "[a](b.md)\n[c](../d.md#e) [f](#g) [h](https://i)\n```\n[j](k.md)\n```\n";
    let faults = link_faults("docs/x.md", text, |target| target == "docs/b.md");
    assert_eq!(faults, ["docs/x.md:2: `../d.md#e` leads nowhere"]);
}

#[test]
fn a_link_at_the_root_is_asked_for_from_the_root() {
    assert_eq!(link_faults("README.md", "[a](docs/b.md)", |target| target == "docs/b.md"), [""; 0]);
}

#[test]
fn a_module_that_the_architecture_forgets_is_caught() {
    let modules = BTreeSet::from(["broker".to_owned(), "twin".to_owned()]);
    let faults = unnamed_modules("| `hub/src/broker/mod.rs` | twins |", &modules);
    assert_eq!(faults, ["docs/architecture.md: doesn't name `twin`"]);
}
