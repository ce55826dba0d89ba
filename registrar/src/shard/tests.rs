use std::net::Ipv4Addr;

mod moves;

use rserpool_codec::{Frame, frame};
use rserpool_engine::{PoolHandle, RegistrarId, ShardMap};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Shards on a virtual clock; the test is their host.
struct Bench {
    now: Timestamp,
    shards: Vec<Shard>,
    connections: Arc<Connections>,
    ports: u16,
}

impl Bench {
    fn new() -> Self {
        Self::with(1, |_| {})
    }

    fn with(shards: u16, change: impl Fn(&mut Config)) -> Self {
        let connections = Arc::new(Connections::new(1000, shards));
        let map = ShardMap::new(shards, 42);
        let shard = |number| {
            let engine = rserpool_engine::Config {
                registrar: RegistrarId::new(0xaabb_ccdd),
                ..rserpool_engine::Config::default()
            };
            let map = map.clone();
            let protocol =
                registrar::Config { engine, shard: ShardId(number), map, ..Default::default() };
            let mut config = Config {
                protocol,
                message_timeout: TIMEOUT,
                unfed_bytes_max: 1 << 20,
                connections: Arc::clone(&connections),
                moves: false,
                calls: false,
                group: None,
                serving: Arc::new(AtomicBool::new(true)),
            };
            change(&mut config);
            Shard::new(config)
        };
        let shards = (0..shards).map(shard).collect();
        Self { now: Timestamp::from_micros(1_000_000), shards, connections, ports: 0 }
    }

