//! A server that answers every request at once with canned bytes and knows
//! nothing. What the load generator gets out of it is the most it could get
//! out of any registrar on this host.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rserpool_codec::asap::Message;
use rserpool_codec::{Addresses, Element, Elements, Frame, LengthForm, Transport, frame};
use rserpool_engine::{PeId, Policy, PoolHandle, RegistrarId};

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 64 << 10;
/// Answers that wait for a client that does not read.
const OUTPUT_MAX: usize = 4 << 20;

/// Serves on a free port of the loopback address for ever; `ready` is told
/// which one.
pub(crate) fn serve(ready: impl FnOnce(SocketAddr) -> io::Result<()>) -> io::Result<()> {
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    ready(listener.local_addr()?)?;
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut cans = Cans::default();
    let mut events = Events::with_capacity(1024);
    let mut scratch = vec![0; READ_BYTES];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
        for event in &events {
            if event.token() != LISTENER {
                let Some(slot) = clients.get_mut(event.token().0) else { continue };
                if slot.as_mut().is_some_and(|client| !client.serve(&mut scratch, &mut cans)) {
                    *slot = None;
                }
                continue;
            }
            while let Ok((mut stream, _)) = listener.accept() {
                stream.set_nodelay(true)?;
                let interest = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut stream, Token(clients.len()), interest)?;
                clients.push(Some(Client { stream, rest: Vec::new(), output: Vec::new() }));
            }
        }
    }
}

struct Client {
    stream: TcpStream,
    rest: Vec<u8>,
    output: Vec<u8>,
}

impl Client {
    /// Answers what arrived; `false` if the client is gone or does not read.
    fn serve(&mut self, scratch: &mut [u8], cans: &mut Cans) -> bool {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return false,
                Ok(count) => {
                    self.rest.extend_from_slice(&scratch[..count]);
                    let mut done = 0;
                    while let Frame::Whole(bytes) = frame(&self.rest[done..]) {
                        cans.answer(&self.rest[done..done + bytes], &mut self.output);
                        done += bytes;
                    }
                    self.rest.drain(..done);
                    if !self.flush() {
                        return false;
                    }
                    if count < scratch.len() {
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.flush(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    fn flush(&mut self) -> bool {
        let mut sent = 0;
        while sent < self.output.len() {
            match self.stream.write(&self.output[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.output.drain(..sent);
        self.output.len() <= OUTPUT_MAX
    }
}

/// What follows the pool handle in an answer with so many elements.
#[derive(Default)]
struct Cans(HashMap<u32, Vec<u8>>);

impl Cans {
    /// Appends the answer to a whole message, if it is one that has an answer.
    fn answer(&mut self, message: &[u8], output: &mut Vec<u8>) {
        let answer = match Message::parse(message) {
            Ok(Message::HandleResolution { handle, items, .. }) => {
                self.resolution(handle, items.unwrap_or(1), output);
                return;
            }
            Ok(Message::Registration { handle, element }) => Message::RegistrationResponse {
                handle,
                pe: element.pe,
                rejected: false,
                error: None,
            },
            Ok(Message::Deregistration { handle, pe }) => {
                Message::DeregistrationResponse { handle, pe, error: None }
            }
            Ok(_) | Err(_) => return,
        };
        // What was read can be written.
        let _ = answer.emit(output, LengthForm::Padded);
    }

    fn resolution(&mut self, handle: PoolHandle<'_>, items: u32, output: &mut Vec<u8>) {
        /// A message header and that of a parameter.
        const HEADERS: usize = 8;
        let bytes = handle.as_bytes();
        let padded = bytes.len().next_multiple_of(4);
        let tail = self.0.entry(items).or_insert_with(|| tail(items));
        let length = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes();
        let [high, low] = length(HEADERS + padded + tail.len());
        output.extend_from_slice(&[6, 0, high, low]);
        let [high, low] = length(4 + bytes.len());
        output.extend_from_slice(&[0, 9, high, low]);
        output.extend_from_slice(bytes);
        output.resize(output.len() + padded - bytes.len(), 0);
        output.extend_from_slice(tail);
    }
}

/// The policy and elements of an answer.
fn tail(items: u32) -> Vec<u8> {
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let element = |number: u32| Element {
        pe: PeId::new(number + 1),
        home: RegistrarId::new(1),
        life: 3_600_000,
        user_transport: Transport::tcp(7, Addresses::List(&addresses)),
        policy: Policy::LeastUsed { load: 1 },
        asap_transport: None,
    };
    let list: Vec<_> = (0..items).map(element).collect();
    let handle = b"four";
    let message = Message::HandleResolutionResponse {
        handle: PoolHandle::new(handle),
        subscribed: false,
        policy: Some(Policy::LeastUsed { load: 0 }),
        elements: Elements::list(&list),
        error: None,
    };
    let mut bytes = Vec::new();
    // 1024 elements of one address each fit.
    let _ = message.emit(&mut bytes, LengthForm::Padded);
    bytes.split_off((8 + handle.len()).min(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canned_answers_are_those_of_a_registrar_in_every_size() {
        let mut cans = Cans::default();
        for (handle, items) in [(&b"abcd"[..], 1), (b"abcde", 3), (b"load-00000000-12", 1024)] {
            let handle = PoolHandle::new(handle);
            let mut request = Vec::new();
            let asked = Message::HandleResolution { handle, subscribe: false, items: Some(items) };
            asked.emit(&mut request, LengthForm::Rfc).unwrap();
            let mut output = Vec::new();
            cans.answer(&request, &mut output);
            assert_eq!(frame(&output), Frame::Whole(output.len()));
            let Ok(Message::HandleResolutionResponse {
                handle: answered,
                elements,
                error: None,
                ..
            }) = Message::parse(&output)
            else {
                panic!("{output:?}")
            };
            assert_eq!(answered, handle);
            assert_eq!(elements.iter().count(), items as usize);
        }
    }

    #[test]
    fn nonsense_is_not_answered() {
        let mut output = Vec::new();
        Cans::default().answer(&[5, 0, 0, 4], &mut output);
        Cans::default().answer(&[0xff, 0, 0, 4], &mut output);
        assert!(output.is_empty());
    }
}
