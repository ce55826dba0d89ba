//! An io_uring ring beside glommio's, for the sockets that carry messages:
//! multishot accept and receive, buffers that the kernel picks, everything of
//! one turn submitted by one system call. All `unsafe` that it takes is here
//! and in [`buffers`], behind calls that are safe: what the kernel reads from
//! or writes to is owned by the ring until the kernel is done with it.
#![expect(unsafe_code, reason = "listed in docs/unsafe.md")]

mod buffers;
mod message;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use rserpool_sctp::Received as Message;

use super::sockets::Received;
use buffers::Buffers;
use message::Layout;

/// Submissions that wait for the next system call.
const SUBMISSIONS: u32 = 1024;
/// Completions that wait to be looked at; the kernel keeps more by itself.
const COMPLETIONS: u32 = 8192;
/// `IORING_ENTER_GETEVENTS`: let the kernel post completions.
const GET_EVENTS: u32 = 1;

const KIND: u64 = 0xff << 56;
const ACCEPT: u64 = 1 << 56;
const RECEIVE: u64 = 2 << 56;
const SEND: u64 = 3 << 56;
const TIMEOUT: u64 = 4 << 56;
const CANCEL: u64 = 5 << 56;
const POLL: u64 = 6 << 56;
const MESSAGES: u64 = 7 << 56;

/// What happened. The tokens are those the operations were asked for with.
#[derive(Debug)]
pub(super) enum Event {
    /// A connection was accepted, or accepting failed. `more`: it goes on.
    Accepted { token: u64, socket: io::Result<OwnedFd>, more: bool },
    /// Bytes arrived (none: the peer will send no more), or receiving failed.
    /// `more`: it goes on.
    Received { token: u64, buffer: io::Result<Option<Received>>, more: bool },
    /// The same of a receive of messages.
    Message { token: u64, buffer: io::Result<Option<Received>>, more: bool },
    /// All bytes are sent, or sending failed; here is the buffer.
    Sent { token: u64, buffer: Vec<u8>, result: io::Result<()> },
    /// The descriptor can be read, or polling it failed. `more`: it goes on.
    Readable { token: u64, more: bool },
    /// The time is over.
    Elapsed,
}

#[derive(Debug)]
struct Sending {
    token: u64,
    socket: RawFd,
    bytes: Vec<u8>,
    written: usize,
}

/// The ring. Made and used by one thread.
pub(super) struct Ring {
    uring: IoUring,
    buffers: Buffers,
    /// What each receive of a message leaves room for.
    layout: Layout,
    /// What is being sent, by the number in the operation.
    sending: Vec<Option<Sending>>,
    free: Vec<usize>,
    /// Of time-outs under way; the kernel copies them when it takes them.
    timeouts: VecDeque<Box<Timespec>>,
    /// Did not fit the submission queue yet.
    backlog: VecDeque<squeue::Entry>,
    /// Operations whose last completion was not looked at.
    under_way: usize,
}

impl Ring {
    /// A ring that writes `event` when something completes while
    /// [`Ring::fall_asleep`] was the last word.
    pub(super) fn new(event: BorrowedFd<'_>) -> io::Result<Self> {
        let uring = IoUring::builder()
            .setup_cqsize(COMPLETIONS)
            .setup_submit_all()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(SUBMISSIONS)?;
        uring.submitter().register_eventfd(event.as_raw_fd())?;
        let buffers = Buffers::new(&uring)?;
        let mut ring = Self {
            uring,
            buffers,
            layout: Layout::new(),
            sending: Vec::new(),
            free: Vec::new(),
            timeouts: VecDeque::new(),
            backlog: VecDeque::new(),
            under_way: 0,
        };
        // A ring is made to write its event, and one that is busy from its
        // start would for all its life: each write costs it a turn.
        ring.awake();
        Ok(ring)
    }

    /// Accepts connections until told otherwise.
    pub(super) fn accept(&mut self, listener: impl AsFd, token: u64) {
        let fd = Fd(listener.as_fd().as_raw_fd());
        let flags = libc::SOCK_CLOEXEC;
        self.under_way += 1;
        self.push(opcode::AcceptMulti::new(fd).flags(flags).build().user_data(ACCEPT | token));
    }

    /// Receives from a socket until told otherwise. The socket has to stay
    /// open until an event says that there is no more.
    pub(super) fn receive(&mut self, socket: impl AsFd, token: u64) {
        let fd = Fd(socket.as_fd().as_raw_fd());
        let receive = opcode::RecvMulti::new(fd, buffers::GROUP).build();
        self.under_way += 1;
        self.push(receive.user_data(RECEIVE | token));
    }

