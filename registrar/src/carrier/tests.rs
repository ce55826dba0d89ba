use core::cell::RefCell;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rserpool_proto::registrar;
use rserpool_sctp::endpoint::{Config, Endpoint};
use rserpool_sctp::{ConnectError, Side};
use rustix::event::{EventfdFlags, eventfd};

use super::*;
use crate::connections::Connections;

/// What a link was told to do.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    Connect(SocketAddr, Option<u16>),
    Send(AssocId, Vec<u8>),
    Shutdown(AssocId),
    Abort(AssocId),
    Pause(AssocId),
    Resume(AssocId),
}

/// What a link is to say, and what it was told.
#[derive(Default)]
struct Script {
    events: Vec<Event>,
    calls: Vec<Call>,
    /// What the next sends come to; then they succeed.
    sends: VecDeque<SendError>,
    /// The names of the associations that it can begin.
    connects: Vec<AssocId>,
    open: usize,
}

struct Scripted {
    script: Rc<RefCell<Script>>,
    fd: OwnedFd,
}

impl Link for Scripted {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn poll(&mut self, _now: Instant, events: &mut Vec<Event>) -> io::Result<Progress> {
        events.append(&mut self.script.borrow_mut().events);
        Ok(Progress::Idle)
    }

    fn timeout(&self) -> Option<Instant> {
        None
    }

    fn connect(
        &mut self,
        _now: Instant,
        to: &[IpAddr],
        port: u16,
        local_port: Option<u16>,
    ) -> Result<AssocId, ConnectError> {
        let mut script = self.script.borrow_mut();
        script.calls.push(Call::Connect(SocketAddr::new(to[0], port), local_port));
        script.connects.pop().ok_or(ConnectError::InUse)
    }

    fn send(
        &mut self,
        _now: Instant,
        id: AssocId,
        stream: u16,
        ppid: u32,
        data: &[u8],
    ) -> Result<(), SendError> {
        assert_eq!((stream, ppid), (0, 11));
        let mut script = self.script.borrow_mut();
        if let Some(error) = script.sends.pop_front() {
            return Err(error);
        }
        script.calls.push(Call::Send(id, data.to_vec()));
        Ok(())
    }

    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&mut self, _now: Instant, id: AssocId) {
        self.script.borrow_mut().calls.push(Call::Shutdown(id));
    }

    fn abort(&mut self, _now: Instant, id: AssocId) {
        self.script.borrow_mut().calls.push(Call::Abort(id));
    }

    fn pause(&mut self, id: AssocId) {
        self.script.borrow_mut().calls.push(Call::Pause(id));
    }

    fn resume(&mut self, _now: Instant, id: AssocId) {
        self.script.borrow_mut().calls.push(Call::Resume(id));
    }

    fn unsent(&self, _id: AssocId) -> usize {
        0
    }

    fn associations(&self) -> usize {
        self.script.borrow().open
    }

    fn peer_addresses(&self, _id: AssocId) -> Vec<IpAddr> {
        Vec::new()
    }
}

/// A shard, a carrier and a scripted link.
struct Bench {
    script: Rc<RefCell<Script>>,
    carrier: Carrier,
    shard: Shard,
    connections: Arc<Connections>,
}

impl Bench {
    fn new() -> Self {
        let script = Rc::new(RefCell::new(Script::default()));
        let fd = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let link = Box::new(Scripted { script: Rc::clone(&script), fd });
        let connections = Arc::new(Connections::new(3, 1));
        let shard = Shard::new(crate::shard::Config {
            protocol: registrar::Config::default(),
            message_timeout: Duration::from_secs(30),
            unfed_bytes_max: 1 << 20,
            connections: Arc::clone(&connections),
            moves: true,
            calls: true,
            group: None,
            serving: Arc::new(AtomicBool::new(true)),
        });
        Self { script, carrier: Carrier::new((link, Some(3863))), shard, connections }
    }

    /// The link tells these, and the shard gets its turns. What the link was
    /// told to do meanwhile.
    fn tell(&mut self, events: impl IntoIterator<Item = Event>) -> Vec<Call> {
        self.script.borrow_mut().events.extend(events);
        let (now, at) = (Timestamp::from_micros(1), Instant::now());
        self.carrier.poll(at).unwrap();
        while self.carrier.has_news() {
            let mut submissions = Vec::new();
            let turned = self.carrier.turn(now, at, &mut self.shard, &mut submissions);
            assert!(!turned.more);
            for submission in submissions {
                let back = self.carrier.submit(at, submission);
                // One that made room is closed already.
                let known = |back| matches!(back, Submission::Close(_, CloseReason::Evicted));
                assert!(back.is_none_or(known));
            }
        }
        self.calls()
    }

    fn submit(&mut self, submission: Submission) -> Vec<Call> {
        assert_eq!(self.carrier.submit(Instant::now(), submission), None);
        self.calls()
    }

    fn calls(&self) -> Vec<Call> {
        mem::take(&mut self.script.borrow_mut().calls)
    }
}

/// Names of associations as an endpoint gives them: each another.
fn names(count: usize) -> Vec<AssocId> {
    let now = Instant::now();
    let mut endpoint = Endpoint::new(Config::default(), now, [1; 32]).unwrap();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9899));
    (0..count).map(|_| endpoint.connect(now, &[to], 3863, None).unwrap()).collect()
}

fn up(id: AssocId, side: Side) -> Event {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 5000));
    Event::Up(Up { id, peer, local_port: 3863, side, streams: 16 })
}

fn message(id: AssocId, ppid: u32, data: &[u8]) -> Event {
    Event::Message(Message { id, stream: 3, ppid, data: data.to_vec() })
}

