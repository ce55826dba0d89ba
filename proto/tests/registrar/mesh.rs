//! Pools on other shards than their associations.

use core::time::Duration;

use rserpool_engine::ShardId;

use crate::wired::{
    Answer, Registrar, deregistered, deregistration, keep_alive, registered, registration,
    resolution, resolved, tcp, unknown,
};

#[test]
fn a_pool_lives_on_one_shard_and_is_the_same_from_all() {
    let mut registrar = Registrar::new(3);
    let ids = [0, 1, 2].map(|shard| registrar.open(shard));
    for shard in 0..3 {
        let name = registrar.pool_on(shard, 0);
        for (id, pe) in ids.into_iter().zip(1..) {
            assert_eq!(registrar.ask(id, &registration(&name, pe)), registered(&name, pe));
        }
        assert_eq!(registrar.ask(ids[0], &resolution(&name, None)), resolved(&name, &[1, 2, 3]));
        assert_eq!(registrar.ask(ids[1], &resolution(&name, None)), resolved(&name, &[2, 3, 1]));
        assert_eq!(registrar.ask(ids[2], &deregistration(&name, 3)), deregistered(&name, 3));
        assert_eq!(registrar.ask(ids[2], &resolution(&name, Some(9))).clone(), {
            resolved(&name, &[1, 2])
        });
    }
    for shard in &registrar.shards {
        assert_eq!(shard.handlespace().stats().pools, 1);
    }
}

#[test]
fn answers_come_in_the_order_of_the_requests_however_long_each_shard_takes() {
    // All six orders in which three shards may answer.
    for (first, second, third) in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    {
        let mut registrar = Registrar::new(3);
        let id = registrar.open(0);
        let names: Vec<_> = (0..9).map(|i| registrar.pool_on(i % 3, i as usize / 3)).collect();
        for name in &names {
            registrar.say(id, &resolution(name, None));
        }
        let expected: Vec<_> = names.iter().map(|name| unknown(name)).collect();
        for shard in [first, second, third] {
            while registrar.deliver(0, shard) {}
            while registrar.deliver(shard, 0) {}
        }
        assert_eq!(registrar.answers(id), expected);
        assert!(registrar.wants_more(id));
    }
}

#[test]
fn an_answer_that_waits_for_nothing_leaves_at_once() {
    let mut registrar = Registrar::new(2);
    let id = registrar.open(0);
    let (here, there) = (registrar.pool_on(0, 0), registrar.pool_on(1, 0));
    registrar.say(id, &resolution(&here, None));
    registrar.say(id, &resolution(&there, None));
    registrar.say(id, &resolution(&here, None));
    assert_eq!(registrar.answers(id), [unknown(&here)]);
    registrar.settle();
    assert_eq!(registrar.answers(id), [unknown(&there), unknown(&here)]);
}

/// With time to gather, one write has all of them.
#[test]
fn an_answer_waits_a_little_for_those_of_other_shards() {
    let gather = Duration::from_millis(1);
    let mut registrar = Registrar::with(3, |config| config.gather = gather);
    let id = registrar.open(0);
    let names = [0, 1, 2, 0].map(|shard| registrar.pool_on(shard, 0));
    let expected = names.each_ref().map(|name| unknown(name));
    registrar.say_together(id, &names.each_ref().map(|name| resolution(name, None)));
    assert!(registrar.answers(id).is_empty());
    assert!(registrar.deliver(0, 1) && registrar.deliver(1, 0));
    assert!(registrar.answers(id).is_empty(), "one is awaited yet");
    registrar.settle();
    assert_eq!(registrar.answers(id), expected);
    // Nobody waits: it leaves at once.
    registrar.say(id, &resolution(&names[0], None));
    assert_eq!(registrar.answers(id), expected[..1]);
}

#[test]
fn an_answer_does_not_wait_for_a_shard_that_stands_still() {
    let gather = Duration::from_millis(1);
    let mut registrar = Registrar::with(2, |config| config.gather = gather);
    let id = registrar.open(0);
    let (here, there) = (registrar.pool_on(0, 0), registrar.pool_on(1, 0));
    for _ in 0..3 {
        registrar.say_together(id, &[resolution(&here, None), resolution(&there, None)]);
        assert!(registrar.answers(id).is_empty());
        assert_eq!(registrar.shards[0].next_timeout(), Some(registrar.now.after(gather)));
        registrar.now = registrar.now.after(gather);
        let now = registrar.now;
        assert!(!registrar.shards[0].handle_timeout(now, 1));
        registrar.collect();
        assert_eq!(registrar.answers(id), [unknown(&here)]);
        registrar.settle();
        assert_eq!(registrar.answers(id), [unknown(&there)]);
    }
}

#[test]
fn much_waits_for_no_other_shard() {
    let mut registrar = Registrar::with(3, |config| config.gather = Duration::from_secs(1));
    let id = registrar.open(0);
    let (early, late) = (registrar.pool_on(1, 0), registrar.pool_on(2, 0));
    for _ in 0..900 {
        registrar.say(id, &resolution(&early, None));
    }
    registrar.say(id, &resolution(&late, None));
    while registrar.deliver(0, 1) {}
    while registrar.deliver(1, 0) {}
    assert!(!registrar.answers(id).is_empty());
}

