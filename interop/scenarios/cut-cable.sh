# Elements behind a cut cable are gone within the keep-alive bound and come back by themselves (RFC 5352 sections 3.1, 3.5).
# long, at most 300 s
# broken by: s/^registrar pr1 .*/registrar pr1 keepalive=20000/
network pr1 pe1 pe2 pu1
registrar pr1 keepalive=2000 timeout=2000
element_registered 0x0000ec01 pe1 echo RoundRobin -rereginterval=3000
element_registered 0x0000ec02 pe2 echo RoundRobin -rereginterval=3000

step "cut"
cut_cable pe1
cut=$SECONDS
wait_until 15 "removal" answers EchoPool 0x0000ec02
[ $((SECONDS - cut)) -le $((5 * PATIENCE)) ] || fail "gone only after $((SECONDS - cut)) s"
during 5 answers EchoPool 0x0000ec02

step "plugged: registered anew after the element's own time-outs"
plug_cable pe1
wait_until 90 "return" answers EchoPool 0x0000ec01 0x0000ec02
