#!/usr/bin/perl
# checksum.pl HANDLE/PE...: the PE checksum over these elements (RFC 5353 section 3.6.2), as 0x1234.
use strict;
use warnings;

my $sum = 0;
for (@ARGV) {
    my ($handle, $pe) = m{^(.*)/(.*)$} or die "not HANDLE/PE: $_\n";
    $sum += $_ for unpack 'n*', $handle . "\0" x (-length($handle) % 4) . pack 'N', $pe =~ /^0x/ ? hex $pe : $pe;
}
$sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
printf "0x%04x\n", ~$sum & 0xffff;