    fn limited(connections: u32) -> Self {
        let mut bench = Self::new();
        bench.connections = Arc::new(Connections::new(connections, 1));
        bench.shards[0].connections = Arc::clone(&bench.connections);
        bench
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    fn accept(&mut self) -> Option<LinkId> {
        self.accept_over(TransportKind::Tcp)
    }

    fn accept_over(&mut self, transport: TransportKind) -> Option<LinkId> {
        self.ports += 1;
        let address = (Ipv4Addr::LOCALHOST, self.ports).into();
        self.shards[0].accept(self.now, Peer { address, transport })
    }

    fn open(&mut self) -> LinkId {
        self.accept().unwrap()
    }

    /// One turn of shard 0 with one completion.
    fn tell(&mut self, completion: Completion<'_>) -> (Vec<Submission>, bool) {
        let mut submissions = Vec::new();
        let more = self.shards[0].turn(self.now, [completion], &mut submissions);
        (submissions, more)
    }

    fn turn(&mut self) -> (Vec<Submission>, bool) {
        let mut submissions = Vec::new();
        let more = self.shards[0].turn(self.now, [], &mut submissions);
        (submissions, more)
    }

    fn receive(&mut self, id: LinkId, bytes: &[u8]) -> Vec<Submission> {
        let (mut all, mut more) = self.tell(Completion::Received(id, bytes));
        while more {
            let (next, again) = self.turn();
            all.extend(next);
            more = again;
        }
        all
    }

    /// Gives shard 0 these bytes and returns the answer of this one turn.
    fn ask(&mut self, id: LinkId, bytes: &[u8]) -> Vec<u8> {
        let submissions = self.receive(id, bytes);
        let [Submission::Send(to, answer)] = submissions.as_slice() else {
            panic!("{submissions:?}");
        };
        assert_eq!(*to, id);
        let answer = answer.clone();
        assert_eq!(self.written(id, &answer), []);
        answer
    }

    fn written(&mut self, id: LinkId, bytes: &[u8]) -> Vec<Submission> {
        self.tell(Completion::Sent(id, bytes.to_vec())).0
    }

    /// Carries all batches between the shards until there are none, and
    /// returns what else shard 0 submits.
    fn carry(&mut self, mut submissions: Vec<Submission>) -> Vec<Submission> {
        let mut others = Vec::new();
        let mut due: Vec<(usize, ShardId)> = Vec::new();
        loop {
            for submission in submissions.drain(..) {
                if let Submission::Mesh(to) = submission {
                    due.push((0, to));
                } else {
                    others.push(submission);
                }
            }
            let Some((from, to)) = due.pop() else { return others };
            let mut batch = Vec::new();
            self.shards[from].take_mesh(to, &mut batch);
            let number = ShardId(u16::try_from(from).unwrap());
            let receiver = usize::from(to.0);
            let mut out = Vec::new();
            let completion = Completion::Mesh(number, &batch);
            let mut more = self.shards[receiver].turn(self.now, [completion], &mut out);
            while more {
                more = self.shards[receiver].turn(self.now, [], &mut out);
            }
            if receiver == 0 {
                submissions = out;
            } else {
                due.extend(out.drain(..).map(|submission| {
                    let Submission::Mesh(to) = submission else { panic!("{submission:?}") };
                    (receiver, to)
                }));
            }
        }
    }

    fn is_open(&mut self, id: LinkId) -> bool {
        self.shards[0].links.get_mut(id).is_some()
    }
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn tlv(code: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    padded([&code.to_be_bytes(), &length.to_be_bytes(), value].concat())
}

fn message(code: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 4).unwrap();
    [&[code, 0], length.to_be_bytes().as_slice(), body].concat()
}

fn registration(handle: &str, pe: u32) -> Vec<u8> {
    let transport = tlv(4, &[&[0x1e, 0x61, 0, 1], tlv(1, &[10, 0, 0, 1]).as_slice()].concat());
    let policy = tlv(8, &1_u32.to_be_bytes());
    let life = 90_u32.to_be_bytes();
    let fixed = [pe.to_be_bytes(), [0; 4], life].concat();
    let element = tlv(10, &[fixed, transport, policy].concat());
    message(1, &[tlv(9, handle.as_bytes()), element].concat())
}

fn keep_alive_ack(handle: &str, pe: u32) -> Vec<u8> {
    message(8, &[tlv(9, handle.as_bytes()), tlv(14, &pe.to_be_bytes())].concat())
}

fn resolution(handle: &str) -> Vec<u8> {
    message(5, &tlv(9, handle.as_bytes()))
}

/// The type of each message.
fn types(mut bytes: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let Frame::Whole(length) = frame(bytes) {
        types.push(bytes[0]);
        bytes = &bytes[length..];
    }
    assert_eq!(bytes, b"", "the rest is no message");
    types
}

#[test]
fn answers_of_one_turn_leave_in_one_write() {
    let mut bench = Bench::new();
    let id = bench.open();
    let requests = [registration("a", 1), resolution("a"), resolution("none"), resolution("a")];
    let answer = bench.ask(id, &requests.concat());
    assert_eq!(types(&answer), [3, 6, 6, 6]);
}

#[test]
fn a_message_may_come_in_pieces() {
    let bytes = [registration("a", 1), resolution("a")].concat();
    let whole = {
        let mut bench = Bench::new();
        let id = bench.open();
        bench.ask(id, &bytes)
    };
    for at in 1..bytes.len() {
        let mut bench = Bench::new();
        let id = bench.open();
        let mut answer = Vec::new();
        for piece in [&bytes[..at], &bytes[at..]] {
            for submission in bench.receive(id, piece) {
                let Submission::Send(_, sent) = submission else { panic!("{submission:?}") };
                assert_eq!(bench.written(id, &sent), []);
                answer.extend(sent);
            }
        }
        assert_eq!(answer, whole, "cut at {at}");
        assert_eq!(bench.shards[0].unfed_bytes, 0);
    }
}

#[test]
fn answers_wait_while_others_are_written() {
    let mut bench = Bench::new();
    let id = bench.open();
    let first = bench.receive(id, &registration("a", 1));
    assert!(matches!(first.as_slice(), [Submission::Send(..)]));
    assert_eq!(bench.receive(id, &resolution("a")), []);
    assert_eq!(bench.receive(id, &resolution("a")), []);
    let next = bench.written(id, b"");
    let [Submission::Send(_, answers)] = next.as_slice() else { panic!("{next:?}") };
    assert_eq!(types(answers), [6, 6]);
    assert_eq!(bench.written(id, b""), []);
}

#[test]
fn who_sends_much_at_once_stands_behind_the_others() {
    let mut bench = Bench::new();
    let (greedy, modest) = (bench.open(), bench.open());
    bench.ask(modest, &registration("a", 1));
    let many = resolution("a").repeat(MESSAGES_A_TURN * 3 + 5);
    let (first, more) = bench.tell(Completion::Received(greedy, &many));
    assert!(more);
    let [Submission::Pause(paused), Submission::Send(_, answers)] = first.as_slice() else {
        panic!("{first:?}")
    };
    assert_eq!(*paused, greedy);
    assert_eq!(types(answers).len(), MESSAGES_A_TURN);
    // The other is answered although the first one has more.
    let (other, _) = bench.tell(Completion::Received(modest, &resolution("a")));
    assert!(other.iter().any(|one| matches!(one, Submission::Send(id, _) if *id == modest)));
    let mut count = MESSAGES_A_TURN;
    let (mut rest, _) = bench.tell(Completion::Sent(greedy, Vec::new()));
    for _ in 0..3 {
        rest.extend(bench.turn().0);
        rest.extend(bench.written(greedy, b""));
    }
    for submission in &rest {
        if let Submission::Send(id, bytes) = submission {
            assert_eq!(*id, greedy);
            count += types(bytes).len();
        }
    }
    assert_eq!(count, MESSAGES_A_TURN * 3 + 5);
    assert_eq!(rest.iter().filter(|one| **one == Submission::Resume(greedy)).count(), 1);
}

#[test]
fn who_does_not_read_is_not_read_from_and_then_closed() {
    let mut bench = Bench::new();
    let id = bench.open();
    let elements: Vec<u8> = (1..=100).flat_map(|pe| registration("a", pe)).collect();
    bench.ask(id, &elements[..64 * registration("a", 1).len()]);
    let mut all = bench.receive(id, &resolution("a").repeat(60));
    assert!(matches!(all.pop(), Some(Submission::Send(..))));
    // Nothing is written from here on.
    let mut paused = false;
    for _ in 0..100 {
        for submission in bench.receive(id, &resolution("a").repeat(60)) {
            paused |= submission == Submission::Pause(id);
        }
        if paused {
            break;
        }
    }
    assert!(paused, "it is read from although it reads nothing");
    let association = bench.shards[0].links.get_mut(id).unwrap().association;
    let queued = bench.shards[0].protocol().output_pending(association);
    assert!(queued < 256 << 10, "{queued}");
    bench.pass(TIMEOUT - Duration::from_millis(1));
    assert_eq!(bench.turn().0, []);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.turn().0, [Submission::Close(id, CloseReason::Unread)]);
    assert!(!bench.is_open(id));
}

