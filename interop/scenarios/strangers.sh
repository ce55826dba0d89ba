# What an association may do to elements of others, and malformed messages that it sends, harm nobody (RFC 5352 section 2.2.2, RFC 5354).
# long, at most 300 s
# broken by: s/^ill_behaved=pu2$//
network pr1 pe1 pu1 pu2
ill_behaved=pu2
registrar pr1
element_registered 0x0000ec01 pe1 echo RoundRobin -rereginterval=60000

step "deregistration by somebody else"
asap pu2 "deregister EchoPool 0xec01"
if [ "$(expected pr1 deregistration-by-a-stranger)" = refused ]; then
    during 2 answers EchoPool 0x0000ec01
else
    unknown EchoPool
    stop 0x0000ec01
    element_registered 0x0000ec01 pe1 echo RoundRobin -rereginterval=60000
fi

step "messages that lie about lengths, unknown ones, none at all"
for bytes in 05 0500 050000 05000004 0500ffff 0500000800090000 05000008000900ff 7f000004 3f000004 05000010000900080000000000000000 \
    "0500002c00090028$(printf 'ff%.0s' {1..8})" 01000008000a0004 0800000c0009000850504f4f; do
    asap pu2 "raw $bytes" >>/run/answers || true
    answers EchoPool 0x0000ec01 || fail "after $bytes"
done

step "a pool handle of 33 bytes"
long=$(printf 'z%.0s' {1..33})
asap pu2 "resolve $long" >/run/long 2>&1 || true
if [ "$(expected pr1 handle-of-33-bytes)" = answered ]; then
    grep -q "^unresolved $long 0x0009" /run/long
    answers EchoPool 0x0000ec01
else
    wait_until 5 "end of the registrar" ended pr1
    unset "process_id[pr1]"
fi
