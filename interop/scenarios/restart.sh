# Elements register again, under their identifiers, with a registrar that was killed and came back (RFC 5352 section 3.1).
# long, at most 300 s
# broken by: s/^from_now_on$/stop 0x0000ec02/
network pr1 pe1 pe2 pu1
registrar pr1
element_registered 0x0000ec01 pe1 echo RoundRobin -rereginterval=3000
element_registered 0x0000ec02 pe2 echo RoundRobin -rereginterval=3000

step "killed"
stop pr1 KILL
during 3 running 0x0000ec01

step "back"
from_now_on
registrar pr1
wait_until 60 "both again" answers EchoPool 0x0000ec01 0x0000ec02

step "ended by a signal: it says goodbye to its associations, and comes back once more"
stop pr1 TERM
registrar pr1
wait_until 60 "both again" answers EchoPool 0x0000ec01 0x0000ec02
