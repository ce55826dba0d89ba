# What registrations and handle resolutions over kernel SCTP cost a registrar, in its own CPU time.
# long, at most 300 s
# A scenario for interop/lab, started by `run`, which leaves target/interop/sctp-lab.env: SERVER is rsplib, epoll or
# io_uring, WINDOWS the numbers of unanswered requests; BINARY may name another registrar of ours than
# target/release has, WRAP a command to start it with. It prints lines of
#   cost WINDOW PHASE REGISTRATIONS RESOLUTIONS CPU-SECONDS PER-CPU-SECOND

# Nothing is captured meanwhile: tshark has the same CPU.
capture() { true; }
settle() { true; }
network pr1 pe1
. "$OUT/../sctp-lab.env"
case $SERVER in
    rsplib)
        REGISTRAR=rsplib
        registrar pr1 keepalive=600000 timeout=600000 announce=off log=off
        ;;
    *)
        start pr1 pr1 ${WRAP:-} "${BINARY:-$INTEROP/../target/release/rserpool-registrar}" --id 0x11111111 --host "$SERVER" \
            --asap "sctp://$(address pr1):3863" --enrp "sctp://$(address pr1):9901" --announce off \
            --keep-alive-interval 600000 --keep-alive-timeout 600000 ${OPTIONS:-}
        wait_until 20 "endpoint of the registrar" takes_associations pr1
        ;;
esac

for window in ${WINDOWS:-1 4 8}; do
    start load pe1 "$INTEROP/../target/release/rserpool-loadgen" --target "sctp://$(address pr1):3863" --compat rsplib \
        --elements 10000 --pools 100 --policies round-robin --items 1 --churn 0 --reregister-every 600 \
        --connections 64 --clients 1 --duration "${DURATION:-5}" --answer-timeout 60 --forget-within 60 \
        --pid "${process_id[pr1]}" --no-progress --out "$OUT/closed-$window" --closed "$window"
    finish load 240
    perl -MJSON::PP -e '
        local $/;
        my $report = decode_json(<STDIN>);
        for my $phase (@{ $report->{phases} }) {
            my %count = map { $_->{name} => $_->{count} } @{ $phase->{operations} };
            my ($registrations, $resolutions) = map { $count{$_} // 0 } "register", "resolve 1";
            my $cpu = $phase->{registrar_cpu_seconds};
            next unless $cpu && $registrations + $resolutions;
            printf "cost %s %s %d %d %.2f %.0f\n", $ARGV[0], $phase->{name} =~ s/ /-/gr, $registrations, $resolutions, $cpu,
                ($registrations + $resolutions) / $cpu;
        }' "$window" <"$OUT/closed-$window/report.json"
done
