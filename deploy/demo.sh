#!/usr/bin/env bash
# A city in one terminal: a hub with its data in .demo, and a town of simulated lamps that speak to it over
# wss as real ones would. Shows their telemetry until Ctrl-C; ends only what it started.
#
# BIN is the folder of the programs hub and device-sim; `make demo` sets it.
set -euo pipefail
# The hub refuses a data folder with files that others can read, and its log is one of them.
umask 077
cd "$(dirname "$0")/.."

BIN=${BIN:-target/release}
DATA=.demo
LAMPS=330
# The town's time: a night takes half an hour, and begins before dusk.
SPEED=30
BROKEN=3
# Somebody forgot it dark.
FORGOTTEN=lamp-0024
PORT_WISHED=8443
READY_SECONDS_MAX=30
# A little more than the hub's own hard stop.
STOP_SECONDS_MAX=100

hub=$PWD/$BIN/hub
[[ $BIN == /* ]] && hub=$BIN/hub
sim=${hub%/hub}/device-sim
children=()

fail() {
    echo "demo: $1" >&2
    exit 1
}

# Starts a program in a process group of its own, so that Ctrl-C reaches this script alone and the
# order of stopping is ours.
start() {
    set -m
    "$@" &
    set +m
    children+=($!)
}

# Ends the children, the last one first: the lamps leave before their hub does.
# shellcheck disable=SC2329 # the trap calls it
stop() {
    trap - EXIT
    trap 'kill -KILL "${children[@]}" 2>/dev/null' INT TERM
    echo
    echo "stopping; press Ctrl-C again to kill"
    for ((i = ${#children[@]} - 1; i >= 0; i--)); do
        end "${children[i]}"
    done
    echo "stopped; the data stays in $DATA"
}

# shellcheck disable=SC2329 # called by stop
end() {
    local pid=$1 deadline=$((SECONDS + STOP_SECONDS_MAX))
    kill -TERM "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do
        ((SECONDS < deadline)) || kill -KILL "$pid" 2>/dev/null || true
        sleep 0.1
    done
    wait "$pid" 2>/dev/null || true
}

show_log_and_fail() {
    tail -n 20 "$1" >&2
    fail "$2; the whole log is $1"
}

is_taken() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# The address of the hub, once it has said that it is ready.
wait_until_ready() {
    local log=$1 pid=$2 deadline=$((SECONDS + READY_SECONDS_MAX)) url
    while true; do
        url=$(sed -n 's/^ready \(wss:[^ ]*\).*/\1/p' "$log" | head -n 1)
        if [[ -n $url ]]; then
            echo "$url"
            return
        fi
        kill -0 "$pid" 2>/dev/null || show_log_and_fail "$log" "the hub ended before it was ready"
        ((SECONDS < deadline)) || show_log_and_fail "$log" "the hub isn't ready after $READY_SECONDS_MAX s"
        sleep 0.1
    done
}

[[ -x $hub && -x $sim ]] || fail "no programs in $BIN; run: make demo"
mkdir -p "$DATA"
trap stop EXIT
trap 'exit 0' INT TERM

port=$PORT_WISHED
if is_taken "$port"; then
    port=0
fi
start "$hub" serve --dev --data-dir "$DATA" --listen "127.0.0.1:$port" >"$DATA/hub.log" 2>&1
hub_pid=${children[0]}
LAMPLIGHTER_HUB=$(wait_until_ready "$DATA/hub.log" "$hub_pid")
LAMPLIGHTER_CA_FILE=$PWD/$DATA/dev/ca.pem
LAMPLIGHTER_TOKEN_FILE=$PWD/$DATA/dev/operator.token
export LAMPLIGHTER_HUB LAMPLIGHTER_CA_FILE LAMPLIGHTER_TOKEN_FILE

start "$sim" run --devices "$LAMPS" --scenario steady --town Northbridge --speed "$SPEED" --broken "$BROKEN" --hub "$LAMPLIGHTER_HUB" \
    --ca-file "$LAMPLIGHTER_CA_FILE" --token-file "$LAMPLIGHTER_TOKEN_FILE" \
    >"$DATA/device-sim.log" 2>&1
sim_pid=${children[1]}

# Waits at the hub until the lamp has dialled in.
"$hub" send "$FORGOTTEN" dim 0 --for 12h >/dev/null || true

cat <<END
A hub is ready at $LAMPLIGHTER_HUB, and $LAMPS lamps are on their way to it.
Logs: $DATA/hub.log, $DATA/device-sim.log

  Open   ${LAMPLIGHTER_HUB/#wss/https}/
  token  $(<"$LAMPLIGHTER_TOKEN_FILE")

The browser doesn't know the demo's certificate; let it in, or import $DATA/dev/ca.pem.

Or try this in another terminal:

  export LAMPLIGHTER_HUB=$LAMPLIGHTER_HUB
  export LAMPLIGHTER_CA_FILE=$LAMPLIGHTER_CA_FILE
  export LAMPLIGHTER_TOKEN_FILE=$LAMPLIGHTER_TOKEN_FILE
  export PATH=${hub%/hub}:\$PATH

  hub devices
  hub state lamp-0001
  hub send lamp-0001 dim 40 --wait
  hub watch 'devices.lamp-0001.telemetry' --json

What the lamps report, until Ctrl-C:

END

start "$hub" watch 'devices.*.telemetry'
watch_pid=${children[2]}

# Whichever ends first ends the demo.
wait -n "$hub_pid" "$sim_pid" "$watch_pid" || true
kill -0 "$hub_pid" 2>/dev/null || show_log_and_fail "$DATA/hub.log" "the hub ended"
kill -0 "$sim_pid" 2>/dev/null || show_log_and_fail "$DATA/device-sim.log" "the lamps ended"
fail "the watch ended"
