# rsplib's pool users work with our services over the kernel's SCTP, and move with their cookies when those die (RFC 5352 section 3.8).
# short, at most 240 s
# broken by: s/^stop 0x0000ca01 KILL$/true/
demo=$INTEROP/../target/release/rsp-demo
[ -x "$demo" ] || fail "no target/release/rsp-demo: cargo build --release -p rserpool-demos"
# ours PE HOST SERVICE [OPTION...]: one of our services is registered.
ours() {
    start "$1" "$2" "$demo" --registrar "sctp://$(address pr1):3863" serve "$3" --id "$1" \
        --listen "sctp://$(address "$2"):0" "${@:4}"
    wait_until 20 "registration of $1" registered "$1"
}
network pr1 pe1 pe2 pu1 pu2
registrar pr1
ours 0x0000aa01 pe1 ping-pong
ours 0x0000aa02 pe2 ping-pong
ours 0x0000ec01 pe1 echo
ours 0x0000da01 pe1 daytime
ours 0x0000ca01 pe1 calc-app --capacity 1000

step "ping-pong with one element, then with the other"
start client pu1 pingpongclient "$(registrar_option)" -interval=500 -logcolor=off
acknowledged() { logged client "Ack #[0-9]+ from PE .$1" "$2"; }
wait_until 20 "five replies" acknowledged 0000aa0 5
first=$(grep -o 'from PE .0000aa0[12]' "$OUT/client.log" | tail -1 | grep -o '[12]$')
replies=$(grep -c Ack "$OUT/client.log")
wait_until 5 "reply" acknowledged 0000aa0 $((replies + 1))
stop "0x0000aa0$first" KILL
wait_until 20 "five replies of the other" acknowledged "0000aa0$((3 - first))" 5
expect 1 pu1 "pe$((3 - first))" asap-cookie-echo

step "messages and replies without a gap"
stop client
sed -n 's/.*Ack #\([0-9]*\) from PE .* (reply #\([0-9]*\)).*/\1 \2/p' "$OUT/client.log" | awk '
    $1 != NR || $2 != NR { print "reply " NR " is number " $2 ", to message " $1; exit 1 }
    END { if (NR < 11) exit 1 }'

step "a job that would take a quarter of an hour, at an element that leaves cookies"
from_now_on
start user pu1 calcappclient "$(registrar_option)" -jobinterval=1 -jobsize=1000000 -runtime=40 \
    "-vector=$OUT/user.vec" "-scalar=$OUT/user.sca"
wait_until 20 "two cookies" seen 2 pe1 pu1 asap-cookie
ours 0x0000ca02 pe2 calc-app --capacity 2000000
stop 0x0000ca01 KILL
wait_until 20 "cookie at the other" seen 1 pu1 pe2 asap-cookie-echo

step "every job completed, the first by two elements"
finish user 60
awk '/Total Jobs Started/ { started = $NF } /Total Jobs Completed/ { completed = $NF }
    /CalcAppRequests/ { requests = $NF } /CalcAppAccepts/ { accepts = $NF } /CalcAppRejects/ { rejected = $NF }
    # The user may end between its last request and the answer.
    END { if (completed < 3 || started - completed > 1 || rejected > 0 ||
            accepts != requests + 1 && !(accepts == requests && started > completed)) {
        print started, completed, requests, accepts, rejected; exit 1 } }' "$OUT/user.sca"

step "echo and daytime"
terminal pu2 EchoPool
for text in alpha beta gamma; do
    say EchoPool "$text"
    wait_until 20 "echo of $text" printed EchoPool 0x0000ec01 "$text"
done
terminal pu2 DaytimePool
wait_until 20 "time of day" printed DaytimePool 0x0000da01 "[A-Z][a-z]*day, "
stop DaytimePool
