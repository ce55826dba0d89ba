# Registrars, of whichever implementation is under test. REGISTRAR names it: rsplib or ours for all
# of them, or a list by host, as rsplib,ours,ours for pr1, pr2 and pr3. What the implementations are
# known to do differently is in expectations.sh, and nowhere else.

# ASAP goes over sctp, tcp or sctp-udp, which is SCTP that the registrar has in user space over UDP and the
# hosts' kernels encapsulate (RFC 6951); rsplib's registrar knows only sctp.
over=sctp

# kind HOST: rsplib or ours.
kind() {
    local kinds
    IFS=, read -ra kinds <<<"$REGISTRAR"
    echo "${kinds[${1:2} - 1]:-${kinds[0]}}"
}

# identifier HOST: 0x11111111 for pr1.
identifier() { printf '0x%08x' $((0x11111111 * ${1:2})); }

# registrar HOST [SETTING=VALUE...]: starts a host's registrar as a process of the host's name and
# waits until it takes associations. Settings: keepalive and timeout, the interval and time-out of
# keep-alives in milliseconds; announce=off; peer=HOST, again for each peer; both_networks=yes; log=off.
registrar() {
    local host=$1 setting command=() here
    shift
    here=$(address "$host")
    case $(kind "$host") in
        rsplib) command=(rspregistrar "-identifier=$(identifier "$host")" -logcolor=off -loglevel=5
            "-asap=$here:3863" "-enrp=$here:9901") ;;
        ours) command=("$INTEROP/../target/release/rserpool-registrar" --id "$(identifier "$host")"
            --asap "$over://$here:$([ "$over" = sctp-udp ] && echo 9899 || echo 3863)")
            # rsplib's peers know SCTP alone, so that is what a group of the lab speaks.
            [ "$over" != sctp ] || command+=(--enrp "sctp://$here:9901") ;;
        *) fail "REGISTRAR=$REGISTRAR" ;;
    esac
    for setting; do
        # On a slow machine time-outs are longer, too.
        [[ $setting != @(keepalive|timeout)=* ]] || setting=${setting%=*}=$((${setting#*=} * PATIENCE))
        # shellcheck disable=SC2207 # words without spaces
        command+=($("$(kind "$host")_setting" "${setting%%=*}" "${setting#*=}" "$here"))
    done
    start "$host" "$host" "${command[@]}"
    wait_until 20 "endpoint of $host's registrar" takes_associations "$host"
    settle
}

takes_associations() {
    running "$1" || fail "$1's registrar ended: $(tail -1 "$OUT/$1.log")"
    case $over in
        sctp) on "$1" grep -q ' 3863 ' /proc/net/sctp/eps ;;
        tcp) on "$1" ss -Htln 'sport = 3863' | grep -q . ;;
        sctp-udp) on "$1" ss -Huln 'sport = 9899' | grep -q . ;;
    esac
}

rsplib_setting() {
    case $1 in
        keepalive) echo "-endpointkeepalivetransmissioninterval=$2" ;;
        timeout) echo "-endpointkeepalivetimeoutinterval=$2" ;;
        log) echo "-loglevel=0" ;;
        announce) echo "-asapannounce=239.0.0.99:9 -enrpannounce=239.0.0.99:10" ;;
        peer) echo "-peer=$(address "$2"):9901" ;;
        both_networks) echo "-asap=$3:3863,${3/44/45} -enrp=$3:9901,${3/44/45}" ;;
        *) fail "no setting $1" ;;
    esac
}

ours_setting() {
    case $1 in
        keepalive) echo "--keep-alive-interval $2" ;;
        timeout) echo "--keep-alive-timeout $2" ;;
        log) ;;
        host) echo "--host $2" ;;
        announce) echo "--announce off" ;;
        peer) echo "--peer sctp://$(address "$2"):9901" ;;
        both_networks) echo "--asap sctp://${3/44/45}:3863 --enrp sctp://${3/44/45}:9901" ;;
        *) fail "no setting $1" ;;
    esac
}
