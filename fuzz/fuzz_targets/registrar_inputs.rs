//! Inputs of a registrar of two shards: associations that open, close and send
//! whatever bytes, a mesh that takes its time, and time that passes.
#![no_main]

use std::collections::VecDeque;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use rserpool_engine::{AssociationId, ShardId, ShardMap, Timestamp, TransportKind};
use rserpool_proto::registrar::{Config, Output, Peer, Shard};

const ASSOCIATIONS_MAX: usize = 8;

struct Registrar {
    shards: [Shard; 2],
    mesh: [VecDeque<Vec<u8>>; 2],
    open: Vec<(usize, AssociationId)>,
    now: Timestamp,
}

impl Registrar {
    fn new() -> Self {
        let shard = |number| {
            Shard::new(Config {
                engine: rserpool_engine::Config {
                    pools_max: 8,
                    elements_max: 16,
                    elements_per_pool_max: 8,
                    ..rserpool_engine::Config::default()
                },
                shard: ShardId(number),
                map: ShardMap::new(2, 1),
                associations_max: 16,
                elements_per_association_max: 12,
                pending_max: 16,
                output_bytes_max: 1 << 16,
                ..Config::default()
            })
        };
        let now = Timestamp::from_micros(1);
        Self { shards: [shard(0), shard(1)], mesh: Default::default(), open: Vec::new(), now }
    }

    /// The first byte says what to do; returns what is left.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (&what, rest) = bytes.split_first()?;
        let which = usize::from(what >> 3);
        match what & 7 {
            0 if self.open.len() < ASSOCIATIONS_MAX => {
                let address = ([127, 0, 0, 1], 5000).into();
                let peer = Peer { address, transport: TransportKind::Tcp };
                let shard = which % 2;
                self.open.extend(self.shards[shard].open(self.now, peer).map(|id| (shard, id)));
            }
            1 if !self.open.is_empty() => {
                let (shard, id) = self.open.swap_remove(which % self.open.len());
                self.shards[shard].close(self.now, id);
            }
            2 => self.deliver(which % 2),
            3 => {
                self.now = self.now.after(Duration::from_millis(97 << (which % 8)));
                for shard in &mut self.shards {
                    while shard.handle_timeout(self.now, 4) {}
                }
            }
            _ => return self.say(which, rest),
        }
        self.drain();
        Some(rest)
    }

    /// A byte of length, then as many of a message.
    fn say<'a>(&mut self, which: usize, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (&length, rest) = bytes.split_first()?;
        let (message, rest) = rest.split_at_checked(usize::from(length).min(rest.len()))?;
        if let Some(&(shard, id)) = self.open.get(which % self.open.len().max(1)) {
            if self.shards[shard].wants_more(id) {
                self.shards[shard].receive(self.now, id, message);
            }
            self.drain();
        }
        Some(rest)
    }

    fn deliver(&mut self, to: usize) {
        if let Some(batch) = self.mesh[to].pop_front() {
            let from = u16::try_from(1 - to).expect("two shards");
            self.shards[to].receive_mesh(self.now, ShardId(from), &batch);
        }
    }

    fn drain(&mut self) {
        for shard in &mut self.shards {
            while let Some(output) = shard.poll_output() {
                let mut bytes = Vec::new();
                match output {
                    Output::Send(id) => shard.take_send(id, &mut bytes),
                    Output::Mesh(to) => {
                        shard.take_mesh(to, &mut bytes);
                        self.mesh[usize::from(to.0)].push_back(bytes);
                    }
                    Output::Close(id, _) => self.open.retain(|&(_, open)| open != id),
                    // Nobody is called without a group.
                    Output::Connect(_) | Output::Group(_) => panic!("{output:?}"),
                    Output::Resume(_) => {}
                }
            }
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
