//! What a stopped registrar leaves open. Alone in its process, since it
//! counts descriptors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peer;

use peer::{Peer, registrar, registration};

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_stopped_registrar_leaves_one_descriptor_a_shard() {
    let round = || {
        let running = registrar(2);
        let mut peers: Vec<Peer> = (0..50).map(|_| Peer::of(&running)).collect();
        for (pe, peer) in (1..).zip(&mut peers) {
            peer.ask(&registration(b"a", pe));
        }
        running.stop().unwrap();
    };
    round();
    let before = open_descriptors();
    for _ in 0..5 {
        round();
    }
    // glommio 0.9 leaks the event descriptor of each executor.
    let leaked = open_descriptors() - before;
    assert!(leaked <= 5 * 2, "{leaked} descriptors leaked in 5 rounds of 2 shards");
}
