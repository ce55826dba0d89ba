# A registration that contradicts its pool is rejected with the RFC's cause and changes nothing (RFC 5352 section 3.1).
# short, at most 180 s
# broken by: s/echo WeightedRandom:5$/echo RoundRobin/
network pr1 pe1 pe2 pu1
registrar pr1
element_registered 0x0000ec01 pe1 echo RoundRobin

step "another policy than the pool's"
element 0x0000ec02 pe2 echo WeightedRandom:5
wait_until 20 "rejection" seen 1 pr1 pe2 asap-registration-response handle=EchoPool pe=0x0000ec02 r_bit=1 cause=0x0005
rejection=$(asap pe2 "register EchoPool 0xec03 Priority:3")
[ "$rejection" = "rejected EchoPool 0x0000ec03 $(expected pr1 cause-of-another-policy)" ] || fail "$rejection"

step "another transport use than the pool's"
rejection=$(asap pe2 "register EchoPool 0xec03 RoundRobin 300000 0")
[ "$rejection" = "rejected EchoPool 0x0000ec03 $(expected pr1 cause-of-another-transport-use)" ] || fail "$rejection"

step "no identifier"
asap pe2 "register OtherPool 0x0 RoundRobin" | grep -q "^rejected OtherPool 0x00000000 $(expected pr1 cause-of-no-identifier)"

step "nothing of this left a trace"
answers EchoPool 0x0000ec01
unknown OtherPool
expect 0 asap-registration-response r_bit=0 pe=0x0000ec02
expect 0 asap-registration-response r_bit=0 pe=0x0000ec03

step "the right policy is welcome"
[ "$(asap pe2 "register OtherPool 0xec03 WeightedRandom:5" "register OtherPool 0xec04 WeightedRandom:7" "deregister OtherPool 0xec03" |
    cut -d' ' -f1 | xargs)" = "registered registered deregistered" ]
stop 0x0000ec02
