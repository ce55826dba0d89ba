use core::future::Future;
use core::time::Duration;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};
use rserpool_engine::ShardId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::descriptor;
use super::executor::sleep;
use super::mesh::{Control, Inbox};
use super::sockets::Sockets;
use super::uring::RingSockets;
use super::watchdog::{Heart, Watchdog};

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

/// Waits for an inbox as a host does. May end for nothing.
fn wait(inbox: &Inbox) {
    if inbox.fall_asleep() {
        let patience = Timespec { tv_sec: 60, tv_nsec: 0 };
        let event = inbox.descriptor();
        let events = poll(&mut [PollFd::new(&event, PollFlags::IN)], Some(&patience)).unwrap();
        assert_eq!(events, 1, "nobody wakes it");
        rustix::io::read(event, &mut [0; size_of::<u64>()]).unwrap();
    }
}

/// The next batch of another shard.
fn next(inbox: &Inbox, from: ShardId) -> Vec<u8> {
    loop {
        if let Some(batch) = inbox.receive(from) {
            return batch;
        }
        wait(inbox);
    }
}

/// Hangs with a receiver that does not look again before it sleeps.
#[test]
fn what_comes_just_before_the_sleep_is_not_missed() {
    let inbox = Inbox::new(1).unwrap();
    for round in 0..100 {
        assert_eq!(inbox.receive(ShardId(0)), None);
        // Nobody sleeps yet, so this wakes nobody.
        inbox.send(ShardId(0), vec![round]);
        wait(&inbox);
        assert_eq!(inbox.receive(ShardId(0)), Some(vec![round]));
        inbox.tell(Control::Stop);
        wait(&inbox);
        assert_eq!(inbox.told().len(), 1);
    }
}

/// Hangs with a sender that does not wake.
#[test]
fn batches_cross_between_sleeping_shards() {
    let (zero, one) = (ShardId(0), ShardId(1));
    let inboxes: Vec<Arc<Inbox>> = (0..2).map(|_| Arc::new(Inbox::new(2).unwrap())).collect();
    let (mine, other) = (Arc::clone(&inboxes[1]), Arc::clone(&inboxes[0]));
    let echoing = std::thread::spawn(move || {
        for round in 0..u64::MAX {
            let batch = next(&mine, zero);
            if batch.is_empty() {
                break;
            }
            // At all moments of the other's way to sleep.
            spin(Duration::from_nanos(round % 64 * 100));
            other.send(one, batch);
        }
    });
    let began = Instant::now();
    let mut round = 0_u32;
    while began.elapsed() < Duration::from_secs(2) {
        let mut batch = inboxes[1].empty(zero);
        batch.extend(round.to_be_bytes());
        inboxes[1].send(zero, batch);
        let batch = next(&inboxes[0], one);
        assert_eq!(batch, round.to_be_bytes());
        inboxes[0].recycle(one, batch);
        round += 1;
    }
    inboxes[1].send(zero, Vec::new());
    echoing.join().unwrap();
    assert!(round > 10, "{round}");
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

/// Hangs if the ring writes no event, if what happened just before the sleep
/// is not looked for once more, or if the ring has an event of its own.
#[test]
fn a_shard_that_sleeps_in_glommio_is_woken_by_its_ring() {
    run(builder(), || async {
        let inbox = Arc::new(Inbox::new(1).unwrap());
        let event = inbox.descriptor().try_clone_to_owned().unwrap();
        let mut sockets = RingSockets::new(Vec::new(), event.as_fd()).unwrap();
        let event = descriptor::file(event);
        sockets.watch_inbox(inbox.descriptor()).unwrap();
        let (asked, is_asked) = mpsc::channel();
        let sender = Arc::clone(&inbox);
        let sending = std::thread::spawn(move || {
            for round in is_asked {
                // At all moments of the other's way to sleep.
                spin(Duration::from_nanos(u64::from(round) * 500));
                sender.send(ShardId(0), vec![round]);
            }
        });
        for round in 0..200 {
            asked.send(round).unwrap();
            while inbox.receive(ShardId(0)) != Some(vec![round]) {
                if inbox.fall_asleep() {
                    sleep(&mut sockets, &event, None).await.unwrap();
                    inbox.awake();
                }
                while sockets.next().is_some() {}
            }
        }
        drop(asked);
        sending.join().unwrap();
        // A sleep ends by itself when something is due.
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(5) {
            sleep(&mut sockets, &event, Some(Duration::from_millis(5))).await.unwrap();
            while sockets.next().is_some() {}
        }
        sockets.end().unwrap();
        event.close().await.unwrap();
    });
}
