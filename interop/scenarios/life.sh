# A registration that is not renewed ends with its registration life (RFC 5352 section 3.2, RFC 5354 section 3.10).
# long, at most 300 s
# broken by: s/^if .*/if true; then/
network pr1 pe1 pu1
registrar pr1
start_asap mayfly pe1 "register Pool 0x1 RoundRobin $((3000 * PATIENCE))" "serve 600"
start_asap tortoise pe1 "register Pool 0x2 RoundRobin 600000" "serve 600"
for pe in 0x00000001 0x00000002; do
    wait_until 20 "registration of $pe" registered $pe
done
if [ "$(expected pr1 end-of-registration-life)" = removed ]; then
    wait_until 10 "end of the short life" answers Pool 0x00000002
    during 3 answers Pool 0x00000002
else
    during 10 answers Pool 0x00000001 0x00000002
fi
