#!/usr/bin/perl
# asap.pl REGISTRAR COMMAND...: speaks ASAP by hand to a registrar, sctp://ADDRESS[:PORT] or tcp://...
# Written from the RFCs and independent of the project's codec, so that each checks the other. Every
# argument is one command, done in order; every answer is one line on stdout.
#   register HANDLE PE POLICY[:NUMBER...] [LIFE [USE]]   registered HANDLE PE | rejected HANDLE PE CAUSE [DATA]
#   deregister HANDLE PE                 deregistered HANDLE PE | refused HANDLE PE CAUSE
#   resolve HANDLE [ITEMS [TIMES]]       resolved HANDLE POLICY PE... | unresolved HANDLE CAUSE
#   homes HANDLE                         homes HANDLE PE@HOME..., sorted, of all elements
#   report HANDLE PE                     reported HANDLE PE
#   open [COUNT]                         COUNT more associations; commands use the newest
#   each N register HANDLE PE POLICY     the command on the first N associations, PE counting up
#   crowd COUNT HANDLE PE POLICY WINDOW  COUNT elements spread over all associations, PE counting up, WINDOW of an
#                                        association unanswered at once: crowded HANDLE COUNT SECONDS
#   flood COUNT HANDLE ITEMS WINDOW      the same with resolutions: flooded HANDLE COUNT SECONDS
#   serve SECONDS                        answers keep-alives, on all associations; served COUNT after every hundred
#   mute SECONDS                         leaves them unanswered
#   raw HEX                              sends the bytes, prints the answer's within 2 s, or none
# LIFE is the number on the wire (300000), USE the transport use (1: data plus control, as rsplib's
# elements have it). "closed" means that the registrar ended the association. Exit status 1: an answer did not come in
# time, or made no sense.
use strict;
use warnings;
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use constant {
    REGISTRATION => 1, DEREGISTRATION => 2, REGISTRATION_RESPONSE => 3, DEREGISTRATION_RESPONSE => 4,
    HANDLE_RESOLUTION => 5, HANDLE_RESOLUTION_RESPONSE => 6, KEEP_ALIVE => 7, KEEP_ALIVE_ACK => 8,
    UNREACHABLE => 9,
    IPV4 => 0x1, SCTP_TRANSPORT => 0x4, TCP_TRANSPORT => 0x5, POLICY => 0x8, POOL_HANDLE => 0x9,
    POOL_ELEMENT => 0xa, OPERATION_ERROR => 0xc, PE_IDENTIFIER => 0xe, ITEMS => 0x803f,
    IPPROTO_SCTP => 132, SCTP_NODELAY => 3, SCTP_DEFAULT_SNDINFO => 34, PPID_ASAP => 11,
    PATIENCE => 15 * ($ENV{PATIENCE} || 1),
};

# Code of each policy, and what each word after it is: an integer (weight, priority, distance) or a
# fraction of full load. RFC 5356 section 4; the last two are rsplib's own.
my %policy = (
    RoundRobin => [0x00000001, ''], WeightedRoundRobin => [0x00000002, 'i'],
    Random => [0x00000003, ''], WeightedRandom => [0x00000004, 'i'], Priority => [0x00000005, 'i'],
    LeastUsed => [0x40000001, 'f'], LeastUsedDegradation => [0x40000002, 'ff'],
    PriorityLeastUsed => [0x40000003, 'ff'], RandomizedLeastUsed => [0x40000004, 'f'],
    WeightedRandomDPF => [0xb0002001, 'ifi'], LeastUsedDPF => [0xb0002002, 'ffi'],
);
my %policy_name = map { $policy{$_}[0] => $_ } keys %policy;

# An association: its socket, what TCP delivered of the next message, messages that nobody waited for.
my (@associations, $transport, $address);
my $keep_alives = 0;
$| = 1;

sub fail { print "failed: @_\n"; exit 1 }

# An identifier as it is written: 0xec01 or decimal.
sub number { return $_[0] =~ /^0x/ ? hex $_[0] : int $_[0] }

# --- Bytes (RFC 5354) ---------------------------------------------------------------------------

sub padded { my ($bytes) = @_; return $bytes . "\0" x (-length($bytes) % 4) }

