# What the scripts of the benchmark share: hubs, loads, the table and its JSON. Sourced, with SECONDS_MAX,
# SCENARIO_SECONDS_MAX, JSON and NOTES set by the script.
#
# shellcheck shell=bash

BIN=${BIN:-target/release}
READY_SECONDS_MAX=60
STOP_SECONDS_MAX=15
# What hub and load each need beside their connections; the hub keeps as many back.
DESCRIPTORS_RESERVED=2000

# All load comes from one address and as fast as it can, which no real fleet does.
HUB_SETTINGS=(
    --set devices.session_every=1ms
    --set limits.accept_per_s=100000
    --set limits.handshakes=1024
    --set drain.grace=100ms
    --set drain.spread=1s
    # The lines that say what a restart found.
    --set "log.filter=warn,hub::server=info,hub::broker=info"
)

hub=$BIN/hub
sim=$BIN/device-sim
work=
hub_pid=
# What it says on stdout and stderr.
hub_out=
hub_log=
hub_on=()
sim_on=()
# Of the next hub: its settings, and where it listens.
hub_settings=("${HUB_SETTINGS[@]}")
listen_tls=127.0.0.1:0
listen_plain=127.0.0.1:0
# Names of scenarios; all of them if there are none.
chosen=()

fail() {
    echo "bench: $1" >&2
    exit 1
}

# Whether this scenario was asked for.
wanted() {
    ((${#chosen[@]} == 0)) || [[ " ${chosen[*]} " == *" $1 "* ]]
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
    : >"$hub_out"
    "${hub_on[@]}" "$hub" serve --dev --data-dir "$data" \
        --listen "$listen_tls" --listen-plain "$listen_plain" "${hub_settings[@]}" \
        >"$hub_out" 2>"$hub_log" &
    hub_pid=$!
    # Or the shell would announce its end by `kill -9`, which is part of the plan.
    disown "$hub_pid"
    until [[ -n $(address_of ws) ]]; do
        if ! kill -0 "$hub_pid" 2>/dev/null || ((SECONDS > deadline)); then
            tail -n 20 "$hub_log" >&2
            fail "the hub did not become ready"
        fi
        sleep 0.02
    done
}

# Where the hub listens with this scheme.
address_of() {
    sed -n "s/^ready \($1:[^ ]*\).*/\1/p" "$hub_out"
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
        tail -n 5 "$hub_log" >&2
        return 1
    fi
}

# A scenario with a hub of its own.
scenario() {
    local name=$1 scheme=$2 began=$SECONDS
    wanted "$name" || return 0
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

# Seconds between two moments of now_ms.
seconds() {
    awk -v ms=$(($2 - $1)) 'BEGIN { print ms / 1000 }'
}

# Fills a hub with last values, and times how long it takes to listen again, and until all of them are in
# memory: after a crash, and after a clean stop.
restarts() {
    local values=$1 data=$work/restart began=$SECONDS start signal
    note "restart with $values values …"
    start_hub "$data"
    measure restart ws "$data" restart --values "$values" || return 0
    for signal in KILL TERM; do
        stop_hub "$signal"
        start=$(now_ms)
        start_hub "$data"
        add_figure "restart after $signal" time "$(seconds "$start" "$(now_ms)")" s
        until_loaded
        add_figure "loaded after $signal" time "$(seconds "$start" "$(now_ms)")" s
        add_figure "values after $signal" restored "$(values_restored)" ""
    done >>"$work/restart.rows"
    stop_hub TERM
    rm -rf "${work:?}/restart"
    note "  $((SECONDS - began)) s"
}

# Waits until the hub says that all values are in memory.
until_loaded() {
    local deadline=$((SECONDS + READY_SECONDS_MAX))
    until [[ -n $(values_restored) ]]; do
        ((SECONDS < deadline)) || return 0
        sleep 0.02
    done
}

values_restored() {
    sed -n 's/.*state restored.* values: \([0-9]*\).*/\1/p' "$hub_log"
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
    wanted "$name" || return 0
    value=$(value_of "$name" "$bench" "$figure")
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$title" "$label" "${value:-?}" "$unit" "$relation" "$mark"
}

# Rows of a restart: how many values, and the seconds until it listens and until all are in memory.
restart_rows() {
    local title="restart, $1 values"
    row restart 'restart after KILL' time "$title" 'ready after kill -9' s '<=' "$2"
    row restart 'loaded after KILL' time "$title" 'all in memory after kill -9' s '<=' "$3"
    row restart 'values after KILL' restored "$title" 'values after kill -9' '' '>=' "$1"
    row restart 'restart after TERM' time "$title" 'ready after a clean stop' s '<=' "$2"
    row restart 'loaded after TERM' time "$title" 'all in memory after a clean stop' s '<=' "$3"
}

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

# Before the scenarios: a place to work, and who gets which core.
prepare() {
    [[ -x $hub && -x $sim ]] || fail "no programs in $BIN; run: make bench"
    work=$(mktemp -d)
    hub_out=$work/hub.out hub_log=$work/hub.log
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    divide_cores
}

# After them: `rows` says what is in the table.
report() {
    rows >"$work/table"
    [[ -s $work/table ]] || fail "no scenario is called ${chosen[*]}"
    echo
    print_table
    print_json >"$JSON"
    echo
    echo "The same as JSON: $JSON"
    if grep -qF $'\t?\t' "$work/table"; then
        fail "some figures could not be measured"
    fi
}

# How many connections one hub takes here, at most those wished for.
connections_of() {
    local wished=$1 descriptors
    descriptors=$(ulimit -Hn)
    if [[ $descriptors != unlimited ]] && ((descriptors - DESCRIPTORS_RESERVED < wished)); then
        wished=$((descriptors - DESCRIPTORS_RESERVED))
        note "$descriptors descriptors a process leave $wished connections (ulimit -Hn)"
    fi
    echo "$wished"
}
