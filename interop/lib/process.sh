# Processes of a scenario by name: their output is OUT/NAME.log, and one that ends unasked fails the
# scenario. Waiting is for a condition with a deadline, never for a time.

declare -A process_id=() process_frozen=()

# start NAME HOST COMMAND...: in the background.
start() {
    local name=$1 host=$2
    shift 2
    [ -z "${process_id[$name]-}" ] || fail "a process $name is running already"
    # Line by line, so that a killed process leaves what it wrote.
    ip netns exec "$host" env --default-signal=INT stdbuf -oL "$@" >>"$OUT/$name.log" 2>&1 </dev/null &
    process_id[$name]=$!
}

running() { kill -0 "${process_id[$1]}" 2>/dev/null; }

# stop NAME [SIGNAL]: ends it (INT) and waits for its end. Its exit status counts only where it ends
# by itself.
stop() {
    local name=$1 pid=${process_id[$1]}
    thaw "$name"
    disown "$pid"
    kill "-${2:-INT}" "$pid" 2>/dev/null || true
    wait_until 10 "end of $name" ended "$name"
    unset "process_id[$name]"
}

# finish NAME SECONDS: waits for it to end by itself, with status 0.
finish() {
    local name=$1 status=0
    wait_until "$2" "end of $name" ended "$name"
    wait "${process_id[$name]}" || status=$?
    unset "process_id[$name]"
    [ "$status" = 0 ] || fail "$name ended with status $status: $(tail -1 "$OUT/$name.log")"
}

ended() { ! running "$1"; }

# freeze NAME: returns when it stands still, which kill does not wait for.
freeze() {
    kill -STOP "${process_id[$1]}" && process_frozen[$1]=yes
    wait_until 10 "standstill of $1" stands_still "$1"
}
stands_still() { ! grep -hqvE '^[0-9]+ \(.*\) [TtZX] ' /proc/"${process_id[$1]}"/task/*/stat 2>/dev/null; }
thaw() {
    [ -z "${process_frozen[$1]-}" ] || kill -CONT "${process_id[$1]}"
    unset "process_frozen[$1]"
}

# wait_until SECONDS WHAT CONDITION...: what is awaited is named if it does not come.
wait_until() {
    local what=$2 end=$((SECONDS + $1 * PATIENCE))
    shift 2
    until "$@"; do
        [ "$SECONDS" -le "$end" ] || fail "no $what in time"
        sleep 0.1
    done
}

# during SECONDS CONDITION...: it holds all the time.
during() {
    local end=$((SECONDS + $1))
    shift
    while [ "$SECONDS" -le "$end" ]; do
        "$@" || fail "not kept: $*"
        sleep 0.2
    done
}

# logged NAME PATTERN [COUNT]: its output has at least COUNT lines (1) like that.
logged() { [ "$(grep -cE -- "$2" "$OUT/$1.log" 2>/dev/null)" -ge "${3:-1}" ]; }

all_still_running() {
    local name
    for name in "${!process_id[@]}"; do
        running "$name" || fail "$name ended unasked: $(tail -1 "$OUT/$name.log")"
    done
}

stop_all() {
    local name
    trap - ERR
    set +e
    for name in "${!process_id[@]}"; do
        disown "${process_id[$name]}"
        kill -CONT "${process_id[$name]}" 2>/dev/null
        kill -INT "${process_id[$name]}" 2>/dev/null
    done
    end_capture
    for name in "${!process_id[@]}"; do
        kill -KILL "${process_id[$name]}" 2>/dev/null
    done
}
