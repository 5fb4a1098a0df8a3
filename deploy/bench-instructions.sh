#!/usr/bin/env bash
# Counts the instructions of the hub's parts under callgrind, and writes them to hub/benches/instructions.txt.
# Counts don't depend on what else the machine does, so a regression shows as a diff of that file. They do
# depend on compiler and processor: compare with counts of the same machine, or look at the jumps only.
#
# Needs valgrind. BENCH is the program of the parts; `make bench-instructions` sets it. About two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

OUT=hub/benches/instructions.txt
# Enough that what happens once in many rounds has its share.
ROUNDS=2000
# What callgrind counts inside of.
COUNTED='*instructions::counted*'

fail() {
    echo "bench-instructions: $1" >&2
    exit 1
}

command -v valgrind >/dev/null || fail "valgrind is missing; Debian has it as a package of that name"
[[ -x ${BENCH:-} ]] || fail "no program of the parts; run: make bench-instructions"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Instructions of all rounds of a part.
count() {
    local profile=$work/profile
    valgrind --tool=callgrind --callgrind-out-file="$profile" --toggle-collect="$COUNTED" \
        "$BENCH" --instructions="$1,$ROUNDS" >"$work/log" 2>&1 || {
        tail -n 5 "$work/log" >&2
        fail "part $1 could not be run"
    }
    sed -n 's/^summary: \([0-9]*\).*/\1/p' "$profile"
}

# Tables are hashed with other seeds each time, so the last digits move; three of them are kept.
shown() {
    awk -v all="$1" -v operations="$2" 'BEGIN {
        each = all / operations
        step = 1
        while (each / step >= 1000) step *= 10
        printf "%d\n", int(each / step + 0.5) * step
    }'
}

{
    echo "# Instructions an operation, three digits; written by deploy/bench-instructions.sh."
    "$BENCH" --instructions | while IFS=$'\t' read -r number operations name; do
        all=$(count "$number")
        ((all > 0)) || fail "nothing was counted in $name"
        printf '%-45s %8s\n' "$name" "$(shown "$all" $((ROUNDS * operations)))"
    done
} >"$work/table"
mv "$work/table" "$OUT"
cat "$OUT"
