# A thousand elements over a thousand associations register, are found, answer keep-alives and go (RFC 5352 section 3).
# long, at most 300 s
# broken by: s/serve 600/mute 600/
network pr1 pe1 pu1
registrar pr1 keepalive=5000 timeout=5000

step "a thousand associations"
start_asap crowd pe1 "open 999" "each 1000 register Crowd 0x1000 RoundRobin" "serve 600"
wait_until 120 "registrations" logged crowd "^registered" 1000

step "each selected once in a thousand resolutions"
[ "$(asap pu1 "resolve Crowd 1 1000" | cut -d' ' -f4 | sort -u | wc -l)" = 1000 ]

step "still there after three keep-alives each"
from_now_on
wait_until 60 "keep-alives" seen 3000 asap-endpoint-keep-alive handle=Crowd
wait_until 30 "their answers" seen 3000 asap-endpoint-keep-alive-acknowledgement handle=Crowd
[ "$(asap pu1 "resolve Crowd 1 1000" | cut -d' ' -f4 | sort -u | wc -l)" = 1000 ]
! logged crowd closed

step "gone with their associations"
stop crowd KILL
wait_until 20 "removal of all" unknown Crowd