#[test]
fn a_keep_alive_does_not_wait_for_answers() {
    let mut registrar = Registrar::new(2);
    let id = registrar.open(0);
    let (here, there) = (registrar.pool_on(0, 0), registrar.pool_on(1, 0));
    registrar.ask(id, &registration(&here, 1));
    registrar.say(id, &resolution(&there, None));
    registrar.now = registrar.now.after(Duration::from_secs(7));
    let now = registrar.now;
    registrar.shards[0].handle_timeout(now, 10);
    registrar.collect();
    assert_eq!(registrar.answers(id), [keep_alive(&here, 1)]);
    registrar.settle();
    assert_eq!(registrar.answers(id), [unknown(&there)]);
}

#[test]
fn an_association_that_closes_with_requests_under_way_leaves_nothing_behind() {
    let mut registrar = Registrar::new(2);
    let id = registrar.open(0);
    let (here, there) = (registrar.pool_on(0, 0), registrar.pool_on(1, 0));
    for pe in 1..=3 {
        registrar.say(id, &registration(&there, pe));
        registrar.say(id, &registration(&here, pe));
    }
    registrar.close(id);
    let next = registrar.open(0);
    registrar.settle();
    assert!(registrar.answers(id).is_empty());
    assert!(registrar.answers(next).is_empty(), "the place of the old one");
    assert_eq!(registrar.elements(), 0);
    assert_eq!(registrar.ask(next, &registration(&there, 1)), registered(&there, 1));
}

#[test]
fn an_association_that_closes_while_its_answer_is_under_way_is_not_answered() {
    let mut registrar = Registrar::new(2);
    let id = registrar.open(0);
    let there = registrar.pool_on(1, 0);
    registrar.say(id, &registration(&there, 1));
    assert!(registrar.deliver(0, 1));
    assert_eq!(registrar.elements(), 1);
    registrar.close(id);
    registrar.settle();
    assert_eq!(registrar.elements(), 0);
    assert!(registrar.answers(id).is_empty());
}

#[test]
fn an_element_that_moved_survives_the_end_of_its_old_association_on_another_shard() {
    let mut registrar = Registrar::new(3);
    let (old, new) = (registrar.open(0), registrar.open(1));
    let name = registrar.pool_on(2, 0);
    registrar.ask(old, &registration(&name, 1));
    registrar.ask(new, &registration(&name, 1));
    registrar.close(old);
    registrar.settle();
    assert_eq!(registrar.ask(new, &resolution(&name, None)), resolved(&name, &[1]));
}

#[test]
fn an_association_is_not_read_from_while_the_mesh_is_congested() {
    let mut registrar = Registrar::with(2, |config| config.mesh_bytes_max = 200);
    let ids = [registrar.open(0), registrar.open(0)];
    let there = registrar.pool_on(1, 0);
    let mut message = Vec::new();
    resolution(&there, None).emit(&mut message, rserpool_codec::LengthForm::Rfc).unwrap();
    let now = registrar.now;
    let mut said = 0;
    while registrar.shards[0].wants_more(ids[0]) {
        registrar.shards[0].receive(now, ids[0], &message);
        said += 1;
    }
    assert!((2..10).contains(&said), "{said}");
    assert!(!registrar.wants_more(ids[1]), "nobody is");
    registrar.collect();
    assert_eq!(registrar.resumed, ids, "the host took the batch");
    assert!(ids.into_iter().all(|id| registrar.wants_more(id)));
    registrar.settle();
    assert_eq!(registrar.answers(ids[0]), vec![unknown(&there); said]);
}

#[test]
fn answers_are_short_while_the_mesh_back_is_congested() {
    let mut registrar = Registrar::with(2, |config| config.mesh_bytes_max = 2_000);
    let (user, element) = (registrar.open(0), registrar.open(1));
    let there = registrar.pool_on(1, 0);
    for pe in 1..=50 {
        registrar.ask(element, &registration(&there, pe));
    }
    for _ in 0..10 {
        registrar.say(user, &resolution(&there, Some(50)));
    }
    // All requests in one batch, all answers in one.
    let batches = registrar.mesh.remove(&(0, 1)).unwrap();
    let batch: Vec<u8> = batches.into_iter().flatten().collect();
    let now = registrar.now;
    registrar.shards[1].receive_mesh(now, ShardId(0), &batch);
    registrar.settle();
    let counts: Vec<_> = registrar
        .answers(user)
        .into_iter()
        .map(|answer| {
            let Answer::Resolved { pes, .. } = answer else { panic!("{answer:?}") };
            pes.len()
        })
        .collect();
    assert_eq!(counts, [50, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
}

#[test]
fn a_batch_that_cannot_be_read_does_no_harm() {
    let mut registrar = Registrar::new(2);
    let id = registrar.open(0);
    let now = registrar.now;
    for batch in [&[][..], &[0xff; 100], &[1; 19], &[3; 20]] {
        registrar.shards[0].receive_mesh(now, ShardId(1), batch);
    }
    assert_eq!(registrar.shards[0].stats().mesh_malformed, 3);
    let there = registrar.pool_on(1, 0);
    assert_eq!(registrar.ask(id, &resolution(&there, None)), unknown(&there));
}

#[test]
fn shards_are_told_of_a_closed_association_also_beyond_the_64th() {
    let mut registrar = Registrar::new(70);
    let id = registrar.open(0);
    let names: Vec<_> = [0, 1, 65, 69].map(|shard| registrar.pool_on(shard, 0)).into();
    for name in &names {
        assert_eq!(registrar.ask(id, &registration(name, 1)), registered(name, 1));
    }
    registrar.close(id);
    registrar.settle();
    assert_eq!(registrar.elements(), 0);
    assert!(registrar.open_from(69, tcp("[::1]:1")).is_some());
}
