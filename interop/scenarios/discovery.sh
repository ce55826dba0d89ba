# Pool elements and pool users that know no address find the registrar by its announces (RFC 5352 section 3.6).
# short, at most 180 s
# broken by: s/^registrar pr1$/registrar pr1 announce=off/
network pr1 pe1 pu1
registrar pr1
via=announced element 0x0000ec01 pe1 echo RoundRobin
wait_until 20 "announce" seen 1 pr1 239.0.0.50 asap-server-announce server="$(identifier pr1)"
wait_until 20 "registration" registered 0x0000ec01

step "a pool user by announces"
via=announced terminal pu1 EchoPool
say EchoPool "are you there?"
wait_until 20 "echo" printed EchoPool 0x0000ec01 "are you there"

step "announces go on, about one a second with one registrar (section 3.6, T6)"
from_now_on
wait_until 20 "ten announces" seen 10 pr1 239.0.0.50 asap-server-announce
wire pr1 239.0.0.50 asap-server-announce | awk '
    NR > 1 { gap = $1 - last; if (gap > 2.5) { print "a gap of " gap " s"; exit 1 } }
    NR == 1 { first = $1 }
    { last = $1 }
    END { if ((last - first) / (NR - 1) < 0.5) { print "too often"; exit 1 } }'
