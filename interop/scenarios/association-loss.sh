# An element whose association is lost is gone at once, with all others of that association (RFC 5352 section 3.5).
# short, at most 180 s
# broken by: s/^stop 0x0000ec01 KILL$/freeze 0x0000ec01/
network pr1 pe1 pe2 pe3 pu1
registrar pr1 keepalive=60000
# rsplib ends an association over which nothing came for 30 s.
element_registered 0x0000ec01 pe1 echo RoundRobin -rereginterval=5000
element_registered 0x0000ec02 pe2 echo RoundRobin -rereginterval=5000
start_asap three pe3 "register EchoPool 0xec03 RoundRobin" "register EchoPool 0xec04 RoundRobin" \
    "register OtherPool 0xec05 RoundRobin" "serve 600"
wait_until 20 "three elements over one association" registered 0x0000ec05
answers EchoPool 0x0000ec01 0x0000ec02 0x0000ec03 0x0000ec04

step "killed: the kernel aborts the association"
from_now_on
stop 0x0000ec01 KILL
wait_until 3 "removal" answers EchoPool 0x0000ec02 0x0000ec03 0x0000ec04

step "three elements of one association"
stop three KILL
wait_until 3 "removal" answers EchoPool 0x0000ec02
unknown OtherPool
expect 0 asap-deregistration

step "an element with two associations in turn: the loss of the former one is nothing"
start_asap former pe3 "register EchoPool 0xec06 RoundRobin" "serve 600"
wait_until 20 "registration" registered 0x0000ec06
start_asap latter pe3 "register EchoPool 0xec06 RoundRobin" "serve 600"
wait_until 20 "registration again" registered 0x0000ec06 2
stop former KILL
during 2 answers EchoPool 0x0000ec02 0x0000ec06
stop latter KILL
wait_until 3 "removal" answers EchoPool 0x0000ec02
