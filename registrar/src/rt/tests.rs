use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::task::{Poll, Waker};
use core::time::Duration;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use glommio::io::BufferedFile;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement, timer};
use rserpool_engine::ShardId;
use rserpool_proto::registrar;

use super::accept;
use super::bell::Bell;
use super::descriptor;
use super::host::Host;
use super::mesh::{Control, Inbox};
use super::pace::{Pace, Place, Waiter};
use super::watchdog::{Heart, Watchdog};
use crate::connections::Connections;
use crate::shard::{Config, Shard};

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(60);

fn builder() -> LocalExecutorBuilder {
    LocalExecutorBuilder::new(Placement::Unbound).io_memory(64 << 10)
}

/// Runs a future on an executor of its own, watched as those of a registrar
/// are: glommio may park any of them. Fails if it hangs.
fn run<F, T>(builder: LocalExecutorBuilder, work: impl FnOnce() -> F + Send + 'static) -> T
where
    F: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let (done, is_done) = mpsc::channel();
    let heart = Arc::new(Heart::default());
    let watchdog = Watchdog::start(vec![Arc::clone(&heart)]).unwrap();
    let thread = builder.spawn(move || async move {
        let beating = Arc::clone(&heart);
        let beat = glommio::spawn_local(async move { beating.beat().await }).detach();
        let result = work().await;
        heart.stop();
        beat.await;
        done.send(()).unwrap();
        result
    });
    let thread: ExecutorJoinHandle<T> = thread.unwrap();
    assert_ne!(is_done.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Timeout), "it hangs");
    let result = thread.join().unwrap();
    drop(watchdog);
    result
}

fn spin(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        core::hint::spin_loop();
    }
}

/// Fails without the watchdog: with such a preemption timer glommio 0.9 parks
/// for good within a second or two.
#[test]
fn an_executor_that_parks_with_work_to_do_is_woken() {
    let slices = Arc::new(AtomicU64::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let heart = Arc::new(Heart::default());
    let (counted, ended, beating) = (Arc::clone(&slices), Arc::clone(&over), Arc::clone(&heart));
    let thread = builder().preempt_timer(Duration::from_micros(100)).spawn(move || async move {
        let inner = Arc::clone(&beating);
        let beat = glommio::spawn_local(async move { inner.beat().await }).detach();
        while !ended.load(Ordering::Relaxed) {
            spin(Duration::from_micros(20));
            counted.fetch_add(1, Ordering::Relaxed);
            glommio::executor().yield_if_needed().await;
        }
        beating.stop();
        beat.await;
    });
    let watchdog = Watchdog::start(vec![heart]).unwrap();
    let began = Instant::now();
    let (mut last, mut since) = (0, Instant::now());
    // Long enough for it to park, and until it goes on if it does.
    while began.elapsed() < Duration::from_secs(4) || since.elapsed() > Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(1));
        let now = slices.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "parked for good after {now} slices");
    }
    over.store(true, Ordering::Relaxed);
    thread.unwrap().join().unwrap();
    drop(watchdog);
}

/// Something that has work all the time.
#[derive(Default)]
struct Busy {
    place: Cell<Place>,
    waker: RefCell<Option<Waker>>,
    turns: Cell<u64>,
}

