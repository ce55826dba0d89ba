# User-space SCTP over UDP and the kernel's own encapsulation understand each other, whoever calls (RFC 6951).
# short, at most 180 s, ours only
# broken by: s/-w net.sctp.udp_port=9899/-w net.sctp.udp_port=9900/
network pe1 pe2
second_network pe1 pe2
peer=$INTEROP/../target/release/examples/peer
[ -x "$peer" ] || fail "no $peer: cargo build --release -p rserpool-sctp --example peer"
# The kernel's SCTP in UDP is on pe1, that in user space on pe2.
on pe1 sysctl -q -w net.sctp.udp_port=9899 net.sctp.encap_port=9899
kernel=(--transport kernel --encapsulate 9899 --bind 10.44.0.11)
user=(--transport udp --bind 10.44.0.12)
# The payload is no ASAP message, so it does not say that it is.
client=(--ppid 47 --for 60)

# echoed NAME HOST TO OPTION...: a client on the host whose every message comes back.
echoed() {
    local name=$1 host=$2 to=$3
    shift 3
    start "$name" "$host" "$peer" client "$@" "${client[@]}" --to "$to"
    finish "$name" 60
    logged "$name" "^result ok=true"
}

step "the kernel calls, user space answers"
start server pe2 "$peer" server "${user[@]}" --for 600 -v
echoed one pe1 10.44.0.12 "${kernel[@]}" --count 200 --window 10
echoed large pe1 10.44.0.12 "${kernel[@]}" --count 20 --size 60000
echoed many pe1 10.44.0.12 "${kernel[@]}" --associations 200 --count 5 --streams 4

step "a caller whose kernel forgot the association calls again from the same port: it is restarted"
start dead pe1 "$peer" client "${kernel[@]}" "${client[@]}" --to 10.44.0.12 --local-port 7777 --count 1 --hold 60 \
    --retransmissions 1 --rto-initial 100 --rto-min 100 --rto-max 200
wait_until 20 "association" logged server "^up .*10.44.0.11:7777"
on pe1 tc qdisc add dev eth0 root netem loss 100%
stop dead KILL
forgotten() { ! on pe1 grep -q ' 7777 ' /proc/net/sctp/assocs; }
wait_until 20 "end of the association" forgotten
on pe1 tc qdisc del dev eth0 root
echoed again pe1 10.44.0.12 "${kernel[@]}" --local-port 7777 --count 5
wait_until 10 "restart" logged server "^restarted"
stop server

step "user space calls, the kernel answers"
start server pe1 "$peer" server "${kernel[@]}" --for 600 -v
wait_until 10 "endpoint of the kernel" on pe1 grep -q ' 3863 ' /proc/net/sctp/eps
echoed one-back pe2 10.44.0.11 "${user[@]}" --count 200 --window 10
echoed large-back pe2 10.44.0.11 "${user[@]}" --count 20 --size 60000
echoed many-back pe2 10.44.0.11 "${user[@]}" --associations 200 --count 5 --streams 4
echoed dies-back pe2 10.44.0.11 "${user[@]}" --local-port 7777 --count 5 --end die
echoed again-back pe2 10.44.0.11 "${user[@]}" --local-port 7777 --count 5
wait_until 10 "restart" logged server "^restarted"

step "with 5 % of all packets lost, delayed and reordered"
for host in pe1 pe2; do
    on $host tc qdisc add dev eth0 root netem delay 10ms 8ms loss 5% reorder 10%
done
echoed lossy-back pe2 10.44.0.11 "${user[@]}" --count 100 --window 10 --size 3000
stop server
start server pe2 "$peer" server "${user[@]}" --for 600
echoed lossy pe1 10.44.0.12 "${kernel[@]}" --count 100 --window 10 --size 3000
for host in pe1 pe2; do
    on $host tc qdisc del dev eth0 root
done
stop server

step "two networks: the messages go on when either is lost"
both=(--transport udp --bind 10.44.0.12,10.45.0.12 --list 10.44.0.12,10.45.0.12 --heartbeat 500 --rto-max 1000)
start server pe2 "$peer" server "${both[@]}" --for 600 -v
start roaming pe1 "$peer" client --transport kernel --encapsulate 9899 --bind 10.44.0.11,10.45.0.11 --heartbeat 500 --rto-max 1000 \
    --ppid 47 --for 100 --to 10.44.0.12,10.45.0.12 --count 250 --pause 100
wait_until 20 "association" logged server "^up "
for lost in pe1 pe1-2; do
    cut_cable $lost
    during 6 running roaming
    plug_cable $lost
    during 3 running roaming
done
finish roaming 100
logged roaming "^result ok=true"
