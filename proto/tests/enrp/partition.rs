//! Partitions, and what becomes of elements that two registrars claim.

use core::time::Duration;

use rserpool_engine::{AssociationId, Policy};

use super::cluster::{Cluster, agent_address};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn after_a_partition_heals_all_live_elements_are_everywhere_within_five_seconds() {
    let mut cluster = Cluster::serving(3);
    for node in 0..3 {
        for pe in 1..=100 {
            cluster.register(node, "pool", u32::try_from(node).unwrap() * 1000 + pe);
        }
    }
    cluster.pass(SECOND);
    cluster.cut(0, 1);
    cluster.cut(0, 2);
    cluster.pass(SECOND * 60);
    // New ones on both sides, and some that move, or leave.
    for pe in 1..=10 {
        cluster.register(0, "pool", 5000 + pe);
        cluster.register(1, "pool", 6000 + pe);
        cluster.register(2, "pool", pe);
        let id = cluster.register(1, "pool", 1000 + pe);
        cluster.deregister(1, id, "pool", 1000 + pe);
        cluster.agents.get_mut(&agent_address(1000 + pe)).unwrap().alive = false;
    }
    cluster.heal();
    cluster.pass(SECOND * 5);
    for node in 0..3 {
        let live = cluster.elements(node).into_keys().filter(|(_, pe)| !(1001..=1010).contains(pe));
        assert_eq!(live.count(), 100 + 90 + 100 + 20, "all that live are at {node}");
    }
    // Those that left have been asked by who took them over.
    cluster.pass(SECOND * 5);
    cluster.assert_equal();
    let elements = cluster.elements(0);
    let expected =
        (1..=100).chain(1011..=1100).chain(2001..=2100).chain(5001..=5010).chain(6001..=6010);
    let found: Vec<_> = elements.keys().map(|(_, pe)| *pe).collect();
    assert_eq!(found, expected.collect::<Vec<_>>());
    for pe in 1..=10 {
        assert_eq!(elements[&("pool".to_owned(), pe)], 3, "{pe} moved");
    }
    cluster.pass(SECOND * 10);
    assert_eq!(cluster.elements(0), elements, "and it stays like that");
    cluster.assert_equal();
}

#[test]
fn a_delete_that_waited_out_a_partition_does_not_remove_a_live_element() {
    let mut cluster = Cluster::serving(2);
    let id = cluster.register(0, "pool", 1);
    cluster.pass(SECOND / 10);
    cluster.cut(0, 1);
    // It is cut off from its home, and registers at the other registrar.
    let now = cluster.now;
    cluster.nodes[0].shards[0].close(now, id);
    cluster.register(1, "pool", 1);
    cluster.pass(SECOND / 10);
    assert!(cluster.elements(0).is_empty(), "to its home, it is gone");
    cluster.heal();
    cluster.pass(SECOND / 10);
    assert_eq!(cluster.elements(1), [(("pool".to_owned(), 1), 2)].into());
    cluster.assert_equal();
}

#[test]
fn an_element_that_left_is_not_brought_back_by_who_took_it_over() {
    let mut cluster = Cluster::serving(2);
    let id = cluster.register(0, "pool", 1);
    cluster.register(0, "pool", 2);
    cluster.pass(SECOND / 10);
    cluster.agents_cut.insert(1);
    cluster.cut(0, 1);
    cluster.pass(SECOND * 8);
    assert!(cluster.elements(1).values().all(|home| *home == 2), "it was taken over");
    cluster.agents.get_mut(&agent_address(1)).unwrap().alive = false;
    cluster.deregister(0, id, "pool", 1);
    cluster.disconnect(0, 1);
    cluster.heal();
    for _ in 0..50 {
        cluster.pass(SECOND / 10);
        assert!(!cluster.elements(0).contains_key(&("pool".to_owned(), 1)));
    }
    assert_eq!(cluster.elements(1).len(), 1);
    cluster.assert_equal();
}

