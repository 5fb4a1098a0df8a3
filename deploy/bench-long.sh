#!/usr/bin/env bash
# What takes too long for bench.sh: a restart with a million values, a crowd on several hubs, and the hub under
# load that is meant to hurt: storms, slow and deaf readers, floods. About twelve minutes, at most an hour.
#
# Rules and files as in bench.sh; the table goes to bench-long.json. Names after it choose among
# `restart storm naive slow deaf flood crowd`; without any it is all of them.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

# shellcheck disable=SC1091 # checked by itself
source deploy/bench-lib.sh

JSON=$(dirname "$BIN")/bench-long.json
SECONDS_MAX=3600
SCENARIO_SECONDS_MAX=600
STANDING_SECONDS_MAX=300
CONNECTIONS_WISHED=18000
VALUES=1000000
CROWD=100000
CROWD_HUBS=6
# Reports a second of the whole crowd: one a quarter of an hour from each.
CROWD_RATE=111
# As an operator leaves them: a storm is about the hub's own pace. Loopback is exempt in --dev.
STORM_SETTINGS=(--set "log.filter=warn,hub::server=info")

NOTES='[1] By the metrics of the hub: gap markers, and sessions closed with 4001 or 4002.
[2] Of the hub processes together. Kernel memory of the sockets is not in it.
[3] Of the whole machine, as /proc/net/sockstat has it.'

# Waits for a file that device-sim makes, while the process that makes it lives.
wait_for_file() {
    local file=$1 maker=$2 deadline=$((SECONDS + STANDING_SECONDS_MAX))
    until [[ -e $file ]]; do
        kill -0 "$maker" 2>/dev/null && ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

# Everybody is connected, the hub dies and is started again at once.
storm() {
    local name=$1 policy=$2 began=$SECONDS load
    note "$name …"
    hub_settings=("${STORM_SETTINGS[@]}")
    start_hub "$work/$name"
    measure "$name" wss "$work/$name" storm --devices "$connections" --policy "$policy" \
        --standing-file "$work/$name.standing" &
    load=$!
    if wait_for_file "$work/$name.standing" "$load"; then
        listen_tls=$(address_of wss) listen_plain=$(address_of ws)
        listen_tls=${listen_tls#wss://} listen_plain=${listen_plain#ws://}
        stop_hub KILL
        start_hub "$work/$name"
        wait "$load" || true
    else
        note "  the devices did not connect"
    fi
    listen_tls=127.0.0.1:0 listen_plain=127.0.0.1:0
    stop_hub TERM
    hub_settings=("${HUB_SETTINGS[@]}")
    rm -rf "${work:?}/$name"
    note "  $((SECONDS - began)) s"
}

# One hub and one load of the crowd; their process ids go to crowd_hubs and crowd_loads.
crowd_part() {
    local number=$1 name=crowd-$1
    # Read by a load in the background, after the next hub was started.
    hub_out=$work/hub-$number.out hub_log=$work/hub-$number.log
    start_hub "$work/$name"
    crowd_hubs+=("$hub_pid")
    measure "$name" wss "$work/$name" crowd --devices "$(((CROWD + CROWD_HUBS - 1) / CROWD_HUBS))" \
        --rate "$(awk -v all="$CROWD_RATE" -v parts="$CROWD_HUBS" 'BEGIN { print all / parts }')" \
        --standing-file "$work/$name.standing" --go-file "$work/crowd.go" &
    crowd_loads+=("$!")
    hub_pid=
}

# A city on one machine: several hubs and several loads, each on any core. What is added up was measured at
# the same time.
crowd() {
    local began=$SECONDS number load standing=1
    note "crowd of $CROWD on $CROWD_HUBS hubs …"
    local on=("${hub_on[@]}") load_on=("${sim_on[@]}")
    hub_on=() sim_on=()
    for ((number = 1; number <= CROWD_HUBS; number++)); do
        crowd_part "$number"
    done
    for ((number = 1; number <= CROWD_HUBS; number++)); do
        wait_for_file "$work/crowd-$number.standing" "${crowd_loads[number - 1]}" || standing=0
    done
    ((standing)) || note "  not all devices connected"
    : >"$work/crowd.go"
    for load in "${crowd_loads[@]}"; do
        wait "$load" || true
    done
    end_crowd
    hub_on=("${on[@]}") sim_on=("${load_on[@]}")
    crowd_sums >"$work/crowd.rows"
    note "  $((SECONDS - began)) s"
}

end_crowd() {
    for hub_pid in "${crowd_hubs[@]}"; do
        stop_hub KILL
    done
    crowd_hubs=()
}

# The sum of each figure over all parts; of latencies the worst.
crowd_sums() {
    local figure number unit
    printf '{"bench":"crowd, all hubs","figures":['
    for figure in connections resident 'cpu at rest' 'cpu at work' reports unacknowledged 'lost connections' p99; do
        case $figure in
            resident) unit=MiB ;;
            cpu*) unit='% of a core' ;;
            p99) unit=ms ;;
            *) unit= ;;
        esac
        [[ $figure == connections ]] || printf ','
        for ((number = 1; number <= CROWD_HUBS; number++)); do
            value_of "crowd-$number" crowd "$figure"
        done | awk -v name="$figure" -v unit="$unit" '
            { sum += $1; worst = $1 > worst ? $1 : worst }
            END { printf "{\"name\":\"%s\",\"value\":%s,\"unit\":\"%s\"}", name, name == "p99" ? worst : sum, unit }'
    done
    printf ']}\n'
}

