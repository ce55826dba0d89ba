//! What a peer has sent and what of it is still kept: the bound on the memory
//! and on the work that one association can cost.
//!
//! dcsctp bounds the bytes that wait to become messages, and nothing else: a
//! peer could have it keep a hundred thousand one-byte fragments, at a hundred
//! times their size and with work that grows with the square. The ledger
//! follows the transmission sequence numbers, which a sender that keeps to
//! RFC 9260 gives to fragments in the order of messages:
//!
//! - Up to the first gap, everything before the last end of a message has been
//!   delivered, and the *run* after it is one message in the making.
//! - Behind the first gap, at most a *window* of chunks is taken.
//!
//! So what is kept is never more than the run and what lies behind the gap. A
//! peer for whom that is not so has left holes that can never be filled, and
//! loses the association.

use std::collections::BTreeMap;

use crate::link::Violation;

/// Chunks taken behind the first missing one.
const WINDOW: u32 = 4096;
/// Fragments of one message.
const RUN_CHUNKS_MAX: u32 = 8192;
/// What keeping a chunk costs beside its bytes.
const CHUNK_COST: usize = 64;

/// Bounds of one association's ledger, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) message_max: usize,
    pub(super) window: usize,
}

/// What to do with a DATA chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Hand it on.
    Take,
    /// Forget it: there is no room, and the peer will send it again.
    Drop,
}

/// The ledger of one association.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The next chunk in order, counted from the first one.
    next: u64,
    /// The sequence number of that chunk on the wire.
    next_tsn: u32,
    /// Chunks behind the first gap: their number, and length and whether they
    /// end a message.
    ahead: BTreeMap<u64, (u16, bool)>,
    ahead_bytes: usize,
    /// The message in the making.
    run_bytes: usize,
    run_chunks: u32,
    /// Bytes taken and not yet delivered, and what they cost to keep.
    kept_bytes: usize,
    cost: usize,
}

impl Ledger {
    /// `tsn` is the peer's first one.
    pub(super) fn new(tsn: u32) -> Self {
        Self {
            next: 0,
            next_tsn: tsn,
            ahead: BTreeMap::new(),
            ahead_bytes: 0,
            run_bytes: 0,
            run_chunks: 0,
            kept_bytes: 0,
            cost: 0,
        }
    }

    /// A chunk of `length` bytes came. `holding`: nothing is delivered at the
    /// moment, so nothing that comes makes room. `crowded`: all associations
    /// together keep as much as they may.
    pub(super) fn admit(
        &mut self,
        tsn: u32,
        length: u16,
        last: bool,
        bounds: Bounds,
        room: Room,
    ) -> Result<Verdict, Violation> {
        let distance = tsn.wrapping_sub(self.next_tsn);
        if distance > u32::MAX / 2 {
            // An old one: handed on, because it has to be acknowledged again.
            return Ok(Verdict::Take);
        }
        if distance > WINDOW {
            return Ok(Verdict::Drop);
        }
        let number = self.next + u64::from(distance);
        if self.ahead.contains_key(&number) {
            return Ok(Verdict::Take);
        }
        let bytes = usize::from(length);
        let in_order = distance == 0;
        // The next chunk in order makes room, unless nothing is delivered, or
        // unless it only lengthens a message that is in the making.
        let passes = match room {
            Room::Open => in_order,
            Room::Crowded => in_order && self.run_chunks == 0 && last,
            Room::Held => false,
        };
        let full = self.kept_bytes + bytes > bounds.window || self.cost > 2 * bounds.window;
        if !passes && (full || room == Room::Crowded) {
            return Ok(Verdict::Drop);
        }
        self.kept_bytes += bytes;
        self.cost += bytes + CHUNK_COST;
        if !in_order {
            self.ahead.insert(number, (length, last));
            self.ahead_bytes += bytes;
            return Ok(Verdict::Take);
        }
        self.advance(bytes, last, bounds)?;
        while let Some((length, last)) = self.ahead.remove(&self.next) {
            self.ahead_bytes -= usize::from(length);
            self.advance(usize::from(length), last, bounds)?;
        }
        Ok(Verdict::Take)
    }

    fn advance(&mut self, bytes: usize, last: bool, bounds: Bounds) -> Result<(), Violation> {
        self.next += 1;
        self.next_tsn = self.next_tsn.wrapping_add(1);
        self.run_bytes += bytes;
        self.run_chunks += 1;
        if self.run_bytes > bounds.message_max {
            return Err(Violation::MessageTooLong);
        }
        if self.run_chunks > RUN_CHUNKS_MAX {
            return Err(Violation::TooManyFragments);
        }
        if last {
            self.run_bytes = 0;
            self.run_chunks = 0;
        }
        Ok(())
    }

    /// A message was delivered.
    pub(super) fn delivered(&mut self, length: usize) {
        self.kept_bytes = self.kept_bytes.saturating_sub(length);
    }

    /// Everything that can be delivered has been. What is left must be the
    /// message in the making and what lies behind the gap.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        if self.kept_bytes > self.run_bytes + self.ahead_bytes {
            return Err(Violation::Order);
        }
        let chunks = self.ahead.len() + usize::try_from(self.run_chunks).unwrap_or(usize::MAX);
        self.cost = self.kept_bytes + CHUNK_COST * chunks;
        Ok(())
    }

    /// Bytes that are kept.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// What is kept costs so many bytes of memory.
    pub(super) fn cost(&self) -> usize {
        if self.kept_bytes == 0 { 0 } else { self.cost }
    }

    /// The TSN of the last chunk before the first gap.
    pub(super) fn last_in_order(&self) -> u32 {
        self.next_tsn.wrapping_sub(1)
    }

    /// Something came that is not in order.
    pub(super) fn has_gap(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// How far the stream of chunks has come; it grows with every one that is
    /// in order.
    pub(super) fn position(&self) -> u64 {
        self.next
    }
}