#[test]
fn an_element_that_left_may_come_back_itself_anywhere() {
    let mut cluster = Cluster::serving(3);
    let id = cluster.register(0, "pool", 1);
    cluster.deregister(0, id, "pool", 1);
    cluster.pass(SECOND / 10);
    // The third forgot that it left.
    cluster.kill(2);
    cluster.start(2);
    cluster.pass(SECOND * 8);
    cluster.register(2, "pool", 1);
    cluster.pass(SECOND / 10);
    assert_eq!(cluster.elements(0), [(("pool".to_owned(), 1), 3)].into());
    cluster.assert_equal();
}

#[test]
fn an_element_that_moves_again_and_again_has_one_home_everywhere() {
    let mut cluster = Cluster::serving(3);
    for turn in 0..30 {
        cluster.register(turn % 3, "pool", 1);
        if turn % 4 == 0 {
            cluster.pass(SECOND / 500);
        }
    }
    cluster.pass(SECOND);
    assert_eq!(cluster.elements(0), [(("pool".to_owned(), 1), 3)].into());
    cluster.assert_equal();
}

#[test]
fn values_that_changed_while_an_association_was_broken_are_compared_when_it_is_back() {
    let mut cluster = Cluster::serving(2);
    let load = |load| Policy::LeastUsed { load };
    let mut ids = Vec::new();
    for pe in 1..=1000 {
        ids.push(cluster.register_with(0, "pool", pe, load(1)));
    }
    cluster.pass(SECOND);
    let before = cluster.group(1).stats();
    cluster.cut(0, 1);
    cluster.disconnect(0, 1);
    cluster.register_over(0, ids[6], "pool", 7, load(99));
    cluster.pass(SECOND / 2);
    assert_eq!(cluster.policy(1, "pool", 7), Some(load(1)));
    cluster.heal();
    cluster.pass(SECOND * 2);
    assert_eq!(cluster.policy(1, "pool", 7), Some(load(99)));
    let moved = cluster.group(1).stats().page_elements - before.page_elements;
    assert!((1..=20).contains(&moved), "only what differs is transferred, not {moved}");
    assert_eq!(cluster.group(1).stats().takeovers, 0);
}

#[test]
fn a_value_that_differs_for_whatever_reason_is_found_by_the_next_presences() {
    let mut cluster = Cluster::serving(2);
    let load = |load| Policy::LeastUsed { load };
    let mut ids = Vec::new();
    for pe in 1..=1000 {
        ids.push(cluster.register_with(0, "pool", pe, load(1)));
    }
    cluster.pass(SECOND);
    let before = cluster.group(1).stats();
    // No link breaks, and the PE checksum knows of no values.
    cluster.cut(0, 1);
    cluster.register_over(0, ids[6], "pool", 7, load(99));
    cluster.lose(0, 1);
    cluster.heal();
    cluster.pass(SECOND * 10);
    assert_eq!(cluster.policy(1, "pool", 7), Some(load(99)));
    let moved = cluster.group(1).stats().page_elements - before.page_elements;
    assert!((1..=20).contains(&moved), "only what differs is transferred, not {moved}");
    // Once mended, nothing differs any more.
    let settled = cluster.group(1).stats();
    cluster.pass(SECOND * 60);
    assert_eq!(cluster.group(1).stats().mismatches, settled.mismatches);
    assert_eq!(cluster.group(1).stats().audits, settled.audits);
}

#[test]
fn of_two_homes_in_one_term_the_one_whose_association_lives_keeps_the_element() {
    let mut cluster = Cluster::serving(3);
    cluster.register(2, "pool", 1);
    cluster.register(2, "pool", 2);
    cluster.pass(SECOND);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        cluster.cut(a, b);
    }
    for pe in [1, 2] {
        cluster.register(0, "pool", pe);
    }
    // The first registrar does not learn that they went on.
    cluster.agents_cut.insert(0);
    cluster.register(1, "pool", 1);
    let second = cluster.register(1, "pool", 2);
    cluster.heal();
    cluster.pass(SECOND / 10);
    for node in 0..3 {
        assert!(cluster.elements(node).values().all(|home| *home == 2), "to {node}");
    }
    cluster.deregister(1, second, "pool", 2);
    cluster.pass(SECOND * 60);
    cluster.assert_equal();
    assert_eq!(cluster.elements(0), [(("pool".to_owned(), 1), 2)].into());
}

