# scenario.sh FILE: runs a scenario inside the lab, judges what it cannot judge itself, cleans up.
# A scenario fails by the first command that fails, by `fail`, by a process that ended unasked, or by
# a message that tshark finds malformed.
set -Eeuo pipefail
: "${OUT:?only inside the lab}" "${INTEROP:?}" "${REGISTRAR:?}" "${PATIENCE:?}"

fail() {
    trap - ERR
    echo "FAILED: $*"
    exit 1
}
on_error() { fail "$1:$2: ${3%%$'\n'*}"; }
trap 'on_error "$(basename "${BASH_SOURCE[0]}")" "$LINENO" "$BASH_COMMAND"' ERR

step() { printf '%6.1f  %s\n' "$(cut -d' ' -f1 /proc/uptime)" "$*"; }

# shellcheck source=lib/network.sh
. lib/network.sh
# shellcheck source=lib/process.sh
. lib/process.sh
# shellcheck source=lib/wire.sh
. lib/wire.sh
# shellcheck source=lib/registrar.sh
. lib/registrar.sh
# shellcheck source=lib/expectations.sh
. lib/expectations.sh
# shellcheck source=lib/pool.sh
. lib/pool.sh
# shellcheck source=lib/group.sh
. lib/group.sh

trap 'stop_all' EXIT
step "$(sed -n 's/^# //p;1q' "$1")"
# shellcheck source=/dev/null
. "$1"
all_still_running
no_malformed_message
step "done"
