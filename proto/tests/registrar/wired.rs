//! A registrar whose shards are wired by the test, and what its peers say.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use rserpool_codec::asap::Message;
use rserpool_codec::{Addresses, CauseCode, Element, Frame, LengthForm, Transport, frame};
use rserpool_engine::{
    AssociationId, ChannelUse, PeId, Policy, PoolHandle, RegistrarId, ShardId, ShardMap, Timestamp,
    TransportKind,
};
use rserpool_proto::registrar::{CloseReason, Config, Output, Peer, Shard, Stats};

pub(crate) const REGISTRAR: RegistrarId = RegistrarId::new(0xaabb_ccdd);
pub(crate) const HOST: &[IpAddr] = &[IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))];

/// All shards of a registrar, the mesh between them, and what left it.
pub(crate) struct Registrar {
    pub(crate) shards: Vec<Shard>,
    pub(crate) now: Timestamp,
    /// Batches under way, per pair of shards (from, to).
    pub(crate) mesh: BTreeMap<(u16, u16), VecDeque<Vec<u8>>>,
    /// Bytes toward associations that were not looked at.
    received: BTreeMap<AssociationId, Vec<u8>>,
    /// Associations whose output stays where it is.
    pub(crate) deaf: Vec<AssociationId>,
    pub(crate) closed: Vec<(AssociationId, CloseReason)>,
    pub(crate) resumed: Vec<AssociationId>,
}

impl Registrar {
    pub(crate) fn new(shards: u16) -> Self {
        Self::with(shards, |_| ())
    }

    pub(crate) fn with(shards: u16, change: impl Fn(&mut Config)) -> Self {
        let map = ShardMap::new(shards, 1);
        let shard = |number| {
            let mut config =
                Config { shard: ShardId(number), map: map.clone(), ..Config::default() };
            config.engine.registrar = REGISTRAR;
            config.engine.seed = u64::from(number);
            change(&mut config);
            Shard::new(config)
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            now: Timestamp::from_micros(1_000_000),
            mesh: BTreeMap::new(),
            received: BTreeMap::new(),
            deaf: Vec::new(),
            closed: Vec::new(),
            resumed: Vec::new(),
        }
    }

    pub(crate) fn open(&mut self, shard: u16) -> AssociationId {
        self.open_from(shard, tcp("192.0.2.1:50000")).expect("there is room")
    }

    pub(crate) fn open_from(&mut self, shard: u16, peer: Peer) -> Option<AssociationId> {
        let now = self.now;
        self.shards[usize::from(shard)].open(now, peer)
    }

    /// The shard an association was opened on.
    fn at(&mut self, id: AssociationId) -> &mut Shard {
        let shard = self.shards.iter().position(|shard| shard.peer(id).is_some()).unwrap_or(0);
        &mut self.shards[shard]
    }

    pub(crate) fn close(&mut self, id: AssociationId) {
        let now = self.now;
        self.at(id).close(now, id);
        self.collect();
    }

    pub(crate) fn wants_more(&mut self, id: AssociationId) -> bool {
        self.at(id).wants_more(id)
    }

    /// Gives a message of an association and lets everything run.
    pub(crate) fn send(&mut self, id: AssociationId, message: &Message<'_>) {
        self.say(id, message);
        self.settle();
    }

    /// Gives a message of an association; what the mesh carries stays there.
    pub(crate) fn say(&mut self, id: AssociationId, message: &Message<'_>) {
        let mut bytes = Vec::new();
        message.emit(&mut bytes, LengthForm::Rfc).expect("it fits");
        self.say_bytes(id, &bytes);
    }

