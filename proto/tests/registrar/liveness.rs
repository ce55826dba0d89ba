//! Keep-alives, unreachability reports, registration life and association
//! loss (RFC 5352, 3.2, 3.4 and 3.5).

use core::time::Duration;

use rserpool_codec::Element;
use rserpool_codec::asap::Message;

use crate::wired::{
    Answer, Registrar, ack, deregistered, element, keep_alive, pool, registered, registration,
    report, resolution, resolved, unknown,
};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than the longest wait for a keep-alive.
const INTERVAL: Duration = Duration::from_secs(7);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where pool, element's association and others' associations are.
const PLACES: [(u16, u16, u16); 4] = [(1, 0, 0), (2, 0, 1), (2, 1, 0), (3, 2, 1)];

/// A registrar with a pool on shard 0 and its element 1.
fn with_element(shards: u16, at: u16) -> (Registrar, rserpool_engine::AssociationId, String) {
    let mut registrar = Registrar::new(shards);
    let id = registrar.open(at);
    let name = registrar.pool_on(0, 0);
    assert_eq!(registrar.ask(id, &registration(&name, 1)), registered(&name, 1));
    (registrar, id, name)
}

#[test]
fn an_element_that_acknowledges_keep_alives_stays() {
    for (shards, at, _) in PLACES {
        let (mut registrar, id, name) = with_element(shards, at);
        for _ in 0..10 {
            registrar.pass(INTERVAL);
            assert_eq!(registrar.answers(id), [keep_alive(&name, 1)]);
            registrar.send(id, &ack(&name, 1));
        }
        assert_eq!(registrar.ask(id, &resolution(&name, None)), resolved(&name, &[1]));
        let counts = registrar.count(|stats| stats.keep_alives);
        assert_eq!((counts, registrar.count(|stats| stats.keep_alive_acks)), (10, 10));
    }
}

#[test]
fn an_element_that_does_not_acknowledge_is_removed() {
    for (shards, at, _) in PLACES {
        let (mut registrar, id, name) = with_element(shards, at);
        registrar.pass(INTERVAL);
        registrar.pass(TIMEOUT);
        assert_eq!(registrar.answers(id), [keep_alive(&name, 1)]);
        assert_eq!(registrar.ask(id, &resolution(&name, None)), unknown(&name));
        assert_eq!(registrar.count(|stats| stats.silent), 1);
    }
}

#[test]
fn an_acknowledgment_counts_for_its_element_only_and_from_its_association_only() {
    for (shards, at, elsewhere) in PLACES {
        let (mut registrar, id, name) = with_element(shards, at);
        let other = registrar.open(elsewhere);
        registrar.pass(INTERVAL);
        registrar.send(other, &ack(&name, 1));
        registrar.send(id, &ack(&name, 2));
        registrar.send(id, &ack("another", 1));
        registrar.pass(TIMEOUT);
        assert_eq!(registrar.elements(), 0);
        assert_eq!(registrar.count(|stats| stats.keep_alive_acks_foreign), 3);
    }
}

#[test]
fn a_registration_ends_with_its_life_and_the_element_is_told() {
    for (shards, at, _) in PLACES {
        let mut registrar = Registrar::new(shards);
        let id = registrar.open(at);
        let name = registrar.pool_on(0, 0);
        let element = Element { life: 3, ..element(1) };
        registrar.ask(id, &Message::Registration { handle: pool(&name), element });
        registrar.pass(SECOND * 2);
        assert_eq!(registrar.elements(), 1);
        registrar.pass(SECOND * 2);
        assert_eq!(registrar.answers(id), [deregistered(&name, 1)]);
        assert_eq!(registrar.elements(), 0);
        assert_eq!(registrar.count(|stats| stats.expired), 1);
    }
}

#[test]
fn a_reregistration_starts_the_life_anew() {
    let mut registrar = Registrar::new(1);
    let id = registrar.open(0);
    let message =
        Message::Registration { handle: pool("a"), element: Element { life: 3, ..element(1) } };
    for _ in 0..5 {
        assert_eq!(registrar.ask(id, &message), registered("a", 1));
        registrar.pass(SECOND * 2);
    }
    assert_eq!(registrar.elements(), 1);
}

