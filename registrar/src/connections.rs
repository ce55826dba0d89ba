//! How many connections all shards of a registrar have.

use core::sync::atomic::{AtomicU32, Ordering};

/// A count with a limit, shared by the shards.
#[derive(Debug)]
pub(crate) struct Connections {
    open: AtomicU32,
    max: u32,
}

impl Connections {
    pub(crate) const fn new(max: u32) -> Self {
        Self { open: AtomicU32::new(0), max }
    }

    /// Counts one more, if there may be one more.
    pub(crate) fn acquire(&self) -> bool {
        let more = |open| if open < self.max { Some(open + 1) } else { None };
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Counts one less.
    pub(crate) fn release(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_the_limit() {
        let connections = Connections::new(2);
        assert!(connections.acquire() && connections.acquire());
        assert!(!connections.acquire());
        connections.release();
        assert!(connections.acquire());
        assert!(!connections.acquire());
    }
}
