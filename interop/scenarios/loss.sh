# With 5 % of all packets lost, delayed and reordered, everything still works (RFC 5352 section 3 over RFC 9260).
# long, at most 300 s
# broken by: s/loss 5%/loss 45%/
network pr1 pe1 pe2 pu1
registrar pr1
for host in pr1 pe1 pe2 pu1; do
    on $host tc qdisc add dev eth0 root netem delay 10ms 8ms loss 5% reorder 10%
done
element_registered 0x0000aa01 pe1 pingpong RoundRobin -rereginterval=1000
element_registered 0x0000aa02 pe2 pingpong RoundRobin -rereginterval=1000

step "a session and 100 resolutions"
start client pu1 pingpongclient "$(registrar_option)" -interval=200 -logcolor=off
asap pu1 "resolve PingPongPool 1 100" >/run/resolved
[ "$(grep -c '^resolved PingPongPool RoundRobin 0x0000aa0[12]$' /run/resolved)" = 100 ]
wait_until 60 "a hundred replies" logged client "Ack #" 100
# rsplib's client waits 3 s for its first resolution, once; after that nothing may break.
awk '/Ack #/ { begun = 1 } /FAILOVER_NECESSARY/ && begun { print; exit 1 }' "$OUT/client.log"
for pe in 0x0000aa01 0x0000aa02; do
    wait_until 60 "ten renewals of $pe" seen 10 asap-registration-response r_bit=0 pe=$pe
done
answers PingPongPool 0x0000aa01 0x0000aa02
