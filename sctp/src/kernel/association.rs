//! What is kept of an association of the kernel's.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use crate::link::{Message, SendError, Side, Violation};
use crate::sys::More;
use crate::tuning::Tuning;

/// Bytes handed to the kernel before it has to have got rid of them all: what
/// one peer may hold of the send buffer that all share.
const HANDED_MAX: usize = 128 * 1024;

/// A message that waits to be handed to the kernel.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) stream: u16,
    pub(super) ppid: u32,
    pub(super) data: Vec<u8>,
}

/// How much of what waits was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handed {
    All,
    /// As much as may be under way at once.
    Enough,
    /// As much as the kernel takes.
    KernelFull,
}

/// An association of the kernel's.
#[derive(Debug)]
pub(super) struct Association {
    /// The place of its socket.
    pub(super) socket: usize,
    /// The number the kernel gave it.
    pub(super) number: i32,
    pub(super) side: Side,
    pub(super) is_up: bool,
    /// When we asked for it.
    pub(super) asked_at: Option<Instant>,
    /// How many streams may be sent on.
    pub(super) streams: u16,
    /// Until when it has to be closed, once it is being closed.
    pub(super) close_by: Option<Instant>,
    /// The kernel has been told to close it.
    pub(super) ended: bool,
    pub(super) paused: bool,
    /// No more is taken to be sent.
    closing: bool,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// Bytes handed over since the kernel was last known to have none.
    handed: usize,
    /// Waiting to be told that it has none.
    drying: bool,
    /// The application was told that there is no room.
    blocked: bool,
    /// The parts of a message that is not whole.
    partial: Vec<u8>,
    /// Messages kept while reading is paused.
    held: VecDeque<Message>,
    held_bytes: usize,
}

impl Association {
    pub(super) fn new(socket: usize, number: i32, side: Side) -> Self {
        Self {
            socket,
            number,
            side,
            is_up: false,
            asked_at: None,
            streams: 0,
            close_by: None,
            ended: false,
            paused: false,
            closing: false,
            queue: VecDeque::new(),
            queued_bytes: 0,
            handed: 0,
            drying: false,
            blocked: false,
            partial: Vec::new(),
            held: VecDeque::new(),
            held_bytes: 0,
        }
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// A part of a message came, the last one if it is then `whole`.
    pub(super) fn part(
        &mut self,
        bytes: &[u8],
        whole: bool,
        tuning: &Tuning,
    ) -> Result<Option<Vec<u8>>, Violation> {
        if self.partial.len() + bytes.len() > tuning.message_bytes_max {
            return Err(Violation::MessageTooLong);
        }
        if whole && self.partial.is_empty() {
            return Ok(Some(bytes.to_vec()));
        }
        self.partial.extend_from_slice(bytes);
        Ok(whole.then(|| std::mem::take(&mut self.partial)))
    }

    /// The rest of a message will not come.
    pub(super) fn part_aborted(&mut self) {
        self.partial = Vec::new();
    }

    /// A whole message came. Given back if it is to be delivered now.
    pub(super) fn deliver(
        &mut self,
        message: Message,
        tuning: &Tuning,
    ) -> Result<Option<Message>, Violation> {
        if !self.paused {
            return Ok(Some(message));
        }
        if self.held_bytes + message.data.len() > tuning.receive_window {
            return Err(Violation::Overflow);
        }
        self.held_bytes += message.data.len();
        self.held.push_back(message);
        Ok(None)
    }

    /// Ends a pause; what was kept.
    pub(super) fn release(&mut self) -> VecDeque<Message> {
        self.paused = false;
        self.held_bytes = 0;
        std::mem::take(&mut self.held)
    }

    /// The peer lost its state; what was to be sent is lost.
    pub(super) fn restart(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
        self.handed = 0;
        self.drying = false;
        self.blocked = false;
        self.partial = Vec::new();
    }

    pub(super) fn peer_shut_down(&mut self) {
        self.closing = true;
    }

    /// Takes a message; true if it has to be flushed.
    pub(super) fn send(
        &mut self,
        stream: u16,
        ppid: u32,
        data: &[u8],
        tuning: &Tuning,
    ) -> Result<bool, SendError> {
        if !self.is_up {
            return Err(SendError::NotUp);
        }
        if self.closing {
            return Err(SendError::Closing);
        }
        if data.is_empty() {
            return Err(SendError::Empty);
        }
        if data.len() > tuning.message_bytes_max {
            return Err(SendError::TooLong);
        }
        if stream >= self.streams {
            return Err(SendError::Stream);
        }
        if self.queued_bytes > 0 && self.queued_bytes + data.len() > tuning.send_buffer {
            self.blocked = true;
            return Err(SendError::Full);
        }
        self.queued_bytes += data.len();
        self.queue.push_back(Queued { stream, ppid, data: data.to_vec() });
        Ok(self.queue.len() == 1 && !self.drying)
    }

    /// Hands over what waits, by `send`, as far as it goes.
    pub(super) fn hand_over(&mut self, send: impl Fn(&Queued, More) -> io::Result<()>) -> Handed {
        while let Some(next) = self.queue.front() {
            if self.drying {
                return Handed::All;
            }
            if self.handed > 0 && self.handed + next.data.len() > HANDED_MAX {
                self.drying = true;
                return Handed::Enough;
            }
            // The kernel packs what follows at once into one packet.
            let follows = self.queue.get(1).is_some_and(|second| {
                self.handed + next.data.len() + second.data.len() <= HANDED_MAX
            });
            let more = if follows { More::Follow } else { More::None };
            match send(next, more) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Handed::KernelFull;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The association is ending; a notification will say so.
                Err(_) => {}
            }
            let bytes = next.data.len();
            self.handed_over(bytes);
            self.queue.pop_front();
        }
        Handed::All
    }

