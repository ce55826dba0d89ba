# What registrations and handle resolutions cost a registrar, in its own CPU time, with 10,000 elements.
# long, at most 500 s
# A scenario for interop/lab, with REGISTRAR=ours or rsplib. It prints lines of
#   cost WHAT COUNT CPU-SECONDS PER-CPU-SECOND
# Nothing is captured meanwhile: tshark has the same CPU.
capture() { true; }
settle() { true; }
network pr1 pe1 pu1
registrar pr1 keepalive=600000 timeout=60000 announce=off
ticks=$(getconf CLK_TCK)
spent() { awk '{print $14 + $15}' "/proc/${process_id[pr1]}/stat"; }

# cost WHAT COUNT LOG: what the registrar spent since `before`.
cost() {
    awk -v what="$1" -v count="$2" -v cpu="$(($(spent) - before))" -v hz="$ticks" \
        'BEGIN { printf "cost %s %d %.2f %.0f\n", what, count, cpu / hz, count * hz / cpu }'
}

for elements in 10000; do
    before=$(spent)
    start_asap crowd pe1 "open 99" "crowd $elements Crowd 0x1000 RoundRobin 8" \
        "crowd $elements Crowd 0x1000 RoundRobin 8" "serve 600"
    wait_until 200 "registrations" logged crowd "^crowded" 1
    cost registration $elements
    before=$(spent)
    wait_until 200 "renewals" logged crowd "^crowded" 2
    cost renewal $elements
    for window in 1 8; do
        before=$(spent)
        asap pu1 "open 19" "flood 20000 Crowd 1 $window"
        cost resolution-window-$window 20000
    done
done