    /// Receives messages from a socket, each in a buffer with its address and
    /// control data, until told otherwise. As [`Ring::receive`].
    pub(super) fn receive_messages(&mut self, socket: impl AsFd, token: u64) {
        let fd = Fd(socket.as_fd().as_raw_fd());
        let receive = opcode::RecvMsgMulti::new(fd, self.layout.header(), buffers::GROUP).build();
        self.under_way += 1;
        self.push(receive.user_data(MESSAGES | token));
    }

    /// Stops receiving: the last event of it comes soon.
    pub(super) fn stop_receiving(&mut self, token: u64) {
        let what = CancelBuilder::user_data(RECEIVE | token);
        self.push(opcode::AsyncCancel2::new(what).build().user_data(CANCEL));
    }

    /// Sends all of these bytes. The socket has to stay open until the event.
    pub(super) fn send(&mut self, socket: impl AsFd, token: u64, bytes: Vec<u8>) {
        let sending = Sending { token, socket: socket.as_fd().as_raw_fd(), bytes, written: 0 };
        let number = self.free.pop().unwrap_or_else(|| {
            self.sending.push(None);
            self.sending.len() - 1
        });
        if let Some(entry) = self.sending.get_mut(number) {
            *entry = Some(sending);
        }
        self.push_send(number);
    }

    fn push_send(&mut self, number: usize) {
        let Some(Some(sending)) = self.sending.get(number) else { return };
        let rest = sending.bytes.get(sending.written..).unwrap_or_default();
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let send = opcode::Send::new(Fd(sending.socket), rest.as_ptr(), length)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build();
        self.under_way += 1;
        self.push(send.user_data(SEND | number as u64));
    }

    /// Says once when a descriptor can be read, or each time it was written.
    /// It has to stay open until an event says that there is no more.
    pub(super) fn poll(&mut self, descriptor: impl AsFd, token: u64, each_write: bool) {
        let fd = Fd(descriptor.as_fd().as_raw_fd());
        let flags = u32::from(libc::POLLIN.cast_unsigned());
        self.under_way += 1;
        let poll = opcode::PollAdd::new(fd, flags).multi(each_write).build();
        self.push(poll.user_data(POLL | token));
    }

    /// Says when this time is over.
    pub(super) fn elapse(&mut self, time: Duration) {
        let time = Box::new(Timespec::from(time));
        let timeout = opcode::Timeout::new(&raw const *time).build();
        self.timeouts.push_back(time);
        self.under_way += 1;
        self.push(timeout.user_data(TIMEOUT));
    }

    /// Ends all operations: the last event of each comes soon.
    pub(super) fn cancel_all(&mut self) {
        self.push(opcode::AsyncCancel2::new(CancelBuilder::any()).build().user_data(CANCEL));
    }

    /// Whether the last event of an operation is still to come.
    pub(super) const fn is_at_work(&self) -> bool {
        self.under_way > 0
    }

    fn push(&mut self, entry: squeue::Entry) {
        if !self.backlog.is_empty() || !self.try_push(&entry) {
            self.backlog.push_back(entry);
        }
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        let mut queue = self.uring.submission();
        // SAFETY: what the entry points to is owned by `sending`, `timeouts`,
        // `layout` or `buffers` until its completion is looked at.
        unsafe { queue.push(entry) }.is_ok()
    }

