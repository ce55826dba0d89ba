//! The deadlines of a shard: one timer for all of them.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use std::rc::Rc;

use glommio::timer::Timer;
use rserpool_engine::Timestamp;

use super::host::Host;

/// The shard's deadlines are served in steps of this.
const STEP: Duration = Duration::from_millis(1);

/// Gives the shard a turn at each of its deadlines, and while it has more to
/// do. Ends when the host is over.
pub(super) async fn run(host: Rc<Host>) {
    while !host.over.get() {
        let wakes_at = host.wakes_at.get();
        let now = host.now();
        if wakes_at > now {
            wait(&host, wakes_at, now).await;
            continue;
        }
        // The turn says when the next one is due.
        host.wakes_at.set(Timestamp::MAX);
        // A panic is logged; the next turn is due when something happens.
        let _logged = host.turn([]);
        host.pace.breathe().await;
    }
}

/// Waits for the deadline, or for a nearer one.
async fn wait(host: &Host, wakes_at: Timestamp, now: Timestamp) {
    let mut timer = (wakes_at != Timestamp::MAX).then(|| Timer::new(wakes_at.since(now).max(STEP)));
    poll_fn(|cx| {
        if host.clock.poll_rung(cx).is_ready() {
            return Poll::Ready(());
        }
        match &mut timer {
            Some(timer) => Pin::new(timer).poll(cx).map(drop),
            None => Poll::Pending,
        }
    })
    .await;
}
