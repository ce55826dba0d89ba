//! Presences by multicast (RFC 5353, 3.2): how registrars find each other.

use core::net::SocketAddr;
use core::time::Duration;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use crate::announce::{Interface, Listener, Speaker, interfaces};

/// Datagrams read at once.
const DATAGRAMS: usize = 64;
/// How often the interfaces are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The sockets of one group.
pub(super) struct Multicast {
    speaker: Speaker,
    listener: Listener,
    /// By name; all if empty.
    names: Vec<String>,
    interfaces: Vec<Interface>,
    looked: Option<Instant>,
}

impl Multicast {
    /// Opens them; what cannot be is logged.
    pub(super) fn open(group: SocketAddr, names: Vec<String>) -> Option<Self> {
        let opened = Speaker::open(group, 0).and_then(|speaker| {
            let listener = Listener::open(group)?;
            Ok((speaker, listener))
        });
        match opened {
            Ok((speaker, listener)) => {
                let mut multicast =
                    Self { speaker, listener, names, interfaces: Vec::new(), looked: None };
                multicast.look();
                Some(multicast)
            }
            Err(error) => {
                log::warn!("no presences to {group}: {error}");
                None
            }
        }
    }

    fn look(&mut self) {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        match interfaces(&self.names) {
            Ok(interfaces) => self.interfaces = interfaces,
            Err(error) => log::warn!("the interfaces cannot be read: {error}"),
        }
        self.listener.join(&self.interfaces);
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.listener.fd()
    }

    pub(super) fn send(&mut self, presence: &[u8]) {
        self.look();
        for interface in &self.interfaces {
            if let Some(Err(error)) = self.speaker.send(interface, presence) {
                log::debug!("no presence on an interface: {error}");
            }
        }
    }

    /// The datagrams that are there.
    pub(super) fn receive(&mut self, mut each: impl FnMut(SocketAddr, Vec<u8>)) {
        for _ in 0..DATAGRAMS {
            let Some((from, datagram)) = self.listener.receive() else { return };
            each(from, datagram.to_vec());
        }
    }
}