#[test]
fn keep_alives_do_not_prolong_the_life() {
    let (mut registrar, id, name) = {
        let mut registrar = Registrar::new(1);
        let id = registrar.open(0);
        let element = Element { life: 20, ..element(1) };
        registrar.ask(id, &Message::Registration { handle: pool("a"), element });
        (registrar, id, "a")
    };
    for _ in 0..25 {
        registrar.pass(SECOND);
        if registrar.answers(id).contains(&keep_alive(name, 1)) {
            registrar.send(id, &ack(name, 1));
        }
    }
    assert_eq!(registrar.elements(), 0);
    assert_eq!(registrar.count(|stats| stats.expired), 1);
}

#[test]
fn the_notice_of_an_expiry_can_be_left_out() {
    let mut registrar = Registrar::with(1, |config| config.tcp.expiry_notice = false);
    let id = registrar.open(0);
    let element = Element { life: 3, ..element(1) };
    registrar.ask(id, &Message::Registration { handle: pool("a"), element });
    registrar.pass(SECOND * 4);
    assert_eq!((registrar.elements(), registrar.answers(id).len()), (0, 0));
}

#[test]
fn the_life_may_be_in_milliseconds() {
    let mut registrar =
        Registrar::with(1, |config| config.tcp.life_unit = rserpool_proto::LifeUnit::Milliseconds);
    let id = registrar.open(0);
    let element = Element { life: 3_000, ..element(1) };
    registrar.ask(id, &Message::Registration { handle: pool("a"), element });
    registrar.pass(Duration::from_millis(2_900));
    assert_eq!(registrar.elements(), 1);
    registrar.pass(Duration::from_millis(200));
    assert_eq!(registrar.elements(), 0);
}

#[test]
fn a_report_makes_the_registrar_ask_the_element_at_once() {
    for (shards, at, elsewhere) in PLACES {
        let (mut registrar, id, name) = with_element(shards, at);
        let user = registrar.open(elsewhere);
        registrar.send(user, &report(&name, 1));
        registrar.pass(Duration::ZERO);
        assert_eq!(registrar.answers(id), [keep_alive(&name, 1)]);
        assert!(registrar.answers(user).is_empty(), "a report is not answered");
        registrar.pass(TIMEOUT);
        assert_eq!(registrar.elements(), 0);
    }
}

#[test]
fn one_association_cannot_report_an_element_away() {
    for (shards, at, elsewhere) in PLACES {
        let (mut registrar, id, name) = with_element(shards, at);
        let user = registrar.open(elsewhere);
        for _ in 0..10 {
            registrar.send(user, &report(&name, 1));
            registrar.pass(SECOND / 3);
        }
        assert_eq!(registrar.elements(), 1);
        assert_eq!(registrar.count(|stats| stats.reports), 1);
        assert_eq!(registrar.count(|stats| stats.reports_ignored), 9);
        registrar.send(id, &ack(&name, 1));
        registrar.pass(TIMEOUT);
        assert_eq!(registrar.elements(), 1);
    }
}

#[test]
fn an_element_that_answers_cannot_be_reported_away_by_many() {
    let (mut registrar, id, name) = with_element(2, 1);
    for round in 0..10 {
        for at in [0, 1, 0, 1, 0] {
            let user = registrar.open(at);
            registrar.send(user, &report(&name, 1));
        }
        registrar.pass(SECOND / 2);
        assert!(registrar.answers(id).contains(&keep_alive(&name, 1)), "round {round}");
        registrar.send(id, &ack(&name, 1));
        registrar.pass(SECOND);
    }
    assert_eq!(registrar.elements(), 1);
    assert_eq!(registrar.count(|stats| stats.reported_away), 0);
}

#[test]
fn an_element_that_several_report_and_that_is_silent_goes_before_its_keep_alive_times_out() {
    let (mut registrar, _, name) = with_element(2, 1);
    for at in [0, 1, 0] {
        let user = registrar.open(at);
        registrar.send(user, &report(&name, 1));
    }
    registrar.pass(SECOND * 9 / 10);
    assert_eq!(registrar.elements(), 1);
    registrar.pass(SECOND / 5);
    assert_eq!(registrar.elements(), 0);
    assert_eq!(registrar.count(|stats| stats.reported_away), 1);
}

#[test]
fn without_a_grace_the_last_report_removes_the_element() {
    let mut registrar = Registrar::with(1, |config| config.report_grace = Duration::ZERO);
    let id = registrar.open(0);
    registrar.ask(id, &registration("a", 1));
    for reports in 1..=3 {
        assert_eq!(registrar.elements(), 1, "before report {reports}");
        let user = registrar.open(0);
        registrar.send(user, &report("a", 1));
        registrar.pass(Duration::ZERO);
    }
    assert_eq!(registrar.elements(), 0);
}