sub parameter { my ($type, $value) = @_; return padded(pack('nn', $type, 4 + length $value) . $value) }

sub message {
    my ($type, @parts) = @_;
    my $body = join '', @parts;
    return pack('CCn', $type, 0, 4 + length $body) . $body;
}

sub handle_parameter { return parameter(POOL_HANDLE, $_[0]) }

sub pe_parameter { return parameter(PE_IDENTIFIER, pack 'N', $_[0]) }

sub policy_parameter {
    my ($name, @words) = split /:/, $_[0];
    my ($code, $layout) = @{ $policy{$name} or fail("no policy $name") };
    my $data = pack 'N', $code;
    for my $kind (split //, $layout) {
        my $word = shift @words // 0;
        $data .= pack 'N', $kind eq 'f' ? int($word * 0xffffffff + 0.5) : $word;
    }
    return parameter(POLICY, $data);
}

sub element_parameter {
    my ($pe, $policy, $life, $use) = @_;
    my (undef, $host) = sockaddr_in(getsockname $associations[-1]{socket});
    my $kind = $transport eq 'sctp' ? SCTP_TRANSPORT : TCP_TRANSPORT;
    my $user = parameter($kind, pack('nn', 1000 + $pe % 60000, $use) . parameter(IPV4, $host));
    return parameter(POOL_ELEMENT, pack('NNN', $pe, 0, $life) . $user . policy_parameter($policy));
}

# The parameters of some bytes, as [type, value].
sub parameters {
    my ($bytes) = @_;
    my @found;
    while (length $bytes >= 4) {
        my ($type, $length) = unpack 'nn', $bytes;
        fail(sprintf 'parameter 0x%04x of length %d in %d bytes', $type, $length, length $bytes)
            if $length < 4 || $length > length $bytes;
        push @found, [$type, substr $bytes, 4, $length - 4];
        $length += -$length % 4;
        $bytes = $length < length $bytes ? substr $bytes, $length : '';
    }
    return @found;
}

sub value_of { my ($type, @found) = @_; for (@found) { return $_->[1] if $_->[0] == $type } return undef }

# "0x0005 DATA" of an Operation Error's first cause.
sub cause_text {
    my ($value) = @_;
    my ($cause) = parameters($value) or return 'none';
    return sprintf('0x%04x', $cause->[0]) . (length $cause->[1] ? ' ' . unpack 'H*', $cause->[1] : '');
}

# --- Associations -------------------------------------------------------------------------------

