# A group of our registrar and rsplib's: each knows the other's elements, and ours takes over those of theirs (RFC 5353 sections 3.3, 3.5).
# short, at most 180 s, ours only
# broken by: s/^cut_cable pr2$/cut_cable pe2/
REGISTRAR=ours,rsplib
network pr1 pr2 pe1 pe2 pu1
group pr1 pr2

step "what is registered at one is at both, and goes at both"
via=pr1 element_registered 0x0000ec01 pe1 echo RoundRobin -rereginterval=300000
via=pr2 element_registered 0x0000ec02 pe2 echo RoundRobin -rereginterval=300000
wait_until 10 "elements of both at both" everywhere "pr1 pr2" EchoPool 0x0000ec01@pr1 0x0000ec02@pr2
via=pr1 element_registered 0x0000dd01 pe1 discard LeastUsed
via=pr2 element_registered 0x0000aa02 pe2 pingpong WeightedRandom:7
wait_until 10 "theirs at ours" homes pr1 PingPongPool 0x0000aa02@pr2
wait_until 10 "ours at theirs" homes pr2 DiscardPool 0x0000dd01@pr1
stop 0x0000dd01
stop 0x0000aa02
wait_until 10 "removal at ours" homes pr1 PingPongPool
wait_until 10 "removal at theirs" homes pr2 DiscardPool
for host in pr1 pr2; do
    wait_until 10 "checksum of $host" checksum_is $host "EchoPool/0xec0${host:2}"
done

step "theirs falls silent"
from_now_on
cut_cable pr2
wait_until 20 "new home" homes pr1 EchoPool 0x0000ec01@pr1 0x0000ec02@pr1
wait_until 10 "keep-alive of the new home" seen 1 pr1 pe2 asap-endpoint-keep-alive h_bit=1 pe=0x0000ec02
wait_until 10 "answer" seen 1 pe2 pr1 asap-endpoint-keep-alive-acknowledgement pe=0x0000ec02
