//! What the decoder takes and what it refuses, in one table: everything in
//! which implementations are known to differ from the figures of the RFCs, and
//! what unknown parameters and messages come to. docs/compatibility.md names
//! the same differences.

use rserpool_codec::{CauseCode, DecodeError, EmitError, LengthForm, Reply, asap, enrp};

use crate::tree::Tree;
use crate::vectors::{self, bytes};

use CauseCode::{InvalidValues, UnrecognizedMessage, UnrecognizedParameter};
use Outcome::{Reads, Refuses};
use Protocol::{Asap, Enrp};
use Reply::{Report, Silent};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Asap,
    Enrp,
}

/// What comes of a message.
#[derive(Debug)]
enum Outcome {
    /// It reads the same as this one.
    Reads(&'static str),
    /// It is discarded as a whole, with this cause.
    Refuses(Reply, CauseCode),
}

const RESOLUTION: &str = "0500000d 00090009 6162636465000000";
const ANNOUNCE: &str = "0a000028 aabbccdd 00050010 0f17 0000 000100080a000009 \
                        00040010 0f17 0000 000100080a000009";
const KEEP_ALIVE_ACK: &str = "08000018 0009000c4563686f506f6f6c 000e0008 11223344";
const REGISTRATION: &str = "01000038 0009000c4563686f506f6f6c 000a0028 11223344 00000000 0000005a \
                            00040010 1e61 0001 000100080a000001 00080008 00000001";

/// Name, protocol, bytes, outcome.
const TABLE: &[(&str, Protocol, &str, Outcome)] = &[
    // Lengths (RFC 5354, 2): with and without the last padding.
    ("the length without the last padding", Asap, RESOLUTION, Reads(RESOLUTION)),
    (
        "the length with the last padding, as rsplib has it",
        Asap,
        "05000010 00090009 6162636465000000",
        Reads(RESOLUTION),
    ),
    ("no padding at all", Asap, "0500000d 00090009 6162636465", Reads(RESOLUTION)),
    ("padding that is not zero", Asap, "0500000d 00090009 6162636465ffffff", Reads(RESOLUTION)),
    ("bytes after the message", Asap, "0500000d 00090009 6162636465000000 00000000", BAD),
    ("a length beyond the message", Asap, "05000011 00090009 6162636465000000", BAD),
    ("a length below the header", Asap, "05000003", BAD),
    ("a parameter's length beyond it", Asap, "05000010 0009000d 6162636465000000", BAD),
    ("a parameter's length below its header", Asap, "05000008 00090003", BAD),
    ("an error with a wrong length", Asap, "0e000008 000c0009", Refuses(Silent, InvalidValues)),
    // Registrations.
    (
        "a life of rsplib's, which has no sign",
        Asap,
        "01000038 0009000c4563686f506f6f6c 000a0028 11223344 00000000 fffffffe \
         00040010 1e61 0001 000100080a000001 00080008 00000001",
        SAME,
    ),
    (
        "a registration with an ASAP transport, which rsplib discards",
        Asap,
        "01000048 0009000c4563686f506f6f6c 000a0038 11223344 00000000 0000005a \
         00040010 1e61 0001 000100080a000001 00080008 00000001 \
         00040010 9c40 0000 000100080a000001",
        SAME,
    ),
    (
        "a pool handle of 33 bytes, at which rsplib aborts",
        Asap,
        "05000029 00090025 616161616161616161616161616161616161616161616161616161616161616161 \
         000000",
        SAME,
    ),
    (
        "a DCCP transport, which rsplib discards",
        Asap,
        "0100003c 0009000c4563686f506f6f6c 000a002c 11223344 00000000 0000005a \
         00030014 0035 0000 52545049 000100080a000001 00080008 00000001",
        SAME,
    ),
    (
        "a UDP-Lite transport, which rsplib discards",
        Asap,
        "01000038 0009000c4563686f506f6f6c 000a0028 11223344 00000000 0000005a \
         00070010 0035 0000 000100080a000001 00080008 00000001",
        SAME,
    ),
    (
        "an opaque transport, which rsplib discards",
        Asap,
        "01000030 0009000c4563686f506f6f6c 000a0020 11223344 00000000 0000005a \
         00100007 61626300 00080008 00000001",
        SAME,
    ),
    (
        "data and control over TCP, as rsplib has it",
        Asap,
        "01000038 0009000c4563686f506f6f6c 000a0028 11223344 00000000 0000005a \
         00050010 1e61 0001 000100080a000001 00080008 00000001",
        SAME,
    ),
    (
        "reserved bits of a UDP transport",
        Asap,
        "01000038 0009000c4563686f506f6f6c 000a0028 11223344 00000000 0000005a \
         00060010 1e61 ffff 000100080a000001 00080008 00000001",
        Reads(
            "01000038 0009000c4563686f506f6f6c 000a0028 11223344 00000000 0000005a \
             00060010 1e61 0000 000100080a000001 00080008 00000001",
        ),
    ),
    (
        "a policy with more words than it has",
        Asap,
        "0100003c 0009000c4563686f506f6f6c 000a002c 11223344 00000000 0000005a \
         00040010 1e61 0001 000100080a000001 0008000c 00000001 ffffffff",
        Reads(REGISTRATION),
    ),
    (
        "the policy before the user transport",
        Asap,
        "01000038 0009000c4563686f506f6f6c 000a0028 11223344 00000000 0000005a \
         00080008 00000001 00040010 1e61 0001 000100080a000001",
        BAD,
    ),
    // Resolutions.
    (
        "the items option behind the handle",
        Asap,
        "05000018 0009000c4563686f506f6f6c 803f0008 ffffffff",
        SAME,
    ),
    (
        "the items option before the handle, without its action bits",
        Asap,
        "05000018 003f0008 ffffffff 0009000c4563686f506f6f6c",
        Reads("05000018 0009000c4563686f506f6f6c 803f0008 ffffffff"),
    ),
    (
        "a response without the pool's policy",
        Asap,
        "06000038 0009000c4563686f506f6f6c 000a0028 11223344 aabbccdd \
         0000005a 00040010 1e61 0001 000100080a000001 00080008 00000001",
        SAME,
    ),
    (
        "a response with ASAP transports",
        Asap,
        "06000050 0009000c4563686f506f6f6c 00080008 00000001 000a0038 11223344 aabbccdd \
         0000005a 00040010 1e61 0001 000100080a000001 00080008 00000001 \
         00040010 9c40 0000 000100080a000001",
        SAME,
    ),
    (
        "a response that is neither positive nor negative",
        Asap,
        "06000018 0009000c4563686f506f6f6c 00080008 00000001",
        SAME,
    ),
    (
        "a negative response with the pool's policy, which rsplib refuses",
        Asap,
        "06000020 0009000c4563686f506f6f6c 00080008 00000001 000c0008 00090004",
        SAME,
    ),
    (
        "an unknown pool without its handle, as rsplib has it",
        Asap,
        "06000018 0009000c4563686f506f6f6c 000c0008 00090004",
        SAME,
    ),
    // Keep-alives and announces.
    ("a keep-alive with its element, as rsplib has it", Asap, ECHO_KEEP_ALIVE, SAME),
    ("a keep-alive without", Asap, "07010014 aabbccdd 0009000c4563686f506f6f6c", SAME),
    ("an announce without transports, as rsplib has it", Asap, "0a000008 aabbccdd", SAME),
    ("an announce with TCP before SCTP", Asap, ANNOUNCE, SAME),
    (
        "an announce with SCTP before TCP, which rsplib discards",
        Asap,
        "0a000028 aabbccdd 00040010 0f17 0000 000100080a000009 00050010 0f17 0000 000100080a000009",
        // Written in the order that rsplib takes.
        Reads(ANNOUNCE),
    ),
    ("an announce of UDP", Asap, "0a000018 aabbccdd 00060010 0f17 0000 000100080a000009", BAD),
    // The control channel.
    ("a cookie of 5 bytes, which rsplib refuses", Asap, "0b00000d 000d0009 5374617465000000", SAME),
    ("an empty cookie", Asap, "0b000008 000d0004", SAME),
    (
        "a business card, which rsplib refuses",
        Asap,
        "0d000038 0009000c4563686f506f6f6c 000a0028 11223344 aabbccdd 0000005a \
         00040010 1e61 0001 000100080a000001 00080008 00000001",
        SAME,
    ),
    (
        "a business card with a policy, as rsplib writes it and reads it as little",
        Asap,
        "0d000040 0009000c4563686f506f6f6c 00080008 00000001 000a0028 11223344 aabbccdd 0000005a \
         00040010 1e61 0001 000100080a000001 00080008 00000001",
        BAD,
    ),
    // Errors.
    ("a private cause of rsplib's", Asap, "0e00000c 000c0008 f0060004", SAME),
    ("a cause that nobody has", Enrp, "0a000014 aabbccdd 01020304 000c0008 77770004", SAME),
    (
        "several causes, of which rsplib reads the first",
        Asap,
        "0e000018 000c0014 00040004 00060008 61626364 000a0004",
        SAME,
    ),
    ("no cause", Asap, "0e000008 000c0004", Refuses(Silent, InvalidValues)),
    (
        "a warning in a response that accepts",
        Asap,
        "03000020 0009000c4563686f506f6f6c 000e0008 11223344 000c0008 00030004",
        SAME,
    ),
    // ENRP.
    ("a presence with nothing, which rsplib refuses", Enrp, "0100000c aabbccdd 00000000", SAME),
    (
        "a presence with a checksum only, which rsplib refuses",
        Enrp,
        "01000012 aabbccdd 00000000 000f0006 4deb0000",
        SAME,
    ),
    (
        "an update without ASAP transport and home, which rsplib refuses",
        Enrp,
        "04000044 aabbccdd 00000000 00000000 0009000c4563686f506f6f6c 000a0028 11223344 00000000 \
         0000005a 00040010 1e61 0001 000100080a000001 00080008 00000001",
        SAME,
    ),
    (
        "an update that does neither",
        Enrp,
        "04000044 aabbccdd 00000000 00020000 0009000c4563686f506f6f6c 000a0028 11223344 00000000 \
         0000005a 00040010 1e61 0001 000100080a000001 00080008 00000001",
        BAD,
    ),
    (
        "a registrar in a list that has no identifier, as rsplib has it",
        Enrp,
        "06000024 aabbccdd 01020304 000b0018 00000000 00040010 26ad 0000 000100080a000009",
        SAME,
    ),
    ("a table response without a pool", Enrp, "0302000c aabbccdd 01020304", SAME),
    (
        "an element in a table before its pool",
        Enrp,
        "03000034 aabbccdd 01020304 000a0028 11223344 aabbccdd \
         0000005a 00040010 1e61 0001 000100080a000001 00080008 00000001",
        BAD,
    ),
    // Flags that mean nothing.
    (
        "unused flags",
        Asap,
        "08ff0018 0009000c4563686f506f6f6c 000e0008 11223344",
        Reads(KEEP_ALIVE_ACK),
    ),
    // Known parameters in the wrong place.
    (
        "the identifier before the handle",
        Asap,
        "08000018 000e0008 11223344 0009000c4563686f506f6f6c",
        BAD,
    ),
    (
        "a cookie behind an acknowledgment",
        Asap,
        "08000020 0009000c4563686f506f6f6c 000e0008 11223344 000d0008 61626364",
        BAD,
    ),
    ("no parameter at all", Asap, "01000004", BAD),
    // Unknown messages (RFC 5354, 4).
    ("message 0", Asap, "00000004", Refuses(Silent, UnrecognizedMessage)),
    ("a message with bits 00", Asap, "3f000004", Refuses(Silent, UnrecognizedMessage)),
    ("a message with bits 01", Asap, "7f000004", Refuses(Report, UnrecognizedMessage)),
    ("a message with bits 10", Asap, "bf000004", Refuses(Silent, UnrecognizedMessage)),
    ("a message with bits 11", Enrp, "ff000004", Refuses(Silent, UnrecognizedMessage)),
    ("a message of ENRP with bits 01", Enrp, "40000004", Refuses(Report, UnrecognizedMessage)),
];

const ECHO_KEEP_ALIVE: &str = "0701001c aabbccdd 0009000c4563686f506f6f6c 000e0008 11223344";
/// It reads as it is.
const SAME: Outcome = Reads("");
const BAD: Outcome = Refuses(Report, InvalidValues);

/// What is read, written in the RFC's length form.
fn rewritten(protocol: Protocol, bytes: &[u8]) -> Result<Vec<u8>, DecodeError<'_>> {
    let mut out = Vec::new();
    let written: Result<(), EmitError> = match protocol {
        Asap => asap::Message::parse(bytes)?.emit(&mut out, LengthForm::Rfc),
        Enrp => enrp::Message::parse(bytes)?.emit(&mut out, LengthForm::Rfc),
    };
    written.unwrap();
    Ok(out)
}

