# Our clients work with rsplib's services over the kernel's SCTP, and move with their cookies when those die (RFC 5352 section 3.8).
# short, at most 240 s
# broken by: s/-fgpfailureafter=40//
demo=$INTEROP/../target/release/rsp-demo
[ -x "$demo" ] || fail "no target/release/rsp-demo: cargo build --release -p rserpool-demos"
# client NAME HOST COMMAND...: one of our clients in the background, or, as `use HOST COMMAND...`, waited for.
client() { start "$1" "$2" "$demo" --registrar "sctp://$(address pr1):3863" "${@:3}"; }
use() { on "$1" "$demo" --registrar "sctp://$(address pr1):3863" "${@:2}"; }
network pr1 pe1 pe2 pu1 pu2
registrar pr1
element_registered 0x0000aa01 pe1 pingpong RoundRobin
element_registered 0x0000aa02 pe2 pingpong RoundRobin
element_registered 0x0000ec01 pe1 echo RoundRobin
element_registered 0x0000dd01 pe1 discard RoundRobin
element_registered 0x0000da01 pe2 daytime RoundRobin
element_registered 0x0000ca01 pe1 calcapp RoundRobin -capcapacity=1000 -capvector="$OUT/ca01.vec" -capscalar="$OUT/ca01.sca"
element_registered 0x0000fa01 pe1 fractal RoundRobin -fgpfailureafter=40
element_registered 0x0000fa02 pe2 fractal RoundRobin -fgpfailureafter=40

step "ping-pong with one element, then with the other"
client ping-pong pu1 ping-pong --count 20 --interval 500
wait_until 20 "five replies" logged ping-pong "message [0-9]+ from 0x0000aa0" 5
first=$(grep -o 'from 0x0000aa0[12]' "$OUT/ping-pong.log" | tail -1 | grep -o '[12]$')
replies=$(grep -c '^message' "$OUT/ping-pong.log")
wait_until 5 "reply" logged ping-pong "^message" $((replies + 1))
stop "0x0000aa0$first" KILL
finish ping-pong 40
expect 1 pu1 "pe$((3 - first))" asap-cookie-echo
logged ping-pong "^message 20 from 0x0000aa0$((3 - first)): reply 20$" || fail "$(tail -2 "$OUT/ping-pong.log")"
logged ping-pong "^20 replies, 0 gaps, 0 again$" || fail "$(tail -1 "$OUT/ping-pong.log")"

step "a job that would take a quarter of an hour, at an element that leaves cookies"
from_now_on
client calc-app pu1 calc-app --size 1000000
wait_until 20 "two cookies" seen 2 pe1 pu1 asap-cookie
element_registered 0x0000ca02 pe2 calcapp RoundRobin -capcapacity=1000000 -capvector="$OUT/ca02.vec" -capscalar="$OUT/ca02.sca"
stop 0x0000ca01 KILL
finish calc-app 40
expect 1 pu1 pe2 asap-cookie-echo
logged calc-app "completed by 0x0000ca02 .*: accepted 2, rejected 0, failovers 1$" || fail "$(cat "$OUT/calc-app.log")"

step "an image whose elements give up every 40 messages"
drawn=$(use pu2 fractal /run/image.png --width 200 --height 150)
grep -qE 'drawn: failovers [23], points again [0-9]+$' <<<"$drawn" || fail "$drawn"
[ "$(head -c 4 /run/image.png | tail -c 3)" = PNG ]

step "echo, discard and daytime"
[ "$(printf 'alpha\nbeta\n' | use pu2 echo)" = "$(printf 'alpha\nbeta')" ]
printf 'alpha\nbeta\n' | use pu2 discard
use pu2 daytime | grep -q '^[A-Z][a-z]*day, '
