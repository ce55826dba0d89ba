//! Registrars find each other, and keep their handlespaces equal.

use core::time::Duration;

use rserpool_engine::Policy;
use rserpool_proto::enrp::{Liveness, Phase};

use super::cluster::Cluster;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn registrars_that_start_at_once_find_each_other_by_multicast() {
    let cluster = Cluster::serving(3);
    for node in 0..3 {
        let peers: Vec<_> = cluster.group(node).peers().collect();
        assert_eq!(peers.len(), 2, "{peers:?}");
        assert!(peers.iter().all(|it| it.liveness == Liveness::Alive && it.linked && it.kin));
        assert_eq!(cluster.group(node).phase(), Phase::Serving);
    }
}

#[test]
fn a_registration_is_known_to_all_at_once_and_so_is_its_end() {
    let mut cluster = Cluster::serving(3);
    let id = cluster.register(0, "pool", 7);
    cluster.pass(SECOND / 100);
    for node in 0..3 {
        assert_eq!(cluster.elements(node), [(("pool".to_owned(), 7), 1)].into());
    }
    cluster.register_over(0, id, "pool", 7, Policy::RoundRobin);
    cluster.deregister(0, id, "pool", 7);
    cluster.pass(SECOND / 100);
    for node in 0..3 {
        assert!(cluster.elements(node).is_empty());
    }
}