#[test]
fn a_reregistration_forgets_the_reports() {
    let (mut registrar, id, name) = with_element(1, 0);
    for _ in 0..5 {
        let (first, second) = (registrar.open(0), registrar.open(0));
        registrar.send(first, &report(&name, 1));
        registrar.send(second, &report(&name, 1));
        registrar.send(id, &registration(&name, 1));
    }
    registrar.pass(SECOND * 2);
    assert_eq!(registrar.elements(), 1);
    assert_eq!(registrar.count(|stats| stats.reports), 10);
}

#[test]
fn an_element_that_registers_again_within_the_grace_stays() {
    let (mut registrar, id, name) = with_element(1, 0);
    for _ in 0..3 {
        let user = registrar.open(0);
        registrar.send(user, &report(&name, 1));
    }
    registrar.send(id, &registration(&name, 1));
    registrar.pass(SECOND * 2);
    assert_eq!(registrar.elements(), 1);
}

#[test]
fn reports_of_what_is_not_registered_do_nothing() {
    let (mut registrar, id, name) = with_element(1, 0);
    registrar.send(id, &report(&name, 2));
    registrar.send(id, &report("another", 1));
    registrar.pass(Duration::ZERO);
    assert!(registrar.answers(id).is_empty());
    assert_eq!(registrar.count(|stats| stats.reports_ignored), 2);
}

#[test]
fn reports_of_many_elements_are_bounded_and_all_are_asked() {
    let mut registrar = Registrar::new(1);
    let (id, user) = (registrar.open(0), registrar.open(0));
    for pe in 1..=300 {
        registrar.send(id, &registration("a", pe));
        registrar.send(user, &report("a", pe));
    }
    assert_eq!(registrar.count(|stats| stats.reports), 256);
    registrar.pass(Duration::ZERO);
    assert_eq!(registrar.count(|stats| stats.keep_alives), 300);
    registrar.pass(TIMEOUT);
    assert_eq!(registrar.elements(), 0);
    registrar.send(id, &registration("a", 1));
    registrar.send(user, &report("a", 1));
    assert_eq!(registrar.count(|stats| stats.reports), 257, "there is room again");
}

#[test]
fn the_elements_of_a_lost_association_are_removed_at_once() {
    for (shards, at, elsewhere) in PLACES {
        let (mut registrar, id, name) = with_element(shards, at);
        let other = registrar.open(elsewhere);
        registrar.ask(other, &registration(&name, 2));
        registrar.close(id);
        registrar.settle();
        assert_eq!(registrar.ask(other, &resolution(&name, None)), resolved(&name, &[2]));
        assert_eq!(registrar.count(|stats| stats.orphaned), 1);
    }
}

#[test]
fn the_elements_of_a_lost_association_are_removed_in_bounded_batches() {
    for at in [0, 1] {
        let mut registrar = Registrar::new(2);
        let id = registrar.open(at);
        let name = registrar.pool_on(0, 0);
        for pe in 1..=1_000 {
            registrar.send(id, &registration(&name, pe));
        }
        registrar.close(id);
        registrar.settle();
        let left = registrar.elements();
        assert!((1..1_000).contains(&left), "{left}");
        let now = registrar.now;
        assert!(registrar.shards[0].next_timeout().is_some_and(|next| next <= now));
        assert!(registrar.shards[0].handle_timeout(now, 100));
        assert_eq!(registrar.elements(), left - 100);
        registrar.pass(Duration::ZERO);
        assert_eq!(registrar.elements(), 0);
        assert_eq!(registrar.count(|stats| stats.orphaned), 1_000);
    }
}

#[test]
fn keep_alives_for_many_elements_of_one_association_are_all_sent() {
    let mut registrar = Registrar::new(2);
    let id = registrar.open(1);
    let names = [registrar.pool_on(0, 0), registrar.pool_on(1, 0)];
    for pe in 1..=50 {
        for name in &names {
            registrar.send(id, &registration(name, pe));
        }
    }
    registrar.answers(id);
    registrar.pass(INTERVAL);
    let asked = registrar.answers(id);
    assert_eq!(asked.len(), 100);
    for pe in 1..=50 {
        for name in &names {
            assert!(asked.contains(&Answer::KeepAlive { handle: name.clone(), pe }));
        }
    }
}
