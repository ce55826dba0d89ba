#!/usr/bin/perl
# wire.pl: one line a message from tshark's PDML on stdin:
#   SECONDS FROM TO MESSAGE FIELD=VALUE...
# SECONDS count from the capture's first frame; FROM and TO are hosts of the lab; MESSAGE is tshark's
# name of the type, as asap-handle-resolution; the fields are tshark's, in their order on the wire and
# as often as they occur, under the shorter names given here. What tshark cannot dissect to its end
# has the word malformed. A note (wire.sh) gives the line "SECONDS note NUMBER".
use strict;
use warnings;

my %skip = map { $_ => 1 } qw(
    parameter_type parameter_length parameter_padding message_length cause_length cause_padding reserved);
my %rename = (
    pool_handle_pool_handle => 'handle', pool_element_pe_identifier => 'pe', pe_identifier => 'pe',
    pool_element_home_enrp_server_identifier => 'home', pool_element_registration_life => 'life',
    pool_member_selection_policy_type => 'policy', hropt_items => 'items', server_identifier => 'server',
    sender_servers_id => 'sender', receiver_servers_id => 'receiver', target_servers_id => 'target',
    server_information_server_identifier => 'about', update_action => 'action', pe_checksum => 'checksum',
    cause_code => 'cause', message_flags => 'flags', transport_use => 'use', ipv4_address => 'ip',
);

sub host {
    my ($number) = $_[0] =~ /^10\.44\.0\.(\d+)$/ or return $_[0];
    return 'lab' if $number == 254;
    return ($number < 10 ? 'pr' : $number < 50 ? 'pe' : 'pu') . $number % 10;
}

sub short_name {
    my ($name) = @_;
    return $rename{$name} if $rename{$name};
    $name =~ s/^pool_member_selection_policy_|_transport_port$//g;
    return $name;
}

my ($seconds, $from, $to, @line, $broken) = (0, '?', '?');

sub finish {
    print "@line", $broken ? ' malformed' : '', "\n" if @line;
    (@line, $broken) = ();
}

$| = 1;
while (<STDIN>) {
    if (/^<packet>/) { ($seconds, $from, $to) = (0, '?', '?') }
    elsif (/^<\/packet>/ || /<proto name="(?:asap|enrp)"/) { finish() }
    elsif (/<(?:proto|field) name="_ws\.malformed"/) {
        @line = ($seconds, $from, $to, 'unknown') unless @line;
        $broken = 1;
    }
    next unless /<field name="(?:(asap|enrp)\.)?([\w.]+)"/;
    my ($protocol, $name) = ($1, $2);
    my ($show) = / show="([^"]*)"/;
    my ($showname) = (/ showname="([^"]*)"/, '');
    if (!$protocol) {
        if ($name eq 'frame.time_relative') { $seconds = sprintf '%.3f', $show }
        elsif ($name eq 'ip.src') { $from = host($show) }
        elsif ($name eq 'ip.dst') { $to = host($show) }
        elsif ($name eq 'data.data') { print "$seconds note ", join('', map { chr hex } split /:/, $show), "\n" }
    } elsif ($name eq 'message_type') {
        $showname =~ /^Type: (.+) \(\d+\)$/ or next;
        @line = ($seconds, $from, $to, lc $1 =~ s/ /-/gr);
    } elsif (!$skip{$name}) {
        # tshark shows a pool handle's bytes, then its text in parentheses.
        $show = $1 =~ s/ /_/gr if $name eq 'pool_handle_pool_handle' && $showname =~ /\((.*)\)$/;
        push @line, short_name($name) . "=$show";
    }
}
finish();