impl Waiter for Busy {
    fn place(&self) -> &Cell<Place> {
        &self.place
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Fails without the slices: a timer of 1 ms then takes 100 ms.
#[test]
fn a_busy_shard_looks_at_its_timers_and_serves_all_alike() {
    let (late, turns) = run(builder(), || async {
        let pace: Rc<Pace<Busy>> = Rc::new(Pace::new());
        let over = Rc::new(Cell::new(false));
        let paced = Rc::clone(&pace);
        let opening = glommio::spawn_local(async move { paced.run().await });
        let mut tasks = Vec::new();
        let busy: Vec<Rc<Busy>> = (0..20).map(|_| Rc::default()).collect();
        for one in &busy {
            let (pace, one, over) = (Rc::clone(&pace), Rc::clone(one), Rc::clone(&over));
            let work = poll_fn(move |cx| {
                pace.begin();
                while pace.admits(&one) {
                    if over.get() {
                        return Poll::Ready(());
                    }
                    spin(Duration::from_micros(30));
                    one.turns.set(one.turns.get() + 1);
                    pace.done();
                    // What it does besides counts too.
                    spin(Duration::from_micros(20));
                    if one.turns.get() % 2 == 0 {
                        // Its turn again behind all others.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                one.waker.replace(Some(cx.waker().clone()));
                Poll::Pending
            });
            tasks.push(glommio::spawn_local(work).detach());
        }
        let mut late = Vec::new();
        for _ in 0..50 {
            let asked = Instant::now();
            timer::sleep(Duration::from_millis(1)).await;
            late.push(asked.elapsed());
        }
        over.set(true);
        for task in tasks {
            task.await;
        }
        opening.cancel().await;
        (late, busy.iter().map(|one| one.turns.get()).collect::<Vec<_>>())
    });
    let mut late = late;
    late.sort_unstable();
    assert!(late[25] < Duration::from_millis(20), "half of the timers took {:?}", late[25]);
    let (least, most) = (turns.iter().min().unwrap(), turns.iter().max().unwrap());
    assert!(least * 2 >= *most, "turns of each: {turns:?}");
}

/// The next batch of another shard.
async fn next(inbox: &Inbox, from: ShardId, event: &BufferedFile) -> Vec<u8> {
    loop {
        if let Some(batch) = inbox.receive(from) {
            return batch;
        }
        inbox.wait(event).await.unwrap();
    }
}

#[test]
fn a_slice_is_of_all_tasks_between_two_looks_at_the_rings() {
    run(builder(), || async {
        let pace: Pace<Busy> = Pace::new();
        let one = Rc::new(Busy::default());
        timer::sleep(Duration::from_millis(1)).await;
        pace.begin();
        spin(Duration::from_millis(1));
        // Another task of the same pass begins, in what is left of the slice.
        pace.begin();
        assert!(!pace.admits(&one));
        assert_eq!(one.place.get(), Place::Queued);
        pace.breathe().await;
        // Its turn in the queue comes with the next slice.
        assert!(!pace.admits(&one));
        let opening = async { pace.run().await };
        let mut opening = Box::pin(opening);
        poll_fn(|cx| {
            assert!(opening.as_mut().poll(cx).is_pending());
            if one.place.get() == Place::Queued { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        assert!(pace.admits(&one));
    });
}

/// Hangs with a receiver that does not look again before it sleeps.
#[test]
fn what_comes_just_before_the_sleep_is_not_missed() {
    run(builder(), || async {
        let inbox = Inbox::new(1).unwrap();
        let event = inbox.event().unwrap();
        for round in 0..100 {
            assert_eq!(inbox.receive(ShardId(0)), None);
            // Nobody sleeps yet, so this wakes nobody.
            inbox.send(ShardId(0), vec![round]);
            inbox.wait(&event).await.unwrap();
            assert_eq!(inbox.receive(ShardId(0)), Some(vec![round]));
            inbox.tell(Control::Stop);
            inbox.wait(&event).await.unwrap();
            assert_eq!(inbox.told().len(), 1);
        }
        event.close().await.unwrap();
    });
}

/// Hangs with a sender that does not wake.
#[test]
fn batches_cross_between_sleeping_shards() {
    let (zero, one) = (ShardId(0), ShardId(1));
    let inboxes: Vec<Arc<Inbox>> = (0..2).map(|_| Arc::new(Inbox::new(2).unwrap())).collect();
    let (mine, other) = (Arc::clone(&inboxes[1]), Arc::clone(&inboxes[0]));
    let echo = move || async move {
        let event = mine.event().unwrap();
        for round in 0..u64::MAX {
            let batch = next(&mine, zero, &event).await;
            if batch.is_empty() {
                break;
            }
            // At all moments of the other's way to sleep.
            spin(Duration::from_nanos(round % 64 * 100));
            other.send(one, batch);
        }
        event.close().await.unwrap();
    };
    let echoing = std::thread::spawn(move || run(builder(), echo));
    let rounds = run(builder(), move || async move {
        let event = inboxes[0].event().unwrap();
        let began = Instant::now();
        let mut round = 0_u32;
        while began.elapsed() < Duration::from_secs(2) {
            let mut batch = inboxes[1].empty(zero);
            batch.extend(round.to_be_bytes());
            inboxes[1].send(zero, batch);
            let batch = next(&inboxes[0], one, &event).await;
            assert_eq!(batch, round.to_be_bytes());
            inboxes[0].recycle(one, batch);
            round += 1;
        }
        inboxes[1].send(zero, Vec::new());
        event.close().await.unwrap();
        round
    });
    echoing.join().unwrap();
    assert!(rounds > 10, "{rounds}");
}

#[test]
fn a_full_inbox_has_no_room_until_it_is_emptied() {
    let inbox = Inbox::new(2).unwrap();
    let mut sent = 0;
    while inbox.has_room(ShardId(1)) {
        inbox.send(ShardId(1), vec![sent]);
        sent += 1;
    }
    assert!(sent > 1);
    assert!(inbox.has_room(ShardId(0)), "one shard's batches take no room of another's");
    assert_eq!(inbox.receive(ShardId(1)), Some(vec![0]));
    assert!(inbox.has_room(ShardId(1)));
    inbox.recycle(ShardId(1), Vec::with_capacity(100));
    assert!(inbox.empty(ShardId(1)).capacity() >= 100);
    assert_eq!(inbox.empty(ShardId(1)).capacity(), 0);
}

/// Fails with a waker kept for each poll: glommio 0.9 counts them in 16 bits.
#[test]
fn a_bell_that_is_asked_again_and_again_holds_one_waker() {
    run(builder(), || async {
        let bell = Rc::new(Bell::default());
        let mut polls = 0;
        poll_fn(|cx| {
            for _ in 0..1000 {
                assert!(bell.poll_rung(cx).is_pending());
            }
            polls += 1;
            if polls == 100 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        let ringing = Rc::clone(&bell);
        glommio::spawn_local(async move { ringing.ring() }).detach();
        bell.rung().await;
        // A ring that nobody waited for is kept, once.
        bell.ring();
        bell.ring();
        bell.rung().await;
        assert!(poll_fn(|cx| Poll::Ready(bell.poll_rung(cx).is_pending())).await);
    });
}

fn host() -> Rc<Host> {
    let config = Config {
        protocol: registrar::Config::default(),
        message_timeout: PATIENCE,
        unfed_bytes_max: 1 << 20,
        connections: Arc::new(Connections::new(10)),
        calls: false,
        group: None,
        serving: Arc::new(AtomicBool::new(true)),
    };
    let inboxes = vec![Arc::new(Inbox::new(1).unwrap())];
    Rc::new(Host::new(ShardId(0), Shard::new(config), inboxes, Vec::new(), Instant::now()))
}

/// Fails without the guard: a panic in any task ends a glommio executor.
#[test]
fn a_panic_ends_its_connection_only() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (closed, is_closed) = mpsc::channel();
    let (healed, is_healed) = mpsc::channel();
    let client = std::thread::spawn(move || {
        let request = [5, 0, 0, 12, 0, 9, 0, 8, b'n', b'o', b'n', b'e'];
        let mut doomed = TcpStream::connect(address).unwrap();
        doomed.write_all(&request).unwrap();
        let mut answer = Vec::new();
        // Closed with the request unread: a reset is as good as an end.
        drop(doomed.read_to_end(&mut answer));
        assert!(answer.is_empty(), "{answer:?}");
        closed.send(()).unwrap();
        is_healed.recv().unwrap();
        let mut next = TcpStream::connect(address).unwrap();
        next.set_read_timeout(Some(PATIENCE)).unwrap();
        next.write_all(&request).unwrap();
        let mut header = [0; 4];
        next.read_exact(&mut header).unwrap();
        assert_eq!(header[0], 6);
    });
    #[expect(clippy::await_holding_refcell_ref, reason = "that makes the connection panic")]
    let panics = run(builder(), move || async move {
        let host = host();
        let listener = descriptor::tcp_listener(listener);
        let accepting = glommio::spawn_local(accept::accept(Rc::clone(&host), listener));
        // A slice that took long is followed by another only while this runs.
        let paced = Rc::clone(&host);
        let pace = glommio::spawn_local(async move { paced.pace.run().await });
        // While this is borrowed, a connection that reads panics.
        let scratch = host.scratch.borrow_mut();
        while is_closed.try_recv().is_err() {
            timer::sleep(Duration::from_millis(1)).await;
        }
        drop(scratch);
        healed.send(()).unwrap();
        while !client.is_finished() {
            timer::sleep(Duration::from_millis(1)).await;
        }
        client.join().unwrap();
        while host.serving() > 0 {
            timer::sleep(Duration::from_millis(1)).await;
        }
        pace.cancel().await;
        accepting.cancel().await;
        host.stats().traffic.panics
    });
    assert_eq!(panics, 1);
}
