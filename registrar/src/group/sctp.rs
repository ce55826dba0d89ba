//! Associations with registrars over SCTP: one user message is one ENRP
//! message, under the payload protocol identifier of ENRP (RFC 5353, 5.4).

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rserpool_codec::{Frame, enrp, frame};
use rserpool_proto::enrp::LinkId;
use rserpool_sctp::{AssocId, Event as Told, Link, Progress, SendError};

/// All messages of an association keep their order: they go on one stream.
const STREAM: u16 = 0;

/// An association, as far as the thread has to know it.
#[derive(Debug)]
struct Association {
    /// The thread's own number of it.
    number: u64,
    /// `None`: the shard has not said whether it wants it.
    link: Option<LinkId>,
    id: AssocId,
    unsent: Vec<u8>,
    sent: usize,
    /// The shard waits for the end of what it sent.
    sending: bool,
    /// Messages that the shard has not got.
    received: VecDeque<Vec<u8>>,
    busy: bool,
}

/// What happened to an association.
#[derive(Debug)]
pub(super) enum Happened {
    /// It was accepted, under this number.
    Accepted(u64, SocketAddr),
    /// It was opened.
    Connected(LinkId),
    /// These messages came.
    Received(LinkId, Vec<u8>),
    /// What was to be sent is.
    Sent(LinkId),
    /// It is over.
    Closed(LinkId),
}

/// One endpoint with its associations.
pub(super) struct Associations {
    link: Box<dyn Link>,
    /// The port associations are opened from.
    port: u16,
    list: Vec<Association>,
    told: Vec<Told>,
    pub(super) happened: Vec<Happened>,
}

impl Associations {
    pub(super) fn new(link: Box<dyn Link>, port: u16) -> Self {
        Self { link, port, list: Vec::new(), told: Vec::new(), happened: Vec::new() }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.link.fd()
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.link.timeout()
    }

    /// Lets the link work. `true`: there is more.
    pub(super) fn poll(&mut self, numbers: &mut u64) -> io::Result<bool> {
        let progress = self.link.poll(Instant::now(), &mut self.told)?;
        for told in core::mem::take(&mut self.told) {
            self.hear(told, numbers);
        }
        self.link.flush(Instant::now())?;
        Ok(progress == Progress::More)
    }

    /// Opens an association, from the registrar's own port: rsplib takes
    /// presences from nowhere else. `false`: it cannot be.
    pub(super) fn connect(&mut self, number: u64, link: LinkId, to: &[SocketAddr]) -> bool {
        let Some(port) = to.first().map(SocketAddr::port) else { return false };
        let addresses: Vec<IpAddr> = to.iter().map(SocketAddr::ip).collect();
        let now = Instant::now();
        match self.link.connect(now, &addresses, port, Some(self.port)) {
            Ok(id) => {
                self.list.push(Association::new(number, Some(link), id));
                // An error comes again with the next poll.
                let _seen = self.link.flush(now);
                true
            }
            Err(error) => {
                log::debug!("sctp://{}: {error}", to[0]);
                false
            }
        }
    }

    fn hear(&mut self, told: Told, numbers: &mut u64) {
        match told {
            Told::Up(up) => {
                if let Some(known) = self.of(up.id) {
                    if let Some(link) = known.link {
                        self.happened.push(Happened::Connected(link));
                    }
                    return;
                }
                *numbers += 1;
                self.list.push(Association::new(*numbers, None, up.id));
                let address = SocketAddr::new(up.peer.ip().to_canonical(), up.peer.port());
                self.happened.push(Happened::Accepted(*numbers, address));
            }
            Told::Message(message) => {
                if message.ppid != enrp::PPID {
                    return;
                }
                if let Some(association) = self.of(message.id) {
                    let mut bytes = message.data;
                    // A stream of messages has their padding.
                    bytes.resize(bytes.len().next_multiple_of(4), 0);
                    association.received.push_back(bytes);
                }
                self.deliver(message.id);
            }
            // What was under way is lost: as if it was another association.
            Told::Restarted { id } => {
                let now = Instant::now();
                self.forget(id);
                self.link.abort(now, id);
            }
            Told::Down { id, .. } => self.forget(id),
            Told::Writable { id } => self.write(id),
        }
    }

    fn of(&mut self, id: AssocId) -> Option<&mut Association> {
        self.list.iter_mut().find(|association| association.id == id)
    }

