//! Handle updates (RFC 5353, 3.3).

use core::time::Duration;

use rserpool_engine::Policy;
use rserpool_proto::enrp;

use super::cluster::{Cluster, agent_address};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn renewals_cost_no_update_and_elements_stay_nevertheless() {
    let mut cluster = Cluster::serving(3);
    let id = cluster.register(0, "pool", 1);
    let before = cluster.group(0).stats().updates_sent;
    for _ in 0..20 {
        cluster.pass(SECOND * 30);
        cluster.register_over(0, id, "pool", 1, Policy::RoundRobin);
    }
    assert_eq!(cluster.group(0).stats().updates_sent, before);
    assert_eq!(cluster.elements(2), [(("pool".to_owned(), 1), 1)].into());
    cluster.register_over(0, id, "pool", 1, Policy::RoundRobin);
    cluster.assert_equal();
}

#[test]
fn an_element_that_expires_at_its_home_expires_everywhere() {
    let mut cluster = Cluster::serving(3);
    cluster.register(0, "pool", 1);
    cluster.pass(SECOND * 89);
    assert_eq!(cluster.elements(2).len(), 1);
    cluster.pass(SECOND * 2);
    assert!(cluster.elements(2).is_empty());
    cluster.assert_equal();
}

#[test]
fn an_element_that_falls_silent_is_gone_everywhere() {
    let mut cluster = Cluster::serving(3);
    cluster.register(0, "pool", 1);
    cluster.agents.get_mut(&agent_address(1)).unwrap().alive = false;
    cluster.pass(SECOND * 15);
    for node in 0..3 {
        assert!(cluster.elements(node).is_empty());
    }
}

#[test]
fn a_change_of_policy_values_is_told() {
    let mut cluster = Cluster::with(2, 3, |_| ());
    cluster.start_all();
    let id = cluster.register_with(0, "pool", 1, Policy::LeastUsed { load: 1 });
    cluster.pass(SECOND / 10);
    cluster.register_over(0, id, "pool", 1, Policy::LeastUsed { load: 2 });
    cluster.pass(SECOND / 10);
    assert_eq!(cluster.policy(1, "pool", 1), Some(Policy::LeastUsed { load: 2 }));
}

#[test]
fn checksums_agree_after_a_thousand_changes() {
    let mut cluster = Cluster::with(3, 2, |_| ());
    cluster.start_all();
    let mut ids = Vec::new();
    for turn in 0..1000_u32 {
        let node = turn as usize % 3;
        let pe = turn % 300 + 1;
        ids.push((node, pe, cluster.register(node, &format!("pool-{}", pe % 10), pe)));
        if turn % 5 == 0 {
            let (node, pe, id) = ids.swap_remove(turn as usize * 7 % ids.len());
            cluster.deregister(node, id, &format!("pool-{}", pe % 10), pe);
        }
        if turn % 10 == 0 {
            cluster.pass(SECOND / 100);
        }
    }
    cluster.pass(SECOND);
    cluster.assert_equal();
    let audits: Vec<_> = (0..3).map(|node| cluster.group(node).stats().audits).collect();
    cluster.pass(SECOND * 20);
    let later: Vec<_> = (0..3).map(|node| cluster.group(node).stats().audits).collect();
    assert_eq!(audits, later, "no checksum asks for an audit");
}

#[test]
fn elements_move_to_the_registrar_they_are_suggested_to_where_that_is_wanted() {
    let mut cluster =
        Cluster::with(3, 1, |config| config.suggestions = enrp::Suggestions::Exchange);
    cluster.start_all();
    for pe in 1..=40 {
        cluster.register(0, "pool", pe);
    }
    cluster.pass(SECOND);
    cluster.assert_equal();
    for ((_, pe), home) in cluster.elements(0) {
        let best = (1..=3).max_by_key(|id| id ^ pe).unwrap();
        assert_eq!(home, best, "of {pe}");
    }
    cluster.pass(SECOND * 30);
    assert_eq!(cluster.elements(0).len(), 40, "and are kept alive there");
}

#[test]
fn elsewhere_they_stay() {
    let mut cluster = Cluster::serving(3);
    for pe in 1..=40 {
        cluster.register(0, "pool", pe);
    }
    cluster.pass(SECOND);
    assert!(cluster.elements(1).values().all(|home| *home == 1));
}

#[test]
fn a_report_at_another_registrar_than_the_home_removes_nothing_there() {
    let mut cluster = Cluster::serving(2);
    cluster.register(0, "pool", 1);
    cluster.pass(SECOND / 10);
    for user in 0..10 {
        cluster.report(1, user, "pool", 1);
    }
    cluster.pass(SECOND * 3);
    assert_eq!(cluster.elements(1).len(), 1);
    cluster.assert_equal();
}
