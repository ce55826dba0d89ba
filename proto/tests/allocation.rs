//! In its steady state a registrar does not allocate: requests are answered
//! in buffers that are used again, also over the mesh.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use rserpool_codec::asap::Message;
use rserpool_codec::{Addresses, Element, LengthForm, Transport};
use rserpool_engine::{
    AssociationId, PeId, Policy, PoolHandle, RegistrarId, ShardId, ShardMap, Timestamp,
    TransportKind,
};
use rserpool_proto::registrar::{Config, Output, Peer, Shard};

const ELEMENTS: u32 = 50;

struct Registrar {
    shards: Vec<Shard>,
    now: Timestamp,
    batch: Vec<u8>,
    sent: Vec<u8>,
    bytes_sent: usize,
}

impl Registrar {
    fn new(shards: u16) -> Self {
        let map = ShardMap::new(shards, 1);
        let shard = |number| {
            let mut config =
                Config { shard: ShardId(number), map: map.clone(), ..Config::default() };
            config.engine.keep_alive_interval = Duration::from_millis(100);
            config.gather = Duration::from_millis(1);
            Shard::new(config)
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            now: Timestamp::from_micros(1),
            batch: Vec::new(),
            sent: Vec::new(),
            bytes_sent: 0,
        }
    }

    fn open(&mut self) -> AssociationId {
        let address = SocketAddr::from(([127, 0, 0, 1], 5000));
        let peer = Peer { address, transport: TransportKind::Tcp };
        self.shards[0].open(self.now, peer).expect("there is room")
    }

    /// A turn: the messages come in, everything that follows is carried out.
    fn turn(&mut self, id: AssociationId, messages: &[Vec<u8>]) {
        self.now = self.now.after(Duration::from_millis(10));
        for message in messages {
            assert!(self.shards[0].wants_more(id));
            self.shards[0].receive(self.now, id, message);
        }
        for shard in &mut self.shards {
            shard.handle_timeout(self.now, 100);
        }
        let mut busy = true;
        while busy {
            busy = false;
            for from in 0..self.shards.len() {
                while let Some(output) = self.shards[from].poll_output() {
                    busy = true;
                    self.carry_out(from, output);
                }
            }
        }
    }

    fn carry_out(&mut self, from: usize, output: Output) {
        match output {
            Output::Send(id) => {
                self.shards[from].take_send(id, &mut self.sent);
                self.bytes_sent += self.sent.len();
                self.sent.clear();
            }
            Output::Mesh(to) => {
                self.shards[from].take_mesh(to, &mut self.batch);
                let number = ShardId(u16::try_from(from).expect("few shards"));
                self.shards[usize::from(to.0)].receive_mesh(self.now, number, &self.batch);
                self.batch.clear();
            }
            Output::Close(..) | Output::Resume(_) | Output::Connect(_) | Output::Group(_) => {
                panic!("{output:?}")
            }
        }
    }
}

/// A re-registration, a handle resolution and an acknowledgment.
fn messages(pe: u32, load: u32) -> Vec<Vec<u8>> {
    let host = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))];
    let mut all = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        let handle = PoolHandle::new(name.as_bytes());
        let pe = PeId::new(pe);
        let element = Element {
            pe,
            home: RegistrarId::new(0),
            life: -1,
            user_transport: Transport::tcp(80, Addresses::List(&host)),
            policy: Policy::LeastUsed { load },
            asap_transport: None,
        };
        for message in [
            Message::Registration { handle, element },
            Message::HandleResolution { handle, subscribe: false, items: Some(10) },
            Message::KeepAliveAck { handle, pe },
        ] {
            let mut bytes = Vec::new();
            message.emit(&mut bytes, LengthForm::Rfc).expect("it fits");
            all.push(bytes);
        }
    }
    all
}

fn assert_steady(shards: u16) {
    let mut registrar = Registrar::new(shards);
    let id = registrar.open();
    let turns: Vec<_> =
        (0..ELEMENTS * 7).map(|i| messages(i % ELEMENTS + 1, i * 37 % 11)).collect();
    let mut run = || turns.iter().for_each(|messages| registrar.turn(id, messages));
    run();
    run();
    let allocations = allocation_counter::measure(run);
    assert_eq!((allocations.count_total, allocations.bytes_total), (0, 0));
    let stats: Vec<_> = registrar.shards.iter().map(Shard::stats).collect();
    let resolutions: u64 = stats.iter().map(|stats| stats.resolutions).sum();
    assert_eq!(resolutions, turns.len() as u64 * 5 * 3);
    assert!(stats.iter().all(|stats| stats.reregistrations > 0 && stats.keep_alives > 0));
    assert!(registrar.bytes_sent > 100_000);
}

#[test]
fn a_single_shard_does_not_allocate_in_its_steady_state() {
    assert_steady(1);
}

#[test]
fn shards_that_answer_for_each_other_do_not_allocate_in_their_steady_state() {
    assert_steady(3);
}
