# The hosts of a scenario: network namespaces on one Ethernet, each with one address, and a lab end
# of it that sees everything. Registrars pr1..pr9 are 10.44.0.1 to .9, pool elements pe1..pe9 .11 to
# .19, pool users pu1..pu9 .51 to .59.

# address HOST
address() {
    local number=${1:2}
    case $1 in
        pr?) echo "10.44.0.$number" ;;
        pe?) echo "10.44.0.$((10 + number))" ;;
        pu?) echo "10.44.0.$((50 + number))" ;;
        *) fail "no host is called $1" ;;
    esac
}

# network HOST...: lays the cables and starts the capture.
network() {
    local host
    {
        echo "link add lan type bridge mcast_snooping 0"
        echo "address add 10.44.0.254/24 dev lan"
        echo "link set lan up"
        for host; do
            echo "netns add $host"
            echo "link add $host type veth peer name eth0 netns $host"
            echo "link set $host master lan up"
        done
    } >/run/network
    ip -batch /run/network
    for host; do
        ip -n "$host" -batch - <<BATCH
link set lo up
address add $(address "$host")/24 dev eth0
link set eth0 up
route add 224.0.0.0/4 dev eth0
BATCH
    done
    capture
}

# on HOST COMMAND...
on() {
    local host=$1
    shift
    ip netns exec "$host" "$@"
}

# Pulls and plugs a host's cable.
cut_cable() { ip link set "$1" down; }
plug_cable() { ip link set "$1" up; }

# second_network HOST...: another Ethernet for these hosts, 10.45.0 for 10.44.0, that is not captured.
second_network() {
    local host
    ip link add lan2 type bridge
    ip link set lan2 up
    for host; do
        ip link add "$host-2" type veth peer name eth1 netns "$host"
        ip link set "$host-2" master lan2 up
        ip -n "$host" address add "$(address "$host" | sed s/44/45/)/24" dev eth1
        ip -n "$host" link set eth1 up
    done
}