#[test]
fn who_reads_late_goes_on_where_it_stopped() {
    let mut bench = Bench::new();
    let id = bench.open();
    bench.ask(id, &registration("a", 1));
    let requests = 4000;
    let mut submissions = VecDeque::from(bench.receive(id, &resolution("a").repeat(requests)));
    let mut answers = 0;
    let mut resumed = false;
    while let Some(submission) = submissions.pop_front() {
        match submission {
            Submission::Send(_, bytes) => {
                answers += types(&bytes).len();
                submissions.extend(bench.written(id, b""));
            }
            Submission::Resume(_) => resumed = true,
            Submission::Pause(_) => resumed = false,
            Submission::Connect(..)
            | Submission::Close(..)
            | Submission::Mesh(_)
            | Submission::Leave(_) => panic!("{submission:?}"),
        }
        submissions.extend(bench.receive(id, b""));
    }
    assert_eq!(answers, requests);
    assert!(resumed, "it is never read from again");
}

#[test]
fn what_is_no_message_closes_the_connection_after_the_answers() {
    let mut bench = Bench::new();
    for length in 0..4_u8 {
        let id = bench.open();
        let bytes = [resolution("a"), vec![5, 0, 0, length], resolution("a")].concat();
        let submissions = bench.receive(id, &bytes);
        let [Submission::Pause(_), Submission::Send(_, answer)] = submissions.as_slice() else {
            panic!("{submissions:?}")
        };
        assert_eq!(types(answer), [6]);
        assert_eq!(bench.receive(id, &resolution("a")), []);
        assert_eq!(
            bench.written(id, b""),
            [Submission::Close(id, CloseReason::Malformed)],
            "length {length}"
        );
        assert!(!bench.is_open(id));
    }
    assert_eq!(bench.shards[0].traffic().malformed, 4);
    assert_eq!(bench.shards[0].unfed_bytes, 0);
}