    /// Submits what was asked for and lets the kernel post completions. Does
    /// not wait.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        loop {
            self.refill();
            let queued = u32::try_from(self.uring.submission().len()).unwrap_or(u32::MAX);
            // SAFETY: no argument is given, and the number is that of the
            // entries in the queue.
            let entered = unsafe {
                self.uring.submitter().enter::<libc::sigset_t>(queued, 0, GET_EVENTS, None)
            };
            let taken = forgiven(entered)?;
            if self.backlog.is_empty() || taken == 0 {
                return Ok(());
            }
        }
    }

    /// Submits what was asked for and waits until something happened, at most
    /// this long if it is said: one system call.
    pub(super) fn wait(&mut self, patience: Option<Duration>) -> io::Result<()> {
        self.refill();
        if self.has_event() || !self.backlog.is_empty() || patience == Some(Duration::ZERO) {
            return self.submit();
        }
        let entered = match patience {
            None => self.uring.submitter().submit_and_wait(1),
            Some(patience) => {
                let time = Timespec::from(patience);
                self.uring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&time))
            }
        };
        forgiven(entered).map(drop)
    }

    fn refill(&mut self) {
        while let Some(entry) = self.backlog.front().cloned() {
            if !self.try_push(&entry) {
                break;
            }
            self.backlog.pop_front();
        }
    }

    /// From here on a completion writes the event. What is there already does
    /// not: look once more.
    pub(super) fn fall_asleep(&mut self) {
        self.uring.completion().enable_eventfd();
    }

    /// Completions write no event.
    pub(super) fn awake(&mut self) {
        self.uring.completion().disable_eventfd();
    }

    /// Whether something happened that was not looked at.
    pub(super) fn has_event(&mut self) -> bool {
        !self.uring.completion().is_empty()
    }

    /// The next thing that happened.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            let completion = self.uring.completion().next()?;
            let (token, result) = (completion.user_data() & !KIND, completion.result());
            let more = cqueue::more(completion.flags());
            match completion.user_data() & KIND {
                ACCEPT => {
                    self.under_way -= usize::from(!more);
                    let socket = checked(result).map(|_| {
                        // SAFETY: the kernel made this descriptor for this
                        // completion, and nobody else has heard of it.
                        unsafe { OwnedFd::from_raw_fd(result) }
                    });
                    return Some(Event::Accepted { token, socket, more });
                }
                kind @ (RECEIVE | MESSAGES) => {
                    self.under_way -= usize::from(!more);
                    let buffer = cqueue::buffer_select(completion.flags());
                    let received = checked(result)
                        .map(|length| buffer.map(|buffer| Received { buffer, length }));
                    return Some(if kind == RECEIVE {
                        Event::Received { token, buffer: received, more }
                    } else {
                        Event::Message { token, buffer: received, more }
                    });
                }
                SEND => {
                    self.under_way -= 1;
                    let number = usize::try_from(token).unwrap_or(usize::MAX);
                    if let Some(event) = self.sent(number, result) {
                        return Some(event);
                    }
                }
                POLL => {
                    self.under_way -= usize::from(!more);
                    return Some(Event::Readable { token, more });
                }
                TIMEOUT => {
                    self.under_way -= 1;
                    // Any of them: the kernel has copied all.
                    self.timeouts.pop_front();
                    return Some(Event::Elapsed);
                }
                _ => {}
            }
        }
    }

    /// A send came to an end: of all its bytes, or it goes on with the rest.
    fn sent(&mut self, number: usize, result: i32) -> Option<Event> {
        let entry = self.sending.get_mut(number)?;
        let sending = entry.as_mut()?;
        let result = match checked(result) {
            Ok(0) if sending.written < sending.bytes.len() => Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                sending.written += written;
                if sending.written < sending.bytes.len() {
                    self.push_send(number);
                    return None;
                }
                Ok(())
            }
            Err(error) => Err(error),
        };
        let Sending { token, bytes, .. } = entry.take()?;
        self.free.push(number);
        Some(Event::Sent { token, buffer: bytes, result })
    }

    /// The bytes that arrived.
    pub(super) fn bytes(&self, received: &Received) -> &[u8] {
        self.buffers.bytes(received.buffer, received.length)
    }

    /// The message that arrived.
    pub(super) fn message(&self, received: &Received) -> Option<Message<'_>> {
        message::read(self.bytes(received))
    }

    /// The bytes were looked at: the kernel may use the buffer again.
    pub(super) fn give_back(&mut self, received: Received) {
        self.buffers.give_back(received.buffer);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.under_way == 0 {
            return;
        }
        // The kernel cancels what is under way after the ring is closed, and
        // may until then use this memory: it is never freed.
        mem::forget(mem::take(&mut self.sending));
        mem::forget(mem::replace(&mut self.layout, Layout::new()));
        self.buffers.leak();
    }
}

/// A message header with room for an address and control data of so many
/// bytes, and nothing else.
fn header(name: usize, control: usize) -> libc::msghdr {
    // SAFETY: all of a `msghdr`'s fields may be zero.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_namelen = libc::socklen_t::try_from(name).unwrap_or(0);
    header.msg_controllen = control;
    header
}

/// How many entries the kernel took, if it is only not the time for more: a
/// signal came, the wait was long enough, or completions have to be looked at
/// first.
fn forgiven(entered: io::Result<usize>) -> io::Result<usize> {
    match entered {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EAGAIN | libc::ETIME)) =>
        {
            Ok(0)
        }
        entered => entered,
    }
}

/// The result of an operation, as of a system call.
fn checked(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}
