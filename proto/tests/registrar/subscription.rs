//! Subscriptions to pools (RFC 5352, 2.2.5 and 2.2.6: the S and the A bit).

use core::time::Duration;

use rserpool_codec::CauseCode;
use rserpool_codec::asap::Message;
use rserpool_engine::{AssociationId, Policy};

use crate::wired::{Registrar, deregistration, element, pool, registration, resolution};

fn subscription(name: &str) -> Message<'_> {
    Message::HandleResolution { handle: pool(name), subscribe: true, items: Some(100) }
}

/// What a message about a pool tells: whether there is a subscription, the
/// elements, and the cause if there are none.
type Told = (bool, Vec<u32>, Option<u16>);

fn told(registrar: &mut Registrar, id: AssociationId) -> Vec<Told> {
    let messages = registrar.messages(id);
    let understood = messages.iter().map(|bytes| {
        let Ok(Message::HandleResolutionResponse { subscribed, elements, error, .. }) =
            Message::parse(bytes)
        else {
            panic!("{bytes:?}")
        };
        let mut pes: Vec<u32> = elements.iter().map(|element| element.pe.get()).collect();
        pes.sort_unstable();
        let cause = error.and_then(|causes| causes.first()).map(|cause| cause.code);
        (subscribed, pes, cause)
    });
    understood.collect()
}

const SOON: Duration = Duration::from_millis(1);
const INTERVAL: Duration = Duration::from_millis(100);

#[test]
fn changes_of_a_pool_are_told_to_those_who_subscribed_on_any_shard() {
    for shards in [1, 2] {
        let mut registrar = Registrar::new(shards);
        let name = registrar.pool_on(shards - 1, 0);
        let (element_side, user, other) = (registrar.open(0), registrar.open(0), registrar.open(0));
        registrar.ask(element_side, &registration(&name, 1));
        registrar.send(user, &subscription(&name));
        assert_eq!(told(&mut registrar, user), [(true, vec![1], None)]);
        registrar.send(other, &resolution(&name, Some(100)));
        assert_eq!(told(&mut registrar, other), [(false, vec![1], None)]);

        registrar.ask(element_side, &registration(&name, 2));
        registrar.pass(SOON);
        assert_eq!(told(&mut registrar, user), [(true, vec![1, 2], None)]);
        // What changes soon after is told together.
        registrar.ask(element_side, &registration(&name, 3));
        registrar.ask(element_side, &deregistration(&name, 1));
        registrar.pass(SOON);
        assert!(told(&mut registrar, user).is_empty());
        registrar.pass(INTERVAL);
        assert_eq!(told(&mut registrar, user), [(true, vec![2, 3], None)]);
        // A renewal changes nothing.
        registrar.ask(element_side, &registration(&name, 3));
        registrar.pass(INTERVAL);
        assert!(told(&mut registrar, user).is_empty());
        assert!(told(&mut registrar, other).is_empty());
        assert_eq!(registrar.count(|stats| stats.notices), 2);
    }
}

#[test]
fn an_element_that_is_lost_is_told_and_the_end_of_the_pool_ends_it() {
    let mut registrar = Registrar::new(1);
    let (first, second, user) = (registrar.open(0), registrar.open(0), registrar.open(0));
    registrar.ask(first, &registration("a", 1));
    registrar.ask(second, &registration("a", 2));
    registrar.send(user, &subscription("a"));
    registrar.take(user);
    registrar.close(first);
    registrar.pass(INTERVAL);
    assert_eq!(told(&mut registrar, user), [(true, vec![2], None)]);
    registrar.close(second);
    registrar.pass(INTERVAL);
    let unknown = Some(CauseCode::UnknownPoolHandle as u16);
    assert_eq!(told(&mut registrar, user), [(false, vec![], unknown)]);
    let third = registrar.open(0);
    registrar.ask(third, &registration("a", 3));
    registrar.pass(INTERVAL);
    assert!(told(&mut registrar, user).is_empty(), "it ended with the pool");
}

#[test]
fn a_pool_that_does_not_exist_is_not_subscribed_to() {
    let mut registrar = Registrar::new(1);
    let (element_side, user) = (registrar.open(0), registrar.open(0));
    registrar.send(user, &subscription("a"));
    let unknown = Some(CauseCode::UnknownPoolHandle as u16);
    assert_eq!(told(&mut registrar, user), [(false, vec![], unknown)]);
    registrar.ask(element_side, &registration("a", 1));
    registrar.pass(INTERVAL);
    assert!(told(&mut registrar, user).is_empty());
}

#[test]
fn a_resolution_without_the_bit_ends_it() {
    let mut registrar = Registrar::new(1);
    let (element_side, user) = (registrar.open(0), registrar.open(0));
    registrar.ask(element_side, &registration("a", 1));
    registrar.send(user, &subscription("a"));
    registrar.send(user, &resolution("a", None));
    registrar.take(user);
    registrar.ask(element_side, &registration("a", 2));
    registrar.pass(INTERVAL);
    assert!(told(&mut registrar, user).is_empty());
}

#[test]
fn too_many_are_not_accepted_and_a_lost_association_makes_room() {
    let mut registrar = Registrar::with(2, |config| {
        config.subscriptions_max = 3;
        config.subscriptions_per_association_max = 2;
    });
    let names: Vec<String> = (0..4).map(|number| registrar.pool_on(1, number)).collect();
    let element_side = registrar.open(0);
    for name in &names {
        registrar.ask(element_side, &registration(name, 1));
    }
    let (first, second) = (registrar.open(0), registrar.open(1));
    let accepted = |registrar: &mut Registrar, id, name: &String| {
        registrar.send(id, &subscription(name));
        told(registrar, id)[0].0
    };
    assert!(
        accepted(&mut registrar, first, &names[0]) && accepted(&mut registrar, first, &names[1])
    );
    assert!(!accepted(&mut registrar, first, &names[2]), "too many of one association");
    assert!(accepted(&mut registrar, second, &names[2]));
    assert!(!accepted(&mut registrar, second, &names[3]), "too many of a shard");
    registrar.close(first);
    registrar.settle();
    assert!(accepted(&mut registrar, second, &names[3]));
}

#[test]
fn telling_a_pool_selects_none_of_its_elements() {
    let mut registrar = Registrar::new(1);
    let (element_side, user, other) = (registrar.open(0), registrar.open(0), registrar.open(0));
    for pe in 1..=3 {
        registrar.ask(element_side, &registration("a", pe));
    }
    registrar.send(user, &subscription("a"));
    registrar.send(other, &resolution("a", Some(1)));
    let before = told(&mut registrar, other)[0].1[0];
    let moved = rserpool_codec::Element {
        user_transport: rserpool_codec::Transport { port: 99, ..element(1).user_transport },
        ..element(before)
    };
    registrar.ask(element_side, &Message::Registration { handle: pool("a"), element: moved });
    registrar.pass(INTERVAL);
    assert_eq!(registrar.count(|stats| stats.notices), 1);
    registrar.send(other, &resolution("a", Some(1)));
    let next = told(&mut registrar, other)[0].1[0];
    assert_eq!(next, before % 3 + 1, "the turn goes on");
    assert_eq!(element(1).policy, Policy::RoundRobin);
}
