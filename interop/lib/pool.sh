# Pool elements and pool users: rsplib's programs, and asap.pl where a scenario wants exact messages.

# The registrar that elements and users are told of; `announced` for none: they listen to announces.
# For one call: via=pr2 element ...
via=pr1

registrar_option() { [ "$via" = announced ] || echo "-registrar=$(address "$via"):3863"; }

# element PE HOST SERVICE POLICY [OPTION...]: rspserver as a process of the element's name, as
# 0x0000ec01, on the way to its registration. SERVICE is echo, pingpong, discard, daytime, calcapp.
element() {
    local pe=$1 host=$2 service=$3 policy=$4
    shift 4
    start "$pe" "$host" rspserver "-$service" "-identifier=$pe" "-policy=$policy" $(registrar_option) \
        -logcolor=off -loglevel=4 "$@"
}

# registered PE [COUNT]: its registration has been accepted so often (1) in what is looked at.
registered() { seen "${2:-1}" asap-registration-response r_bit=0 "pe=$1"; }

# element_registered ARGUMENTS OF element: the same, and waits for it.
element_registered() {
    element "$@"
    wait_until 20 "registration of $1" registered "$1"
}

# asap HOST COMMAND...: asap.pl on a host, toward the registrar of $via.
asap() {
    local host=$1
    shift
    on "$host" perl lib/asap.pl "${over%-udp}://$(address "$via"):3863" "$@"
}

# start_asap NAME HOST COMMAND...: the same in the background.
start_asap() {
    local name=$1 host=$2
    shift 2
    start "$name" "$host" perl lib/asap.pl "${over%-udp}://$(address "$via"):3863" "$@"
}

# answers HANDLE PE...: a pool user that asks for all gets these elements, in any order.
answers() { answers_over "$(address "$via")" "$@"; }

# answers_over ADDRESS HANDLE PE...: the same, of the registrar at this address.
answers_over() {
    local handle=$2 got
    got=$(on pu1 perl lib/asap.pl "${over%-udp}://$1:3863" "resolve $handle 128") || return 1
    shift 2
    [ "$(cut -d' ' -f4- <<<"$got" | tr ' ' '\n' | sort)" = "$(printf '%s\n' "$@" | sort)" ]
}

# unknown HANDLE: there is no such pool.
unknown() { asap pu1 "resolve $1 128" | grep -q "^unresolved $1 0x0009"; }

# terminal HOST HANDLE: rspterminal as process HANDLE, for `say` and `printed`.
terminal() {
    mkfifo "/run/$2.lines"
    start "$2" "$1" bash -c 'exec "${@:2}" <>"$1"' terminal "/run/$2.lines" rspterminal "-poolhandle=$2" $(registrar_option) -logcolor=off
}
# say HANDLE TEXT: to the element that the terminal is connected to.
say() { echo "$2" >"/run/$1.lines"; }
# printed HANDLE PE TEXT: the terminal got this line from that element.
printed() { logged "$1" "from PE .${2#0x}> $3"; }
