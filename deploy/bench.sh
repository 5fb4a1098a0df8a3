#!/usr/bin/env bash
# The whole hub, measured from outside: a fresh hub process for each scenario, device-sim as the load,
# and at the end one table with every figure beside its mark. Marks are what the hub has to reach on a
# machine with two cores; absolute figures move with the machine, and with whatever else it does.
#
# The hub gets one core and the load the others, as when the marks were measured. Everything stays on
# loopback and in a temporary folder; ends only what it started. Missed marks are no failure, figures
# that could not be measured are: exit code 1.
#
# BIN is the folder of the programs hub and device-sim; `make bench` sets it. A copy of the table goes
# to bench.json beside that folder, with all rows of device-sim as they came.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

BIN=${BIN:-target/release}
JSON=$(dirname "$BIN")/bench.json
# In all, so that nobody waits for ever; today's scenarios take about four minutes.
SECONDS_MAX=480
SCENARIO_SECONDS_MAX=200
READY_SECONDS_MAX=60
STOP_SECONDS_MAX=15
CONNECTIONS_FROM=1000
CONNECTIONS_WISHED=15000
# What hub and load each need beside their connections.
DESCRIPTORS_RESERVED=1000
VALUES=100000

# All load comes from one address and as fast as it can, which no real fleet does.
HUB_SETTINGS=(
    --set devices.session_every=1ms
    --set limits.accept_per_s=100000
    --set limits.handshakes=1024
    --set limits.address_per_s=100000
    --set limits.address_connections=100000
    --set drain.grace=100ms
    --set drain.spread=1s
    # The line that says what a restart found.
    --set "log.filter=warn,hub::server=info"
)

hub=$BIN/hub
sim=$BIN/device-sim
work=
hub_pid=
hub_on=()
sim_on=()

fail() {
    echo "bench: $1" >&2
    exit 1
}

note() {
    echo "$1" >&2
}

# Numbers of the cores that this process may use, one a line.
cores() {
    sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status | tr ',' '\n' |
        awk -F- '{ for (core = $1; core <= (NF > 1 ? $2 : $1); core++) print core }'
}