sub open_association {
    my ($host, $port) = split /:/, $address;
    my $protocol = $transport eq 'sctp' ? IPPROTO_SCTP : IPPROTO_TCP;
    socket my $socket, AF_INET, SOCK_STREAM, $protocol or fail("socket: $!");
    if ($transport eq 'sctp') {
        setsockopt $socket, IPPROTO_SCTP, SCTP_DEFAULT_SNDINFO, pack('SSL', 0, 0, unpack 'L', pack 'N', PPID_ASAP) . pack('LL', 0, 0)
            or fail("payload protocol identifier: $!");
        setsockopt $socket, IPPROTO_SCTP, SCTP_NODELAY, pack 'i', 1 or fail("nodelay: $!");
    } else {
        setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, pack 'i', 1 or fail("nodelay: $!");
    }
    local $SIG{ALRM} = sub { fail('no association in time') };
    alarm PATIENCE;
    connect $socket, sockaddr_in($port // 3863, inet_aton $host) or fail("connect: $!");
    alarm 0;
    push @associations, { socket => $socket, partial => '', unexpected => [] };
}

sub send_message {
    my ($association, $bytes) = @_;
    defined syswrite $association->{socket}, $bytes or fail("send: $!");
}

# Reads once from an association; its whole messages, or undef at its end.
sub read_messages {
    my ($association) = @_;
    my $got = sysread $association->{socket}, my $bytes, 65536;
    return undef unless $got;
    return [$bytes] if $transport eq 'sctp';
    $association->{partial} .= $bytes;
    my @whole;
    while (length $association->{partial} >= 4) {
        my $length = unpack 'x2n', $association->{partial};
        fail("message of length $length") if $length < 4;
        $length += -$length % 4;
        last if length $association->{partial} < $length;
        push @whole, substr $association->{partial}, 0, $length, '';
    }
    return \@whole;
}

# Answers keep-alives (RFC 5352 section 3.4), keeps anything else for who waits for it.
sub receive {
    my ($association, $bytes, $answer) = @_;
    if (unpack('C', $bytes) != KEEP_ALIVE) {
        push @{ $association->{unexpected} }, $bytes;
        return;
    }
    return unless $answer;
    print "served $keep_alives\n" if ++$keep_alives % 100 == 0;
    my @found = parameters(substr $bytes, 8);
    my $pe = value_of(PE_IDENTIFIER, @found) // pack 'N', $association->{pe} // 0;
    send_message($association, message(KEEP_ALIVE_ACK, handle_parameter(value_of(POOL_HANDLE, @found)), parameter(PE_IDENTIFIER, $pe)));
}

# Lets the associations run for some seconds, or until $until says so.
sub run_associations {
    my ($seconds, $answer, $until) = @_;
    my $end = time + $seconds;
    while (!($until && $until->())) {
        my $left = $end - time;
        return 0 if $left <= 0;
        my $wanted = '';
        vec($wanted, fileno $_->{socket}, 1) = 1 for @associations;
        next unless select(my $ready = $wanted, undef, undef, $left) > 0;
        my @open;
        for my $association (@associations) {
            my $messages = vec($ready, fileno $association->{socket}, 1) ? read_messages($association) : [];
            if (!defined $messages) { print "closed\n"; next }
            receive($association, $_, $answer) for @$messages;
            push @open, $association;
        }
        @associations = @open;
        if (!@associations) { fail('no association is left') if $until; return 1 }
    }
    return 1;
}

# The next message of a type on an association.
sub await {
    my ($association, $type) = @_;
    my $found;
    run_associations(PATIENCE, 1, sub {
        my @kept;
        for (@{ $association->{unexpected} }) {
            if (!defined $found && unpack('C', $_) == $type) { $found = $_ } else { push @kept, $_ }
        }
        $association->{unexpected} = \@kept;
        return defined $found;
    }) or fail("no message of type $type in time");
    return $found;
}

# Makes so many requests over all associations, a window of each unanswered at once; the seconds it took. Answers
# have to be of the type, and positive.
sub pump {
    my ($count, $window, $type, $request) = @_;
    my ($begin, $left, $answers) = (time, $count, 0);
    $_->{waiting} = 0 for @associations;
    run_associations(PATIENCE + $count / 100, 1, sub {
        for my $association (@associations) {
            for (splice @{ $association->{unexpected} }) {
                my ($got, $flags, $length) = unpack 'CCn', $_;
                my @found = parameters(substr $_, 4, $length - 4);
                fail("an answer of type $got") if $got != $type;
                fail('an answer with an error') if defined value_of(OPERATION_ERROR, @found);
                $association->{waiting}--;
                $answers++;
            }
            while ($left > 0 && $association->{waiting} < $window) {
                $request->($association);
                $association->{waiting}++;
                $left--;
            }
        }
        return $answers == $count;
    }) or fail("only $answers answers in time");
    return time - $begin;
}

# --- Commands -----------------------------------------------------------------------------------

sub send_registration {
    my ($association, $handle, $pe, $policy, $life, $use) = @_;
    $association->{pe} = $pe;
    my $element = element_parameter($pe, $policy, $life // 300_000, $use // 1);
    send_message($association, message(REGISTRATION, handle_parameter($handle), $element));
}

sub registration_result {
    my ($association, $handle, $pe) = @_;
    my $bytes = await($association, REGISTRATION_RESPONSE);
    my $error = value_of(OPERATION_ERROR, parameters(substr $bytes, 4));
    my $rejected = unpack('x1C', $bytes) & 1;
    fail('a rejection without cause') if $rejected && !defined $error;
    printf "%s %s 0x%08x%s\n", $rejected ? 'rejected' : 'registered', $handle, $pe, defined $error ? ' ' . cause_text($error) : '';
}

# The parameters of a positive answer; prints a negative one.
sub resolution {
    my ($handle, $items) = @_;
    my $option = defined $items ? parameter(ITEMS, pack 'N', $items) : '';
    send_message($associations[-1], message(HANDLE_RESOLUTION, handle_parameter($handle), $option));
    my @found = parameters(substr await($associations[-1], HANDLE_RESOLUTION_RESPONSE), 4);
    my $error = value_of(OPERATION_ERROR, @found);
    return @found unless defined $error;
    print "unresolved $handle " . cause_text($error) . "\n";
    return;
}

my %command = (
    register => sub {
        my ($handle, $pe, @attributes) = @_;
        send_registration($associations[-1], $handle, number($pe), @attributes);
        registration_result($associations[-1], $handle, number($pe));
    },
    deregister => sub {
        my ($handle, $pe) = @_;
        send_message($associations[-1], message(DEREGISTRATION, handle_parameter($handle), pe_parameter(number($pe))));
        my $bytes = await($associations[-1], DEREGISTRATION_RESPONSE);
        my $error = value_of(OPERATION_ERROR, parameters(substr $bytes, 4));
        printf "%s %s 0x%08x%s\n", defined $error ? 'refused' : 'deregistered', $handle, number($pe), defined $error ? ' ' . cause_text($error) : '';
    },
    resolve => sub {
        my ($handle, $items, $times) = @_;
        for (1 .. $times // 1) {
            my @found = resolution($handle, $items) or next;
            # Without a policy of the pool it is round robin (RFC 5352 section 2.2.6).
            my $code = unpack 'N', value_of(POLICY, @found) // pack 'N', 1;
            my @pes = map { sprintf '0x%08x', unpack 'N', $_->[1] } grep { $_->[0] == POOL_ELEMENT } @found;
            print join(' ', "resolved $handle", $policy_name{$code} // sprintf('0x%08x', $code), @pes) . "\n";
        }
    },
    homes => sub {
        my ($handle) = @_;
        my @found = resolution($handle, 128) or return;
        my @pairs = map { sprintf '0x%08x@0x%08x', unpack 'NN', $_->[1] } grep { $_->[0] == POOL_ELEMENT } @found;
        print join(' ', "homes $handle", sort @pairs) . "\n";
    },
    report => sub {
        my ($handle, $pe) = @_;
        send_message($associations[-1], message(UNREACHABLE, handle_parameter($handle), pe_parameter(number($pe))));
        printf "reported %s 0x%08x\n", $handle, number($pe);
    },
    open => sub { open_association() for 1 .. $_[0] // 1 },
    each => sub {
        my ($count, undef, $handle, $first, $policy) = @_;
        send_registration($associations[$_], $handle, $_ + number($first), $policy) for 0 .. $count - 1;
        registration_result($associations[$_], $handle, $_ + number($first)) for 0 .. $count - 1;
    },
    crowd => sub {
        my ($count, $handle, $first, $policy, $window) = @_;
        my $next = number($first);
        my $seconds = pump($count, $window, REGISTRATION_RESPONSE, sub { send_registration($_[0], $handle, $next++, $policy) });
        printf "crowded %s %d %.3f\n", $handle, $count, $seconds;
    },
    flood => sub {
        my ($count, $handle, $items, $window) = @_;
        my $request = message(HANDLE_RESOLUTION, handle_parameter($handle), parameter(ITEMS, pack 'N', $items));
        my $seconds = pump($count, $window, HANDLE_RESOLUTION_RESPONSE, sub { send_message($_[0], $request) });
        printf "flooded %s %d %.3f\n", $handle, $count, $seconds;
    },
    serve => sub { run_associations($_[0], 1) },
    mute => sub { run_associations($_[0], 0) },
    raw => sub {
        my ($association) = $associations[-1];
        send_message($association, pack 'H*', join '', @_);
        my $came = run_associations(2, 1, sub { !@associations || @{ $association->{unexpected} } });
        my $bytes = shift @{ $association->{unexpected} };
        print defined $bytes ? 'answer ' . unpack('H*', $bytes) . "\n" : "none\n";
    },
);

my $registrar = shift // fail('which registrar?');
($transport, $address) = $registrar =~ m{^(sctp|tcp)://(\S+)$} or fail("not a registrar: $registrar");
$SIG{PIPE} = 'IGNORE';
open_association();
for (@ARGV) {
    my ($name, @arguments) = split ' ';
    my $do = $command{$name} or fail("no command $name");
    fail('the registrar ended every association') unless @associations;
    $do->(@arguments);
}