/// An element that moved twice while the first registrar heard nothing, and
/// answers that one all the same: its association there, and the one at the
/// third registrar.
fn answers_its_former_home(cluster: &mut Cluster) -> [AssociationId; 2] {
    let first = cluster.register(0, "pool", 1);
    cluster.pass(SECOND / 10);
    cluster.cut(0, 1);
    cluster.cut(0, 2);
    let second = cluster.register(1, "pool", 1);
    cluster.pass(SECOND / 10);
    let third = cluster.register(2, "pool", 1);
    cluster.pass(SECOND / 10);
    let now = cluster.now;
    cluster.nodes[1].shards[0].close(now, second);
    // What the second one said on the way is lost: to the first, the claim of
    // the third does not follow from its own.
    cluster.lose(0, 1);
    cluster.heal();
    cluster.pass(SECOND / 10);
    for node in 0..3 {
        assert_eq!(cluster.elements(node), [(("pool".to_owned(), 1), 1)].into(), "to {node}");
    }
    [first, third]
}

#[test]
fn an_element_is_not_lost_with_an_association_that_it_left() {
    for is_told in [true, false] {
        let mut cluster = Cluster::serving(3);
        let [first, _] = answers_its_former_home(&mut cluster);
        let now = cluster.now;
        cluster.nodes[0].shards[0].close(now, first);
        cluster.settle();
        if !is_told {
            // Then the audit finds out.
            cluster.lose(0, 2);
        }
        for _ in 0..200 {
            cluster.pass(SECOND / 10);
            assert!(!cluster.elements(2).is_empty(), "it is there all the time");
        }
        cluster.assert_equal();
        assert_eq!(cluster.elements(0), [(("pool".to_owned(), 1), 3)].into());
    }
}

#[test]
fn an_element_that_answers_nobody_goes_with_the_association_that_it_left() {
    let mut cluster = Cluster::serving(3);
    let [first, third] = answers_its_former_home(&mut cluster);
    cluster.agents_cut.insert(2);
    let now = cluster.now;
    cluster.nodes[0].shards[0].close(now, first);
    cluster.pass(SECOND * 6);
    cluster.assert_equal();
    assert_eq!(cluster.elements(0), [].into());
    // Its association has no element any more, and may go.
    let now = cluster.now;
    cluster.nodes[2].shards[0].close(now, third);
    cluster.pass(SECOND * 10);
    cluster.assert_equal();
}

#[test]
fn an_open_association_does_not_bring_back_an_element_that_left() {
    let mut cluster = Cluster::serving(3);
    cluster.register(0, "pool", 1);
    cluster.pass(SECOND / 10);
    cluster.cut(0, 1);
    cluster.cut(0, 2);
    // The first registrar does not learn that it went on.
    cluster.agents_cut.insert(0);
    let second = cluster.register(1, "pool", 1);
    cluster.pass(SECOND / 10);
    cluster.lose(0, 1);
    cluster.lose(0, 2);
    cluster.deregister(1, second, "pool", 1);
    cluster.pass(SECOND / 10);
    cluster.heal();
    for _ in 0..60 {
        cluster.pass(SECOND / 10);
        assert_eq!(cluster.elements(1), [].into());
        assert_eq!(cluster.elements(2), [].into());
    }
    assert_eq!(cluster.elements(0), [].into(), "it did not answer");
}

