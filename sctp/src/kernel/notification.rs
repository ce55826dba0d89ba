//! What the kernel's SCTP tells beside messages (RFC 6458 section 6.1).

use crate::sys::{half_word, word};

/// A notification, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notification {
    /// An association can be used.
    Up { association: i32, outbound: u16 },
    /// The peer set an association up again.
    Restarted { association: i32 },
    /// An association ended.
    Lost { association: i32, loss: Loss },
    /// The peer sends no more data.
    PeerShutDown { association: i32 },
    /// The rest of a message will not come.
    PartAborted { association: i32 },
    /// Everything sent was acknowledged.
    Dry { association: i32 },
    /// Something else.
    Other,
}

/// How an association ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// By the book.
    Closed,
    /// It never came up. Whether the peer said so.
    NotUp { refused: bool },
    /// The peer aborted it with this error cause.
    Aborted { cause: u16 },
    /// The peer fell silent.
    TimedOut,
}

/// Bytes of `struct sctp_assoc_change` without what follows it.
const ASSOC_CHANGE: usize = 20;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(half_word(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    Some(word(bytes.get(at..at + 4)?.try_into().ok()?).cast_signed())
}

/// Reads the notifications of a socket, which come in parts where they are
/// longer than a buffer: one that carries a long ABORT chunk of the peer's.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The last part was not the end.
    continues: bool,
}

impl Reader {
    /// A part came, the last one if `whole`. All that matters stands at the
    /// start; what follows is the peer's and not looked at.
    pub(super) fn part(&mut self, bytes: &[u8], whole: bool) -> Option<Notification> {
        let continues = core::mem::replace(&mut self.continues, !whole);
        if continues { None } else { read(bytes) }
    }
}

/// Reads a notification; `None` if it is shorter than it has to be.
fn read(bytes: &[u8]) -> Option<Notification> {
    Some(match u16_at(bytes, 0)? {
        0x8001 => {
            let association = i32_at(bytes, 16)?;
            // In network order, as it was in the chunk.
            let cause = u16::from_be(u16_at(bytes, 10)?);
            // The ABORT chunk comes along, if there was one.
            let aborted = bytes.len() > ASSOC_CHANGE;
            match u16_at(bytes, 8)? {
                0 => Notification::Up { association, outbound: u16_at(bytes, 12)? },
                1 if aborted => Notification::Lost { association, loss: Loss::Aborted { cause } },
                1 => Notification::Lost { association, loss: Loss::TimedOut },
                2 => Notification::Restarted { association },
                3 => Notification::Lost { association, loss: Loss::Closed },
                4 => {
                    let loss = Loss::NotUp { refused: aborted || cause != 0 };
                    Notification::Lost { association, loss }
                }
                _ => Notification::Other,
            }
        }
        0x8005 => Notification::PeerShutDown { association: i32_at(bytes, 8)? },
        0x8006 => Notification::PartAborted { association: i32_at(bytes, 12)? },
        0x8009 => Notification::Dry { association: i32_at(bytes, 8)? },
        _ => Notification::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{native, native_u16, native_u32};

    fn change(state: u16, cause: u16, info: &[u8]) -> Vec<u8> {
        let mut bytes = native_u16(0x8001).to_vec();
        bytes.extend(native_u16(0));
        bytes.extend(native_u32(20));
        bytes.extend(native_u16(state));
        bytes.extend(cause.to_be_bytes());
        bytes.extend(native_u16(10));
        bytes.extend(native_u16(16));
        bytes.extend(native(77));
        bytes.extend(info);
        bytes
    }

    #[test]
    fn changes_of_associations_are_told_apart() {
        let read = |state, cause, info: &[u8]| read(&change(state, cause, info)).unwrap();
        let lost = |loss| Notification::Lost { association: 77, loss };
        assert_eq!(read(0, 0, &[]), Notification::Up { association: 77, outbound: 10 });
        assert_eq!(read(1, 0, &[]), lost(Loss::TimedOut));
        assert_eq!(read(1, 12, &[6, 0, 0, 4]), lost(Loss::Aborted { cause: 12 }));
        assert_eq!(read(2, 0, &[]), Notification::Restarted { association: 77 });
        assert_eq!(read(3, 0, &[]), lost(Loss::Closed));
        assert_eq!(read(4, 0, &[]), lost(Loss::NotUp { refused: false }));
        assert_eq!(read(4, 0, &[6, 0, 0, 4]), lost(Loss::NotUp { refused: true }));
        assert_eq!(read(9, 0, &[]), Notification::Other);
    }

    #[test]
    fn the_rest_of_a_long_notification_is_none() {
        // An ABORT whose second half looks like news of another association.
        let aborted = change(1, 12, &[6, 0, 0, 4]);
        let mut reader = Reader::default();
        let lost = Notification::Lost { association: 77, loss: Loss::Aborted { cause: 12 } };
        assert_eq!(reader.part(&aborted, false), Some(lost));
        assert_eq!(reader.part(&change(3, 0, &[]), false), None);
        assert_eq!(reader.part(&change(3, 0, &[]), true), None);
        assert_eq!(reader.part(&aborted, true), Some(lost));
    }

    #[test]
    fn short_notifications_are_none() {
        let whole = change(0, 0, &[]);
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None, "{length}");
        }
        let mut shutdown = native_u16(0x8005).to_vec();
        shutdown.extend([0; 6]);
        assert_eq!(read(&shutdown), None);
        shutdown.extend(native(5));
        assert_eq!(read(&shutdown), Some(Notification::PeerShutDown { association: 5 }));
    }
}
