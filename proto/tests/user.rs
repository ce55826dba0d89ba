//! The cache of a pool user, on a virtual clock.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use core::net::IpAddr;
use core::time::Duration;

use rserpool_codec::{Addresses, Element, Elements, LengthForm, Transport};
use rserpool_engine::{PeId, Policy, PoolHandle, RegistrarId, Timestamp};
use rserpool_proto::user::{Cache, Config, Known};

const POOL: PoolHandle<'static> = PoolHandle::new(b"pool");
const HOST: &[IpAddr] = &[IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1))];

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO.after(Duration::from_secs(seconds))
}

fn element(pe: u32, policy: Policy) -> Element<'static> {
    Element {
        pe: PeId::new(pe),
        home: RegistrarId::new(9),
        life: 90,
        user_transport: Transport::tcp(80, Addresses::List(HOST)),
        policy,
        asap_transport: None,
    }
}

/// As a message would bring them.
fn wire(pes: &[(u32, Policy)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &(pe, policy) in pes {
        element(pe, policy).emit(&mut bytes, LengthForm::Rfc).unwrap();
    }
    bytes
}

fn store(cache: &mut Cache, now: Timestamp, pes: &[(u32, Policy)], subscribed: bool) {
    let bytes = wire(pes);
    let policy = pes.first().map(|one| one.1);
    cache.store(now, POOL, policy, &Elements::wire(&bytes).unwrap(), subscribed);
}

fn select(cache: &mut Cache, now: Timestamp, items: u32) -> Vec<u32> {
    cache.select(now, POOL, items).map(|element| element.pe.get()).collect()
}

const RR: Policy = Policy::RoundRobin;

#[test]
fn an_answer_is_fresh_then_stale_then_forgotten() {
    let mut cache = Cache::new(Config::default(), 1);
    assert_eq!(cache.known(at(0), POOL), Known::Nothing);
    store(&mut cache, at(0), &[(1, RR), (2, RR)], false);
    assert_eq!(cache.known(at(4), POOL), Known::Fresh);
    assert_eq!(cache.known(at(5), POOL), Known::Stale);
    assert_eq!(select(&mut cache, at(599), 1), [1]);
    assert_eq!(cache.known(at(600), POOL), Known::Nothing);
    assert!(select(&mut cache, at(600), 1).is_empty());
}

#[test]
fn selections_follow_the_policy_of_the_pool() {
    let mut cache = Cache::new(Config::default(), 1);
    store(&mut cache, at(0), &[(1, RR), (2, RR), (3, RR)], false);
    let turns: Vec<u32> = (0..6).flat_map(|_| select(&mut cache, at(1), 1)).collect();
    assert_eq!(turns, [1, 2, 3, 1, 2, 3]);
    // A renewal leaves the turns as they are.
    store(&mut cache, at(2), &[(1, RR), (2, RR), (3, RR), (4, RR)], false);
    let turns: Vec<u32> = (0..4).flat_map(|_| select(&mut cache, at(2), 1)).collect();
    assert_eq!(turns.len(), 4);
    assert!((1..=4).all(|pe| turns.contains(&pe)), "{turns:?}");

    let load = |load| Policy::LeastUsed { load };
    store(&mut cache, at(3), &[(1, load(30)), (2, load(10)), (5, load(20))], false);
    assert_eq!(select(&mut cache, at(3), 3), [2, 5, 1]);
    store(&mut cache, at(4), &[(1, load(5)), (2, load(10)), (5, load(20))], false);
    assert_eq!(select(&mut cache, at(4), 3), [1, 2, 5]);
}

#[test]
fn an_element_that_failed_is_avoided_for_a_while_and_until_it_is_named_again() {
    let mut cache = Cache::new(Config::default(), 1);
    store(&mut cache, at(10), &[(1, RR), (2, RR)], true);
    cache.failed(at(10), POOL, PeId::new(1));
    assert_eq!(cache.known(at(10), POOL), Known::Stale, "it is asked for again");
    assert_eq!(select(&mut cache, at(10), 5), [2]);
    // The registrar has not noticed yet.
    store(&mut cache, at(10), &[(1, RR), (2, RR)], true);
    assert_eq!(cache.known(at(10), POOL), Known::Fresh);
    assert_eq!(select(&mut cache, at(10), 5), [2]);
    assert_eq!(cache.known(at(11), POOL), Known::Stale, "it is asked for again in time");
    assert_eq!(select(&mut cache, at(11), 5), [2]);
    store(&mut cache, at(11), &[(1, RR), (2, RR)], true);
    assert_eq!(select(&mut cache, at(11), 5).len(), 2);
    assert_eq!(cache.known(at(1000), POOL), Known::Fresh);
}

#[test]
fn an_element_that_failed_is_better_than_none() {
    let mut cache = Cache::new(Config::default(), 1);
    store(&mut cache, at(10), &[(1, RR)], false);
    cache.failed(at(10), POOL, PeId::new(1));
    assert!(select(&mut cache, at(10), 5).is_empty());
    store(&mut cache, at(10), &[(1, RR)], false);
    assert_eq!(select(&mut cache, at(10), 5), [1]);
}

#[test]
fn that_a_pool_does_not_exist_is_remembered_for_a_moment() {
    let mut cache = Cache::new(Config::default(), 1);
    store(&mut cache, at(0), &[(1, RR)], true);
    cache.store_unknown(at(1), POOL);
    assert_eq!(cache.known(at(1), POOL), Known::NoPool);
    assert!(select(&mut cache, at(1), 1).is_empty());
    assert_eq!(cache.known(at(2), POOL), Known::Nothing);
}

#[test]
fn a_subscription_keeps_a_pool_fresh_until_the_registrar_is_lost() {
    let mut cache = Cache::new(Config::default(), 1);
    store(&mut cache, at(0), &[(1, RR)], true);
    assert_eq!(cache.known(at(100_000), POOL), Known::Fresh);
    store(&mut cache, at(100_000), &[(2, RR)], true);
    assert_eq!(select(&mut cache, at(100_000), 5), [2]);
    cache.disconnected(at(100_000));
    assert_eq!(cache.known(at(100_004), POOL), Known::Fresh);
    assert_eq!(cache.known(at(100_005), POOL), Known::Stale);
}

#[test]
fn the_pool_that_was_used_longest_ago_makes_room() {
    let mut cache = Cache::new(Config { pools_max: 3, ..Config::default() }, 1);
    let bytes = wire(&[(1, RR)]);
    let elements = Elements::wire(&bytes).unwrap();
    for (time, name) in [b"a", b"b", b"c"].into_iter().enumerate() {
        cache.store(at(time as u64), PoolHandle::new(name), None, &elements, false);
    }
    assert_eq!(cache.select(at(3), PoolHandle::new(b"a"), 1).count(), 1);
    for name in 0..100_u8 {
        cache.store(at(4), PoolHandle::new(&[name]), None, &elements, false);
    }
    assert_eq!(cache.len(), 3);
    cache.purge(PoolHandle::new(&[99]));
    assert_eq!(cache.len(), 2);
}

#[test]
fn a_pool_of_hostile_size_is_cut() {
    let config = Config { elements_per_pool_max: 10, ..Config::default() };
    let mut cache = Cache::new(config, 1);
    let many: Vec<(u32, Policy)> = (1..=100).map(|pe| (pe, RR)).collect();
    store(&mut cache, at(0), &many, false);
    assert_eq!(select(&mut cache, at(0), 1000).len(), 10);
}
