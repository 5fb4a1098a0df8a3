#!/bin/sh
# Builds the check without std, runs it, and prints what the core costs: code by section, RAM by test.
set -eu
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --quiet --release
"$target/release/no-std-check"
echo "code and constants of the whole program, C runtime included (bytes):"
size -A "$target/release/no-std-check" | grep -E '^\.(text|rodata|data|bss) '
echo "the largest functions:"
nm --print-size --size-sort --radix=d "$target/release/no-std-check" | tail -5 | awk '{print $2, $4}'
