# A pool element registers, renews and deregisters, and is found as long as it does (RFC 5352 sections 3.1 to 3.3).
# short, at most 180 s
# broken by: s/^stop 0x0000ec01$/true/
network pr1 pe1 pu1
registrar pr1
unknown EchoPool || fail "a pool before its first element"

step "registration"
element_registered 0x0000ec01 pe1 echo RoundRobin -rereginterval=1000
every "pe1 pr1 asap-registration" handle=EchoPool pe=0x0000ec01 life=3000 policy=0x00000001 use=1 ip="$(address pe1)"

step "resolution"
port=$(values sctp pe1 pr1 asap-registration | head -1)
from_now_on
answers EchoPool 0x0000ec01
expect 1 pr1 pu1 asap-handle-resolution-response handle=EchoPool policy=0x00000001 pe=0x0000ec01 \
    home="$(identifier pr1)" life=3000 sctp="$port" use=1 ip="$(address pe1)"

step "renewals"
wait_until 20 "three renewals" registered 0x0000ec01 3
answers EchoPool 0x0000ec01

step "deregistration"
stop 0x0000ec01
wait_until 10 "deregistration" seen 1 pr1 pe1 asap-deregistration-response handle=EchoPool pe=0x0000ec01
unknown EchoPool || fail "a pool after its last element"
every "pr1 pe1 asap-registration-response" handle=EchoPool pe=0x0000ec01 r_bit=0
[ "$(count pe1 pr1 asap-registration)" = "$(count pr1 pe1 asap-registration-response)" ]

step "deregistration of what is not there"
[ "$(asap pu1 "deregister EchoPool 0xec01")" = "deregistered EchoPool 0x0000ec01" ]
