# After a partition heals, every element that lived through it is known to all, with one home (RFC 5353 sections 3.3, 3.5, 3.6).
# long, at most 300 s
# broken by: s/^plug_cable pr3$/true/
network pr1 pr2 pr3 pe1 pe2 pe3 pu1
group pr1 pr2 pr3
for number in 1 2 3; do
    via=pr$number element_registered 0x0000ec0$number pe$number echo RoundRobin -rereginterval=45000
done
wait_until 10 "elements of all at all" everywhere "pr1 pr2 pr3" EchoPool 0x0000ec01@pr1 0x0000ec02@pr2 0x0000ec03@pr3

step "pr3 alone, the others take its element"
cut_cable pr3
wait_until 60 "takeover" moved pr1 EchoPool 0x0000ec03 pr3
now=(0x0000ec01@pr1 0x0000ec02@pr2 "0x0000ec03@$(home_of pr1 EchoPool 0x0000ec03)")
wait_until 40 "agreement" everywhere "pr1 pr2" EchoPool "${now[@]}"
during 10 everywhere "pr1 pr2" EchoPool "${now[@]}"

step "healed"
plug_cable pr3
if ! [[ $(kind pr1)$(kind pr2)$(kind pr3) =~ ours ]]; then
    for host in pr1 pr2; do
        wait_until 30 "loss of a living element at $host" homes $host EchoPool 0x0000ec01@pr1 0x0000ec02@pr2
    done
    wait_until 90 "the same at all three" everywhere "pr1 pr2 pr3" EchoPool "${now[@]}"
else
    # Ours took over the elements of the others when it was alone, and asked them to move when it could: an
    # element of rsplib's leaves its home before it registers anew. All three have to agree on a home.
    all_agree() {
        local homes host
        homes=$(via=pr1 asap pu1 "homes EchoPool")
        [[ $homes =~ ec01@.*ec02@.*ec03@ ]] || return 1
        for host in pr2 pr3; do
            [ "$(via=$host asap pu1 "homes EchoPool")" = "$homes" ] || return 1
        done
    }
    wait_until 60 "the same at all three" all_agree
    during 10 all_agree
fi
