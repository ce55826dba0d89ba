# rsplib's pool users do their whole work with rsplib's elements: echo, discard, daytime, calcapp (RFC 5352 sections 3.3, 3.8).
# short, at most 180 s
# broken by: s/calcapp LeastUsed -capvector="$OUT\/ca02/calcapp LeastUsed -capcapacity=10 -capvector="$OUT\/ca02/
network pr1 pe1 pe2 pu1 pu2
registrar pr1
element 0x0000ec01 pe1 echo RoundRobin
element 0x0000dd01 pe1 discard Random
element 0x0000da01 pe2 daytime LeastUsed
element 0x0000ca01 pe1 calcapp LeastUsed -capvector="$OUT/ca01.vec" -capscalar="$OUT/ca01.sca"
wait_until 30 "registrations" seen 4 asap-registration-response r_bit=0
element_registered 0x0000ca02 pe2 calcapp LeastUsed -capvector="$OUT/ca02.vec" -capscalar="$OUT/ca02.sca"

step "jobs at two calculating elements"
calculate() {
    start "$1" "$2" calcappclient "$(registrar_option)" -jobinterval=1 "-jobsize=$3" "-runtime=$4" \
        "-vector=$OUT/$1.vec" "-scalar=$OUT/$1.sca"
}
calculate user1 pu1 200000 12

step "echo"
terminal pu1 EchoPool
for text in alpha beta gamma; do
    say EchoPool "$text"
    wait_until 20 "echo of $text" printed EchoPool 0x0000ec01 "$text"
done

step "discard"
terminal pu2 DiscardPool
wait_until 20 "session" seen 1 pr1 pu2 asap-handle-resolution-response handle=DiscardPool
for text in alpha beta gamma; do
    say DiscardPool "$text"
done
during 2 running DiscardPool
! logged DiscardPool FAILOVER || fail "the session with the discard element broke"

step "daytime"
terminal pu2 DaytimePool
wait_until 20 "time of day" printed DaytimePool 0x0000da01 "[A-Z][a-z]*day, "
stop DaytimePool

step "every job completed"
finish user1 40
awk '/Total Jobs Started/ { started = $NF } /Total Jobs Completed/ { completed = $NF }
    /Total CalcAppRejects/ { rejected = $NF }
    END { if (completed < 3 || started - completed > 1 || rejected > 0) { print started, completed, rejected; exit 1 } }' "$OUT/user1.sca"

step "the load that an element reports counts: another is selected first (RFC 5356 section 4.2.1)"
from_now_on
calculate user2 pu2 1000000000 60
wait_until 20 "a loaded element" seen 1 asap-registration policy=0x40000001 handle=CalcAppPool load=10.0000000116415
loaded=$(values pe asap-registration handle=CalcAppPool load=10.0000000116415 | tail -1)
idle=$([ "$loaded" = 0x0000ca01 ] && echo 0x0000ca02 || echo 0x0000ca01)
for _ in 1 2 3; do
    [ "$(asap pu1 "resolve CalcAppPool 2")" = "resolved CalcAppPool LeastUsed $idle $loaded" ]
done
