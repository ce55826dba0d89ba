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
        third-report-of-an-element-that-answers) echo removes ;;
        # It degrades twice a selection and once at the registration: elements with 0.1, 0.23 and 0.37 of
        # degradation have keys 0.1 0.3 0.5 0.7 0.9, 0.23 0.69, 0.37 (RFC 5356 section 4.2 says once).
        order-of-least-used-degradation) echo 1 2 1 3 1 2 1 1 ;;
        # Any association may deregister any element (RFC 5352 section 2.2.2 forbids it).
        deregistration-by-a-stranger) echo obeyed ;;
        # It aborts; RFC 5354 section 3.9 has no such limit.
        handle-of-33-bytes) echo crash ;;
        # It never ends what is at home with it.
        end-of-registration-life) echo ignored ;;
        # Only an acknowledgement completes a takeover, and there is nobody to give one.
        takeover-with-nobody-to-agree) echo fails ;;
        # It does not ask whether who sends a delete is still the element's home.
        deletes-of-a-former-home) echo obeyed ;;
        # It asks for a part of a handle table when it has the one before, and audits nobody at its start.
        requests-of-a-handle-table) echo "one a page" ;;
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
        # RFC 5352 section 3.5 has a keep-alive asked for each report; one that answers it is not unreachable.
        third-report-of-an-element-that-answers) echo "changes nothing" ;;
        # Keys 0 0.1 0.2 0.3 0.4 0.5, 0 0.23 0.46, 0 0.37.
        order-of-least-used-degradation) echo 1 2 3 1 1 2 1 3 ;;
        deregistration-by-a-stranger) echo refused ;;
        handle-of-33-bytes) echo answered ;;
        end-of-registration-life) echo removed ;;
        takeover-with-nobody-to-agree) echo completes ;;
        deletes-of-a-former-home) echo ignored ;;
        # Several at once toward its own kind, and an audit of every peer when it begins to serve.
        requests-of-a-handle-table) echo "several at once" ;;
        malformed) echo "^$" ;;
        *) fail "nothing is expected as $1" ;;
    esac
}
