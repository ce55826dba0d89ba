//! Tests of connections that move to the shard of their pools.

use super::*;

/// Two shards that move connections, and a pool of each.
fn bench() -> (Bench, String, String) {
    let bench = Bench::with(2, |config| config.moves = true);
    let mut pools = (0..).map(|number| format!("pool {number}"));
    let protocol = bench.shards[0].protocol();
    let mut of = |shard| {
        let is_there = |pool: &String| protocol.shard_of(&resolution(pool)) == Some(ShardId(shard));
        pools.find(is_there).unwrap()
    };
    let (here, there) = (of(0), of(1));
    (bench, here, there)
}

fn leaves(submissions: &[Submission]) -> bool {
    submissions.iter().any(|it| matches!(it, Submission::Leave(_)))
}

/// The other shard gets the connection and takes its turn; what it answers.
fn arrive(bench: &mut Bench, departure: Departure) -> Vec<u8> {
    let Departure { to, peer, bytes } = departure;
    let now = bench.now;
    let shard = &mut bench.shards[usize::from(to.0)];
    let id = shard.adopt(now, peer, bytes).unwrap();
    let mut submissions = Vec::new();
    shard.turn(now, [], &mut submissions);
    let mut sent = Vec::new();
    for submission in submissions {
        if let Submission::Send(to, bytes) = submission
            && to == id
        {
            sent = bytes;
        }
    }
    sent
}

#[test]
fn a_pool_element_moves_with_its_registration_and_what_follows() {
    let (mut bench, _, there) = bench();
    let id = bench.open();
    let rest = resolution(&there);
    let (begun, rest) = rest.split_at(7);
    let submissions = bench.receive(id, &[&registration(&there, 1), begun].concat());
    assert_eq!(submissions, [Submission::Leave(id)]);
    // It comes while the host takes the connection off.
    assert_eq!(bench.receive(id, rest), []);
    assert_eq!(bench.tell(Completion::Ended(id)).0, [], "its end is read again where it goes");
    let departure = bench.shards[0].depart(bench.now, id).unwrap();
    assert_eq!(departure.to, ShardId(1));
    assert!(!bench.is_open(id));
    assert_eq!(bench.shards[0].unfed_bytes, 0);
    assert_eq!(types(&arrive(&mut bench, departure)), [3, 6]);
    let traffic = [0, 1].map(|shard: usize| *bench.shards[shard].traffic());
    assert_eq!(
        traffic.map(|it| (it.accepted, it.moved_away, it.moved_here)),
        [(1, 1, 0), (0, 0, 1)]
    );
    assert_eq!(bench.shards[1].unfed_bytes, 0);
}

#[test]
fn a_single_request_is_handed_over_and_the_second_moves_the_connection() {
    let (mut bench, _, there) = bench();
    let id = bench.open();
    let submissions = bench.receive(id, &resolution(&there));
    assert_eq!(submissions, [Submission::Mesh(ShardId(1))]);
    // It waits for its answer: not yet.
    let waiting = bench.receive(id, &resolution(&there));
    assert!(!leaves(&waiting));
    let answers = bench.carry(submissions);
    let [Submission::Send(_, answer)] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(types(answer), [6, 6]);
    // The answer is being written: not yet.
    assert!(!leaves(&bench.receive(id, &keep_alive_ack(&there, 1))));
    assert_eq!(bench.written(id, b""), []);
    assert_eq!(bench.receive(id, &resolution(&there)), [Submission::Leave(id)]);
    let departure = bench.shards[0].depart(bench.now, id).unwrap();
    assert_eq!(types(&arrive(&mut bench, departure)), [6]);
}

#[test]
fn requests_that_come_together_move_the_connection_at_once() {
    let (mut bench, _, there) = bench();
    let id = bench.open();
    let submissions = bench.receive(id, &resolution(&there).repeat(2));
    assert_eq!(submissions, [Submission::Leave(id)]);
}

#[test]
fn who_asks_for_pools_of_several_shards_stays() {
    for order in [[0, 1, 1], [1, 0, 1]] {
        let (mut bench, here, there) = bench();
        let id = bench.open();
        for pool in order {
            let submissions = bench.receive(id, &resolution([&here, &there][pool]));
            assert!(!leaves(&submissions), "{order:?}");
            for submission in bench.carry(submissions) {
                if let Submission::Send(id, _) = submission {
                    assert_eq!(bench.written(id, b""), []);
                }
            }
        }
        assert!(!leaves(&bench.receive(id, &registration(&there, 1))), "{order:?}");
    }
}

#[test]
fn a_crowded_shard_and_one_that_was_moved_to_get_nobody() {
    let (mut bench, _, there) = bench();
    let mut moved = 0;
    for pe in 1..=100 {
        let id = bench.open();
        let submissions = bench.receive(id, &registration(&there, pe));
        if !leaves(&submissions) {
            bench.carry(submissions);
            continue;
        }
        moved += 1;
        let departure = bench.shards[0].depart(bench.now, id).unwrap();
        arrive(&mut bench, departure);
    }
    assert!((50..90).contains(&moved), "{moved} of 100");
    // Without other connections the first shard would get these back.
    let back = bench.shards[1].traffic().moved_away;
    assert_eq!(back, 0);
}

#[test]
fn a_connection_that_leaves_when_the_registrar_stops_is_closed() {
    let (mut bench, _, there) = bench();
    let id = bench.open();
    assert_eq!(bench.receive(id, &registration(&there, 1)), [Submission::Leave(id)]);
    bench.shards[0].drain(bench.now);
    bench.turn();
    assert!(bench.shards[0].depart(bench.now, id).is_none());
    assert!(!bench.is_open(id));
    assert_eq!(bench.shards[0].open_links(), 0);
}

#[test]
fn one_that_breaks_while_it_leaves_is_gone() {
    let (mut bench, _, there) = bench();
    let id = bench.open();
    assert_eq!(bench.receive(id, &registration(&there, 1)), [Submission::Leave(id)]);
    assert_eq!(bench.tell(Completion::Failed(id)).0, []);
    assert!(bench.shards[0].depart(bench.now, id).is_none());
    assert!(!bench.is_open(id));
}
