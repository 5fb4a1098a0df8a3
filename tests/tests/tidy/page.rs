//! How a file must look: its length, its head comment, and what must not stand in it.

use crate::source::Source;

/// Lines of the longest file. A file that reaches 400 is split by state, not by verb.
const FILE_LINES_MAX: usize = 500;

/// Words of a head comment's first paragraph, at least.
const HEAD_WORDS_MIN: usize = 4;

/// Words in comments that put something off.
const MARKERS: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];

/// Code that puts something off, or was for looking inside.
const STOPGAPS: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore"];

/// How statements begin and end; prose seldom does both.
const STATEMENT_STARTS: &[&str] =
    &["let ", "use ", "pub ", "fn ", "return ", "if ", "for ", "match ", "self.", "assert"];

/// A file over the limit.
pub(crate) fn length_faults(source: &Source) -> Option<String> {
    let lines = source.line_count();
    let what = format!("{}: {lines} lines; the limit is {FILE_LINES_MAX}", source.path);
    (lines > FILE_LINES_MAX).then_some(what)
}

/// A file that doesn't say at once, in a sentence, what it is for.
pub(crate) fn head_faults(source: &Source) -> Option<String> {
    let head = source.text.lines().map_while(|line| line.strip_prefix("//!"));
    let paragraph: Vec<&str> = head.map(str::trim).take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let is_sentence = paragraph.split_whitespace().count() >= HEAD_WORDS_MIN
        && (paragraph.ends_with(['.', ':', '?']) || paragraph.contains(". "));
    (!is_sentence).then(|| format!("{}:1: must open with a `//!` sentence", source.path))
}

/// Markers in comments and stopgaps in code.
pub(crate) fn marker_faults(source: &Source) -> Vec<String> {
    let markers = MARKERS.iter().flat_map(|marker| words(&source.comments, marker));
    let stopgaps = STOPGAPS.iter().flat_map(|stopgap| source.code.match_indices(stopgap));
    let found = markers.chain(stopgaps.filter(|(at, _)| !follows_a_word(&source.code, *at)));
    found.map(|(at, what)| source.fault_at(at, &format!("`{what}`: do it, or drop it"))).collect()
}

fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    text.match_indices(word).filter(move |(at, _)| {
        let after = text[at + word.len()..].chars().next();
        !follows_a_word(text, *at) && !after.is_some_and(char::is_alphanumeric)
    })
}

fn follows_a_word(text: &str, at: usize) -> bool {
    text[..at].chars().next_back().is_some_and(|c| c == '_' || c.is_alphanumeric())
}

/// Plain comments that look like statements; documentation may show code.
pub(crate) fn dead_code_faults(source: &Source) -> Vec<String> {
    let lines = source.comments.lines().zip(1..);
    let plain = lines.filter_map(|(line, number)| Some((plain_comment(line)?, number)));
    plain
        .filter(|(comment, _)| is_statement(comment))
        .map(|(_, number)| format!("{}:{number}: code that is commented out", source.path))
        .collect()
}

fn plain_comment(line: &str) -> Option<&str> {
    let comment = line.trim().strip_prefix("//")?;
    (!comment.starts_with(['/', '!'])).then(|| comment.trim())
}

fn is_statement(comment: &str) -> bool {
    let is_closed = comment.ends_with(';') || comment.ends_with('{');
    let is_opened = STATEMENT_STARTS.iter().any(|start| comment.starts_with(start));
    is_closed && (is_opened || comment.ends_with(");")) || comment == "}" || comment == "});"
}

/// Places outside clock modules and tests that lift the ban on clocks, sleeping and unbounded queues.
pub(crate) fn clock_faults(source: &Source) -> Vec<String> {
    if source.path.ends_with("/clock.rs") || source.is_test() {
        return Vec::new();
    }
    let tests_start = source.code.find("#[cfg(test)]\nmod ").unwrap_or(source.code.len());
    let lifted = source.code[..tests_start].match_indices("clippy::disallowed_methods");
    lifted.map(|(at, _)| source.fault_at(at, "only a module `clock` may read a clock")).collect()
}