rows() {
    local title
    if wanted restart; then restart_rows "$VALUES" 5 20; fi
    if wanted storm; then
        title="storm, $connections devices wss"
        storm_rows storm "$title" 75
        row storm storm p99 "$title" 'reports of the first back, p99' ms '<=' 250
    fi
    if wanted naive; then storm_rows naive "storm, $connections without jitter" 150; fi
    if wanted slow; then
        title='500 slow, 50 frozen of 2000'
        row slow slow 'p99 grew' "$title" 'p99 of the others, growth' % '<=' 20
        row slow slow 'p99 in trouble' "$title" 'p99 of the others' ms -
        row slow slow missing "$title" 'not delivered to the others' '' '<=' 0
        row slow slow 'memory grew' "$title" 'memory grew' MiB '<=' 512
        row slow slow 'kernel memory grew' "$title" 'memory of sockets grew [3]' MiB '<=' 512
        row slow slow named "$title" 'told of a gap or closed so far [1]' '' -
        row slow slow 'gaps told' "$title" 'of these gaps told' '' -
        row slow slow 'closed as slow' "$title" 'of these closed as slow' '' '<=' 50
        row slow slow 'closed without pong' "$title" 'of these taken for dead' '' '<=' 0
    fi
    if wanted deaf; then
        title='500 of 1000 devices deaf'
        row deaf deaf lost "$title" 'acknowledged commands lost' '' '<=' 0
        row deaf deaf accepted "$title" 'commands' '' -
        row deaf deaf 'without success' "$title" 'without success' '' '<=' 0
        row deaf deaf 'sessions gone after' "$title" 'sessions gone after' s '<=' 90
        row deaf deaf 'memory of as many calm commands' "$title" 'what as many commands keep anyway' MiB -
        row deaf deaf 'memory kept' "$title" 'memory not back, above that' MiB '<=' 16
    fi
    if wanted flood; then
        title='20 flooders beside 1000'
        row flood flood 'p99 grew' "$title" 'p99 of the honest, growth' % '<=' 20
        row flood flood 'p99 in the flood' "$title" 'p99 of the honest' ms -
        row flood flood unacknowledged "$title" 'of the honest, not acknowledged' '' '<=' 0
        # 20 a second, and a burst of 100 within 20 seconds.
        row flood flood 'taken of a flooder' "$title" 'taken of a flooder' /s '<=' 26
        row flood flood 'flooders cut' "$title" 'flooders cut' '' '<=' 0
        row flood flood cpu "$title" 'cpu time' '% of a core' -
    fi
    if wanted crowd; then crowd_rows; fi
}

storm_rows() {
    row "$1" storm 'all are back' "$2" 'all are back after' s '<=' "$3"
    row "$1" storm 'half are back' "$2" 'half are back after' s -
    row "$1" storm 'not back' "$2" 'not back' '' '<=' 0
    row "$1" storm 'failed tries' "$2" 'failed tries' '' -
}

crowd_rows() {
    local title="$CROWD devices, $CROWD_HUBS hubs, wss" whole='crowd, all hubs'
    row crowd "$whole" connections "$title" 'connections' '' '>=' "$CROWD"
    row crowd "$whole" resident "$title" 'memory [2]' MiB -
    row crowd "$whole" 'cpu at rest' "$title" 'cpu time at rest' '% of a core' -
    row crowd "$whole" 'cpu at work' "$title" "cpu time at $CROWD_RATE reports/s" '% of a core' -
    row crowd "$whole" p99 "$title" 'ack p99, worst hub' ms -
    row crowd "$whole" unacknowledged "$title" 'not acknowledged' '' '<=' 0
    row crowd "$whole" 'lost connections' "$title" 'lost connections' '' '<=' 0
}

chosen=("$@")
crowd_hubs=()
crowd_loads=()
prepare
trap 'end_crowd; clean_up' EXIT
connections=$(connections_of "$CONNECTIONS_WISHED")

if wanted restart; then restarts "$VALUES"; fi
if wanted storm; then storm storm protocol; fi
if wanted naive; then storm naive each-second; fi
if wanted slow; then scenario slow ws slow; fi
hub_settings=("${STORM_SETTINGS[@]}")
if wanted deaf; then scenario deaf wss deaf; fi
if wanted flood; then scenario flood wss flood; fi
hub_settings=("${HUB_SETTINGS[@]}")
if wanted crowd; then crowd; fi
report
