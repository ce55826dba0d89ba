# A pool element that no longer answers is gone within its keep-alive bound, the others stay (RFC 5352 sections 3.4, 3.5).
# short, at most 180 s
# broken by: s/^registrar pr1 .*/registrar pr1 keepalive=1000 timeout=6000/
network pr1 pe1 pe2 pu1
registrar pr1 keepalive=1000 timeout=1000
element_registered 0x0000ec01 pe1 echo RoundRobin -rereginterval=60000
element_registered 0x0000ec02 pe2 echo RoundRobin -rereginterval=60000

step "asked and answered"
from_now_on
for pe in 0x0000ec01 0x0000ec02; do
    wait_until 10 "keep-alives of $pe" seen 3 asap-endpoint-keep-alive handle=EchoPool pe=$pe server="$(identifier pr1)" h_bit=0
    wait_until 10 "answers of $pe" seen 3 asap-endpoint-keep-alive-acknowledgement handle=EchoPool pe=$pe
done
answers EchoPool 0x0000ec01 0x0000ec02

step "frozen"
freeze 0x0000ec01
frozen=$SECONDS
wait_until 10 "removal of the frozen element" answers EchoPool 0x0000ec02
bound=$((2 + 1)) # One interval, one time-out, and what looking takes.
[ $((SECONDS - frozen)) -le $((bound * PATIENCE)) ] || fail "gone only after $((SECONDS - frozen)) s"
during 3 answers EchoPool 0x0000ec02
