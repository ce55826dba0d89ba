//! The registrar's messages, byte by byte, in both forms of lengths: the
//! RFC's and rsplib's, which counts the padding of the last parameter.

use rserpool_codec::asap::Message;
use rserpool_codec::{Element, LengthForm};
use rserpool_engine::Policy;

use crate::wired::{Registrar, deregistration, element, pool, registration, report, resolution};

const POOL: &str = "EchoPool";
const PE: u32 = 0x1122_3344;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The answer to each message, in one form.
fn answers(form: LengthForm, messages: &[Message<'_>]) -> Vec<String> {
    let mut registrar = Registrar::with(1, |config| config.tcp.length_form = form);
    let id = registrar.open(0);
    let answer = |message| {
        registrar.send(id, message);
        hex(&registrar.take(id))
    };
    messages.iter().map(answer).collect()
}

fn assert_answers(messages: &[Message<'_>], rfc: &[&str], padded: &[&str]) {
    let without_spaces =
        |all: &[&str]| -> Vec<String> { all.iter().map(|one| one.replace(' ', "")).collect() };
    assert_eq!(answers(LengthForm::Rfc, messages), without_spaces(rfc));
    assert_eq!(answers(LengthForm::Padded, messages), without_spaces(padded));
}

#[test]
fn answers_without_padding_are_the_same_in_both_forms() {
    let other_policy = Element { policy: Policy::Random, ..element(PE) };
    let messages = [
        resolution(POOL, None),
        registration(POOL, PE),
        Message::Registration { handle: pool(POOL), element: other_policy },
        resolution(POOL, Some(u32::MAX)),
        deregistration(POOL, PE),
        deregistration(POOL, PE),
    ];
    let expected = [
        "06000024 0009000c4563686f506f6f6c 000c0014 00090010 0009000c4563686f506f6f6c",
        "03000018 0009000c4563686f506f6f6c 000e0008 11223344",
        "03010028 0009000c4563686f506f6f6c 000e0008 11223344 000c0010 0005000c 00080008 00000001",
        "06000040 0009000c4563686f506f6f6c 00080008 00000001 000a0028 11223344 aabbccdd 0000005a \
         00040010 1e61 0001 000100080a000001 00080008 00000001",
        "04000018 0009000c4563686f506f6f6c 000e0008 11223344",
        "04000018 0009000c4563686f506f6f6c 000e0008 11223344",
    ];
    assert_answers(&messages, &expected, &expected);
}

#[test]
fn an_unknown_pool_with_padding_is_answered_in_either_form() {
    let rfc = "06000021 00090009 6162636465000000 000c0011 0009000d 00090009 6162636465000000";
    let padded = "06000024 00090009 6162636465000000 000c0014 00090010 00090009 6162636465000000";
    assert_answers(&[resolution("abcde", None)], &[rfc], &[padded]);
}

#[test]
fn an_unknown_message_is_reported_in_either_form() {
    for (form, expected) in [
        (LengthForm::Rfc, "0e00001100 0c000d 00020009 7f000005 aa000000"),
        (LengthForm::Padded, "0e00001400 0c0010 00020009 7f000005 aa000000"),
    ] {
        let mut registrar = Registrar::with(1, |config| config.tcp.length_form = form);
        let id = registrar.open(0);
        registrar.say_bytes(id, &[0x7f, 0, 0, 5, 0xaa, 0, 0, 0]);
        assert_eq!(hex(&registrar.take(id)), expected.replace(' ', ""), "{form:?}");
    }
}

#[test]
fn a_keep_alive_names_the_registrar_the_pool_and_the_element() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    registrar.send(id, &registration(POOL, PE));
    registrar.take(id);
    registrar.send(id, &report(POOL, PE));
    registrar.pass(core::time::Duration::ZERO);
    let expected = "0700001c aabbccdd 0009000c4563686f506f6f6c 000e0008 11223344";
    assert_eq!(hex(&registrar.take(id)), expected.replace(' ', ""));
}

#[test]
fn requests_are_understood_in_both_forms() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    let mut answer = |message: &str| {
        let message = message.replace(' ', "");
        let bytes: Vec<u8> = (0..message.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&message[at..at + 2], 16).unwrap())
            .collect();
        registrar.say_bytes(id, &bytes);
        hex(&registrar.take(id))
    };
    let accepted = "03000018 00090009 6162636465000000 000e0008 11223344".replace(' ', "");
    let registration = "01000050 00090009 6162636465000000 000a0040 11223344 00000000 ffffffff \
        00040024 1e61 0000 0002001420010db8000000000000000000000001 000100080a000001 \
        0008000c 40000001 80000000";
    assert_eq!(answer(registration), accepted);
    let resolved = "0600005c 00090009 6162636465000000 0008000c 40000001 80000000 \
        000a0040 11223344 aabbccdd ffffffff \
        00040024 1e61 0000 0002001420010db8000000000000000000000001 000100080a000001 \
        0008000c 40000001 80000000"
        .replace([' ', '\n'], "");
    let subscribed = resolved.replacen("0600", "0601", 1);
    assert_eq!(answer("0501000d 00090009 6162636465000000"), subscribed);
    assert_eq!(answer("05000010 00090009 6162636465000000"), resolved);
    assert_eq!(answer("0500000d 00090009 6162636465"), resolved, "padding left out");
    assert_eq!(answer("05000018 00090009 6162636465000000 803f0008 ffffffff"), resolved);
}
