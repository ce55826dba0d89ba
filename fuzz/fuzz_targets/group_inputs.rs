//! Inputs of a registrar in a group: associations with other registrars that
//! open, close and carry whatever bytes, multicast, a pool element, a mesh
//! that takes its time, and time that passes.
#![no_main]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use rserpool_codec::asap::Message;
use rserpool_codec::{Addresses, Element, LengthForm, Transport};
use rserpool_engine::{
    ChannelUse, PeId, Policy, PoolHandle, RegistrarId, ShardId, ShardMap, Timestamp, TransportKind,
};
use rserpool_proto::enrp::{self, LinkId, Target};
use rserpool_proto::registrar::{Config, Output, Peer, Shard};

const LINKS_MAX: usize = 6;
const LINK_BYTES_MAX: usize = 1 << 16;

struct Registrar {
    shards: [Shard; 2],
    mesh: [VecDeque<Vec<u8>>; 2],
    /// Links that other registrars opened or that are connected, and those
    /// that are to be.
    links: Vec<LinkId>,
    dialed: Vec<LinkId>,
    now: Timestamp,
}

/// Where other registrars are: one of three places.
fn address(which: usize) -> SocketAddr {
    ([192, 0, 2, (which % 3) as u8 + 2], 9901).into()
}

impl Registrar {
    fn new() -> Self {
        let shard = |number| {
            let mut config = Config {
                shard: ShardId(number),
                map: ShardMap::new(2, 1),
                associations_max: 16,
                ..Config::default()
            };
            config.engine.registrar = RegistrarId::new(1);
            config.engine.pools_max = 8;
            config.engine.elements_max = 32;
            Shard::new(config)
        };
        let now = Timestamp::from_micros(1);
        let mut shards = [shard(0), shard(1)];
        shards[0].join(
            now,
            enrp::Config {
                addresses: vec![[192, 0, 2, 1].into()],
                sctp_port: Some(9901),
                mentors: vec![Target {
                    transport: TransportKind::Sctp,
                    addresses: vec![address(0)],
                }],
                peers_max: 4,
                links_max: LINKS_MAX,
                link_bytes_max: LINK_BYTES_MAX,
                ..enrp::Config::default()
            },
        );
        let mut registrar =
            Self { shards, mesh: Default::default(), links: Vec::new(), dialed: Vec::new(), now };
        registrar.drain();
        registrar
    }

