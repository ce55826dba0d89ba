//! What a registrar refuses because it would be too much.

use rserpool_codec::asap::Message;
use rserpool_codec::{CauseCode, LengthForm};
use rserpool_engine::PoolHandle;

use crate::wired::{
    Answer, Registrar, code, deregistered, deregistration, element, registered, registration,
    resolution, tcp,
};

fn refused(answer: &Answer) -> bool {
    let lack = code(CauseCode::LackOfResources);
    matches!(answer, Answer::Rejected { cause, data, .. } if *cause == lack && data.is_empty())
}

#[test]
fn an_association_registers_no_more_elements_than_it_may_on_all_shards_together() {
    let mut registrar = Registrar::with(2, |config| config.elements_per_association_max = 3);
    let (id, other) = (registrar.open(0), registrar.open(0));
    let names = [registrar.pool_on(0, 0), registrar.pool_on(1, 0)];
    let [here, there] = &names;
    assert_eq!(registrar.ask(id, &registration(here, 1)), registered(here, 1));
    assert_eq!(registrar.ask(id, &registration(there, 1)), registered(there, 1));
    assert_eq!(registrar.ask(id, &registration(there, 2)), registered(there, 2));
    for name in &names {
        assert!(refused(&registrar.ask(id, &registration(name, 9))));
        assert_eq!(registrar.ask(id, &registration(name, 1)), registered(name, 1), "again");
        assert_eq!(registrar.ask(other, &registration(name, 9)), registered(name, 9));
        assert!(refused(&registrar.ask(id, &registration(name, 9))), "no room to take it over");
    }
    for name in [there, here] {
        assert_eq!(registrar.ask(id, &deregistration(name, 1)), deregistered(name, 1));
        for room in names.iter().rev() {
            assert_eq!(registrar.ask(id, &registration(room, 7)), registered(room, 7));
            assert!(refused(&registrar.ask(id, &registration(room, 8))));
            assert_eq!(registrar.ask(id, &deregistration(room, 7)), deregistered(room, 7));
        }
        assert_eq!(registrar.ask(id, &registration(name, 1)), registered(name, 1));
    }
}

#[test]
fn rejected_registrations_do_not_use_up_an_association() {
    let mut registrar = Registrar::with(2, |config| config.elements_per_association_max = 2);
    let (id, other) = (registrar.open(0), registrar.open(1));
    let there = registrar.pool_on(1, 0);
    registrar.ask(other, &registration(&there, 1));
    let policy = rserpool_engine::Policy::Random;
    let handle = PoolHandle::new(there.as_bytes());
    let element = rserpool_codec::Element { policy, ..element(2) };
    for _ in 0..5 {
        let answer = registrar.ask(id, &Message::Registration { handle, element });
        assert!(matches!(answer, Answer::Rejected { .. }), "{answer:?}");
    }
    assert_eq!(registrar.ask(id, &registration(&there, 2)), registered(&there, 2));
}

#[test]
fn elements_that_others_took_over_or_that_were_removed_make_room() {
    let mut registrar = Registrar::with(2, |config| config.elements_per_association_max = 1);
    let (id, other) = (registrar.open(0), registrar.open(1));
    for shard in [0, 1] {
        let name = registrar.pool_on(shard, 0);
        assert_eq!(registrar.ask(id, &registration(&name, 1)), registered(&name, 1));
        assert!(refused(&registrar.ask(id, &registration(&name, 2))));
        assert_eq!(registrar.ask(other, &registration(&name, 1)), registered(&name, 1));
        assert_eq!(registrar.ask(id, &registration(&name, 2)), registered(&name, 2));
        // Both are silent.
        registrar.pass(core::time::Duration::from_secs(12));
        assert_eq!(registrar.elements(), 0);
        for association in [id, other] {
            registrar.answers(association);
        }
    }
}

#[test]
fn there_are_no_more_associations_than_configured() {
    let mut registrar = Registrar::with(1, |config| config.associations_max = 2);
    let first = registrar.open(0);
    registrar.open(0);
    assert_eq!(registrar.open_from(0, tcp("192.0.2.1:1")), None);
    registrar.close(first);
    assert!(registrar.open_from(0, tcp("192.0.2.1:1")).is_some());
    let stats = registrar.shards[0].stats();
    assert_eq!((stats.opened, stats.refused, stats.closed), (3, 1, 1));
}

#[test]
fn a_full_handlespace_refuses_more() {
    let mut registrar = Registrar::with(1, |config| {
        config.engine.pools_max = 2;
        config.engine.elements_per_pool_max = 2;
    });
    let id = registrar.open(0);
    for (name, pe) in [("a", 1), ("a", 2), ("b", 1)] {
        assert_eq!(registrar.ask(id, &registration(name, pe)), registered(name, pe));
    }
    assert!(refused(&registrar.ask(id, &registration("c", 1))));
    assert!(refused(&registrar.ask(id, &registration("a", 3))));
    assert_eq!(registrar.shards[0].stats().rejected[0x6], 2);
}

#[test]
fn a_pool_handle_of_any_length_gets_an_answer() {
    for shards in [1, 2] {
        let mut registrar = Registrar::new(shards);
        let id = registrar.open(0);
        for length in [0, 1, 4_096, 4_097, 32_000, 32_751, 32_760, 33_000, 65_400, 65_515, 65_527] {
            let name = "x".repeat(length);
            let mut resolve = Vec::new();
            let fits = resolution(&name, None).emit(&mut resolve, LengthForm::Rfc).is_ok();
            assert!(fits, "{length}");
            registrar.say_bytes(id, &resolve);
            registrar.settle();
            let answers = registrar.answers(id);
            assert!(
                matches!(answers.as_slice(), [Answer::NotResolved { .. } | Answer::Error { .. }]),
                "{length}: {:?}",
                answers.len()
            );
            let mut register = Vec::new();
            if registration(&name, 1).emit(&mut register, LengthForm::Rfc).is_err() {
                continue;
            }
            registrar.say_bytes(id, &register);
            registrar.settle();
            let answers = registrar.answers(id);
            let accepted = matches!(answers.as_slice(), [Answer::Registered { .. }]);
            assert_eq!(accepted, (1..=4_096).contains(&length), "{length}");
            assert_eq!(answers.len(), 1, "{length}");
            registrar.send(id, &deregistration(&name, 1));
            assert_eq!(registrar.answers(id), [deregistered(&name, 1)]);
        }
    }
}
