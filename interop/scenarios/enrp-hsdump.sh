# rsplib's hsdump, which poses as a peer, gets the whole handlespace (RFC 5353 sections 3.2, 3.4).
# long, at most 300 s
# broken by: s/now having 2 pools/now having 3 pools/
network pr1 pr2 pe1 pe2 pu1
group pr1 pr2
via=pr1 element_registered 0x0000ec01 pe1 echo RoundRobin
via=pr2 element_registered 0x0000aa01 pe2 pingpong WeightedRandom:7
wait_until 10 "both at pr1" homes pr1 PingPongPool 0x0000aa01@pr2
for host in pr1 pr2; do
    on pu1 hsdump "$(address $host):9901" >"$OUT/dump-of-$host.log" 2>&1
    grep -q 'now having 2 pools, 2 PEs' "$OUT/dump-of-$host.log"
    grep -q 'chsum=.* home=.11111111' "$OUT/dump-of-$host.log"
    grep -q 'chsum=.* home=.22222222' "$OUT/dump-of-$host.log"
    grep -q 'Pool "PingPongPool", Policy "WeightedRandom"' "$OUT/dump-of-$host.log"
done