    /// The first byte says what to do; returns what is left.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (&what, rest) = bytes.split_first()?;
        let which = usize::from(what >> 3);
        match what & 7 {
            0 => {
                let peer = Peer { address: address(which), transport: TransportKind::Sctp };
                self.links.extend(self.shards[0].accept_link(self.now, peer));
            }
            1 if !self.links.is_empty() => {
                let link = self.links.swap_remove(which % self.links.len());
                self.shards[0].close_link(self.now, link);
            }
            2 if !self.dialed.is_empty() => {
                let link = self.dialed.swap_remove(which % self.dialed.len());
                if which.is_multiple_of(2) {
                    self.links.push(link);
                    self.shards[0].link_connected(self.now, link);
                } else {
                    self.shards[0].close_link(self.now, link);
                }
            }
            3 => {
                self.now = self.now.after(Duration::from_millis(97 << (which % 8)));
                for shard in &mut self.shards {
                    while shard.handle_timeout(self.now, 4) {}
                }
            }
            4 => self.register(which),
            1 | 2 => self.deliver(which % 2),
            multicast => return self.hear(which, multicast == 7, rest),
        }
        self.drain();
        Some(rest)
    }

    /// A pool element registers.
    fn register(&mut self, which: usize) {
        let address = [[192, 0, 2, 9].into()];
        let element = Element {
            pe: PeId::new(which as u32 / 4 + 1),
            home: RegistrarId::new(0),
            life: 60,
            user_transport: Transport::sctp(7, ChannelUse::Data, Addresses::List(&address)),
            policy: Policy::RoundRobin,
            asap_transport: None,
        };
        let handle = PoolHandle::new([&b"a"[..], b"abcde"][which % 2]);
        let mut bytes = Vec::new();
        let message = Message::Registration { handle, element };
        message.emit(&mut bytes, LengthForm::Rfc).expect("it is short");
        let peer = Peer { address: ([192, 0, 2, 9], 5000).into(), transport: TransportKind::Sctp };
        let shard = &mut self.shards[which / 2 % 2];
        if let Some(id) = shard.open(self.now, peer) {
            shard.receive(self.now, id, &bytes);
            if which >= 16 {
                shard.close(self.now, id);
            }
        }
    }

    /// A byte of length, then as many of a message, in which the sender is
    /// one of a few.
    fn hear<'a>(&mut self, which: usize, multicast: bool, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (&length, rest) = bytes.split_first()?;
        let (message, rest) = rest.split_at(usize::from(length).min(rest.len()));
        let mut message = message.to_vec();
        if let (Some(sender), true) = (message.get_mut(4..8), which < 24) {
            sender.copy_from_slice(&[0, 0, 0, (which % 3) as u8 + 2]);
        }
        if multicast {
            self.shards[0].receive_multicast(self.now, address(which), &message);
        } else if let Some(&link) = self.links.get(which / 3 % self.links.len().max(1))
            && self.shards[0].link_wants_more(link)
        {
            self.shards[0].receive_link(self.now, link, &message);
        }
        self.drain();
        Some(rest)
    }

    fn deliver(&mut self, to: usize) {
        if let Some(batch) = self.mesh[to].pop_front() {
            let from = u16::try_from(1 - to).expect("two shards");
            self.shards[to].receive_mesh(self.now, ShardId(from), &batch);
        }
    }

    fn drain(&mut self) {
        let mut bytes = Vec::new();
        for number in 0..2 {
            while let Some(output) = self.shards[number].poll_output() {
                let shard = &mut self.shards[number];
                match output {
                    Output::Send(id) => shard.take_send(id, &mut bytes),
                    Output::Mesh(to) => {
                        shard.take_mesh(to, &mut bytes);
                        self.mesh[usize::from(to.0)].push_back(std::mem::take(&mut bytes));
                    }
                    Output::Connect(id) => shard.close(self.now, id),
                    Output::Group(output) => self.drain_group(output),
                    Output::Close(..) | Output::Resume(_) => {}
                }
            }
        }
        let group = self.shards[0].group().expect("it is in one");
        assert!(group.peers().count() <= 4);
    }

    fn drain_group(&mut self, output: enrp::Output) {
        let mut bytes = Vec::new();
        match output {
            enrp::Output::Connect(link) => self.dialed.push(link),
            enrp::Output::Send(link) => {
                self.shards[0].take_link(self.now, link, &mut bytes);
                assert!(bytes.len() <= LINK_BYTES_MAX + (64 << 10), "{} bytes wait", bytes.len());
                let mut rest = &bytes[..];
                while let rserpool_codec::Frame::Whole(length) = rserpool_codec::frame(rest) {
                    let (message, others) = rest.split_at(length);
                    rserpool_codec::enrp::Message::parse(message).expect("it can be read");
                    rest = others;
                }
                assert!(rest.is_empty());
            }
            enrp::Output::Close(link) => {
                self.links.retain(|open| *open != link);
                self.dialed.retain(|open| *open != link);
            }
            enrp::Output::Multicast => self.shards[0].take_multicast(&mut bytes),
            enrp::Output::Resume(_) | enrp::Output::InService => {}
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut registrar = Registrar::new();
    let mut rest = bytes;
    while let Some(others) = registrar.step(rest) {
        rest = others;
    }
    while registrar.mesh.iter().any(|batches| !batches.is_empty()) {
        registrar.deliver(0);
        registrar.deliver(1);
        registrar.drain();
    }
    // It looks at every bucket of the wheel: of one input in eight.
    if bytes.len().is_multiple_of(8) {
        for shard in &registrar.shards {
            shard.handlespace().assert_invariants();
        }
    }
});