/// Asks for a pool that does not exist; the answer has 36 bytes.
const REQUEST: &[u8] = b"\x05\0\0\x10\0\x09\0\x0cEchoPool";

fn answered(call: &Call, id: AssocId) -> bool {
    matches!(call, Call::Send(to, answer) if *to == id && answer[0] == 6 && answer.len() == 36)
}

#[test]
fn each_answer_is_a_message_of_its_own() {
    let (mut bench, id) = (Bench::new(), names(1)[0]);
    let calls =
        bench.tell([up(id, Side::Accepted), message(id, 11, REQUEST), message(id, 11, REQUEST)]);
    assert!(calls.len() == 2 && calls.iter().all(|call| answered(call, id)), "{calls:?}");
}

#[test]
fn what_the_link_does_not_take_waits_until_there_is_room() {
    let (mut bench, id) = (Bench::new(), names(1)[0]);
    bench.script.borrow_mut().sends.push_back(SendError::Full);
    let calls = bench.tell([up(id, Side::Accepted), message(id, 11, REQUEST)]);
    assert_eq!(calls, []);
    // Further answers wait behind it.
    assert_eq!(bench.tell([message(id, 11, REQUEST)]), []);
    let calls = bench.tell([Event::Writable { id }]);
    assert!(calls.len() == 2 && calls.iter().all(|call| answered(call, id)), "{calls:?}");
}

#[test]
fn enrp_costs_the_association_and_other_protocols_cost_nothing() {
    let (mut bench, id) = (Bench::new(), names(1)[0]);
    let calls = bench.tell([up(id, Side::Accepted), message(id, 0, REQUEST)]);
    assert_eq!(calls, []);
    assert_eq!(bench.tell([message(id, 12, REQUEST)]), [Call::Abort(id)]);
    assert_eq!(bench.shard.open_links(), 0);
    assert_eq!(bench.tell([message(id, 11, REQUEST)]), [], "it is forgotten");
}

#[test]
fn an_association_there_is_no_room_for_is_aborted() {
    let (mut bench, ids) = (Bench::new(), names(4));
    for &id in &ids[..3] {
        assert_eq!(bench.tell([up(id, Side::Accepted), message(id, 0, b"x")]), []);
    }
    // The first one, which never spoke, makes room.
    let calls = bench.tell([up(ids[3], Side::Accepted)]);
    assert_eq!(calls, [Call::Abort(ids[0])]);
    assert_eq!(bench.shard.open_links(), 3);
    for &id in &ids[1..] {
        bench.tell([message(id, 11, REQUEST)]);
    }
    let late = names(5)[4];
    assert_eq!(bench.tell([up(late, Side::Accepted)]), [Call::Abort(late)]);
    assert!(!bench.connections.acquire(rserpool_engine::ShardId(0)));
}

#[test]
fn who_restarts_is_somebody_new() {
    let (mut bench, id) = (Bench::new(), names(1)[0]);
    bench.tell([up(id, Side::Accepted), message(id, 11, REQUEST)]);
    let calls = bench.tell([Event::Restarted { id }, message(id, 11, REQUEST)]);
    assert!(calls.len() == 1 && answered(&calls[0], id), "{calls:?}");
    assert_eq!((bench.shard.open_links(), bench.shard.traffic().accepted), (1, 2));
    bench.tell([Event::Down { id, reason: DownReason::TimedOut }]);
    assert_eq!(bench.shard.open_links(), 0);
}

#[test]
fn what_is_to_be_sent_to_who_is_called_waits_until_the_association_is_up() {
    let (mut bench, id) = (Bench::new(), names(1)[0]);
    let link = LinkId { index: 0, generation: 0 };
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 5000));
    bench.script.borrow_mut().connects.push(id);
    assert_eq!(bench.submit(Submission::Connect(link, to)), [Call::Connect(to, Some(3863))]);
    bench.script.borrow_mut().sends.push_back(SendError::NotUp);
    assert_eq!(bench.submit(Submission::Send(link, REQUEST.to_vec())), []);
    let calls = bench.tell([up(id, Side::Connected)]);
    assert_eq!(calls, [Call::Send(id, REQUEST.to_vec())]);
    assert_eq!(bench.submit(Submission::Close(link, CloseReason::Stop)), [Call::Shutdown(id)]);
}

#[test]
fn who_cannot_be_called_is_told_of_at_once() {
    let mut bench = Bench::new();
    let link = LinkId { index: 7, generation: 0 };
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 5000));
    bench.submit(Submission::Connect(link, to));
    assert!(bench.carrier.take_stirred() && bench.carrier.has_news());
    bench.tell([]);
    assert!(!bench.carrier.has_news());
}

#[test]
fn pauses_and_ends_reach_the_association_they_are_for() {
    let (mut bench, ids) = (Bench::new(), names(2));
    bench.tell([up(ids[0], Side::Accepted), up(ids[1], Side::Accepted)]);
    let [first, second] = [0, 1].map(|index| LinkId { index, generation: 0 });
    assert_eq!(bench.submit(Submission::Pause(second)), [Call::Pause(ids[1])]);
    assert_eq!(bench.submit(Submission::Resume(second)), [Call::Resume(ids[1])]);
    assert!(bench.carrier.take_stirred(), "what was kept is to be read");
    assert_eq!(bench.submit(Submission::Close(first, CloseReason::Unread)), [Call::Abort(ids[0])]);
    let other = Submission::Pause(LinkId { index: 9, generation: 0 });
    assert!(bench.carrier.submit(Instant::now(), other).is_some(), "of another carrier");
    bench.carrier.abort_all(Instant::now());
    assert_eq!(bench.calls(), [Call::Abort(ids[1])]);
}