    /// Gives messages of an association that came together.
    pub(crate) fn say_together(&mut self, id: AssociationId, messages: &[Message<'_>]) {
        let now = self.now;
        for message in messages {
            let mut bytes = Vec::new();
            message.emit(&mut bytes, LengthForm::Rfc).expect("it fits");
            self.at(id).receive(now, id, &bytes);
        }
        self.collect();
    }

    pub(crate) fn say_bytes(&mut self, id: AssociationId, bytes: &[u8]) {
        let now = self.now;
        self.at(id).receive(now, id, bytes);
        self.collect();
    }

    /// Gives a message and returns the only answer.
    pub(crate) fn ask(&mut self, id: AssociationId, message: &Message<'_>) -> Answer {
        self.send(id, message);
        let answers = self.answers(id);
        let [answer] = answers.as_slice() else { panic!("{answers:?}") };
        answer.clone()
    }

    /// Does what the outputs say, without the mesh.
    pub(crate) fn collect(&mut self) {
        for (number, shard) in (0..).zip(&mut self.shards) {
            while let Some(output) = shard.poll_output() {
                match output {
                    Output::Send(id) if self.deaf.contains(&id) => (),
                    Output::Send(id) => {
                        let mut bytes = Vec::new();
                        shard.take_send(id, &mut bytes);
                        assert!(!bytes.is_empty(), "a Send without bytes");
                        self.received.entry(id).or_default().extend(bytes);
                    }
                    Output::Close(id, reason) => {
                        assert!(shard.peer(id).is_none(), "it is forgotten");
                        self.closed.push((id, reason));
                    }
                    Output::Mesh(to) => {
                        let mut batch = Vec::new();
                        shard.take_mesh(to, &mut batch);
                        assert!(!batch.is_empty(), "a Mesh without a batch");
                        self.mesh.entry((number, to.0)).or_default().push_back(batch);
                    }
                    Output::Resume(id) => self.resumed.push(id),
                    Output::Connect(_) | Output::Group(_) => {}
                }
            }
        }
    }

    /// Delivers the oldest batch between two shards. `false`: there is none.
    pub(crate) fn deliver(&mut self, from: u16, to: u16) -> bool {
        let Some(batch) = self.mesh.get_mut(&(from, to)).and_then(VecDeque::pop_front) else {
            return false;
        };
        let now = self.now;
        self.shards[usize::from(to)].receive_mesh(now, ShardId(from), &batch);
        self.collect();
        true
    }

    /// Delivers everything until nothing is under way.
    pub(crate) fn settle(&mut self) {
        self.collect();
        let pairs: Vec<_> = (0..self.shards.len())
            .flat_map(|from| (0..self.shards.len()).map(move |to| (from, to)))
            .collect();
        loop {
            let mut any = false;
            for &(from, to) in &pairs {
                let number = |shard| u16::try_from(shard).expect("few shards");
                any |= self.deliver(number(from), number(to));
            }
            if !any {
                break;
            }
        }
    }

    /// Lets time pass, stopping whenever something is due.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        loop {
            let next = self.shards.iter().filter_map(Shard::next_timeout).min();
            let next = next.filter(|&next| next <= end);
            self.now = self.now.max(next.unwrap_or(end));
            let now = self.now;
            for shard in &mut self.shards {
                while shard.handle_timeout(now, 3) {}
            }
            self.settle();
            if next.is_none() {
                break;
            }
        }
    }

    /// What an association received since the last call.
    pub(crate) fn take(&mut self, id: AssociationId) -> Vec<u8> {
        self.received.remove(&id).unwrap_or_default()
    }

    /// The same, message by message.
    pub(crate) fn messages(&mut self, id: AssociationId) -> Vec<Vec<u8>> {
        let bytes = self.take(id);
        let mut rest = bytes.as_slice();
        let mut messages = Vec::new();
        while let Frame::Whole(length) = frame(rest) {
            let (message, others) = rest.split_at(length);
            messages.push(message.to_vec());
            rest = others;
        }
        assert!(rest.is_empty(), "whole messages only");
        messages
    }

    /// The same, understood.
    pub(crate) fn answers(&mut self, id: AssociationId) -> Vec<Answer> {
        self.messages(id).iter().map(|message| Answer::from(message.as_slice())).collect()
    }

    /// The sum of a count over all shards.
    pub(crate) fn count(&self, count: impl Fn(&Stats) -> u64) -> u64 {
        self.shards.iter().map(|shard| count(&shard.stats())).sum()
    }

    /// Pool elements on all shards.
    pub(crate) fn elements(&self) -> u32 {
        self.shards.iter().map(|shard| shard.handlespace().stats().elements).sum()
    }

    /// A pool handle of a shard; others with other numbers.
    pub(crate) fn pool_on(&self, shard: u16, number: usize) -> String {
        let map = &self.shards[0].config().map;
        let names = (0..).map(|i| format!("pool-{i}"));
        let mut names = names.filter(|name| map.shard_of(pool(name)) == ShardId(shard));
        names.nth(number).expect("names do not end")
    }
}

/// What the registrar sends, as far as the tests look into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Registered { handle: String, pe: u32 },
    Rejected { handle: String, pe: u32, cause: u16, data: Vec<u8> },
    Deregistered { handle: String, pe: u32 },
    NotDeregistered { handle: String, pe: u32, cause: u16 },
    Resolved { handle: String, policy: Policy, pes: Vec<u32> },
    NotResolved { handle: String, cause: u16, data: Vec<u8> },
    KeepAlive { handle: String, pe: u32 },
    Error { cause: u16, data: Vec<u8> },
}

