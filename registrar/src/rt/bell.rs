//! One task of an executor waits, any other wakes it.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

/// A notice to one waiting task of the same executor. Rung before anybody
/// waits, it is kept.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Ready once for all rings since the last time.
    pub(super) fn poll_rung(&self, cx: &Context<'_>) -> Poll<()> {
        if self.rung.take() {
            self.waiting.take();
            return Poll::Ready(());
        }
        // At most one waker is held however often this is polled: glommio
        // counts the wakers of a task in 16 bits.
        self.waiting.replace(Some(cx.waker().clone()));
        Poll::Pending
    }

    pub(super) async fn rung(&self) {
        poll_fn(|cx| self.poll_rung(cx)).await;
    }
}