/// Lines of each function with a body, from `fn` to its closing brace.
pub(crate) fn function_lengths(source: &Source) -> Vec<usize> {
    let code = &source.code;
    let starts = code.match_indices("fn ").filter(|(at, _)| !follows_a_word(code, *at));
    starts
        .filter_map(|(at, _)| function_text(&code[at..]))
        .map(|text| text.lines().count())
        .collect()
}

/// A function up to its closing brace; none for a declaration without a body, or a pointer's type.
fn function_text(code: &str) -> Option<&str> {
    let open = code.find(['{', ';'])?;
    let mut depth = 0_i32;
    for (at, character) in code[open..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (character == '}').then(|| &code[..=open + at]);
        }
    }
    None
}

#[test]
fn a_file_over_the_limit_is_caught() {
    let text = "a\n".repeat(FILE_LINES_MAX);
    assert_eq!(length_faults(&Source::new("a.rs", &text)), None);
    assert!(length_faults(&Source::new("a.rs", &(text + "a\n"))).is_some());
}

#[test]
fn a_file_without_a_sentence_at_its_head_is_caught() {
    let whole =
        ["//! Finds who wants a message.\n", "//! The device's side\n//! of the wire.\n//!\n"];
    let broken = [
        "use std::fs;\n",
        "//! Helpers.\n",
        "//! Finds who wants the message\n",
        "// Finds who wants it.\n",
    ];
    for text in whole {
        assert_eq!(head_faults(&Source::new("a.rs", text)), None, "{text}");
    }
    for text in broken {
        assert!(head_faults(&Source::new("a.rs", text)).is_some(), "{text}");
    }
}

#[test]
fn what_is_put_off_is_caught_with_its_line() {
    let put_off = ["// TODO later", "/// FIXME: no", "fn f() { todo!() }", "#[ignore]", "dbg!(a);"];
    for text in put_off {
        let faults = marker_faults(&Source::new("a.rs", &format!("//! Head.\n{text}\n")));
        assert!(faults.len() == 1 && faults[0].starts_with("a.rs:2: "), "{text}: {faults:?}");
    }
    for text in
        ["const A: &str = \"TODO\";", "// a HACKSAW", "my_dbg!(a);", "const TODO_MAX: u8 = 1;"]
    {
        assert_eq!(marker_faults(&Source::new("a.rs", text)), [""; 0], "{text}");
    }
}

#[test]
fn commented_out_code_is_caught_and_prose_is_not() {
    for text in ["// let a = 1;", "    // if a {", "// }", "// self.run(a);", "// call(a);"] {
        assert_eq!(dead_code_faults(&Source::new("a.rs", text)).len(), 1, "{text}");
    }
    for text in
        ["// For this; see below.", "/// let a = 1;", "// The lock comes first;", "a(); // why"]
    {
        assert_eq!(dead_code_faults(&Source::new("a.rs", text)), [""; 0], "{text}");
    }
}

#[test]
fn reading_a_clock_outside_its_module_is_caught() {
    let lifted = "#[expect(\n    clippy::disallowed_methods,\n    reason = \"r\"\n)]\nfn f() {}\n";
    let tested = format!("fn g() {{}}\n#[cfg(test)]\nmod tests {{\n{lifted}}}\n");
    assert_eq!(clock_faults(&Source::new("hub/src/broker/mod.rs", lifted)).len(), 1);
    assert_eq!(clock_faults(&Source::new("hub/src/broker/mod.rs", &tested)), [""; 0]);
    assert_eq!(clock_faults(&Source::new("hub/src/clock.rs", lifted)), [""; 0]);
    assert_eq!(clock_faults(&Source::new("tests/src/lib.rs", lifted)), [""; 0]);
}

#[test]
fn functions_are_measured_by_their_braces() {
    let text = "fn a() {}\ntrait T {\n    fn b();\n}\nfn c() {\n    if x {\n    }\n}\n";
    assert_eq!(function_lengths(&Source::new("a.rs", text)), [1, 4]);
}
