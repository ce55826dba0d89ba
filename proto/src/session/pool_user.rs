//! The pool user's side of the control channel.

use rserpool_codec::asap::Message;
use rserpool_codec::{Element, LengthForm};
use rserpool_engine::{PeId, PoolHandle};

/// What a message of the control channel meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The pool element's state; it is kept for the next one.
    Cookie,
    /// Which elements to fail over to (RFC 5352, 3.9); it is kept.
    BusinessCard,
    /// Something that is no matter of a pool user. It had no effect.
    Other,
}

/// What a pool user keeps of a session, so that another pool element can go on
/// with it: the last cookie and the last business card.
#[derive(Debug, Default)]
pub struct PoolUser {
    cookie: Option<Box<[u8]>>,
    /// The business card as it came.
    card: Box<[u8]>,
}

impl PoolUser {
    /// A session that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A message of the control channel arrived.
    pub fn receive(&mut self, message: &[u8]) -> Control {
        match Message::parse(message) {
            Ok(Message::Cookie { cookie }) => {
                self.cookie = Some(cookie.into());
                Control::Cookie
            }
            Ok(Message::BusinessCard { .. }) => {
                self.card = message.into();
                Control::BusinessCard
            }
            Ok(_) | Err(_) => Control::Other,
        }
    }

    /// Whether a pool element has left its state here.
    #[must_use]
    pub const fn has_cookie(&self) -> bool {
        self.cookie.is_some()
    }

    /// The first message to the next pool element, appended to `out`: the
    /// cookie, if there is one. Whether there is.
    pub fn echo(&self, out: &mut Vec<u8>) -> bool {
        let Some(cookie) = &self.cookie else { return false };
        // It fits the message that it came in.
        Message::CookieEcho { cookie }.emit(out, LengthForm::Rfc).is_ok()
    }

    /// The elements of the last business card of this pool, in the order they
    /// are to be tried in, but for one.
    pub fn recommended<'a>(
        &'a self,
        handle: PoolHandle<'a>,
        but: PeId,
    ) -> impl Iterator<Item = Element<'a>> + use<'a> {
        let elements = match Message::parse(&self.card) {
            Ok(Message::BusinessCard { handle: pool, elements }) if pool == handle => elements,
            Ok(_) | Err(_) => rserpool_codec::Elements::EMPTY,
        };
        elements.iter().filter(move |element| element.pe != but)
    }
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};

    use rserpool_codec::{Addresses, Elements, Transport};
    use rserpool_engine::{Policy, RegistrarId};

    use super::*;

    fn bytes(message: &Message<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.emit(&mut bytes, LengthForm::Rfc).unwrap();
        bytes
    }

    #[test]
    fn the_last_cookie_is_echoed_as_it_came() {
        let mut session = PoolUser::new();
        let mut out = Vec::new();
        assert!(!session.echo(&mut out));
        for cookie in [b"first...".as_slice(), b"last"] {
            assert_eq!(session.receive(&bytes(&Message::Cookie { cookie })), Control::Cookie);
        }
        assert!(session.echo(&mut out));
        assert_eq!(Message::parse(&out), Ok(Message::CookieEcho { cookie: b"last" }));
    }

    #[test]
    fn a_business_card_says_whom_to_try_next() {
        let host = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let element = |pe| Element {
            pe: PeId::new(pe),
            home: RegistrarId::new(0),
            life: 1,
            user_transport: Transport::tcp(80, Addresses::List(&host)),
            policy: Policy::Random,
            asap_transport: None,
        };
        let mut session = PoolUser::new();
        let pool = PoolHandle::new(b"pool");
        let list = [element(3), element(1), element(2)];
        let card = Message::BusinessCard { handle: pool, elements: Elements::list(&list) };
        assert_eq!(session.receive(&bytes(&card)), Control::BusinessCard);
        let pes: Vec<u32> =
            session.recommended(pool, PeId::new(1)).map(|one| one.pe.get()).collect();
        assert_eq!(pes, [3, 2]);
        assert_eq!(session.recommended(PoolHandle::new(b"other"), PeId::new(1)).count(), 0);
    }

    #[test]
    fn what_is_no_matter_of_a_pool_user_changes_nothing() {
        let mut session = PoolUser::new();
        for message in [b"".as_slice(), b"\x0b\0\0\x08junk", &[0xff; 40]] {
            assert_eq!(session.receive(message), Control::Other);
        }
        let echo = bytes(&Message::CookieEcho { cookie: b"four" });
        assert_eq!(session.receive(&echo), Control::Other);
        assert!(!session.has_cookie());
    }
}
