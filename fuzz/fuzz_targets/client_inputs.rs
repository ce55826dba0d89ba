//! Inputs of a client: pool elements and pool users that share a conversation
//! with a registrar who sends whatever bytes, answers some of what was asked,
//! and lets time pass.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use rserpool_codec::asap::Message;
use rserpool_codec::{Addresses, Frame, LengthForm, Transport, frame};
use rserpool_engine::{ChannelUse, PeId, Policy, PoolHandle, RegistrationLife, Timestamp};
use rserpool_proto::element::{self, PoolElement, Service};
use rserpool_proto::endpoint::{Config, Conversation, Event};

const ELEMENTS: u8 = 3;
const IN_FLIGHT_MAX: usize = 4;

struct Client {
    conversation: Conversation,
    elements: Vec<PoolElement>,
    now: Timestamp,
    /// What was asked and may be answered yet.
    asked: Vec<Vec<u8>>,
}

impl Client {
    fn new() -> Self {
        let config = Config { in_flight_max: IN_FLIGHT_MAX, ..Config::default() };
        Self {
            conversation: Conversation::new(config),
            elements: (0..ELEMENTS).map(element).collect(),
            now: Timestamp::from_micros(1),
            asked: Vec::new(),
        }
    }

    /// The first byte says what to do; returns what is left.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (&what, rest) = bytes.split_first()?;
        let which = usize::from(what >> 3);
        let (now, conversation) = (self.now, &mut self.conversation);
        let element = &mut self.elements[which % usize::from(ELEMENTS)];
        // Refused requests are fine: they are limited.
        match (what & 7, which % 4) {
            (0, _) => _ = element.register(now, conversation),
            (1, 0) => _ = element.deregister(now, conversation),
            (1, 1) => {
                let load = u32::from(what);
                _ = element.update(now, conversation, Policy::LeastUsed { load });
            }
            (1, 2) => _ = conversation.resolve(now, 99, element.handle(), Some(1), which > 15),
            (1, _) => _ = conversation.report_unreachable(element.handle(), element.pe()),
            (2, _) => self.pass(Duration::from_millis(97 << (which % 16))),
            (3, 0) => {
                // The association is lost; there is another at once.
                self.elements.iter_mut().for_each(PoolElement::disconnected);
                let config = self.conversation.config().clone();
                self.conversation = Conversation::new(config);
                self.asked.clear();
            }
            (3 | 4, _) => self.answer(which),
            _ => return self.hear_bytes(rest),
        }
        self.drain();
        Some(rest)
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        while let Some(timed_out) = self.conversation.handle_timeout(self.now) {
            for element in &mut self.elements {
                element.timed_out(timed_out);
            }
        }
        for element in &mut self.elements {
            _ = element.handle_timeout(self.now, &mut self.conversation);
            assert!(element.next_timeout().is_none_or(|next| next > self.now));
        }
        assert!(self.conversation.next_timeout().is_none_or(|next| next > self.now));
    }

    /// Answers one request as a registrar does, or not quite.
    fn answer(&mut self, which: usize) {
        if self.asked.is_empty() {
            return;
        }
        let request = self.asked.remove(which % self.asked.len());
        let rejected = which.is_multiple_of(5);
        let answer = match Message::parse(&request).expect("our own request") {
            Message::Registration { handle, element } => {
                Message::RegistrationResponse { handle, pe: element.pe, rejected, error: None }
            }
            Message::Deregistration { handle, pe } => {
                Message::DeregistrationResponse { handle, pe, error: None }
            }
            Message::HandleResolution { handle, .. } => Message::HandleResolutionResponse {
                handle,
                subscribed: false,
                policy: None,
                elements: rserpool_codec::Elements::EMPTY,
                error: None,
            },
            _ => return,
        };
        let mut bytes = Vec::new();
        answer.emit(&mut bytes, LengthForm::Padded).expect("handles are short");
        self.hear(&bytes);
    }

    /// A byte of length, then as many of a message.
    fn hear_bytes<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (&length, rest) = bytes.split_first()?;
        let (message, rest) = rest.split_at_checked(usize::from(length).min(rest.len()))?;
        self.hear(message);
        self.drain();
        Some(rest)
    }

    fn hear(&mut self, message: &[u8]) {
        let before = self.conversation.output().len();
        let event = self.conversation.receive(self.now, message);
        let sent = self.conversation.output().len() - before;
        assert!(sent <= message.len() + 64 + 16 * 8, "more is said than was heard");
        if matches!(event, Event::Unexpected(_)) {
            for element in &mut self.elements {
                assert_eq!(element.receive(self.now, &mut self.conversation, &event), None);
            }
            return;
        }
        for element in &mut self.elements {
            element.receive(self.now, &mut self.conversation, &event);
        }
    }

    /// Everything that is said is a message that the other side can read.
    fn drain(&mut self) {
        let output = std::mem::take(self.conversation.output());
        let mut rest = &output[..];
        while let Frame::Whole(length) = frame(rest) {
            let (message, others) = rest.split_at(length);
            rest = others;
            match Message::parse(message).expect("what we say can be read") {
                Message::Registration { .. }
                | Message::Deregistration { .. }
                | Message::HandleResolution { .. } => {
                    self.asked.push(message.to_vec());
                    if self.asked.len() > 4 * IN_FLIGHT_MAX {
                        self.asked.remove(0);
                    }
                }
                _ => {}
            }
        }
        assert!(rest.is_empty());
        assert!(self.conversation.in_flight() <= 3 * IN_FLIGHT_MAX);
    }
}

/// One of three elements in two pools.
fn element(number: u8) -> PoolElement {
    let handle: &[u8] = if number == 0 { b"a" } else { b"abcde" };
    let address = [[127, 0, 0, 1].into()];
    let transport = Transport::sctp(7, ChannelUse::Data, Addresses::List(&address));
    let life = RegistrationLife::For(Duration::from_secs(60));
    PoolElement::new(
        element::Config { life, ..element::Config::default() },
        u64::from(number),
        PoolHandle::new(handle),
        PeId::new(u32::from(number) + 1),
        Service::from(&transport),
        Policy::LeastUsed { load: 0 },
    )
}

fuzz_target!(|bytes: &[u8]| {
    let mut client = Client::new();
    let mut rest = bytes;
    while let Some(others) = client.step(rest) {
        rest = others;
    }
    // Whatever was asked is answered or given up.
    client.pass(Duration::from_secs(31));
    client.elements.iter_mut().for_each(PoolElement::disconnected);
    client.drain();
    client.pass(Duration::from_secs(31));
    assert_eq!(client.conversation.in_flight(), 0);
});
