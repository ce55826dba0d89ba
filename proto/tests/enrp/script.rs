//! One registrar, and other ends of its associations that say what the test
//! wants.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use rserpool_codec::asap;
use rserpool_codec::enrp::{Body, Message, Server, UpdateAction};
use rserpool_codec::{Addresses, Element, Frame, LengthForm, Transport, frame};
use rserpool_engine::{
    AssociationId, ChannelUse, PeId, Policy, PoolHandle, RegistrarId, ShardId, Timestamp,
    TransportKind,
};
use rserpool_proto::enrp::{Config, Group, LinkId, Output};
use rserpool_proto::registrar::{self, Peer, Shard};

use super::cluster::{element, host};

pub(crate) const ME: RegistrarId = RegistrarId::new(0x1111_1111);

/// The registrar under test.
pub(crate) struct Script {
    pub(crate) shard: Shard,
    pub(crate) now: Timestamp,
    pub(crate) closed: Vec<LinkId>,
    pub(crate) called: Vec<AssociationId>,
    /// Where other registrars were called.
    pub(crate) dialed: Vec<SocketAddr>,
    sent: Vec<(LinkId, Vec<u8>)>,
}

impl Script {
    /// In service, alone.
    pub(crate) fn serving() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = registrar::Config { shard: ShardId(0), ..registrar::Config::default() };
        config.engine.registrar = ME;
        let mut group = Config {
            addresses: vec![host(0)],
            sctp_port: Some(9901),
            tcp_port: Some(9901),
            startup: Duration::ZERO,
            ..Config::default()
        };
        change(&mut group);
        let now = Timestamp::from_micros(1_000_000);
        let mut script = Self {
            shard: Shard::new(config),
            now,
            closed: vec![],
            called: vec![],
            dialed: vec![],
            sent: vec![],
        };
        script.shard.join(now, group);
        script.run();
        script
    }

    pub(crate) fn group(&self) -> &Group {
        self.shard.group().unwrap()
    }

    fn run(&mut self) {
        while let Some(output) = self.shard.poll_output() {
            match output {
                registrar::Output::Group(Output::Send(link)) => {
                    let mut bytes = Vec::new();
                    self.shard.take_link(self.now, link, &mut bytes);
                    let mut rest = bytes.as_slice();
                    while let Frame::Whole(length) = frame(rest) {
                        self.sent.push((link, rest[..length].to_vec()));
                        rest = &rest[length..];
                    }
                }
                registrar::Output::Group(Output::Close(link)) => self.closed.push(link),
                registrar::Output::Group(Output::Connect(link)) => {
                    let target = self.shard.group().unwrap().target(link).unwrap();
                    self.dialed.push(target.addresses[0]);
                    self.shard.close_link(self.now, link);
                }
                registrar::Output::Group(_) => {}
                registrar::Output::Connect(id) => self.called.push(id),
                registrar::Output::Send(_)
                | registrar::Output::Close(..)
                | registrar::Output::Mesh(_)
                | registrar::Output::Resume(_) => {}
            }
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        loop {
            let next = self.shard.next_timeout().filter(|next| *next <= end);
            self.now = self.now.max(next.unwrap_or(end));
            self.shard.handle_timeout(self.now, 16);
            self.run();
            if next.is_none() {
                return;
            }
        }
    }

    /// An association from a host.
    pub(crate) fn accept(&mut self, from: IpAddr) -> Option<LinkId> {
        let address = SocketAddr::new(from, 9901);
        self.shard.accept_link(self.now, Peer { address, transport: TransportKind::Sctp })
    }

    pub(crate) fn say_bytes(&mut self, link: LinkId, bytes: &[u8]) {
        self.shard.receive_link(self.now, link, bytes);
        self.run();
        self.pass(Duration::ZERO);
    }

    pub(crate) fn say(&mut self, link: LinkId, from: u32, body: Body<'_>) {
        let mut bytes = Vec::new();
        let message = Message { sender: RegistrarId::new(from), receiver: ME, body };
        message.emit(&mut bytes, LengthForm::Padded).unwrap();
        self.say_bytes(link, &bytes);
    }

    /// An association whose registrar introduced itself, as rsplib does.
    pub(crate) fn peer(&mut self, number: u8, id: u32, checksum: u16) -> LinkId {
        let link = self.accept(peer_host(number)).unwrap();
        self.appear(link, number, id, checksum);
        link
    }

    /// A presence of a registrar, as rsplib sends it.
    pub(crate) fn appear(&mut self, link: LinkId, number: u8, id: u32, checksum: u16) {
        let addresses = [peer_host(number)];
        let transport = Transport::sctp(9901, ChannelUse::Data, Addresses::List(&addresses));
        let server = Server { registrar: RegistrarId::new(id), transport };
        let (reply_required, checksum) = (false, Some(checksum));
        self.say(link, id, Body::Presence { reply_required, checksum, server: Some(server) });
    }

    /// What was sent over a link since the last call.
    pub(crate) fn heard(&mut self, link: LinkId) -> Vec<Vec<u8>> {
        let (its, others) = self.sent.drain(..).partition(|(id, _)| *id == link);
        self.sent = others;
        let its: Vec<_> = its;
        its.into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// The types of what was sent over a link since the last call.
    pub(crate) fn heard_types(&mut self, link: LinkId) -> Vec<u8> {
        self.heard(link).iter().map(|bytes| bytes[0]).collect()
    }

    pub(crate) fn update(&mut self, link: LinkId, from: u32, update: Update) {
        let (asap, service) = ([update.host()], [update.host()]);
        let element = Element {
            home: RegistrarId::new(update.home),
            user_transport: Transport::sctp(
                7777,
                ChannelUse::DataAndControl,
                Addresses::List(&service),
            ),
            asap_transport: Some(Transport::sctp(40_000, ChannelUse::Data, Addresses::List(&asap))),
            ..element(update.pe, Policy::RoundRobin)
        };
        let body = Body::HandleUpdate {
            action: update.action,
            takeover_suggested: false,
            handle: PoolHandle::new(b"pool"),
            element,
        };
        self.say(link, from, body);
    }

    /// An element registers here over an association of its own.
    pub(crate) fn register(&mut self, handle: &str, pe: u32, transport: TransportKind) {
        let address = SocketAddr::new(pe_host(pe), 40_000);
        let id = self.shard.open(self.now, Peer { address, transport }).unwrap();
        let handle = PoolHandle::new(handle.as_bytes());
        let element = element(pe, Policy::RoundRobin);
        let mut bytes = Vec::new();
        let message = asap::Message::Registration { handle, element };
        message.emit(&mut bytes, LengthForm::Padded).unwrap();
        self.shard.receive(self.now, id, &bytes);
        self.run();
        self.pass(Duration::ZERO);
    }

    /// The home of an element, if it is known.
    pub(crate) fn home(&self, pe: u32) -> Option<u32> {
        let space = self.shard.handlespace();
        let key = space.find(PoolHandle::new(b"pool"), PeId::new(pe))?;
        Some(space.get(key)?.home().get())
    }
}

/// What a handle update says.
#[derive(Clone, Copy)]
pub(crate) struct Update {
    pub(crate) action: UpdateAction,
    pub(crate) pe: u32,
    pub(crate) home: u32,
}

impl Update {
    pub(crate) const fn add(pe: u32, home: u32) -> Self {
        Self { action: UpdateAction::Add, pe, home }
    }

    pub(crate) const fn delete(pe: u32, home: u32) -> Self {
        Self { action: UpdateAction::Delete, pe, home }
    }

    fn host(self) -> IpAddr {
        pe_host(self.pe)
    }
}

pub(crate) fn pe_host(pe: u32) -> IpAddr {
    let [_, a, b, c] = pe.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(172, a, b, c))
}

pub(crate) fn peer_host(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 1, 0, number))
}