    fn forget(&mut self, id: AssocId) {
        if let Some(at) = self.list.iter().position(|association| association.id == id) {
            let association = self.list.swap_remove(at);
            if let Some(link) = association.link {
                self.happened.push(Happened::Closed(link));
            }
        }
    }

    /// Gives the shard messages, if it has taken those before.
    fn deliver(&mut self, id: AssocId) {
        const BATCH_BYTES: usize = 64 << 10;
        const KEPT_MAX: usize = 64;
        let mut paused = None;
        if let Some(association) = self.of(id) {
            if association.received.len() > KEPT_MAX {
                paused = Some(id);
            }
            if let Some(link) = association.link.filter(|_| !association.busy) {
                let mut batch = Vec::new();
                while batch.len() < BATCH_BYTES
                    && let Some(message) = association.received.pop_front()
                {
                    batch.extend_from_slice(&message);
                }
                if !batch.is_empty() {
                    association.busy = true;
                    self.happened.push(Happened::Received(link, batch));
                }
            }
        }
        if let Some(id) = paused {
            self.link.pause(id);
        }
    }

    /// The association that the shard calls `link`.
    fn id_of(&self, link: LinkId) -> Option<AssocId> {
        let found = self.list.iter().find(|association| association.link == Some(link));
        found.map(|association| association.id)
    }

    /// Whether the association with this number is here; the shard's answer
    /// to it.
    pub(super) fn admit(&mut self, number: u64, link: Option<LinkId>) -> bool {
        let found = self.list.iter_mut().find(|association| association.number == number);
        let Some(association) = found else { return false };
        association.link = link;
        let id = association.id;
        if link.is_some() {
            self.deliver(id);
        } else {
            self.list.retain(|association| association.id != id);
            self.link.abort(Instant::now(), id);
        }
        true
    }

    /// Whether the association is here; sends messages over it.
    pub(super) fn send(&mut self, link: LinkId, messages: &[u8]) -> bool {
        let Some(id) = self.id_of(link) else { return false };
        if let Some(association) = self.of(id) {
            association.unsent = messages.to_vec();
            association.sent = 0;
            association.sending = true;
        }
        self.write(id);
        // An error comes again with the next poll.
        let _seen = self.link.flush(Instant::now());
        true
    }

    fn write(&mut self, id: AssocId) {
        let now = Instant::now();
        let Some(at) = self.list.iter().position(|association| association.id == id) else {
            return;
        };
        let Some(association) = self.list.get_mut(at) else { return };
        while let Some(rest) = association.unsent.get(association.sent..)
            && let Frame::Whole(length) = frame(rest)
        {
            let message = rest.get(..length).unwrap_or(rest);
            match self.link.send(now, id, STREAM, enrp::PPID, message) {
                Ok(()) => association.sent += length,
                Err(SendError::Full | SendError::NotUp) => return,
                // It is ending. The link says so, or has.
                Err(SendError::Gone | SendError::Closing) => return,
                Err(error @ (SendError::Empty | SendError::TooLong | SendError::Stream)) => {
                    log::error!("ENRP over SCTP: bug: {error}");
                    association.sent += length;
                }
            }
        }
        if core::mem::take(&mut association.sending)
            && let Some(link) = association.link
        {
            self.happened.push(Happened::Sent(link));
        }
    }

    /// Whether the association is here; its messages are taken.
    pub(super) fn taken(&mut self, link: LinkId) -> bool {
        let Some(id) = self.id_of(link) else { return false };
        if let Some(association) = self.of(id) {
            association.busy = false;
        }
        self.deliver(id);
        let empty = self.of(id).is_some_and(|association| association.received.is_empty());
        if empty {
            self.link.resume(Instant::now(), id);
        }
        true
    }

    /// Whether the association is here; ends it.
    pub(super) fn close(&mut self, link: LinkId) -> bool {
        let Some(id) = self.id_of(link) else { return false };
        self.list.retain(|association| association.id != id);
        self.link.abort(Instant::now(), id);
        true
    }

    /// Ends all.
    pub(super) fn close_all(&mut self) {
        let now = Instant::now();
        for association in self.list.drain(..) {
            self.link.abort(now, association.id);
        }
        // Whoever does not hear of it finds out.
        let _lost = self.link.flush(now);
    }
}

impl Association {
    const fn new(number: u64, link: Option<LinkId>, id: AssocId) -> Self {
        Self {
            number,
            link,
            id,
            unsent: Vec::new(),
            sent: 0,
            sending: false,
            received: VecDeque::new(),
            busy: false,
        }
    }
}
