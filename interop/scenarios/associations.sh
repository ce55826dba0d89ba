# A thousand elements over a thousand associations register, are found, answer keep-alives and go (RFC 5352 section 3).
# long, at most 400 s
# broken by: s/serve 600/mute 600/
capture() { capture_now_dissect_later; }
network pr1 pe1 pu1
registrar pr1 keepalive=10000 timeout=10000

step "a thousand associations"
start_asap crowd pe1 "open 999" "each 1000 register Crowd 0x1000 RoundRobin" "serve 600"
wait_until 120 "registrations" logged crowd "^registered" 1000

step "each selected once in a thousand resolutions"
[ "$(asap pu1 "resolve Crowd 1 1000" | cut -d' ' -f4 | sort -u | wc -l)" = 1000 ]

step "still there after three keep-alives each"
wait_until 120 "three thousand keep-alives" logged crowd "^served [0-9]*00$" 30
[ "$(asap pu1 "resolve Crowd 1 1000" | cut -d' ' -f4 | sort -u | wc -l)" = 1000 ]
! logged crowd closed

step "gone with their associations"
stop crowd KILL
wait_until 20 "removal of all" unknown Crowd

step "every message as tshark has it"
dissect_all
[ "$(wire pe1 pr1 asap-registration | wc -l)" = 1000 ] || fail "registrations"
[ "$(wire pr1 pe1 asap-registration-response r_bit=0 | wc -l)" = 1000 ] || fail "their answers"
[ "$(wire pr1 pe1 asap-endpoint-keep-alive handle=Crowd | wc -l)" -ge 3000 ] || fail "keep-alives"
[ "$(wire pe1 pr1 asap-endpoint-keep-alive-acknowledgement handle=Crowd | wc -l)" -ge 3000 ] || fail "their answers"
[ "$(wire pr1 pu1 asap-handle-resolution-response handle=Crowd | wc -l)" -ge 2000 ] || fail "answers to resolutions"
