# Groups of registrars: what each of them knows, and whether they agree.

# group HOST...: starts the first registrar, then the others together, and waits until all are peers.
group() {
    local host other
    registrar "$1"
    wait_until 20 "presence of $1" seen 1 "$1" enrp-presence
    for host in "${@:2}"; do
        registrar "$host"
    done
    for host; do
        for other; do
            [ "$host" = "$other" ] || wait_until 30 "presence of $host at $other" seen 1 "$host" "$other" enrp-presence
        done
    done
}

# homes HOST HANDLE PE@HOME...: the registrar of the host has just these elements in the pool, in order
# of their identifiers, with these hosts for homes; nothing after HANDLE: it has no such pool.
homes() {
    local host=$1 handle=$2 wanted="" pair
    shift 2
    for pair; do
        printf -v pair ' 0x%08x@0x%08x' "${pair%@*}" $((0x11111111 * ${pair#*@pr}))
        wanted+=$pair
    done
    [ "$(via=$host asap pu1 "homes $handle" | sed 's/^unresolved .* 0x0009.*/homes '"$handle/")" = "homes $handle$wanted" ]
}

# everywhere "HOST..." HANDLE PE@HOME...: all these registrars.
everywhere() {
    local host
    for host in $1; do
        homes "$host" "${@:2}" || return 1
    done
}

# home_of HOST HANDLE PE: the host that is the element's home, as the registrar of HOST has it.
home_of() {
    local homes
    homes=$(via=$1 asap pu1 "homes $2") || return 1
    sed -n "s/.* $3@0x\([1-9]\).*/pr\1/p" <<<"$homes"
}
# moved HOST HANDLE PE FROM: it is another than FROM.
moved() {
    local now
    now=$(home_of "$1" "$2" "$3")
    [ -n "$now" ] && [ "$now" != "$4" ]
}

# checksum HOST: in its newest presence. checksum_is HOST HANDLE/PE...: it covers just these elements.
checksum() { wire_so_far "$1" enrp-presence "sender=$(identifier "$1")" | sed -n '$s/.* checksum=\([^ ]*\).*/\1/p'; }
checksum_is() { [ "$(checksum "$1")" = "$(perl lib/checksum.pl "${@:2}")" ]; }