#[test]
fn the_decoder_takes_and_refuses_what_the_table_says() {
    for (name, protocol, hex, outcome) in TABLE {
        let given = bytes(hex);
        let read = rewritten(*protocol, &given);
        match outcome {
            Reads("") => assert_eq!(read, Ok(given.clone()), "{name}"),
            Reads(same) => assert_eq!(read, Ok(bytes(same)), "{name}"),
            Refuses(reply, cause) => {
                let error = read.expect_err(name);
                assert_eq!((error.reply, error.cause.code), (*reply, *cause as u16), "{name}");
            }
        }
    }
}

/// The places of unknown parameters in which decoders differ: right behind the
/// fixed fields, and at the end. rsplib takes none at the end of most messages
/// and none at all in those without parameters. That ours takes them at every
/// place, in every parameter, is tested with the rules.
#[test]
fn unknown_parameters_are_handled_by_their_action_bits_at_the_head_and_the_tail_of_every_message() {
    let actions = [(0x8fff, None), (0xcfff, None), (0x0fff, Some(Silent)), (0x4fff, Some(Report))];
    for (kind, stops) in actions {
        let parameter = Tree::parameter(kind, b"abcd");
        let mut messages = 0;
        let mut check = |protocol, vector: &[u8], is_error| {
            let tree = Tree::message(protocol == Asap, vector);
            for tree in [tree.with_first(&parameter), tree.with_last(&parameter)] {
                messages += 1;
                let bytes = tree.bytes();
                let read = rewritten(protocol, &bytes);
                let Some(reply) = stops else {
                    assert_eq!(read, rewritten(protocol, vector), "{bytes:x?}");
                    continue;
                };
                let reply = if is_error { Silent } else { reply };
                let error = read.expect_err("stopped");
                let cause = UnrecognizedParameter as u16;
                assert_eq!((error.reply, error.cause.code), (reply, cause), "{bytes:x?}");
            }
        };
        for vector in vectors::asap() {
            check(Asap, &vector.bytes(), vector.message.code() == 0x0e);
        }
        for vector in vectors::enrp() {
            check(Enrp, &vector.bytes(), vector.message.code() == 0x0a);
        }
        assert!(messages > 2 * 24);
    }
}
