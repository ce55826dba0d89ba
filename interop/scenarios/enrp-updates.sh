# What changes at one registrar changes at all, in every direction, and their checksums agree (RFC 5353 sections 3.3, 3.6).
# long, at most 300 s
# broken by: s/^stop 0x0000ec03 KILL$/freeze 0x0000ec03/
network pr1 pr2 pr3 pe1 pe2 pe3 pu1
group pr1 pr2 pr3

step "an element at each"
for number in 1 2 3; do
    via=pr$number element_registered 0x0000ec0$number pe$number echo RoundRobin -rereginterval=60000
done
all=(0x0000ec01@pr1 0x0000ec02@pr2 0x0000ec03@pr3)
wait_until 10 "elements of all at all" everywhere "pr1 pr2 pr3" EchoPool "${all[@]}"
for host in pr1 pr2 pr3; do
    wait_until 10 "checksum of $host" checksum_is $host "EchoPool/0xec0${host:2}"
done

step "one deregisters"
from_now_on
stop 0x0000ec02
wait_until 10 "its removal at all" everywhere "pr1 pr2 pr3" EchoPool 0x0000ec01@pr1 0x0000ec03@pr3
for host in pr1 pr3; do
    expect 1 pr2 $host enrp-handle-update action=1 handle=EchoPool pe=0x0000ec02 home="$(identifier pr2)"
done
wait_until 10 "checksum of nothing" checksum_is pr2

step "one dies"
stop 0x0000ec03 KILL
wait_until 10 "its removal at all" everywhere "pr1 pr2 pr3" EchoPool 0x0000ec01@pr1

step "a thousand changes, at all three at once"
for number in 1 2 3; do
    changes=()
    for pe in {100..199}; do
        changes+=("register Pool$number $pe LeastUsed:0.$pe" "register Pool$number $pe LeastUsed:0.5")
    done
    for pe in {120..199}; do
        changes+=("deregister Pool$number $pe")
    done
    via=pr$number start_asap "changes$number" "pe$number" "${changes[@]}" "resolve Pool$number" "serve 600"
done
for number in 1 2 3; do
    wait_until 60 "changes at pr$number" logged changes$number "^resolved"
done
for number in 1 2 3; do
    left=() block=()
    for pe in {100..119}; do
        left+=("$pe@pr$number")
        block+=("Pool$number/$pe")
    done
    wait_until 20 "twenty elements of Pool$number at all" everywhere "pr1 pr2 pr3" "Pool$number" "${left[@]}"
    [ "$number" != 1 ] || block+=(EchoPool/0xec01)
    wait_until 10 "checksum of pr$number" checksum_is "pr$number" "${block[@]}"
done

step "nobody finds a difference to audit"
from_now_on
wait_until 20 "presences" seen 6 pr1 enrp-presence
expect 0 enrp-handle-table-request
