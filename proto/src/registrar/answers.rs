//! The order of answers. ASAP has no transaction identifiers: the answers of
//! an association leave in the order of its requests, also when another
//! shard takes longer to answer than this one.

use core::mem;
use std::collections::VecDeque;

use super::buffers::Buffers;

/// A request that another shard is to answer, and what is to leave after
/// that answer.
#[derive(Debug)]
pub(super) struct Slot {
    answered: bool,
    /// The bytes the answer is expected to have.
    reserved: u32,
    /// The answer once it is there, then the answers of this shard to the
    /// requests that followed.
    bytes: Vec<u8>,
}

/// What another shard is still to answer, in the order of the requests.
#[derive(Debug, Default)]
pub(super) struct Answers {
    slots: VecDeque<Slot>,
    /// The ticket of the first slot; the others count on from it.
    first: u32,
    reserved: u32,
    held: u32,
}

impl Answers {
    /// Whether nothing is waited for: an answer may leave at once.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Slots that wait, or that are answered but must wait for an earlier one.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The bytes held back, and those the awaited answers are expected to have.
    pub(super) fn backlog(&self) -> usize {
        self.held as usize + self.reserved as usize
    }

    /// The bytes held back.
    pub(super) const fn held(&self) -> usize {
        self.held as usize
    }

    /// Another shard is to answer the next request. Returns the ticket that
    /// names the answer.
    pub(super) fn expect(&mut self, reserved: u32, buffers: &mut Buffers) -> u32 {
        if self.slots.capacity() == 0 {
            self.slots = buffers.take_queue();
        }
        let ticket = self.first.wrapping_add(u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        self.reserved = self.reserved.saturating_add(reserved);
        self.slots.push_back(Slot { answered: false, reserved, bytes: Vec::new() });
        ticket
    }

    /// Holds back what `write` appends until the awaited answers before it
    /// have left. `None`: nothing is waited for, nothing was written.
    pub(super) fn hold<R>(
        &mut self,
        buffers: &mut Buffers,
        write: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Option<R> {
        let last = self.slots.back_mut()?;
        if last.bytes.capacity() == 0 {
            last.bytes = buffers.take();
        }
        let before = last.bytes.len();
        let result = write(&mut last.bytes);
        self.held = self.held.saturating_add(length(last.bytes.len().saturating_sub(before)));
        Some(result)
    }

    /// The answer with this ticket arrived. What may leave now is appended to
    /// `output`. `false`: no such ticket is awaited.
    pub(super) fn fill(
        &mut self,
        ticket: u32,
        answer: &[u8],
        output: &mut Vec<u8>,
        buffers: &mut Buffers,
    ) -> bool {
        let position = ticket.wrapping_sub(self.first) as usize;
        let Some(slot) = self.slots.get_mut(position) else { return false };
        if slot.answered {
            return false;
        }
        slot.answered = true;
        self.reserved -= slot.reserved;
        if position == 0 {
            output.extend_from_slice(answer);
            self.release(output, buffers);
            return true;
        }
        let mut bytes = buffers.take();
        bytes.extend_from_slice(answer);
        bytes.extend_from_slice(&slot.bytes);
        self.held = self.held.saturating_add(length(answer.len()));
        buffers.put(mem::replace(&mut slot.bytes, bytes));
        true
    }

    /// Appends what the answered slots at the front hold.
    fn release(&mut self, output: &mut Vec<u8>, buffers: &mut Buffers) {
        while self.slots.front().is_some_and(|slot| slot.answered) {
            let Some(slot) = self.slots.pop_front() else { break };
            self.first = self.first.wrapping_add(1);
            self.held -= length(slot.bytes.len());
            output.extend_from_slice(&slot.bytes);
            buffers.put(slot.bytes);
        }
        if self.slots.is_empty() {
            buffers.put_queue(mem::take(&mut self.slots));
        }
    }

    /// The association is gone: nothing is waited for any more.
    pub(super) fn abandon(&mut self, buffers: &mut Buffers) {
        for slot in self.slots.drain(..) {
            buffers.put(slot.bytes);
        }
        buffers.put_queue(mem::take(&mut self.slots));
        self.reserved = 0;
        self.held = 0;
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(answers: &mut Answers, buffers: &mut Buffers, bytes: &[u8]) {
        assert!(answers.hold(buffers, |out| out.extend_from_slice(bytes)).is_some());
    }

    #[test]
    fn answers_leave_in_the_order_of_the_requests() {
        let (mut answers, mut buffers, mut output) =
            (Answers::default(), Buffers::default(), Vec::new());
        let first = answers.expect(10, &mut buffers);
        hold(&mut answers, &mut buffers, b"b");
        let second = answers.expect(10, &mut buffers);
        let third = answers.expect(10, &mut buffers);
        hold(&mut answers, &mut buffers, b"e");
        assert_eq!((answers.len(), answers.backlog()), (3, 32));
        assert!(answers.fill(third, b"d", &mut output, &mut buffers));
        assert!(output.is_empty());
        assert!(answers.fill(first, b"a", &mut output, &mut buffers));
        assert_eq!(output, b"ab");
        assert!(answers.fill(second, b"c", &mut output, &mut buffers));
        assert_eq!(output, b"abcde");
        assert!(answers.is_empty());
        assert_eq!(answers.backlog(), 0);
    }

    #[test]
    fn an_answer_nobody_waits_for_is_refused() {
        let (mut answers, mut buffers, mut output) =
            (Answers::default(), Buffers::default(), Vec::new());
        assert!(!answers.fill(0, b"x", &mut output, &mut buffers));
        let first = answers.expect(0, &mut buffers);
        let second = answers.expect(0, &mut buffers);
        assert!(answers.fill(second, b"x", &mut output, &mut buffers));
        assert!(!answers.fill(second, b"y", &mut output, &mut buffers));
        assert!(!answers.fill(second.wrapping_add(1), b"y", &mut output, &mut buffers));
        assert!(answers.fill(first, b"w", &mut output, &mut buffers));
        assert_eq!(output, b"wx");
        assert!(!answers.fill(first, b"y", &mut output, &mut buffers));
    }

    #[test]
    fn tickets_survive_the_wrap_of_their_counter() {
        let (mut answers, mut buffers, mut output) =
            (Answers { first: u32::MAX, ..Answers::default() }, Buffers::default(), Vec::new());
        let first = answers.expect(0, &mut buffers);
        let second = answers.expect(0, &mut buffers);
        assert_eq!((first, second), (u32::MAX, 0));
        assert!(answers.fill(second, b"b", &mut output, &mut buffers));
        assert!(answers.fill(first, b"a", &mut output, &mut buffers));
        assert_eq!(output, b"ab");
    }
}
