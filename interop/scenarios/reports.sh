# The third report of an element that does not answer removes it, fewer do not (RFC 5352 sections 2.2.9, 3.5).
# short, at most 180 s
# broken by: s/^for host in pu1 pu2 pu1;/for host in pu1 pu2;/
network pr1 pe1 pe2 pu1 pu2
registrar pr1 keepalive=60000 timeout=60000
# rsplib ends an association over which nothing came for 30 s.
element_registered 0x0000ec01 pe1 echo RoundRobin -rereginterval=5000
element_registered 0x0000ec02 pe2 echo RoundRobin -rereginterval=5000

step "two reports"
from_now_on
asap pu1 "report EchoPool 0xec01" "resolve EchoPool"
asap pu2 "report EchoPool 0xec01" "resolve EchoPool"
expect 2 asap-endpoint-unreachable handle=EchoPool pe=0x0000ec01
during 2 answers EchoPool 0x0000ec01 0x0000ec02
[ "$(count pr1 pe1 asap-endpoint-keep-alive pe=0x0000ec01 h_bit=0)" -ge "$(expected pr1 keep-alives-after-two-reports)" ] ||
    fail "the reports were not looked into"

step "reports of what is not there"
asap pu1 "report EchoPool 0xbad" "report NoPool 0xec01" "resolve EchoPool" >/dev/null
answers EchoPool 0x0000ec01 0x0000ec02

step "the third, of an element that answers"
asap pu1 "report EchoPool 0xec01" "resolve EchoPool" >/dev/null
left=0x0000ec01
if [ "$(expected pr1 third-report-of-an-element-that-answers)" = removes ]; then
    left=
    wait_until 5 "removal" answers EchoPool 0x0000ec02
else
    during 2 answers EchoPool 0x0000ec01 0x0000ec02
fi

step "three, of one that does not"
freeze 0x0000ec02
for host in pu1 pu2 pu1; do
    asap $host "report EchoPool 0xec02" "resolve EchoPool" >/dev/null
done
gone() { if [ -n "$left" ]; then answers EchoPool $left; else unknown EchoPool; fi; }
wait_until 5 "removal" gone
