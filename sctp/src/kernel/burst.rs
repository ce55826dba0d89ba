//! Messages of several associations, handed to the kernel by few calls.

use std::os::fd::BorrowedFd;

use super::association::{Association, Queued};
use super::info;
use crate::link::AssocId;
use crate::slots::Slots;
use crate::sys::{BATCH, Control, More, send_messages};

/// Messages that were taken out of their queues.
#[derive(Debug, Default)]
pub(super) struct Burst {
    /// Those behind which another one of the same association follows. The
    /// kernel packs them into one packet.
    followed: Vec<(AssocId, i32, Queued)>,
    /// The last one of each association.
    last: Vec<(AssocId, i32, Queued)>,
}

impl Burst {
    /// Takes what waits on an association, if all of it may be sent now.
    pub(super) fn gather(&mut self, id: AssocId, association: &mut Association) {
        let number = association.number;
        let followed = self.followed.len();
        self.followed.extend(association.take_all().map(|queued| (id, number, queued)));
        if self.followed.len() > followed {
            self.last.extend(self.followed.pop());
        }
    }

    /// Sends it. What the kernel does not take stays.
    pub(super) fn send(&mut self, fd: BorrowedFd<'_>, table: &mut Slots<Association>) {
        send(fd, table, &mut self.followed, More::Follow);
        // Nothing may overtake what it follows.
        if self.followed.is_empty() {
            send(fd, table, &mut self.last, More::None);
        }
    }

    /// Gives what stayed back to the queues.
    pub(super) fn put_back(&mut self, table: &mut Slots<Association>) {
        for messages in [&mut self.last, &mut self.followed] {
            for (id, _, queued) in messages.drain(..).rev() {
                if let Some(association) = table.get_mut(id) {
                    association.put_back(queued);
                }
            }
        }
    }
}

fn send(
    fd: BorrowedFd<'_>,
    table: &mut Slots<Association>,
    messages: &mut Vec<(AssocId, i32, Queued)>,
    more: More,
) {
    let mut sent = 0;
    while let Some(rest) = messages.get(sent..).filter(|rest| !rest.is_empty()) {
        let mut batch: [(&[u8], Control); BATCH] =
            [const { (&[] as &[u8], Control::empty()) }; BATCH];
        for (message, (_, number, queued)) in batch.iter_mut().zip(rest) {
            *message = (&queued.data, info(*number, queued.stream, queued.ppid, 0));
        }
        let count = rest.len().min(BATCH);
        let taken = send_messages(fd, &batch[..count], more).unwrap_or(0);
        for (id, _, queued) in &rest[..taken.min(count)] {
            if let Some(association) = table.get_mut(*id) {
                association.handed_over(queued.data.len());
            }
        }
        sent += taken;
        if taken < count {
            break;
        }
    }
    messages.drain(..sent.min(messages.len()));
}
