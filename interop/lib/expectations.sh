# What differs between the registrars that scenarios drive, in one place. A scenario asks
#   expected HOST SUBJECT
# and checks for the answer, so a fault of one does not excuse another.
expected() {
    local subject=$2
    case $(kind "$1") in
        rsplib) expected_of_rsplib "$subject" ;;
        ours) expected_of_ours "$subject" ;;
    esac
}

expected_of_rsplib() {
    case $1 in
        # RFC 5354 section 3.12.6 wants the pool's policy with it; tshark takes its absence for malformed.
        cause-of-another-policy) echo "0x0005" ;;
        cause-of-another-transport-use) echo "0x0008" ;;
        # A code of its own for RFC 5354's cause 3.
        cause-of-no-identifier) echo "0xf000" ;;
        # It counts reports and does not ask the element.
        keep-alives-after-two-reports) echo 0 ;;
        malformed) echo "asap-registration-response .* cause=0x0005" ;;
        *) fail "nothing is expected as $1" ;;
    esac
}

expected_of_ours() {
    case $1 in
        cause-of-another-policy) echo "0x0005 0008000800000001" ;;
        cause-of-another-transport-use) echo "0x0008" ;;
        cause-of-no-identifier) echo "0x0003" ;;
        keep-alives-after-two-reports) echo 2 ;;
        malformed) echo "^$" ;;
        *) fail "nothing is expected as $1" ;;
    esac
}
