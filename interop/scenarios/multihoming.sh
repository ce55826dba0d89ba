# Associations over two networks outlive the loss of either: all local addresses are one endpoint (RFC 5352 section 3.1, RFC 9260).
# long, at most 300 s
# broken by: s/ both_networks=yes//
network pr1 pe1 pu1
second_network pr1 pe1 pu1
registrar pr1 both_networks=yes keepalive=2000 timeout=4000
element_registered 0x0000aa01 pe1 pingpong RoundRobin -rereginterval=2000
start client pu1 pingpongclient "$(registrar_option)" -interval=500 -logcolor=off
wait_until 20 "five replies" logged client "Ack #" 5

step "an element is registered with its addresses in both networks"
every "pe1 pr1 asap-registration pe=0x0000aa01" ip=10.44.0.11 ip=10.45.0.11

for lost in pr1 pe1; do
    step "$lost is out of the first network"
    cut_cable $lost
    replies=$(grep -c "Ack #" "$OUT/client.log")
    wait_until 60 "ten more replies" logged client "Ack #" $((replies + 10))
    during 10 answers_over 10.45.0.1 PingPongPool 0x0000aa01
    plug_cable $lost
done
! logged client FAILOVER || fail "the session broke"
! logged 0x0000aa01 "[Dd]isconnected from registrar" || fail "the registration's association broke"
