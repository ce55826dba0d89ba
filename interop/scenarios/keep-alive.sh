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
settle
frozen=$(sed -n "s/ note $notes$//p" "$OUT/wire.log" | head -1)
wait_until 10 "removal of the frozen element" answers EchoPool 0x0000ec02
during 3 answers EchoPool 0x0000ec02
# One interval, with the quarter that it is spread by, and one time-out.
bound=$(awk -v patience="$PATIENCE" 'BEGIN { print 2.3 * patience }')
wire pr1 pu1 asap-handle-resolution-response handle=EchoPool pe=0x0000ec01 | awk -v frozen="$frozen" -v bound="$bound" '
    $1 - frozen > bound { print "still there " $1 - frozen " s after it froze"; exit 1 }'
