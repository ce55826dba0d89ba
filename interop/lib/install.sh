# What the lab needs on this machine, installed where it is missing. Sourced by lab and run.

# as_root COMMAND...
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install_tools CHECKOUT: Debian packages for every command that is not there yet. Runs that start
# together wait for each other.
install_tools() {
    local need=() pair
    for pair in linux.uml:user-mode-linux modprobe:kmod ip:iproute2 ps:procps tcpdump:tcpdump tshark:tshark \
        cc:gcc rspregistrar:rsplib-registrar rspserver:rsplib-services rspterminal:rsplib-tools; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%:*}" >/dev/null || need+=("${pair#*:}")
    done
    [ -e /usr/include/stdio.h ] || need+=(libc6-dev)
    perl -MTime::HiRes -e 1 2>/dev/null || need+=(perl)
    [ "${#need[@]}" -gt 0 ] || return 0
    mkdir -p "$1/target/interop"
    (
        flock 8
        as_root apt-get -qq -o DPkg::Lock::Timeout=300 update
        DEBIAN_FRONTEND=noninteractive as_root apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends \
            "${need[@]}" >/dev/null
    ) 8>"$1/target/interop/.install.lock"
}

# xstate_shim CHECKOUT: prints the path of the library that lets User Mode Linux run on processors
# with a larger register file than it knows (lib/xstate.c), built once a checkout.
xstate_shim() {
    local built=$1/target/interop/xstate.so
    if [ ! "$built" -nt "$1/interop/lib/xstate.c" ]; then
        cc -O2 -Wall -Wextra -shared -fPIC -o "$built.$$" "$1/interop/lib/xstate.c" -ldl
        mv "$built.$$" "$built"
    fi
    echo "$built"
}
