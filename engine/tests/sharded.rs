//! Handlespaces that threads share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use rserpool_engine::{
    AssociationId, ChannelUse, Config, Due, PeId, Policy, PoolHandle, RegistrarId, Registration,
    RegistrationLife, Resolution, ShardedHandlespace, Timestamp, TransportKind,
};

const OWN: RegistrarId = RegistrarId::new(1);
const PEER: RegistrarId = RegistrarId::new(2);
const POOLS: u32 = 40;
const ELEMENTS: u32 = 25;

fn handle(pool: u32) -> Vec<u8> {
    format!("pool {}", pool % POOLS).into_bytes()
}

fn registration(handle: &[u8], pe: u32, home: RegistrarId) -> Registration<'_> {
    Registration {
        handle: PoolHandle::new(handle),
        pe: PeId::new(pe),
        home,
        association: (home == OWN).then_some(AssociationId(u64::from(pe))),
        life: RegistrationLife::For(Duration::from_secs(60)),
        policy: Policy::LeastUsed { load: pe },
        transport: TransportKind::Tcp,
        channel_use: ChannelUse::Data,
        record: b"record",
    }
}

/// All elements of one thread: no other has their identifiers.
fn work(space: &ShardedHandlespace, thread: u32) {
    let now = Timestamp::from_micros(1);
    let mut answer = Resolution::default();
    for round in 0..3 {
        for pool in 0..POOLS {
            let handle = handle(pool + thread);
            for element in 0..ELEMENTS {
                let new = registration(&handle, thread * ELEMENTS + element + 1, OWN);
                let (shard, registered) = space.register(now, &new).expect("there is room");
                assert_eq!(shard, space.shard_of(new.handle));
                let found = space.with_shard(shard, |it| it.find(new.handle, new.pe));
                assert_eq!(found, Some(registered.key));
            }
            let shard = space.resolve(now, PoolHandle::new(&handle), 3, &mut answer);
            assert_eq!(shard, Ok(space.shard_of(PoolHandle::new(&handle))));
            assert_eq!(answer.elements.len(), 3);
            if round < 2 {
                for element in 0..ELEMENTS {
                    let pe = PeId::new(thread * ELEMENTS + element + 1);
                    assert!(space.deregister(PoolHandle::new(&handle), pe));
                    assert!(!space.deregister(PoolHandle::new(&handle), pe));
                }
            }
        }
    }
}

#[test]
fn threads_register_resolve_and_deregister_side_by_side() {
    let space = ShardedHandlespace::new(&Config::default(), 8);
    thread::scope(|scope| {
        for thread in 0..4 {
            let space = &space;
            scope.spawn(move || work(space, thread));
        }
    });
    space.assert_invariants();
    let stats = space.stats();
    assert_eq!((stats.pools, stats.elements), (POOLS, 4 * POOLS * ELEMENTS));
    assert_eq!(stats.own_elements, stats.elements);
    let used = space.shards().filter(|&it| space.with_shard(it, |it| it.stats().pools > 0));
    assert!(used.count() > 1, "pools are spread");
}

#[test]
fn a_panic_in_a_closure_leaves_the_shard_to_the_others() {
    let space = ShardedHandlespace::new(&Config::default(), 2);
    let handle = handle(0);
    let new = registration(&handle, 7, OWN);
    space.register(Timestamp::ZERO, &new).expect("there is room");
    let panics = || space.with(new.handle, |_| panic!("a mistake of the embedder"));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert!(space.with(new.handle, |it| it.find(new.handle, new.pe)).is_some());
    space.assert_invariants();
}

#[test]
fn checksums_deadlines_and_take_overs_are_those_of_all_shards() {
    let space = ShardedHandlespace::new(&Config::default(), 5);
    for pool in 0..POOLS {
        let handle = handle(pool);
        for pe in 1..=ELEMENTS {
            let new = registration(&handle, pe, PEER);
            space.register(Timestamp::ZERO, &new).expect("there is room");
        }
    }
    let whole = space.checksum(PEER);
    let now = Timestamp::from_micros(5);
    let mut taken = 0;
    loop {
        match space.take_over(now, PEER, 7) {
            0 => break,
            some => taken += some,
        }
    }
    assert_eq!(taken, (POOLS * ELEMENTS) as usize);
    assert_eq!(space.checksum(OWN), whole);
    assert_eq!(space.checksum(PEER).finish(), 0xffff);
    // Taken over elements are kept alive at once.
    assert!(space.next_deadline().is_some_and(|at| at <= now));
    let mut asked = 0;
    while space.next_deadline().is_some_and(|at| at <= now) {
        if let Some((shard, Due::KeepAlive(key))) = space.poll_due(now) {
            assert!(space.with_shard(shard, |it| it.keep_alive_acked(now, key)));
            asked += 1;
        }
    }
    assert_eq!(asked, taken);
    space.assert_invariants();
}