    /// Takes all that waits out of the queue, if the kernel may be given all of
    /// it now. Each message has to come back, by [`Association::handed_over`]
    /// or [`Association::put_back`].
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Queued> + '_ {
        let may = !self.drying && self.handed + self.queued_bytes <= HANDED_MAX;
        let count = if may { self.queue.len() } else { 0 };
        self.queue.drain(..count)
    }

    /// The kernel has taken a message of so many bytes.
    pub(super) fn handed_over(&mut self, bytes: usize) {
        self.handed += bytes;
        self.queued_bytes -= bytes;
    }

    /// A message goes back to the front: the last one that was taken out first.
    pub(super) fn put_back(&mut self, queued: Queued) {
        self.queue.push_front(queued);
    }

    /// The kernel has nothing more of this association.
    pub(super) fn dried(&mut self) {
        self.handed = 0;
        self.drying = false;
    }

    /// The application is to be told that there is room again.
    pub(super) fn has_room_again(&mut self, tuning: &Tuning) -> bool {
        let room = self.blocked && self.queued_bytes <= tuning.send_buffer / 2;
        if room {
            self.blocked = false;
        }
        room
    }

    /// Begins to close; true if it had not begun.
    pub(super) fn shutdown(&mut self, by: Instant) -> bool {
        self.closing = true;
        let first = self.close_by.is_none();
        self.close_by.get_or_insert(by);
        first
    }

    /// Everything was handed over, and the kernel can be told to close.
    pub(super) fn may_end(&self) -> bool {
        self.close_by.is_some() && self.queue.is_empty() && !self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn up() -> Association {
        Association { is_up: true, streams: 2, ..Association::new(0, 1, Side::Accepted) }
    }

    #[test]
    fn parts_become_a_message_within_bounds() {
        let tuning = Tuning { message_bytes_max: 10, ..Tuning::default() };
        let mut association = up();
        assert_eq!(association.part(b"whole", true, &tuning), Ok(Some(b"whole".to_vec())));
        assert_eq!(association.part(b"a pa", false, &tuning), Ok(None));
        assert_eq!(association.part(b"rt", true, &tuning), Ok(Some(b"a part".to_vec())));
        assert_eq!(association.part(b"lost", false, &tuning), Ok(None));
        association.part_aborted();
        assert_eq!(association.part(b"next", true, &tuning), Ok(Some(b"next".to_vec())));
        assert_eq!(association.part(&[0; 6], false, &tuning), Ok(None));
        assert_eq!(association.part(&[0; 6], true, &tuning), Err(Violation::MessageTooLong));
    }

    #[test]
    fn a_peer_that_acknowledges_nothing_gets_only_its_share_of_the_buffer() {
        let tuning = Tuning::default();
        let mut association = up();
        for _ in 0..4 {
            association.send(0, 11, &[0; 60_000], &tuning).unwrap();
        }
        assert_eq!(association.send(0, 11, &[0; 60_000], &tuning), Err(SendError::Full));
        let sent = RefCell::new(Vec::new());
        let send = |queued: &Queued, more| {
            sent.borrow_mut().push((queued.data.len(), more));
            Ok(())
        };
        assert_eq!(association.hand_over(send), Handed::Enough);
        assert_eq!(*sent.borrow(), [(60_000, More::Follow), (60_000, More::None)]);
        assert!(association.has_room_again(&tuning));
        assert!(!association.has_room_again(&tuning));
        assert_eq!(association.hand_over(send), Handed::All, "still waiting");
        assert_eq!(sent.borrow().len(), 2);
        association.dried();
        assert_eq!(association.hand_over(send), Handed::All);
        assert_eq!(sent.borrow().len(), 4);
        assert_eq!(association.queued_bytes(), 0);
    }

    #[test]
    fn all_is_taken_at_once_or_nothing() {
        let mut association = up();
        for text in [&b"one"[..], b"two", b"three"] {
            association.send(0, 11, text, &Tuning::default()).unwrap();
        }
        let mut taken: Vec<Queued> = association.take_all().collect();
        assert_eq!(taken.len(), 3);
        assert_eq!(association.take_all().count(), 0, "nothing twice");
        association.handed_over(taken.remove(0).data.len());
        for queued in taken.into_iter().rev() {
            association.put_back(queued);
        }
        assert_eq!(association.queued_bytes(), 8);
        association.send(0, 11, &[0; HANDED_MAX - 8 - 3], &Tuning::default()).unwrap_err();
        association.send(0, 11, &[0; 60_000], &Tuning::default()).unwrap();
        association.send(0, 11, &[0; 60_000], &Tuning::default()).unwrap();
        association.send(0, 11, &[0; 20_000], &Tuning::default()).unwrap();
        assert_eq!(association.take_all().count(), 0, "more than may be under way");
        let sent = RefCell::new(Vec::new());
        let handed = association.hand_over(|queued, _| {
            sent.borrow_mut().push(queued.data.len());
            Ok(())
        });
        assert_eq!((handed, &sent.borrow()[..]), (Handed::Enough, &[3, 5, 60_000, 60_000][..]));
        assert_eq!(association.take_all().count(), 0, "it is waited for");
    }

    #[test]
    fn what_the_kernel_does_not_take_waits() {
        let mut association = up();
        association.send(1, 11, b"first", &Tuning::default()).unwrap();
        association.shutdown(Instant::now());
        assert!(!association.may_end());
        let full = association.hand_over(|_, _| Err(io::ErrorKind::WouldBlock.into()));
        assert_eq!(full, Handed::KernelFull);
        assert_eq!(association.queued_bytes(), 5);
        assert_eq!(association.hand_over(|_, _| Ok(())), Handed::All);
        assert!(association.may_end());
        assert_eq!(association.send(1, 11, b"late", &Tuning::default()), Err(SendError::Closing));
    }

    #[test]
    fn a_pause_keeps_a_window_of_messages() {
        let tuning = Tuning { receive_window: 70_000, ..Tuning::default() };
        let mut association = up();
        let message = |length| Message {
            id: crate::AssocId { slot: 0, generation: 1 },
            stream: 0,
            ppid: 11,
            data: vec![0; length],
        };
        assert!(association.deliver(message(5), &tuning).unwrap().is_some());
        association.paused = true;
        assert_eq!(association.deliver(message(40_000), &tuning), Ok(None));
        assert_eq!(association.deliver(message(40_000), &tuning), Err(Violation::Overflow));
        assert_eq!(association.release().len(), 1);
        assert!(association.deliver(message(5), &tuning).unwrap().is_some());
    }
}
