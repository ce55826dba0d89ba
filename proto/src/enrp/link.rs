//! Associations with other registrars.

use core::net::SocketAddr;

use rserpool_engine::{RegistrarId, Timestamp};

use super::config::Target;
use super::table::Serving;

/// An association with another registrar, or one that is being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// One of them.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    pub(super) target: Target,
    /// It was opened by this registrar.
    pub(super) dialed: bool,
    /// Messages may be sent.
    pub(super) up: bool,
    /// Who is at the other end, once it said so.
    pub(super) registrar: Option<RegistrarId>,
    /// When it was opened.
    pub(super) since: Timestamp,
    /// When the last message came, or when it was opened.
    pub(super) heard: Timestamp,
    /// Whole messages to send.
    pub(super) output: Vec<u8>,
    /// The host was told of output and has not taken it.
    pub(super) announced: bool,
    /// The host was told not to read from it.
    pub(super) parked: bool,
    /// The handle table the other end is reading.
    pub(super) serving: Option<Serving>,
}

/// All of them. Few: looked up by a scan.
#[derive(Debug)]
pub(super) struct Links {
    list: Vec<Link>,
    max: usize,
    last: u64,
}

impl Links {
    pub(super) const fn new(max: usize) -> Self {
        Self { list: Vec::new(), max, last: 0 }
    }

    /// Adds one; `None` if there is no room.
    pub(super) fn open(&mut self, now: Timestamp, target: Target, dialed: bool) -> Option<LinkId> {
        if self.list.len() >= self.max {
            return None;
        }
        self.last += 1;
        let id = LinkId(self.last);
        self.list.push(Link {
            id,
            target,
            dialed,
            up: !dialed,
            registrar: None,
            since: now,
            heard: now,
            output: Vec::new(),
            announced: false,
            parked: false,
            serving: None,
        });
        Some(id)
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        self.list.iter().find(|link| link.id == id)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.list.iter_mut().find(|link| link.id == id)
    }

    pub(super) fn close(&mut self, id: LinkId) -> Option<Link> {
        let at = self.list.iter().position(|link| link.id == id)?;
        Some(self.list.remove(at))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.list.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        self.list.iter_mut()
    }

    /// A link with this registrar that messages may be sent over, the oldest
    /// first, but `except`.
    pub(super) fn of(&self, registrar: RegistrarId, except: Option<LinkId>) -> Option<LinkId> {
        let mut all = self.list.iter();
        let found = all
            .find(|link| link.up && link.registrar == Some(registrar) && Some(link.id) != except);
        found.map(|link| link.id)
    }
}

impl Link {
    /// The address of the other end.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.target.addresses.first().copied()
    }
}
