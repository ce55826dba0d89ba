# Pool elements and pool users are served over TCP as over SCTP, message by message (RFC 5352 sections 3.1 to 3.5).
# short, at most 180 s, ours only
# broken by: s/^freeze first$/true/
over=tcp
network pr1 pe1 pe2 pu1
registrar pr1 keepalive=1000 timeout=1000

step "registration, and a second element"
start_asap first pe1 "register Pool 0x1 LeastUsed:0.2" "serve 600"
wait_until 20 "registration" registered 0x00000001
start_asap second pe2 "register Pool 0x2 LeastUsed:0.4" "serve 600"
wait_until 20 "registration" registered 0x00000002
every "asap-registration-response" handle=Pool r_bit=0

step "resolution, of one, of all, of nothing"
for _ in 1 2 3; do
    [ "$(asap pu1 "resolve Pool 1")" = "resolved Pool LeastUsed 0x00000001" ]
    [ "$(asap pu1 "resolve Pool 5")" = "resolved Pool LeastUsed 0x00000001 0x00000002" ]
done
unknown NoPool
expect 1 pr1 pu1 asap-handle-resolution-response handle=NoPool cause=0x0009

step "what contradicts the pool is rejected, what belongs to others is kept"
asap pu1 "register Pool 0x3 RoundRobin" | grep -q '^rejected Pool 0x00000003 0x0005 0008000c40000001'
[ "$(asap pu1 "deregister Pool 0x1")" = "refused Pool 0x00000001 0x000a" ]
answers Pool 0x00000001 0x00000002

step "a renewed load changes the order; a deregistered element is gone"
[ "$(asap pe1 "register Load 0x1 LeastUsed:0.2" "register Load 0x2 LeastUsed:0.4" "resolve Load 2" \
    "register Load 0x1 LeastUsed:0.6" "resolve Load 2" "deregister Load 0x2" "resolve Load 2" | grep ^resolved)" = \
    "resolved Load LeastUsed 0x00000001 0x00000002
resolved Load LeastUsed 0x00000002 0x00000001
resolved Load LeastUsed 0x00000001" ]

step "keep-alives are asked and answered; a frozen element goes"
from_now_on
for pe in 0x00000001 0x00000002; do
    wait_until 10 "keep-alives of $pe" seen 2 asap-endpoint-keep-alive handle=Pool pe=$pe server="$(identifier pr1)"
    wait_until 10 "answers of $pe" seen 2 asap-endpoint-keep-alive-acknowledgement handle=Pool pe=$pe
done
freeze first
wait_until 10 "removal of the frozen element" answers Pool 0x00000002

step "a lost connection takes its elements along"
stop second KILL
wait_until 3 "removal" unknown Pool