#[test]
fn a_peer_that_is_done_gets_its_answers() {
    let mut bench = Bench::new();
    let id = bench.open();
    assert_eq!(bench.receive(id, &resolution("a")).len(), 1);
    // The start of another message will never be completed.
    assert_eq!(bench.receive(id, &[5, 0, 0, 16]), []);
    let (submissions, _) = bench.tell(Completion::Ended(id));
    assert_eq!(submissions, [Submission::Pause(id)]);
    assert_eq!(bench.written(id, b""), [Submission::Close(id, CloseReason::Ended)]);
    let idle = bench.open();
    let (submissions, _) = bench.tell(Completion::Ended(idle));
    let close = Submission::Close(idle, CloseReason::Ended);
    assert_eq!(submissions, [Submission::Pause(idle), close]);
}

#[test]
fn the_elements_of_a_lost_connection_are_gone() {
    for completion in [Completion::Ended, Completion::Failed] {
        let mut bench = Bench::new();
        let (server, user) = (bench.open(), bench.open());
        bench.ask(server, &registration("a", 1));
        assert_eq!(bench.ask(user, &resolution("a"))[3], 0x3c);
        bench.tell(completion(server));
        assert_eq!(bench.shards[0].protocol().handlespace().stats().elements, 0);
        assert_eq!(bench.shards[0].open_links(), 1);
    }
}

#[test]
fn a_message_must_be_completed_in_time() {
    let mut bench = Bench::new();
    let (silent, slow, quick) = (bench.open(), bench.open(), bench.open());
    bench.ask(quick, &resolution("a"));
    let request = resolution("a");
    for byte in 0..3 {
        bench.pass(Duration::from_secs(9));
        assert_eq!(bench.receive(slow, &request[byte..=byte]), []);
    }
    assert_eq!(bench.shards[0].next_timeout(), Some(bench.now.after(Duration::from_secs(3))));
    bench.pass(Duration::from_secs(3));
    let late = CloseReason::IncompleteMessage;
    let (submissions, _) = bench.turn();
    assert_eq!(submissions, [Submission::Close(silent, late), Submission::Close(slow, late)]);
    // One that completed a message may be silent, but not stop in the next.
    bench.pass(TIMEOUT * 10);
    assert_eq!(bench.receive(quick, &request[..5]), []);
    bench.pass(TIMEOUT - Duration::from_micros(1));
    assert_eq!(bench.turn().0, []);
    bench.pass(Duration::from_micros(1));
    assert_eq!(bench.turn().0, [Submission::Close(quick, late)]);
    assert_eq!(bench.shards[0].traffic().timed_out, 3);
    assert_eq!(bench.shards[0].unfed_bytes, 0);
}

#[test]
fn each_message_has_its_own_time() {
    let mut bench = Bench::new();
    let id = bench.open();
    let request = resolution("a");
    bench.receive(id, &request[..5]);
    for _ in 0..5 {
        bench.pass(TIMEOUT * 2 / 3);
        let mut rest = request[5..].to_vec();
        rest.extend(&request[..5]);
        bench.ask(id, &rest);
    }
    bench.pass(TIMEOUT);
    assert_eq!(bench.turn().0, [Submission::Close(id, CloseReason::IncompleteMessage)]);
}

#[test]
fn connections_without_a_message_make_room_oldest_first() {
    let mut bench = Bench::limited(3);
    let speaker = bench.open();
    bench.ask(speaker, &resolution("a"));
    let (older, newer) = (bench.open(), bench.open());
    bench.receive(older, &[5]);
    let third = bench.open();
    assert_eq!(bench.turn().0, [Submission::Close(older, CloseReason::Evicted)]);
    let fourth = bench.open();
    assert_eq!(bench.turn().0, [Submission::Close(newer, CloseReason::Evicted)]);
    bench.ask(third, &resolution("a"));
    bench.ask(fourth, &resolution("a"));
    // All have spoken: none makes room.
    assert_eq!(bench.accept(), None);
    assert_eq!(bench.turn().0, []);
    let traffic = bench.shards[0].traffic();
    assert_eq!((traffic.accepted, traffic.evicted, traffic.refused), (5, 2, 1));
    bench.tell(Completion::Failed(speaker));
    assert!(bench.accept().is_some());
}

