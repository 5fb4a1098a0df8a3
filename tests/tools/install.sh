#!/usr/bin/env bash
# Brings the programs that the checks and tests call into tests/.tools/bin. Does nothing if they are
# there already, in the versions of requirements.txt.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tools=$here/../.tools
wanted=$here/requirements.txt
installed=$tools/requirements.txt

install_python_tools() {
    echo "installing into tests/.tools: $(grep -v '^#' "$wanted" | cut -d' ' -f1 | tr '\n' ' ')"
    if ! python3 -m venv --clear "$tools"; then
        echo "error: python3 can't make a virtual environment; on Debian: apt-get install python3-venv" >&2
        exit 1
    fi
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$wanted"
    # Last, so that an interrupted installation is repeated.
    cp "$wanted" "$installed"
}

# The tests of durability watch the hub's system calls. Without strace they fail, they don't skip.
install_strace() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing strace"
        apt-get install -y -qq strace >/dev/null && return
    fi
    echo "warning: strace is missing, so the tests of durability will fail;" \
        "install it with: sudo apt-get install strace" >&2
}

# The tests of the dashboard and of the module for pages drive a real browser. Without one they fail, they don't skip.
install_browser() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing chromium"
        apt-get install -y -qq --no-install-recommends chromium >/dev/null && return
    fi
    echo "warning: no Chromium, so the tests in a browser will fail; install it with:" \
        "sudo apt-get install chromium, or name one in LAMPLIGHTER_CHROMIUM" >&2
}

has_browser() {
    [ -n "${LAMPLIGHTER_CHROMIUM:-}" ] || command -v chromium chromium-browser google-chrome \
        google-chrome-stable >/dev/null
}

cmp --silent "$wanted" "$installed" || install_python_tools
command -v strace >/dev/null || install_strace
has_browser || install_browser
