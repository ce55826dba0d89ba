# With 5 % of all packets lost, delayed and reordered, SCTP over UDP carries every element and every answer (RFC 6951, RFC 9260).
# long, at most 300 s, ours only
# broken by: s/loss 5%/loss 45%/
over=sctp-udp
network pr1 pe1 pe2 pu1
for host in pe1 pe2 pu1; do
    on $host sysctl -q -w net.sctp.udp_port=9899 net.sctp.encap_port=9899 net.sctp.rto_initial=1000
done
# The client opens one association after the other, and may be deaf for some seconds while a packet is lost.
registrar pr1 keepalive=20000 timeout=20000
for host in pr1 pe1 pe2 pu1; do
    on $host tc qdisc add dev eth0 root netem delay 10ms 8ms loss 5% reorder 10%
done

step "fifty associations, an element on each"
for number in 1 2; do
    registrations=()
    for pe in {10..34}; do
        registrations+=("open" "register Crowd 0x$number$pe RoundRobin")
    done
    # It begins with an association of its own.
    start_asap crowd$number pe$number "${registrations[@]:1}" "serve 600"
done
for number in 1 2; do
    wait_until 120 "registrations of pe$number" logged crowd$number "^registered" 25
done

step "each is selected once in fifty resolutions"
asap pu1 "resolve Crowd 1 50" >/run/resolved
[ "$(cut -d' ' -f4 /run/resolved | sort -u | wc -l)" = 50 ]

step "each answers its keep-alives, and no association ends"
from_now_on
for number in 1 2; do
    for pe in 10 22 34; do
        wait_until 90 "answer" seen 1 pe$number pr1 asap-endpoint-keep-alive-acknowledgement "pe=0x00000$number$pe"
    done
done
[ "$(asap pu1 "resolve Crowd 128" | cut -d' ' -f4- | wc -w)" = 50 ]
! grep -q -e closed -e failed "$OUT"/crowd?.log