#[test]
fn incomplete_messages_have_a_limit_together() {
    let mut bench = Bench::with(1, |config| config.unfed_bytes_max = 100_000);
    let ids: Vec<LinkId> = (0..3).map(|_| bench.open()).collect();
    let mut part = vec![0; 40_000];
    part[..4].copy_from_slice(&[5, 0, 0xff, 0xff]);
    assert_eq!(bench.receive(ids[0], &part), []);
    assert_eq!(bench.receive(ids[1], &part), []);
    let evicted = Submission::Close(ids[0], CloseReason::Evicted);
    assert_eq!(bench.receive(ids[2], &part), [evicted]);
    assert_eq!(bench.shards[0].unfed_bytes, 80_000);
}

#[test]
fn completions_of_a_connection_that_is_gone_are_harmless() {
    let mut bench = Bench::new();
    let id = bench.open();
    bench.tell(Completion::Failed(id));
    let next = bench.open();
    assert_eq!(next.index, id.index);
    for completion in [
        Completion::Received(id, &resolution("a")),
        Completion::Sent(id, Vec::new()),
        Completion::Ended(id),
        Completion::Failed(id),
    ] {
        assert_eq!(bench.tell(completion).0, []);
    }
    bench.ask(next, &resolution("a"));
}

#[test]
fn keep_alives_are_sent_and_silence_removes() {
    let mut bench = Bench::new();
    let id = bench.open();
    bench.ask(id, &registration("a", 1));
    let began = bench.now;
    let keep_alive = loop {
        bench.now = bench.shards[0].next_timeout().unwrap();
        assert!(bench.now < began.after(Duration::from_secs(8)), "none is sent");
        if let Some(Submission::Send(_, bytes)) = bench.turn().0.pop() {
            break bytes;
        }
    };
    assert_eq!(types(&keep_alive), [7]);
    assert_eq!(bench.written(id, b""), []);
    while bench.shards[0].protocol().handlespace().stats().elements > 0 {
        bench.now = bench.shards[0].next_timeout().unwrap();
        assert!(bench.now < began.after(Duration::from_secs(14)), "it stays");
        bench.turn();
    }
}

/// Fails if what is due waits until nobody asks for anything.
#[test]
fn resolutions_keep_no_keep_alive_waiting() {
    const ELEMENTS: u32 = 60;
    let mut bench = Bench::new();
    let element = bench.open();
    let elements: Vec<u8> = (1..=ELEMENTS).flat_map(|pe| registration("a", pe)).collect();
    bench.ask(element, &elements);
    let users: Vec<LinkId> = (0..20).map(|_| bench.open()).collect();
    let many = resolution("b").repeat(MESSAGES_A_TURN * 4);
    let flood = |bench: &mut Bench| {
        let mut submissions = Vec::new();
        let received = users.iter().map(|user| Completion::Received(*user, &many));
        let more = bench.shards[0].turn(bench.now, received, &mut submissions);
        assert!(more, "there is more to do than a turn does");
        submissions
    };
    flood(&mut bench);
    let (mut asked, mut turns) = (0, 0);
    while asked < ELEMENTS as usize {
        // All keep-alives of the elements are due after this time.
        bench.pass(Duration::from_secs(6));
        turns += 1;
        assert!(turns <= 3, "{asked} of {ELEMENTS}");
        for submission in flood(&mut bench) {
            let Submission::Send(id, bytes) = submission else { continue };
            if id == element {
                asked += types(&bytes).iter().filter(|kind| **kind == 7).count();
                bench.written(id, b"");
            }
        }
    }
}

