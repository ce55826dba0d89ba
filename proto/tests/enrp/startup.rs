//! How registrars start (RFC 5353, 3.2).

use core::time::Duration;

use rserpool_proto::enrp::{Config, Phase};

use super::cluster::Cluster;

const SECOND: Duration = Duration::from_secs(1);

fn fill(cluster: &mut Cluster, node: usize, elements: u32) {
    for pe in 1..=elements {
        cluster.register(node, &format!("pool-{}", pe % 97), pe);
    }
}

#[test]
fn a_registrar_that_nobody_answers_serves_alone_after_a_while() {
    let mut cluster = Cluster::new(1);
    cluster.start(0);
    cluster.pass(Config::default().startup - SECOND / 10);
    assert_eq!(cluster.group(0).phase(), Phase::Starting);
    cluster.pass(SECOND / 5);
    assert!(cluster.nodes[0].serving);
}

#[test]
fn a_fresh_registrar_has_all_elements_of_its_mentor_before_it_serves() {
    for shards in [1, 3] {
        let mut cluster = Cluster::with(2, shards, |_| ());
        cluster.start(0);
        cluster.pass(SECOND * 6);
        fill(&mut cluster, 0, 10_000);
        cluster.start(1);
        let mut waited = Duration::ZERO;
        while !cluster.nodes[1].serving {
            assert!(waited < SECOND * 6, "it serves in time");
            waited += SECOND / 100;
            cluster.pass(SECOND / 100);
        }
        assert_eq!(cluster.elements(1).len(), 10_000);
        cluster.assert_equal();
        assert!(cluster.group(0).stats().pages_sent > 30, "in pages");
        cluster.pass(SECOND * 10);
        cluster.assert_equal();
        let stats = cluster.group(1).stats();
        assert_eq!(stats.page_elements, 10_000, "an audit of what is equal transfers nothing");
        assert_eq!(cluster.group(0).stats().page_elements, 0);
    }
}

#[test]
fn elements_that_come_and_go_during_the_download_are_neither_lost_nor_brought_back() {
    let mut cluster = Cluster::new(2);
    cluster.start(0);
    cluster.pass(SECOND * 6);
    let mut ids = Vec::new();
    for pe in 1..=3000 {
        ids.push((pe, cluster.register(0, "pool", pe)));
    }
    cluster.start(1);
    let mut next = 3001;
    while !cluster.nodes[1].serving {
        cluster.pass(SECOND / 1000);
        cluster.register(0, "pool", next);
        next += 1;
        if let Some((pe, id)) = ids.pop() {
            cluster.deregister(0, id, "pool", pe);
        }
    }
    cluster.pass(SECOND / 10);
    assert!(next > 3010, "some came during the download");
    cluster.assert_equal();
    assert_eq!(cluster.elements(1).len(), 3000);
}

#[test]
fn a_mentor_is_configured_where_there_is_no_multicast() {
    let mut cluster = Cluster::with(2, 1, |config| {
        config.mentors = vec![Cluster::target(0), Cluster::target(1)];
    });
    cluster.multicast = false;
    cluster.start(0);
    cluster.pass(SECOND * 6);
    assert!(cluster.nodes[0].serving, "that it is its own mentor does not matter");
    fill(&mut cluster, 0, 100);
    cluster.start(1);
    cluster.pass(SECOND);
    assert!(cluster.nodes[1].serving);
    cluster.assert_equal();
    // And is called again when it was away.
    cluster.kill(0);
    cluster.pass(SECOND * 30);
    cluster.start(0);
    cluster.pass(SECOND * 10);
    assert_eq!(cluster.elements(0).len(), 100);
    cluster.assert_equal();
}

#[test]
fn where_one_mentor_does_not_answer_another_does() {
    let mut cluster = Cluster::with(3, 1, |config| {
        config.mentors = vec![Cluster::target(0), Cluster::target(1)];
    });
    cluster.multicast = false;
    cluster.start(0);
    cluster.start(1);
    cluster.pass(SECOND * 12);
    fill(&mut cluster, 1, 100);
    cluster.freeze(0);
    cluster.start(2);
    cluster.pass(SECOND * 5);
    assert!(cluster.nodes[2].serving);
    assert_eq!(cluster.elements(2).len(), 100);
}

#[test]
fn a_registrar_that_restarts_without_memory_gets_its_own_elements_back() {
    let mut cluster = Cluster::serving(2);
    fill(&mut cluster, 0, 100);
    cluster.pass(SECOND);
    cluster.kill(0);
    cluster.start(0);
    cluster.pass(SECOND);
    assert!(cluster.nodes[0].serving, "before anybody took it over");
    assert_eq!(cluster.elements(0).len(), 100);
    assert!(cluster.elements(0).values().all(|home| *home == 1));
    cluster.pass(SECOND * 30);
    assert_eq!(cluster.elements(0).len(), 100, "the elements answered its keep-alives");
    cluster.assert_equal();
}

#[test]
fn a_rolling_restart_loses_nothing() {
    let mut cluster = Cluster::serving(3);
    for node in 0..3 {
        for pe in 0..50 {
            cluster.register(node, "pool", u32::try_from(node).unwrap() * 100 + pe + 1);
        }
    }
    cluster.pass(SECOND / 10);
    for node in 0..3 {
        cluster.kill(node);
        cluster.pass(SECOND * 6);
        cluster.start(node);
        cluster.pass(SECOND * 6);
        assert!(cluster.nodes[node].serving);
        assert_eq!(cluster.elements(node).len(), 150);
    }
    cluster.pass(SECOND * 10);
    assert_eq!(cluster.elements(0).len(), 150);
    cluster.assert_equal();
}
