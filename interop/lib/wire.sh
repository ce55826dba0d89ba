# What is on the wire: everything goes to OUT/capture.pcap and, dissected by tshark while it comes,
# to OUT/wire.log, one line a message (wire.pl says how a line reads).

capture_id=
capture_late=
notes=0
from_line=1

capture() {
    touch /run/tcpdump.log
    tcpdump --immediate-mode -U -i lan -w - 'sctp or udp or tcp port 3863 or tcp port 9901' 2>/run/tcpdump.log |
        tee "$OUT/capture.pcap" |
        tshark -l -r - -Y 'asap || enrp || _ws.malformed || udp.dstport == 40000' -J 'frame ip asap enrp data _ws.malformed' -T pdml 2>/run/tshark.log |
        perl lib/wire.pl >"$OUT/wire.log" &
    capture_id=$!
    # Notes go to a host that nobody is.
    ip neighbour add 10.44.0.250 lladdr 02:00:00:00:00:fa dev lan nud permanent
    wait_until 20 "capture" grep -q listening /run/tcpdump.log
}

# capture_now_dissect_later: in place of `capture`, for more messages than tshark dissects in time.
# wire.log has them when dissect_all is done; a process of a scenario tells what it is to wait for.
capture_now_dissect_later() {
    touch /run/tcpdump.log
    tcpdump -B 32768 -i lan -w "$OUT/capture.pcap" sctp 2>/run/tcpdump.log &
    capture_late=$!
    wait_until 20 "capture" grep -q listening /run/tcpdump.log
}

dissect_all() {
    sleep 1
    kill -INT "$capture_late"
    wait "$capture_late" || true
    grep -q '^0 packets dropped by kernel' /run/tcpdump.log || fail "the capture is not whole: $(tail -1 /run/tcpdump.log)"
    tshark -r "$OUT/capture.pcap" -Y 'asap || enrp || _ws.malformed' -J 'frame ip asap enrp data _ws.malformed' -T pdml 2>/run/tshark.log |
        perl lib/wire.pl >"$OUT/wire.log"
}

end_capture() {
    [ -n "$capture_id" ] || return 0
    pkill -INT -x tcpdump
    wait "$capture_id"
    capture_id=
}

# Waits until everything that was on the wire before is in wire.log.
settle() {
    [ -n "$capture_id" ] || return 0
    notes=$((notes + 1)) looks=0
    wait_until 120 "tshark's dissection" noted
}
noted() {
    # Now and then again: a capture that cannot keep up loses packets.
    [ $((looks++ % 30)) != 0 ] || printf %d "$notes" >/dev/udp/10.44.0.250/40000
    grep -q " note $notes\$" "$OUT/wire.log"
}

# From here on, `wire` and its kin tell only what comes after.
from_now_on() {
    settle
    from_line=$(($(wc -l <"$OUT/wire.log") + 1))
}

# having WORD...: of the messages on stdin those that have all these words, in any place: a host, a
# message's name, a FIELD=VALUE. Two hosts are sender and receiver, in this order.
having() {
    awk -v words="$*" '
        BEGIN { wanted = split(words, word, " ") }
        {
            line = " " $0 " "; at = 1
            for (i = 1; i <= wanted; i++) {
                found = index(line, " " word[i] " ")
                if (!found) next
                if (word[i] ~ /^p[reu][1-9]$/) { if (found < at) next; at = found }
            }
            print
        }'
}
# wire_so_far WORD...: what has been dissected of such messages.
wire_so_far() { tail -n "+$from_line" "$OUT/wire.log" | having "$@"; }
# wire WORD...: the same, of everything that was on the wire when it is called.
wire() {
    settle
    wire_so_far "$@"
}

count() { wire_so_far "$@" | wc -l; }

# seen COUNT WORD...: at least so many, as a condition for wait_until.
seen() {
    local least=$1
    shift
    [ "$(count "$@")" -ge "$least" ]
}

# expect COUNT WORD...: exactly so many.
expect() {
    local wanted=$1 found
    shift
    settle
    found=$(count "$@")
    [ "$found" = "$wanted" ] || fail "expected $wanted messages, found $found: $*"
}

# every "WORD..." WORD...: the messages that have the first words, one at least, have all the others too.
every() {
    local words=$1 but
    shift
    wire $words >/run/every
    [ -s /run/every ] || fail "no message at all: $words"
    having "$@" </run/every >/run/every-too
    but=$(diff /run/every /run/every-too | sed -n 's/^< //p' | head -1)
    [ -z "$but" ] || fail "not $*: $but"
}

# values FIELD WORD...: the field's values in these messages, a line a message.
values() {
    local field=$1
    shift
    wire "$@" | awk -v field="$field=" '{
        list = ""
        for (i = 5; i <= NF; i++) if (index($i, field) == 1) list = list (list == "" ? "" : " ") substr($i, length(field) + 1)
        print list
    }'
}

# Every message dissects to its end, but for the faults that are known of the registrar that sent it,
# and for what a host sends on purpose and is sent back.
ill_behaved=
no_malformed_message() {
    local line sender receiver
    [ -s "$OUT/wire.log" ] || return 0
    settle
    grep ' malformed$' "$OUT/wire.log" >/run/malformed || return 0
    while read -r line; do
        read -r _ sender receiver _ <<<"$line"
        case "$sender $receiver" in
            *"${ill_behaved:-nobody}"*) continue ;;
            # A note of the lab's own, from a port that tshark takes for another protocol's.
            "lab "*) continue ;;
            pr?*) ! grep -q "$(expected "$sender" malformed)" <<<"$line" || continue ;;
        esac
        fail "malformed: $line"
    done </run/malformed
}