# One core for the hub, the others for the load; where there is only one, both share it.
divide_cores() {
    local all
    mapfile -t all < <(cores)
    if ((${#all[@]} > 1)) && command -v taskset >/dev/null; then
        hub_on=(taskset --cpu-list "${all[0]}")
        sim_on=(taskset --cpu-list "$(IFS=, && echo "${all[*]:1}")")
    else
        note "the hub and its load share their cores: figures will be worse than they are"
    fi
}

# Milliseconds; only differences mean anything.
now_ms() {
    echo $((${EPOCHREALTIME/./} / 1000))
}

# Starts a hub on this data folder, and waits until it listens.
start_hub() {
    local data=$1 deadline=$((SECONDS + READY_SECONDS_MAX))
    : >"$work/hub.out"
    "${hub_on[@]}" "$hub" serve --dev --data-dir "$data" \
        --listen 127.0.0.1:0 --listen-plain 127.0.0.1:0 "${HUB_SETTINGS[@]}" \
        >"$work/hub.out" 2>"$work/hub.log" &
    hub_pid=$!
    # Or the shell would announce its end by `kill -9`, which is part of the plan.
    disown "$hub_pid"
    until [[ -n $(address_of ws) ]]; do
        if ! kill -0 "$hub_pid" 2>/dev/null || ((SECONDS > deadline)); then
            tail -n 20 "$work/hub.log" >&2
            fail "the hub did not become ready"
        fi
        sleep 0.02
    done
}

# Where the hub listens with this scheme.
address_of() {
    sed -n "s/^ready \($1:[^ ]*\).*/\1/p" "$work/hub.out"
}

# Ends the hub with this signal; waits for it, and kills it if it hangs.
stop_hub() {
    local signal=$1 deadline=$((SECONDS + STOP_SECONDS_MAX))
    [[ -n $hub_pid ]] || return 0
    kill "-$signal" "$hub_pid" 2>/dev/null || true
    while kill -0 "$hub_pid" 2>/dev/null; do
        ((SECONDS < deadline)) || kill -KILL "$hub_pid" 2>/dev/null || true
        sleep 0.05
    done
    hub_pid=
}

# shellcheck disable=SC2329 # the trap calls it
clean_up() {
    trap - EXIT INT TERM
    stop_hub KILL
    rm -rf "$work"
}

# Lets device-sim measure the running hub; its rows go to a file named after the scenario.
measure() {
    local name=$1 scheme=$2 data=$3 left
    shift 3
    left=$((SECONDS_MAX - SECONDS))
    ((left < SCENARIO_SECONDS_MAX)) || left=$SCENARIO_SECONDS_MAX
    if ((left <= 0)) || ! timeout --foreground "$left" \
        "${sim_on[@]}" "$sim" bench --json --hub-pid "$hub_pid" \
        --hub "$(address_of "$scheme")" --ca-file "$data/dev/ca.pem" \
        --token-file "$data/dev/operator.token" "$@" >"$work/$name.rows"; then
        note "  $name could not be measured; the hub's last words:"
        tail -n 5 "$work/hub.log" >&2
        return 1
    fi
}

# A scenario with a hub of its own.
scenario() {
    local name=$1 scheme=$2 began=$SECONDS
    shift 2
    note "$name …"
    start_hub "$work/$name"
    measure "$name" "$scheme" "$work/$name" "$@" || true
    stop_hub TERM
    rm -rf "${work:?}/$name"
    note "  $((SECONDS - began)) s"
}

# Writes a row as device-sim does: name of the bench, of the figure, its value, its unit.
add_figure() {
    printf '{"bench":"%s","figures":[{"name":"%s","value":%s,"unit":"%s"}]}\n' "$@"
}

# Fills a hub with last values, and times how long it takes to listen again: after a crash, and after a
# clean stop.
restarts() {
    local data=$work/restart began=$SECONDS start signal
    note "restart …"
    start_hub "$data"
    measure restart ws "$data" restart --values "$VALUES" || return 0
    for signal in KILL TERM; do
        stop_hub "$signal"
        start=$(now_ms)
        start_hub "$data"
        add_figure "restart after $signal" time \
            "$(awk -v ms=$(($(now_ms) - start)) 'BEGIN { print ms / 1000 }')" s
        add_figure "values after $signal" restored \
            "$(sed -n 's/.*state restored.* values: \([0-9]*\).*/\1/p' "$work/hub.log")" ""
    done >>"$work/restart.rows"
    stop_hub TERM
    note "  $((SECONDS - began)) s"
}

# The value of a figure in a scenario's rows; nothing if it was not measured.
value_of() {
    local name=$1 bench=$2 figure=$3
    [[ -f $work/$name.rows ]] || return 0
    sed -n "/\"bench\":\"$bench/ {
        s/.*\"name\":\"$figure\",\"value\":\([-0-9.e+]*\).*/\1/p
        q
    }" "$work/$name.rows"
}

# A row of the table: where the figure is found, what it is called, and its mark as `<=`, `>=` or `-`
# and a number.
row() {
    local name=$1 bench=$2 figure=$3 title=$4 label=$5 unit=$6 relation=$7 mark=${8:-} value
    value=$(value_of "$name" "$bench" "$figure")
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$title" "$label" "${value:-?}" "$unit" "$relation" "$mark"
}

rows() {
    local idle="idle, $CONNECTIONS_FROM to $connections"
    row idle-ws idle 'memory a connection' "$idle ws" 'memory a connection (stretch 4)' KiB '<=' 6
    row idle-ws idle 'lost connections' "$idle ws" 'lost connections' '' '<=' 0
    row idle-wss idle 'memory a connection' "$idle wss" 'memory a connection (stretch 8)' KiB '<=' 16
    row idle-wss idle 'lost connections' "$idle wss" 'lost connections' '' '<=' 0
    row idle-wss idle 'cpu while idle' "$idle wss" 'cpu time' '% of a core' -
    local one='fan-out 1 to 1000 in bursts of 1"' many='fan-out 1 to 1000 in bursts of 32'
    row fan-out "$one" 'cpu a delivery' 'fan-out 1 to 1000' 'cpu a delivery, one at a time' us '<=' 10
    row fan-out "$one" missing 'fan-out 1 to 1000' 'not delivered' '' '<=' 0
    row fan-out "$many" 'cpu a delivery' 'fan-out 1 to 1000' 'cpu a delivery, bursts of 32 [1]' us '<=' 0.71
    row fan-out "$many" missing 'fan-out 1 to 1000' 'not delivered' '' '<=' 0
    row fan-in fan-in 'durable acks' 'fan-in 2000 to 1' 'durable acks' /s '>=' 5000
    row fan-in fan-in p50 'fan-in 2000 to 1' 'ack p50' ms -
    row fan-in fan-in p99 'fan-in 2000 to 1' 'ack p99' ms '<=' 50
    row fan-in fan-in 'cpu a report' 'fan-in 2000 to 1' 'cpu a report [2]' us '<=' 40
    row fan-in fan-in unacknowledged 'fan-in 2000 to 1' 'never acknowledged' '' '<=' 0
    row fan-in fan-in 'not read' 'fan-in 2000 to 1' 'not read' '' '<=' 0
    row commands commands 'accepted p50' 'commands at 1000/s' 'accepted p50' ms -
    row commands commands 'round trip p50' 'commands at 1000/s' 'round trip p50 [2]' ms '<=' 0.07
    row commands commands 'round trip p99' 'commands at 1000/s' 'round trip p99 [2]' ms '<=' 0.5
    row commands commands 'cpu a command' 'commands at 1000/s' 'cpu a command [2]' us '<=' 50
    row commands commands 'without success' 'commands at 1000/s' 'without success' '' '<=' 0
    row connects-ws connects 'cpu a connection' 'connects ws' 'cpu a connection' us '<=' 110
    row connects-ws connects rate 'connects ws' rate /s -
    row connects-wss connects 'cpu a connection' 'connects wss' 'cpu a connection' us '<=' 450
    row connects-wss connects rate 'connects wss' rate /s -
    row restart 'restart after KILL' time "restart, $VALUES values" 'ready after kill -9' s '<=' 5
    row restart 'values after KILL' restored "restart, $VALUES values" 'values after kill -9' '' '>=' "$VALUES"
    row restart 'restart after TERM' time "restart, $VALUES values" 'ready after a clean stop' s '<=' 5
}

NOTES='[1] 1,400,000 deliveries a second from one core.
[2] The mark is that of brokers that keep nothing. Here a report is on disk before its ack, and a
    command twice: before its acceptance and before its end is told.'

# Verdicts come from the full values, not from what is shown of them.
# shellcheck disable=SC2016 # awk reads the dollars
VERDICT='function verdict() {
    if ($3 == "?") return "not measured"
    if ($5 == "-") return ""
    return ($5 == "<=" ? $3 + 0 <= $6 + 0 : $3 + 0 >= $6 + 0) ? "met" : "MISSED"
}'

print_table() {
    awk -F '\t' "$VERDICT"'
        function shown(value) {
            if (value == "?") return value
            return sprintf(value == int(value) || value >= 1000 ? "%.0f" : "%.2f", value)
        }
        BEGIN {
            form = "%-26s  %-33s %9s %-12s %-9s %s\n"
            printf form, "scenario", "figure", "measured", "unit", "mark", ""
            printf form, "--------", "------", "--------", "----", "----", ""
        }
        {
            mark = $5 == "-" ? "" : $5 " " $6
            printf form, $1 == last ? "" : $1, $2, shown($3), $4, mark, verdict()
            last = $1
        }' "$work/table"
    echo
    echo "$NOTES"
}

print_json() {
    awk -F '\t' -v cores="$(nproc)" -v at="$(date -u +%FT%TZ)" "$VERDICT"'
        BEGIN { printf "{\"at\":\"%s\",\"cores\":%d,\"table\":[", at, cores }
        {
            met = $3 == "?" ? "null" : verdict() == "met" ? "true" : "false"
            value = $3 == "?" ? "null" : $3
            separator = NR == 1 ? "" : ","
            printf "%s\n{\"scenario\":\"%s\",\"figure\":\"%s\"", separator, $1, $2
            printf ",\"value\":%s,\"unit\":\"%s\"", value, $4
            if ($5 != "-") printf ",\"relation\":\"%s\",\"mark\":%s,\"met\":%s", $5, $6, met
            printf "}"
        }
        END { print "\n],\"rows\":[" }' "$work/table"
    # One row a line, so all but the last get a comma.
    sed '$!s/$/,/' < <(cat "$work"/*.rows)
    echo ']}'
}

[[ -x $hub && -x $sim ]] || fail "no programs in $BIN; run: make bench"
work=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT TERM
divide_cores

connections=$CONNECTIONS_WISHED
descriptors=$(ulimit -Hn)
if [[ $descriptors != unlimited ]] && ((descriptors - DESCRIPTORS_RESERVED < connections)); then
    connections=$((descriptors - DESCRIPTORS_RESERVED))
    note "$descriptors descriptors a process leave $connections connections (ulimit -Hn)"
    ((connections > CONNECTIONS_FROM)) || fail "too few descriptors to measure idle connections"
fi

scenario fan-out ws fan-out --subscribers 1000 --bursts 1,32 --duration 8s
scenario fan-in ws fan-in --devices 2000 --rate 6000 --duration 15s
scenario commands ws commands --devices 500 --rate 1000 --duration 10s
scenario connects-ws ws connects --count 2000
scenario connects-wss wss connects --count 2000
scenario idle-ws ws idle --from "$CONNECTIONS_FROM" --to "$connections"
scenario idle-wss wss idle --from "$CONNECTIONS_FROM" --to "$connections"
restarts

rows >"$work/table"
echo
print_table
print_json >"$JSON"
echo
echo "The same as JSON: $JSON"
if grep -qF $'\t?\t' "$work/table"; then
    fail "some figures could not be measured"
fi
