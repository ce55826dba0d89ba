# What registrations and handle resolutions cost a registrar, in its own CPU time, with 10,000 elements.
# long, at most 500 s
# A scenario for interop/lab; README.md has the command. It prints lines of
#   cost PHASE REGISTRATIONS RESOLUTIONS CPU-SECONDS PER-CPU-SECOND

# Nothing is captured meanwhile: tshark has the same CPU.
capture() { true; }
settle() { true; }
network pr1 pe1
registrar pr1 keepalive=600000 timeout=600000 announce=off log=off

# cost NAME OPTION...: one run of the load generator, and what its phases cost.
cost() {
    local name=$1
    shift
    start load pe1 "$INTEROP/../target/release/rserpool-loadgen" --target "sctp://$(address pr1):3863" --compat rsplib \
        --elements 10000 --pools 100 --policies round-robin --items 1 --churn 0 --reregister-every 600 \
        --connections 64 --clients 1 --duration 10 --answer-timeout 60 --forget-within 60 \
        --pid "${process_id[pr1]}" --no-progress --out "$OUT/$name" "$@"
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
        }' "$name" <"$OUT/$name/report.json"
}
cost closed-1 --closed 1
cost closed-8 --closed 8
