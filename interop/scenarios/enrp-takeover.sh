# A registrar that falls silent loses its elements to one of the others, which they all agree on (RFC 5353 section 3.5).
# long, at most 300 s
# broken by: s/^cut_cable pr3$/cut_cable pe3/
network pr1 pr2 pr3 pe1 pe2 pe3 pu1
group pr1 pr2 pr3
for number in 1 2 3; do
    via=pr$number element_registered 0x0000ec0$number pe$number echo RoundRobin -rereginterval=60000
done
wait_until 10 "elements of all at all" everywhere "pr1 pr2 pr3" EchoPool 0x0000ec01@pr1 0x0000ec02@pr2 0x0000ec03@pr3

step "pr3 falls silent"
from_now_on
cut_cable pr3
wait_until 30 "takeover" seen 1 enrp-init-takeover target="$(identifier pr3)"
wait_until 30 "new home" moved pr1 EchoPool 0x0000ec03 pr3
taker=$(home_of pr1 EchoPool 0x0000ec03)
now=(0x0000ec01@pr1 0x0000ec02@pr2 "0x0000ec03@$taker")
wait_until 30 "agreement on $taker" everywhere "pr1 pr2" EchoPool "${now[@]}"

step "the element was told, and knows its new home, $taker"
wait_until 10 "keep-alive of the new home" seen 1 "$taker" pe3 asap-endpoint-keep-alive h_bit=1 server="$(identifier "$taker")" pe=0x0000ec03
wait_until 10 "answer" seen 1 pe3 "$taker" asap-endpoint-keep-alive-acknowledgement pe=0x0000ec03
wait_until 10 "checksum of both its elements" checksum_is "$taker" EchoPool/0xec0${taker:2} EchoPool/0xec03
during 10 everywhere "pr1 pr2" EchoPool "${now[@]}"
