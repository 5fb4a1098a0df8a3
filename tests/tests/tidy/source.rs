//! The Rust files of the tree, each split into code and comments.
//!
//! Rules look for words, and a word means one thing in code, another in a comment, and nothing in a
//! string. So a small lexer makes two copies of each file, in which everything else is blank; lines
//! and columns stay where they were.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// One file: its path from the root, with `/`, and its text in three views.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    /// Without comments and without what stands in strings.
    pub(crate) code: String,
    /// Without anything but comments.
    pub(crate) comments: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        Self { path: path.to_owned(), text: text.to_owned(), code, comments }
    }

    pub(crate) fn line_count(&self) -> usize {
        self.text.lines().count()
    }

    pub(crate) fn comment_line_count(&self) -> usize {
        self.comments.lines().filter(|line| !line.trim().is_empty()).count()
    }

    /// A fault at a byte of the text.
    pub(crate) fn fault_at(&self, byte: usize, what: &str) -> String {
        let line = self.text[..byte].matches('\n').count() + 1;
        format!("{}:{line}: {what}", self.path)
    }

    /// Whether all of it is compiled for tests only.
    pub(crate) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || name == "tests.rs"
            || name.ends_with("_tests.rs")
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Folders that tools make, and that hold no source of ours.
pub(crate) fn is_of_the_machine(name: &str) -> bool {
    name.starts_with('.') || matches!(name, "target" | "node_modules" | "corpus" | "artifacts")
}

/// All Rust files of the tree, by path; read once for all tests.
pub(crate) fn rust_sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let read = |path: String| {
            let text = fs::read_to_string(root().join(&path)).expect("source files are readable");
            Source::new(&path, &text)
        };
        files_below("", "rs").into_iter().map(read).collect()
    });
    &SOURCES
}

/// Paths of all files with this extension below a folder, sorted.
pub(crate) fn files_below(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let entries = fs::read_dir(root().join(folder)).expect("source folders are readable");
    for entry in entries.map(|entry| entry.expect("entries are readable")) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if !entry.path().is_dir() {
            found.extend(path.ends_with(&format!(".{extension}")).then_some(path));
        } else if !is_of_the_machine(&name) {
            found.extend(files_below(&path, extension));
        }
    }
    found.sort();
    found
}

pub(crate) fn median(lengths: &[usize]) -> usize {
    at_share(lengths, 50)
}

pub(crate) fn ninth_decile(lengths: &[usize]) -> usize {
    at_share(lengths, 90)
}

fn at_share(lengths: &[usize], percent: usize) -> usize {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or(0)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Text,
}

/// The code and the comments of a text, each as long as the text.
fn split(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::new(), String::new());
    let mut rest = text;
    while !rest.is_empty() {
        let (kind, length) = next_piece(rest, code.as_bytes().last().copied());
        let (piece, after) = rest.split_at(length);
        push(&mut code, piece, kind == Kind::Code);
        push(&mut comments, piece, kind == Kind::Comment);
        rest = after;
    }
    (code, comments)
}

fn push(view: &mut String, piece: &str, is_shown: bool) {
    if is_shown {
        return view.push_str(piece);
    }
    // A byte for a byte, so that positions in a view are positions in the text.
    view.extend(piece.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
}

/// What a text begins with, and how many bytes that is; never 0.
fn next_piece(rest: &str, before: Option<u8>) -> (Kind, usize) {
    if rest.starts_with("//") {
        return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Kind::Comment, block_comment_length(rest));
    }
    let follows_a_word = before.is_some_and(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
    if !follows_a_word && let Some(length) = raw_string_length(rest) {
        return (Kind::Text, length);
    }
    if rest.starts_with('"') {
        return (Kind::Text, quoted_length(rest, '"'));
    }
    if is_character_literal(rest) {
        return (Kind::Text, quoted_length(rest, '\''));
    }
    (Kind::Code, rest.chars().next().map_or(1, char::len_utf8))
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0;
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match &bytes[at..bytes.len().min(at + 2)] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of `r"…"`, `br##"…"##` and the like, if the text begins with one.
fn raw_string_length(rest: &str) -> Option<usize> {
    let marked = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let opened = marked.trim_start_matches('#');
    let fence = format!("\"{}", "#".repeat(marked.len() - opened.len()));
    let content = opened.strip_prefix('"')?;
    let end = content.find(&fence).map_or(content.len(), |end| end + fence.len());
    Some(rest.len() - content.len() + end)
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_character_literal(rest: &str) -> bool {
    let mut characters = rest.chars();
    characters.next() == Some('\'')
        && match characters.next() {
            Some('\\') => true,
            Some(_) => characters.next() == Some('\''),
            None => false,
        }
}

#[test]
fn code_comments_and_strings_are_told_apart() {
    let text =
        "let a = \"// no\"; // yes \"é\"\nlet b = r#\"x\"y\"#; /* a /* b */ c */ f('\\'', 'x')";
    let source = Source::new("a.rs", text);

    let code: Vec<&str> = source.code.split_whitespace().collect();
    assert_eq!(code.join(" "), "let a = ; let b = ; f( , )");
    let comments: Vec<&str> = source.comments.split_whitespace().collect();
    assert_eq!(comments.join(" "), "// yes \"é\" /* a /* b */ c */");
    assert_eq!(source.code.len(), text.len());
}

#[test]
fn a_lifetime_is_no_literal() {
    let source = Source::new("a.rs", "fn f<'a>(x: &'a str) -> &'static str { x }");
    assert_eq!(source.code, source.text);
}

#[test]
fn a_share_of_lengths_is_the_length_at_that_place() {
    let lengths: Vec<usize> = (1..=100).rev().collect();
    assert_eq!((median(&lengths), ninth_decile(&lengths)), (51, 91));
    assert_eq!(median(&[]), 0);
}
