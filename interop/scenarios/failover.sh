# A ping-pong session moves to another element when its own dies, and no reply is lost (RFC 5352 sections 3.3, 3.8).
# short, at most 180 s
# broken by: s/cookie-echo/cookie/; s/^stop 0x0000aa01 KILL$/stop 0x0000aa01 KILL; sed -i 5,9d "$OUT\/client.log"/
network pr1 pe1 pe2 pu1
registrar pr1
element_registered 0x0000aa01 pe1 pingpong RoundRobin
element_registered 0x0000aa02 pe2 pingpong RoundRobin

step "a session with the first"
start client pu1 pingpongclient "$(registrar_option)" -interval=1000 -logcolor=off
acknowledged() { logged client "Ack #[0-9]+ from PE .$1" "$2"; }
wait_until 20 "five replies" acknowledged 0000aa01 5

step "it dies right after a reply"
replies=$(grep -c Ack "$OUT/client.log")
wait_until 5 "reply" acknowledged 0000aa01 $((replies + 1))
stop 0x0000aa01 KILL
wait_until 20 "five replies of the other" acknowledged 0000aa02 5
expect 1 pu1 pe2 asap-cookie-echo

step "messages and replies without a gap"
stop client
sed -n 's/.*Ack #\([0-9]*\) from PE .* (reply #\([0-9]*\)).*/\1 \2/p' "$OUT/client.log" | awk '
    $1 != NR || $2 != NR { print "reply " NR " is number " $2 ", to message " $1; exit 1 }
    END { if (NR < 11) exit 1 }'