/// A pool handle that lives on this shard.
fn handle_on(bench: &Bench, shard: u16) -> String {
    let map = &bench.shards[0].protocol().config().map;
    let on = |handle: &String| map.shard_of(PoolHandle::new(handle.as_bytes())) == ShardId(shard);
    (0..).map(|number| format!("pool{number}")).find(on).unwrap()
}

#[test]
fn answers_of_another_shard_keep_the_order() {
    let mut bench = Bench::with(2, |_| {});
    let id = bench.open();
    let (here, there) = (handle_on(&bench, 0), handle_on(&bench, 1));
    let requests = [
        registration(&there, 1),
        registration(&here, 2),
        resolution(&there),
        resolution(&here),
        resolution(&there),
    ];
    let submissions = bench.receive(id, &requests.concat());
    assert_eq!(submissions, [Submission::Mesh(ShardId(1))]);
    let submissions = bench.carry(submissions);
    let [Submission::Send(_, answers)] = submissions.as_slice() else { panic!("{submissions:?}") };
    assert_eq!(types(answers), [3, 3, 6, 6, 6]);
    assert_eq!(bench.shards[1].protocol().handlespace().stats().elements, 1);
}

#[test]
fn a_peer_that_is_done_gets_the_answers_of_other_shards() {
    let mut bench = Bench::with(2, |_| {});
    let id = bench.open();
    let there = handle_on(&bench, 1);
    let crossing = bench.receive(id, &resolution(&there));
    let (submissions, _) = bench.tell(Completion::Ended(id));
    assert_eq!(submissions, [Submission::Pause(id)]);
    bench.pass(LINGER / 2);
    let submissions = bench.carry(crossing);
    let [Submission::Send(_, answer)] = submissions.as_slice() else { panic!("{submissions:?}") };
    assert_eq!(types(answer), [6]);
    bench.written(id, b"");
    bench.pass(LINGER);
    bench.turn();
    assert!(!bench.is_open(id));
    // One that asked nothing lately is closed at once.
    let idle = bench.open();
    assert_eq!(bench.tell(Completion::Ended(idle)).0.len(), 2);
    assert!(!bench.is_open(idle));
}

#[test]
fn a_shard_that_takes_no_batches_holds_up_the_reading() {
    let mut bench = Bench::with(2, |config| config.protocol.mesh_bytes_max = 1000);
    let id = bench.open();
    let there = handle_on(&bench, 1);
    let submissions = bench.receive(id, &resolution(&there).repeat(60));
    assert!(submissions.contains(&Submission::Pause(id)), "{submissions:?}");
    let mut answers = 0;
    let mut open = submissions;
    while !open.is_empty() {
        let mut next = Vec::new();
        for submission in bench.carry(open) {
            if let Submission::Send(_, bytes) = submission {
                answers += types(&bytes).len();
                next.extend(bench.written(id, b""));
            }
        }
        next.extend(bench.turn().0);
        open = next;
    }
    assert_eq!(answers, 60);
}

#[test]
fn a_stop_answers_what_came_and_closes() {
    let mut bench = Bench::new();
    let (idle, busy) = (bench.open(), bench.open());
    bench.ask(idle, &resolution("a"));
    assert_eq!(bench.receive(busy, &resolution("a")).len(), 1);
    bench.shards[0].drain(bench.now);
    let (submissions, _) = bench.turn();
    let stop = CloseReason::Stop;
    assert!(submissions.contains(&Submission::Close(idle, stop)), "{submissions:?}");
    assert!(bench.is_open(busy));
    assert_eq!(bench.accept(), None);
    assert_eq!(bench.written(busy, b""), [Submission::Close(busy, stop)]);
    assert_eq!(bench.shards[0].open_links(), 0);
}

#[test]
fn a_stop_gives_up_those_who_do_not_read() {
    let mut bench = Bench::new();
    let id = bench.open();
    assert_eq!(bench.receive(id, &resolution("a")).len(), 1);
    bench.shards[0].drain(bench.now);
    bench.turn();
    bench.shards[0].abandon(bench.now);
    assert_eq!(bench.turn().0, [Submission::Close(id, CloseReason::Stop)]);
    assert_eq!(bench.shards[0].open_links(), 0);
    assert_eq!(bench.shards[0].next_timeout(), None);
}
