# Every policy that rsplib's elements offer selects in its exact order, or with its odds (RFC 5356 section 4).
# short, at most 180 s
# broken by: s/WeightedRandom:1 WeightedRandom:2/WeightedRandom:2 WeightedRandom:2/
network pr1 pe1 pe2 pe3 pu1
registrar pr1

# Pool by pool, what its three elements are told.
pools=(
    "RoundRobin RoundRobin RoundRobin RoundRobin"
    "WeightedRoundRobin WeightedRoundRobin:1 WeightedRoundRobin:2 WeightedRoundRobin:3"
    "Random Random Random Random"
    "WeightedRandom WeightedRandom:1 WeightedRandom:2 WeightedRandom:3"
    "Priority Priority:1 Priority:2 Priority:3"
    "LeastUsed LeastUsed LeastUsed LeastUsed"
    "LeastUsedDegradation LeastUsedDegradation:0.1 LeastUsedDegradation:0.23 LeastUsedDegradation:0.37"
    "LeastUsedDPF LeastUsedDPF:0.1 LeastUsedDPF:0.1 LeastUsedDPF:0.1"
    "WeightedRandomDPF WeightedRandomDPF:1:0.0001 WeightedRandomDPF:2:0.0001 WeightedRandomDPF:3:0.0001"
    "PriorityLeastUsed PriorityLeastUsed:0.1 PriorityLeastUsed:0.2 PriorityLeastUsed:0.3"
    "RandomizedLeastUsed RandomizedLeastUsed RandomizedLeastUsed RandomizedLeastUsed"
)
step "three elements in each of ${#pools[@]} pools, in order"
for place in 1 2 3; do
    for number in "${!pools[@]}"; do
        read -ra words <<<"${pools[$number]}"
        element "0x00000${number}0$place" "pe$place" echo "${words[$place]}" "-poolhandle=${words[0]}" -rereginterval=600000 2>/dev/null
    done
    wait_until 60 "registrations" seen $((place * ${#pools[@]})) asap-registration-response r_bit=0
done

# selected POOL ITEMS TIMES: the elements' places in each answer, "12 23 31", after its policy's name.
selected() {
    local policy=$1
    asap pu1 "resolve $1 $2 $3" | awk -v policy="$policy" '
        $3 != policy { print "an answer of policy " $3; exit 1 }
        { word = ""; for (i = 4; i <= NF; i++) word = word substr($i, length($i)); printf "%s%s", (NR > 1 ? " " : ""), word }
        END { print "" }'
}

# in_order POOL ITEMS ANSWER...
in_order() {
    local pool=$1 items=$2 got
    shift 2
    got=$(selected "$pool" "$items" $#)
    [ "$got" = "$*" ] || fail "$pool, $items items: $got instead of $*"
}

# with_odds POOL SHARES: 300 selections in these shares of six; off by less than five standard deviations.
with_odds() {
    selected "$1" 1 300 | tr ' ' '\n' | awk -v pool="$1" -v shares="$2" '
        { count[$1]++; if ($1 == last) repeated = 1; last = $1 }
        END {
            split(shares, share, " ")
            for (place = 1; place <= 3; place++) {
                p = share[place] / 6; off = count[place] - 300 * p
                if (off * off > 25 * 300 * p * (1 - p)) { print pool ": " count[place] " times " place; exit 1 }
            }
            if (!repeated || NR != 300) { print pool ": not random"; exit 1 }
        }'
    # All three, each once, and not always in the same order.
    selected "$1" 3 40 | tr ' ' '\n' | sort | uniq -c | awk -v pool="$1" '
        $2 !~ /^(123|132|213|231|312|321)$/ { print pool ": " $2; exit 1 }
        END { if (NR < 4) { print pool ": only " NR " orders"; exit 1 } }'
}

step "exact orders"
in_order RoundRobin 1 1 2 3 1 2 3 1
in_order RoundRobin 3 231 312 123 231
in_order RoundRobin 2 31 12 23
in_order Priority 1 3 3 3
in_order Priority 3 321 321 321
in_order LeastUsed 1 1 2 3 1 2 3
in_order LeastUsed 3 123 231 312
in_order LeastUsedDPF 1 1 2 3 1 2 3
in_order PriorityLeastUsed 1 1 1 1
in_order PriorityLeastUsed 3 123 123
in_order LeastUsedDegradation 1 $(expected pr1 order-of-least-used-degradation)

step "shares of each six in turn"
selected WeightedRoundRobin 1 30 | grep -oE '([123] ?){6}' | awk '
    { delete count; for (i = 1; i <= 6; i++) count[$i]++ }
    count[1] != 1 || count[2] != 2 || count[3] != 3 { print "WeightedRoundRobin: " $0; exit 1 }'

step "odds"
with_odds Random "2 2 2"
with_odds WeightedRandom "1 2 3"
with_odds WeightedRandomDPF "1 2 3"
with_odds RandomizedLeastUsed "2 2 2"
