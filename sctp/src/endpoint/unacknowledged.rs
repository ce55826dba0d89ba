//! What was taken from the application and not yet acknowledged by the peer,
//! so that it can be bounded: dcsctp's own bound ends where a message is sent
//! for the first time.

use std::collections::VecDeque;

use crate::wire::{be16, be32};

/// Bytes of one association that are under way.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    /// The TSN of the first chunk in `sent`.
    first: u32,
    /// The payload lengths of the chunks sent and not acknowledged, in order.
    sent: VecDeque<u16>,
    /// Bytes taken and not acknowledged, those not yet sent included.
    bytes: usize,
}

impl Unacknowledged {
    /// `tsn` is our first one.
    pub(super) fn new(tsn: u32) -> Self {
        Self { first: tsn, sent: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A message was taken.
    pub(super) fn taken(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// A DATA chunk leaves; `value` is what follows its header.
    pub(super) fn sent(&mut self, value: &[u8]) {
        let Some(payload) = value.len().checked_sub(12) else { return };
        let number = be32(value, 0).wrapping_sub(self.first);
        // Everything else is being sent again.
        if usize::try_from(number) == Ok(self.sent.len()) {
            self.sent.push_back(u16::try_from(payload).unwrap_or(u16::MAX));
        }
    }

    /// A SACK came; `value` is what follows its header. True: it acknowledged
    /// something new, in order or behind a gap.
    pub(super) fn acknowledged(&mut self, value: &[u8]) -> bool {
        let cumulative = be32(value, 0);
        let count = usize::try_from(cumulative.wrapping_sub(self.first).wrapping_add(1));
        let Ok(count) = count else { return false };
        if count > self.sent.len() {
            // An old one, or nonsense; dcsctp takes neither.
            return false;
        }
        for length in self.sent.drain(..count) {
            self.bytes = self.bytes.saturating_sub(usize::from(length));
        }
        self.first = self.first.wrapping_add(u32::try_from(count).unwrap_or(0));
        count > 0 || be16(value, 8) > 0
    }

    /// Nothing that was sent waits for its acknowledgement.
    pub(super) fn all_acknowledged(&self) -> bool {
        self.sent.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(tsn: u32, length: usize) -> Vec<u8> {
        let mut value = tsn.to_be_bytes().to_vec();
        value.resize(12 + length, 0);
        value
    }

    fn sack(cumulative: u32, gaps: u16) -> Vec<u8> {
        let mut value = cumulative.to_be_bytes().to_vec();
        value.extend_from_slice(&[0; 4]);
        value.extend_from_slice(&gaps.to_be_bytes());
        value.extend_from_slice(&[0; 2]);
        value
    }

    #[test]
    fn bytes_are_counted_until_they_are_acknowledged_in_order() {
        let first = u32::MAX - 1;
        let mut under_way = Unacknowledged::new(first);
        under_way.taken(600);
        for number in 0..3 {
            under_way.sent(&data(first.wrapping_add(number), 200));
        }
        under_way.sent(&data(first, 200));
        assert_eq!(under_way.bytes(), 600);
        assert!(!under_way.acknowledged(&sack(first.wrapping_sub(1), 0)));
        assert!(under_way.acknowledged(&sack(first.wrapping_sub(1), 1)));
        assert!(under_way.acknowledged(&sack(first.wrapping_add(1), 0)));
        assert_eq!(under_way.bytes(), 200);
        assert!(!under_way.acknowledged(&sack(first, 0)));
        assert!(!under_way.acknowledged(&sack(first.wrapping_add(3), 0)));
        assert!(under_way.acknowledged(&sack(first.wrapping_add(2), 0)));
        assert_eq!(under_way.bytes(), 0);
        assert!(under_way.all_acknowledged());
    }
}
