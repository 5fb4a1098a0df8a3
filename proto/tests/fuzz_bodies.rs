//! The fuzz targets' bodies over their corpora and many mutations of them, with a stable compiler.

#![cfg(feature = "json")]

mod support;

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::path::Path;

use support::Random;

/// Mutants of each file of a corpus.
const MUTANTS: u64 = 1_500;

#[test]
fn binary_envelopes_keep_their_promises() {
    run("envelope_binary", bodies::envelope_binary);
}

#[test]
fn text_envelopes_keep_their_promises() {
    run("envelope_text", bodies::envelope_text);
}

#[test]
fn patterns_keep_their_promises() {
    run("channel_pattern", bodies::channel_pattern);
}

#[test]
fn payloads_keep_their_promises() {
    run("payload_json", bodies::payload_json);
}

fn run(target: &str, body: fn(&[u8])) {
    let corpus = read_corpus(target);
    assert!(corpus.len() >= 5, "the corpus of {target} is missing");
    for (name, seed) in &corpus {
        body(seed);
        for mutant in 0..MUTANTS {
            let mut random = Random(mutant);
            let (_, other) = &corpus[random.below(corpus.len())];
            let data = mutate(&mut random, seed, other);
            let outcome = std::panic::catch_unwind(|| body(&data));
            assert!(outcome.is_ok(), "{target}: {name}, mutant {mutant}: {data:02x?}");
        }
    }
}

fn read_corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut corpus: Vec<(String, Vec<u8>)> = std::fs::read_dir(&folder)
        .expect("the corpus is in the repository")
        .map(|entry| entry.expect("readable"))
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).expect("readable"))
        })
        .collect();
    corpus.sort();
    corpus
}

/// One to four small changes.
fn mutate(random: &mut Random, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        match random.below(6) {
            0 => data.truncate(at),
            1 => data.insert(at, random.next() as u8),
            2 => {
                let from = random.below(other.len() + 1);
                data.splice(at..at, other[from..].iter().take(16).copied());
            }
            3 => {
                let end = (at + random.below(8)).min(data.len());
                data.drain(at..end);
            }
            _ => {
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    data
}
