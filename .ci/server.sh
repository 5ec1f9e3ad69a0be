# Sourced by .ci/clients, .ci/syscalls and .ci/valgrind. Starts and stops an echo-server, keeps its
# files in a temporary directory, and ends only the processes that it started.
#
#   ECHO_SERVER=path   uses this program instead of building one from this tree

cd "$(dirname "${BASH_SOURCE[0]}")/.."
work="$(mktemp -d "${TMPDIR:-/tmp}/wakeful-clients.XXXXXX")"
server=""
declare -A children=()

if [[ -z "${ECHO_SERVER:-}" ]]; then
    cargo build --release --locked -p echo-server
    ECHO_SERVER="${CARGO_TARGET_DIR:-target}/release/echo-server"
fi

clean_up() {
    local status=$? pid
    for pid in "${!children[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if ((status != 0)) && [[ -s "$work/stderr" ]]; then
        echo "--- the end of the server's log"
        tail -n 20 "$work/stderr"
    fi
    rm -rf "$work"
}
trap clean_up EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# until_true SECONDS COMMAND...: runs COMMAND 20 times a second until it succeeds; fails after
# SECONDS.
until_true() {
    local tries=$(($1 * 20))
    shift
    until "$@"; do
        ((tries-- > 0)) || return 1
        sleep 0.05
    done
}

# is_listening N: true if the server has printed N "listening on" lines, or has ended.
is_listening() {
    [[ "$(grep -c '^listening on ' "$work/stdout")" -ge "$1" ]] || ! kill -0 "$server" 2>/dev/null
}

# start_server ADDRESSES COMMAND...: starts COMMAND and waits for as many "listening on" lines on
# its stdout as there are ADDRESSES. COMMAND is the server, or a wrapper with the server's process
# id. SIGINT is ignored in it, as in every background job of a script, unless COMMAND begins with
# `env --default-signal=INT`.
start_server() {
    local addresses=$1
    shift
    : >"$work/stdout" >"$work/stderr"
    "$@" >"$work/stdout" 2>"$work/stderr" </dev/null &
    server=$!
    children[$server]=1
    until_true 20 is_listening "$addresses" || fail "no 'listening on' line within 20 s"
    kill -0 "$server" 2>/dev/null || fail "the server ended at once"
    port="$(sed -n 's|^listening on tcp://127\.0\.0\.1:\([0-9]*\)$|\1|p' "$work/stdout" | head -n 1)"
    [[ -n "$port" ]] || fail "no line 'listening on tcp://127.0.0.1:PORT' in: $(cat "$work/stdout")"
}

# ends PID SECONDS: sets $ended to its exit status.
ends() {
    timeout "$2" tail --pid="$1" -f /dev/null || fail "process $1 did not end within $2 s"
    ended=0
    wait "$1" || ended=$?
    unset "children[$1]"
}
