# rsplib's pool elements and pool users do their work over SCTP in UDP, by their kernels' encapsulation (RFC 6951).
# short, at most 180 s, ours only
# broken by: s/net.sctp.encap_port=9899/net.sctp.encap_port=9898/
over=sctp-udp
network pr1 pe1 pe2 pu1 pu2
for host in pe1 pe2 pu1 pu2; do
    on $host sysctl -q -w net.sctp.udp_port=9899 net.sctp.encap_port=9899
done
registrar pr1 keepalive=1000 timeout=1000
! on pr1 grep -q ' 3863 ' /proc/net/sctp/eps || fail "the registrar uses the kernel's SCTP"

step "registration, by an address and by announces"
element_registered 0x0000aa01 pe1 pingpong RoundRobin
via=announced element_registered 0x0000aa02 pe2 pingpong RoundRobin
element_registered 0x0000ec01 pe1 echo LeastUsed
answers PingPongPool 0x0000aa01 0x0000aa02

step "a pool user's session"
terminal pu2 EchoPool
say EchoPool "are you there?"
wait_until 20 "echo" printed EchoPool 0x0000ec01 "are you there"

step "a ping-pong session moves when its element dies"
start client pu1 pingpongclient "$(registrar_option)" -interval=500 -logcolor=off
acknowledged() { logged client "Ack #[0-9]+ from PE .$1" "$2"; }
wait_until 20 "five replies" acknowledged 0000aa0 5
first=$(grep -o 'from PE .0000aa0[12]' "$OUT/client.log" | tail -1 | grep -o '[12]$')
stop "0x0000aa0$first" KILL
wait_until 20 "five replies of the other" acknowledged "0000aa0$((3 - first))" 5
wait_until 10 "removal of the dead" answers PingPongPool "0x0000aa0$((3 - first))"
stop client

step "a frozen element goes, one that ends deregisters"
freeze 0x0000ec01
wait_until 10 "removal of the frozen element" unknown EchoPool
thaw 0x0000ec01
stop "0x0000aa0$((3 - first))"
wait_until 10 "deregistration" seen 1 "pe$((3 - first))" pr1 asap-deregistration handle=PingPongPool
unknown PingPongPool
