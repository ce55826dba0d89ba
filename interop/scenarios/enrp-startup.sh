# A registrar that starts takes peers and handlespace from its mentor, in pages, then serves (RFC 5353 section 3.2).
# short, at most 240 s
# broken by: s/^registrar pr2$/cut_cable pr2; registrar pr2/
network pr1 pr2 pr3 pe1 pu1
registrar pr1
step "three hundred elements at the mentor"
registrations=() elements=()
for number in {256..555}; do
    registrations+=("register Pool$((number % 3)) $number WeightedRandom:$number")
    elements+=("Pool$((number % 3))/$number")
done
start_asap crowd pe1 "${registrations[@]}" "resolve Pool0" "serve 600"
wait_until 60 "three hundred registrations" logged crowd "^resolved"

step "the second starts"
registrar pr2
check_downloaded() {
    local pool number pairs
    for pool in 0 1 2; do
        pairs=()
        for number in {256..555}; do
            [ $((number % 3)) != $pool ] || pairs+=("$number@pr1")
        done
        wait_until 30 "elements of Pool$pool at $1" homes "$1" "Pool$pool" "${pairs[@]}"
    done
}
check_downloaded pr2
seen 1 pr2 pr1 enrp-list-request
seen 1 pr1 pr2 enrp-list-response r_bit=0
pages=$(count pr1 pr2 enrp-handle-table-response m_bit=1 r_bit=0)
[ "$pages" -ge 1 ] || fail "three hundred elements in one page"
if [ "$(expected pr2 requests-of-a-handle-table)" = "one a page" ]; then
    expect $((pages + 1)) pr2 pr1 enrp-handle-table-request w_bit=0
    expect 1 pr1 pr2 enrp-handle-table-response m_bit=0 r_bit=0
fi
wait_until 20 "presence" seen 1 pr1 pr2 enrp-presence
wait_until 10 "checksum of pr1" checksum_is pr1 "${elements[@]}"

step "the third starts"
registrar pr3
check_downloaded pr3
wait_until 20 "all to be peers" seen 1 pr3 pr2 enrp-presence
wait_until 20 "all to be peers" seen 1 pr2 pr3 enrp-presence

step "nobody finds a difference to audit"
from_now_on
wait_until 20 "presences" seen 6 pr1 enrp-presence
expect 0 enrp-handle-table-request
