# Of two registrars one falls silent: the other takes its elements although nobody is left to agree (RFC 5353 section 3.5).
# long, at most 300 s
# broken by: s/^if .*/if true; then/
network pr1 pr2 pe1 pe2 pu1
group pr1 pr2
via=pr1 element_registered 0x0000ec01 pe1 echo RoundRobin -rereginterval=300000
via=pr2 element_registered 0x0000ec02 pe2 echo RoundRobin -rereginterval=300000
wait_until 10 "elements of both at both" everywhere "pr1 pr2" EchoPool 0x0000ec01@pr1 0x0000ec02@pr2

step "pr2 falls silent"
from_now_on
cut_cable pr2
if [ "$(expected pr1 takeover-with-nobody-to-agree)" = completes ]; then
    # Nobody is left to be told of the takeover; it begins after 7 s of silence.
    wait_until 20 "new home" homes pr1 EchoPool 0x0000ec01@pr1 0x0000ec02@pr1
    wait_until 10 "keep-alive of the new home" seen 1 pr1 pe2 asap-endpoint-keep-alive h_bit=1 pe=0x0000ec02
    wait_until 10 "answer" seen 1 pe2 pr1 asap-endpoint-keep-alive-acknowledgement pe=0x0000ec02
else
    wait_until 30 "takeover" seen 1 enrp-init-takeover target="$(identifier pr2)"
    during 15 homes pr1 EchoPool 0x0000ec01@pr1 0x0000ec02@pr2
    expect 0 pr1 pe2 asap-endpoint-keep-alive
fi