impl From<&[u8]> for Answer {
    #[expect(clippy::wildcard_enum_match_arm, reason = "a registrar does not send the others")]
    fn from(bytes: &[u8]) -> Self {
        let name = |handle: PoolHandle<'_>| handle.to_string();
        match Message::parse(bytes).expect("a registrar's messages can be read") {
            Message::RegistrationResponse { handle, pe, rejected, error } => {
                let (handle, pe) = (name(handle), pe.get());
                assert_eq!(rejected, error.is_some());
                match error.and_then(|causes| causes.first()) {
                    None => Self::Registered { handle, pe },
                    Some(cause) => {
                        let (cause, data) = (cause.code, cause.data.to_vec());
                        Self::Rejected { handle, pe, cause, data }
                    }
                }
            }
            Message::DeregistrationResponse { handle, pe, error } => {
                let (handle, pe) = (name(handle), pe.get());
                match error.and_then(|causes| causes.first()) {
                    None => Self::Deregistered { handle, pe },
                    Some(cause) => Self::NotDeregistered { handle, pe, cause: cause.code },
                }
            }
            Message::HandleResolutionResponse { handle, policy, elements, error, .. } => {
                let handle = name(handle);
                match error.and_then(|causes| causes.first()) {
                    None => {
                        assert!(!elements.is_empty(), "a positive answer has an element");
                        assert!(elements.iter().all(|element| element.home == REGISTRAR));
                        let policy = policy.expect("the policy is always there");
                        let pes = elements.iter().map(|element| element.pe.get()).collect();
                        Self::Resolved { handle, policy, pes }
                    }
                    Some(cause) => {
                        assert!(policy.is_none() && elements.is_empty());
                        let (cause, data) = (cause.code, cause.data.to_vec());
                        Self::NotResolved { handle, cause, data }
                    }
                }
            }
            Message::KeepAlive { registrar, take_home, handle, pe } => {
                assert_eq!((registrar, take_home), (REGISTRAR, false));
                let pe = pe.expect("the PE identifier is always there").get();
                Self::KeepAlive { handle: name(handle), pe }
            }
            Message::Error { causes } => {
                let cause = causes.first().expect("an error has a cause");
                Self::Error { cause: cause.code, data: cause.data.to_vec() }
            }
            other => panic!("a registrar does not send {other:?}"),
        }
    }
}

/// The code of a cause, as answers have it.
pub(crate) const fn code(cause: CauseCode) -> u16 {
    cause as u16
}

pub(crate) const fn pool(name: &str) -> PoolHandle<'_> {
    PoolHandle::new(name.as_bytes())
}

pub(crate) fn tcp(address: &str) -> Peer {
    let address: SocketAddr = address.parse().expect("an address");
    Peer { address, transport: TransportKind::Tcp }
}

/// A round robin element over SCTP at 10.0.0.1:7777.
pub(crate) const fn element(pe: u32) -> Element<'static> {
    Element {
        pe: PeId::new(pe),
        home: RegistrarId::new(0),
        life: 90,
        user_transport: Transport::sctp(7777, ChannelUse::DataAndControl, Addresses::List(HOST)),
        policy: Policy::RoundRobin,
        asap_transport: None,
    }
}

pub(crate) const fn registration(name: &str, pe: u32) -> Message<'_> {
    Message::Registration { handle: pool(name), element: element(pe) }
}

pub(crate) const fn deregistration(name: &str, pe: u32) -> Message<'_> {
    Message::Deregistration { handle: pool(name), pe: PeId::new(pe) }
}

pub(crate) const fn resolution(name: &str, items: Option<u32>) -> Message<'_> {
    Message::HandleResolution { handle: pool(name), subscribe: false, items }
}

pub(crate) const fn ack(name: &str, pe: u32) -> Message<'_> {
    Message::KeepAliveAck { handle: pool(name), pe: PeId::new(pe) }
}

pub(crate) const fn report(name: &str, pe: u32) -> Message<'_> {
    Message::Unreachable { handle: pool(name), pe: PeId::new(pe) }
}

pub(crate) fn registered(name: &str, pe: u32) -> Answer {
    Answer::Registered { handle: name.to_owned(), pe }
}

pub(crate) fn deregistered(name: &str, pe: u32) -> Answer {
    Answer::Deregistered { handle: name.to_owned(), pe }
}

pub(crate) fn resolved(name: &str, pes: &[u32]) -> Answer {
    Answer::Resolved { handle: name.to_owned(), policy: Policy::RoundRobin, pes: pes.to_vec() }
}

pub(crate) fn keep_alive(name: &str, pe: u32) -> Answer {
    Answer::KeepAlive { handle: name.to_owned(), pe }
}

/// An answer to a resolution of a pool that does not exist.
pub(crate) fn unknown(name: &str) -> Answer {
    let mut data = vec![0, 9];
    data.extend(u16::try_from(4 + name.len()).expect("short").to_be_bytes());
    data.extend(name.as_bytes());
    let (handle, cause) = (name.to_owned(), code(CauseCode::UnknownPoolHandle));
    Answer::NotResolved { handle, cause, data }
}
