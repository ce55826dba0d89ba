//! Dead registrars are taken over (RFC 5353, 3.5).

use core::time::Duration;

use rserpool_proto::enrp::{Arbitration, Config};

use super::cluster::{Cluster, agent_address};

const SECOND: Duration = Duration::from_secs(1);

/// Registers elements at a registrar; they answer.
fn register(cluster: &mut Cluster, node: usize, pes: core::ops::Range<u32>) {
    for pe in pes {
        cluster.register(node, &format!("pool-{}", pe % 7), pe);
    }
    cluster.pass(SECOND / 10);
}

fn homes(cluster: &Cluster, node: usize) -> Vec<u32> {
    cluster.elements(node).into_values().collect()
}

#[test]
fn of_two_registrars_one_takes_over_the_other_within_a_second_of_its_detection() {
    let mut cluster = Cluster::serving(2);
    register(&mut cluster, 0, 1..51);
    cluster.kill(0);
    let detection = Config::default().no_response;
    cluster.pass(detection + SECOND);
    assert_eq!(homes(&cluster, 1), [2; 50]);
    assert_eq!(cluster.group(1).peers().count(), 0);
    let asked = cluster.agents.values().filter(|agent| agent.home.map(|it| it.get()) == Some(2));
    assert_eq!(asked.count(), 50, "the elements know their new home");
    cluster.pass(SECOND * 60);
    assert_eq!(homes(&cluster, 1), [2; 50], "and stay, for they answer");
}

#[test]
fn a_silent_registrar_is_taken_over_within_a_second_of_its_detection() {
    let mut cluster = Cluster::serving(2);
    register(&mut cluster, 0, 1..51);
    cluster.freeze(0);
    let config = Config::default();
    cluster.pass(config.last_heard + config.no_response + SECOND);
    assert_eq!(homes(&cluster, 1), [2; 50]);
}

#[test]
fn of_many_registrars_exactly_one_takes_over_and_the_others_agree() {
    for count in [3, 5] {
        let mut cluster = Cluster::serving(count);
        register(&mut cluster, 0, 1..31);
        cluster.kill(0);
        cluster.pass(Config::default().no_response + SECOND);
        let first = homes(&cluster, 1);
        assert!(first.iter().all(|home| *home == first[0] && *home != 1), "{first:?}");
        cluster.assert_equal();
    }
}

#[test]
fn without_the_dead_ones_consent_a_takeover_completes_all_the_same() {
    let mut cluster = Cluster::serving(4);
    register(&mut cluster, 0, 1..31);
    cluster.freeze(3);
    cluster.kill(0);
    cluster.pass(Config::default().no_response + SECOND);
    assert!(homes(&cluster, 1).iter().all(|home| *home != 1));
    cluster.pass(SECOND * 10);
    cluster.kill(3);
    cluster.pass(SECOND * 10);
    cluster.assert_equal();
    assert_eq!(homes(&cluster, 1).len(), 30);
}

#[test]
fn arbitration_by_the_larger_identifier_is_the_letter_of_the_rfc() {
    for (arbitration, winner) in [(Arbitration::SmallerId, 2), (Arbitration::LargerId, 3)] {
        let larger: fn(&mut Config) = |config| config.arbitration = Arbitration::LargerId;
        let smaller: fn(&mut Config) = |_| ();
        let change = if arbitration == Arbitration::LargerId { larger } else { smaller };
        let mut cluster = Cluster::with(3, 1, change);
        cluster.start_all();
        register(&mut cluster, 0, 1..11);
        // The same moment for both: neither hears the other first.
        cluster.kill(0);
        cluster.pass(SECOND * 4);
        assert_eq!(homes(&cluster, 1), [winner; 10]);
        cluster.assert_equal();
    }
}

#[test]
fn a_target_that_speaks_in_time_is_left_alone() {
    let mut cluster = Cluster::serving(3);
    register(&mut cluster, 0, 1..11);
    let config = Config::default();
    cluster.freeze(0);
    cluster.pass(config.last_heard + config.no_response / 2);
    cluster.thaw(0);
    cluster.pass(SECOND * 20);
    assert_eq!(homes(&cluster, 1), [1; 10]);
    cluster.assert_equal();
}

#[test]
fn a_target_that_comes_back_too_late_finds_all_its_elements_alive_elsewhere() {
    let mut cluster = Cluster::serving(3);
    register(&mut cluster, 0, 1..31);
    cluster.freeze(0);
    cluster.pass(SECOND * 15);
    assert!(homes(&cluster, 1).iter().all(|home| *home != 1));
    cluster.thaw(0);
    cluster.pass(SECOND * 10);
    cluster.assert_equal();
    assert_eq!(homes(&cluster, 0).len(), 30, "none is lost");
    assert!(homes(&cluster, 0).iter().all(|home| *home != 1), "their home asked them");
}

#[test]
fn a_target_whose_elements_did_not_hear_of_the_takeover_gets_them_back() {
    let mut cluster = Cluster::serving(2);
    register(&mut cluster, 0, 1..31);
    // From the second registrar, nobody is to be reached.
    cluster.agents_cut.insert(1);
    cluster.cut(0, 1);
    cluster.pass(SECOND * 9);
    assert!(homes(&cluster, 1).iter().all(|home| *home == 2));
    cluster.heal();
    cluster.pass(SECOND * 5);
    assert_eq!(homes(&cluster, 0), [1; 30]);
    cluster.assert_equal();
}

#[test]
fn elements_that_are_dead_with_their_registrar_are_removed_everywhere() {
    let mut cluster = Cluster::serving(3);
    register(&mut cluster, 0, 1..31);
    for pe in 1..16 {
        cluster.agents.get_mut(&agent_address(pe)).unwrap().alive = false;
    }
    cluster.kill(0);
    cluster.pass(SECOND * 15);
    assert_eq!(homes(&cluster, 1).len(), 15);
    cluster.assert_equal();
}

#[test]
fn an_element_that_registers_elsewhere_before_the_takeover_keeps_its_new_home() {
    let mut cluster = Cluster::serving(3);
    register(&mut cluster, 0, 1..11);
    cluster.kill(0);
    for pe in 1..6 {
        cluster.register(2, &format!("pool-{}", pe % 7), pe);
    }
    cluster.pass(SECOND * 10);
    cluster.assert_equal();
    for pe in 1..6 {
        let home = cluster.elements(1)[&(format!("pool-{}", pe % 7), pe)];
        assert_eq!(home, 3, "of {pe}");
    }
    assert_eq!(homes(&cluster, 1).len(), 10);
}

#[test]
fn the_last_registrar_takes_over_all_others_one_after_the_other() {
    let mut cluster = Cluster::serving(4);
    for node in 0..4 {
        let first = u32::try_from(node * 10 + 1).unwrap();
        register(&mut cluster, node, first..first + 10);
    }
    for node in 0..3 {
        cluster.kill(node);
        cluster.pass(SECOND * 5);
    }
    assert_eq!(homes(&cluster, 3), [4; 40]);
}

#[test]
fn elements_whose_home_nobody_knows_are_taken_over() {
    let mut cluster = Cluster::serving(3);
    register(&mut cluster, 0, 1..11);
    // The third learns of the first only by what the second tells it.
    cluster.cut(0, 2);
    cluster.kill(2);
    cluster.start(2);
    cluster.pass(SECOND * 8);
    cluster.kill(0);
    cluster.kill(1);
    cluster.pass(SECOND * 15);
    assert_eq!(homes(&cluster, 2), [3; 10]);
}