#[test]
fn an_element_that_comes_back_has_the_values_that_it_registered_with() {
    let mut cluster = Cluster::serving(3);
    let load = |load| Policy::LeastUsed { load };
    let first = cluster.register_with(0, "pool", 1, load(1));
    cluster.pass(SECOND / 10);
    for other in [1, 2] {
        cluster.cut(0, other);
    }
    let second = cluster.register_with(1, "pool", 1, load(1));
    cluster.pass(SECOND / 10);
    let third = cluster.register_with(2, "pool", 1, load(1));
    cluster.pass(SECOND / 10);
    let now = cluster.now;
    cluster.nodes[1].shards[0].close(now, second);
    cluster.lose(0, 1);
    // The first registrar learns of the move, and takes the element back with
    // what it knew of it. The third one has news that cross this.
    cluster.heal();
    cluster.register_over(2, third, "pool", 1, load(99));
    cluster.pass(SECOND / 10);
    assert_eq!(cluster.policy(2, "pool", 1), Some(load(1)), "the claim that is greater");
    let now = cluster.now;
    cluster.nodes[0].shards[0].close(now, first);
    cluster.pass(SECOND * 10);
    cluster.assert_equal();
    assert_eq!(cluster.elements(0), [(("pool".to_owned(), 1), 3)].into());
    assert_eq!(cluster.policy(0, "pool", 1), Some(load(99)));
}

#[test]
fn who_took_an_element_over_and_cannot_ask_it_believes_that_it_left() {
    let mut cluster = Cluster::serving(3);
    let left = cluster.register_over_tcp(2, "pool", 1);
    cluster.pass(SECOND / 10);
    cluster.register_over_tcp(0, "pool", 1);
    cluster.pass(SECOND / 10);
    let now = cluster.now;
    cluster.nodes[2].shards[0].close(now, left);
    // The second registrar knows of nothing: it starts alone.
    cluster.kill(1);
    for other in [0, 2] {
        cluster.cut(1, other);
    }
    cluster.start(1);
    cluster.pass(SECOND * 12);
    cluster.kill(0);
    cluster.pass(SECOND * 12);
    assert_eq!(cluster.elements(2), [(("pool".to_owned(), 1), 3)].into(), "it took over");
    let there = cluster.register_over_tcp(1, "pool", 1);
    cluster.deregister(1, there, "pool", 1);
    cluster.heal();
    cluster.pass(SECOND * 10);
    assert_eq!(cluster.elements(1), [].into());
    assert_eq!(cluster.elements(2), [].into());
}

#[test]
fn a_pool_of_two_policies_after_a_partition_ends_no_registrar() {
    let mut cluster = Cluster::serving(2);
    cluster.cut(0, 1);
    cluster.pass(SECOND * 10);
    cluster.register(0, "pool", 1);
    cluster.register_with(1, "pool", 2, Policy::Random);
    cluster.heal();
    cluster.pass(SECOND * 60);
    let audits = cluster.group(0).stats().audits + cluster.group(1).stats().audits;
    assert!(audits < 60, "audits that do not help become rare: {audits}");
    assert!(cluster.elements(0).contains_key(&("pool".to_owned(), 1)));
    assert!(cluster.elements(1).contains_key(&("pool".to_owned(), 2)));
}

#[test]
fn registrars_find_each_other_again_where_there_is_no_multicast() {
    let mut cluster = Cluster::with(3, 1, |config| {
        config.mentors = vec![Cluster::target(0)];
    });
    cluster.multicast = false;
    cluster.start_all();
    for node in 0..3 {
        cluster.register(node, "pool", u32::try_from(node).unwrap() + 1);
    }
    cluster.pass(SECOND);
    // Neither is a mentor of the other.
    cluster.cut(1, 2);
    cluster.disconnect(1, 2);
    cluster.pass(SECOND * 60);
    cluster.heal();
    cluster.pass(SECOND * 5);
    for node in 0..3 {
        let peers: Vec<_> = cluster.group(node).peers().collect();
        assert_eq!(peers.len(), 2, "at {node}: {peers:?}");
    }
    cluster.assert_equal();
    assert_eq!(cluster.elements(0).len(), 3);
}