/// Whether there is room beside an association's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There is.
    Open,
    /// All associations together keep as much as they may.
    Crowded,
    /// Nothing of this association is delivered at the moment.
    Held,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { message_max: 1000, window: 4000 };

    fn admit(ledger: &mut Ledger, tsn: u32, length: u16, last: bool) -> Result<Verdict, Violation> {
        ledger.admit(tsn, length, last, BOUNDS, Room::Open)
    }

    #[test]
    fn messages_in_order_leave_nothing_behind() {
        let mut ledger = Ledger::new(u32::MAX - 5);
        for number in 0..100_000 {
            let tsn = (u32::MAX - 5).wrapping_add(number);
            assert_eq!(admit(&mut ledger, tsn, 900, true), Ok(Verdict::Take));
            ledger.delivered(900);
            assert_eq!(ledger.settle(), Ok(()));
            assert_eq!(ledger.cost(), 0);
        }
        assert_eq!(ledger.position(), 100_000);
    }

    #[test]
    fn a_gap_is_kept_behind_until_it_is_filled() {
        let mut ledger = Ledger::new(10);
        for tsn in [12, 13, 11] {
            assert_eq!(admit(&mut ledger, tsn, 100, true), Ok(Verdict::Take));
            assert_eq!(ledger.settle(), Ok(()));
        }
        assert_eq!(ledger.kept_bytes(), 300);
        assert_eq!(admit(&mut ledger, 10, 100, true), Ok(Verdict::Take));
        ledger.delivered(400);
        assert_eq!(ledger.settle(), Ok(()));
        assert_eq!(ledger.cost(), 0);
        assert!(ledger.ahead.is_empty());
    }

    #[test]
    fn duplicates_are_handed_on_and_not_counted() {
        let mut ledger = Ledger::new(0);
        for tsn in [0, 0, 2, 2, u32::MAX] {
            assert_eq!(admit(&mut ledger, tsn, 100, false), Ok(Verdict::Take));
        }
        assert_eq!(ledger.kept_bytes(), 200);
    }

    #[test]
    fn chunks_far_ahead_are_dropped() {
        let mut ledger = Ledger::new(0);
        assert_eq!(admit(&mut ledger, WINDOW, 1, true), Ok(Verdict::Take));
        assert_eq!(admit(&mut ledger, WINDOW + 1, 1, true), Ok(Verdict::Drop));
        assert_eq!(admit(&mut ledger, 1 << 30, 1, true), Ok(Verdict::Drop));
    }

    #[test]
    fn bytes_behind_a_gap_are_bounded_and_what_fills_it_is_taken() {
        let mut ledger = Ledger::new(0);
        let mut taken = 0;
        for tsn in 1..100 {
            taken += usize::from(admit(&mut ledger, tsn, 500, true) == Ok(Verdict::Take));
        }
        assert_eq!(taken, 8);
        assert_eq!(admit(&mut ledger, 0, 500, true), Ok(Verdict::Take));
    }

    #[test]
    fn tiny_chunks_behind_a_gap_cost_more_than_their_bytes() {
        let mut ledger = Ledger::new(0);
        let taken = (1..4000).filter(|tsn| admit(&mut ledger, *tsn, 1, true) == Ok(Verdict::Take));
        assert!(taken.count() < 130);
    }

    #[test]
    fn a_message_that_grows_too_long_is_a_violation() {
        let mut ledger = Ledger::new(0);
        assert_eq!(admit(&mut ledger, 0, 600, false), Ok(Verdict::Take));
        assert_eq!(admit(&mut ledger, 1, 600, false), Err(Violation::MessageTooLong));
        let mut ledger = Ledger::new(0);
        let bounds = Bounds { message_max: 1 << 20, window: 1 << 20 };
        let fragments = (0..).take_while(|tsn| {
            ledger.admit(*tsn, 1, false, bounds, Room::Open) == Ok(Verdict::Take)
        });
        assert_eq!(fragments.count(), 8192);
    }

    #[test]
    fn what_can_never_be_delivered_is_a_violation() {
        let mut ledger = Ledger::new(0);
        // Complete by its flags, and yet no message came of it.
        assert_eq!(admit(&mut ledger, 0, 10, true), Ok(Verdict::Take));
        assert_eq!(ledger.settle(), Err(Violation::Order));
    }

    #[test]
    fn without_room_only_whole_messages_in_order_are_taken() {
        let mut ledger = Ledger::new(0);
        let mut crowded = |tsn, last| ledger.admit(tsn, 10, last, BOUNDS, Room::Crowded).unwrap();
        assert_eq!(crowded(1, true), Verdict::Drop);
        assert_eq!(crowded(0, false), Verdict::Drop);
        assert_eq!(crowded(0, true), Verdict::Take);
        assert_eq!(crowded(1, true), Verdict::Take);
    }

    #[test]
    fn while_nothing_is_delivered_the_window_fills_and_no_more() {
        let mut ledger = Ledger::new(0);
        let mut taken = 0;
        for tsn in 0..100 {
            let verdict = ledger.admit(tsn, 500, true, BOUNDS, Room::Held).unwrap();
            taken += u32::from(verdict == Verdict::Take);
            if verdict == Verdict::Drop {
                break;
            }
        }
        assert_eq!(taken, 8);
        assert_eq!(ledger.kept_bytes(), 4000);
    }
}
