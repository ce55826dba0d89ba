//! A bare server on the ring itself: multishot accept and receive, provided
//! buffers, and one system call for all that a turn submits.
#![expect(unsafe_code, reason = "the ring takes addresses; docs/unsafe.md")]

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::net::sockopt;

use crate::server::{BATCH_MAX, Intake, Sizes};

const RING_ENTRIES: u32 = 4096;
const COMPLETIONS: u32 = 32_768;
/// Provided buffers, and the bytes of each.
const BUFFERS: u16 = 4096;
const BUFFER_BYTES: usize = 2048;
const GROUP: u16 = 0;

/// What a completion belongs to: the upper half of its user data.
const ACCEPT: u64 = 1 << 32;
const RECEIVE: u64 = 2 << 32;
const SEND: u64 = 3 << 32;

/// Serves for ever.
pub(crate) fn serve(listener: &TcpListener, sizes: Sizes) -> io::Result<()> {
    let ring = IoUring::builder()
        .setup_cqsize(COMPLETIONS)
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(RING_ENTRIES)?;
    let buffers = Buffers::new(&ring)?;
    let answers = vec![0xa5_u8; sizes.answer * BATCH_MAX].into();
    let listener = listener.as_raw_fd();
    let mut server = Server {
        ring,
        buffers,
        answers,
        sizes,
        listener,
        connections: Vec::new(),
        later: Vec::new(),
    };
    server.push(&opcode::AcceptMulti::new(Fd(listener)).build().user_data(ACCEPT));
    loop {
        server.turn()?;
    }
}

struct Server {
    ring: IoUring,
    buffers: Buffers,
    /// What answers are sent from; it stays where it is.
    answers: Box<[u8]>,
    sizes: Sizes,
    listener: RawFd,
    /// By descriptor.
    connections: Vec<Option<Connection>>,
    /// What found no room in the submission queue.
    later: Vec<squeue::Entry>,
}

struct Connection {
    socket: OwnedFd,
    intake: Intake,
    unsent: usize,
    sending: bool,
}

impl Server {
    /// Submits what there is, waits, and takes all completions.
    fn turn(&mut self) -> io::Result<()> {
        match self.ring.submit_and_wait(1) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(error) => return Err(error),
        }
        for entry in std::mem::take(&mut self.later) {
            self.push(&entry);
        }
        let completions: Vec<(u64, i32, u32)> = self
            .ring
            .completion()
            .map(|entry| (entry.user_data(), entry.result(), entry.flags()))
            .collect();
        for (data, result, flags) in completions {
            let descriptor = RawFd::try_from(data & 0xffff_ffff).unwrap_or(-1);
            match data & !0xffff_ffff {
                ACCEPT => self.accepted(result, flags),
                RECEIVE => self.received(descriptor, result, flags),
                _ => self.sent(descriptor, result),
            }
        }
        self.buffers.publish();
        Ok(())
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: what an entry points to is `answers`, which lives as long as
        // the ring and is never written, or nothing.
        let pushed = unsafe { self.ring.submission().push(entry) };
        if pushed.is_err() {
            self.later.push(entry.clone());
        }
    }

    fn accepted(&mut self, result: i32, flags: u32) {
        if let Ok(index) = usize::try_from(result) {
            // SAFETY: the kernel has just made this descriptor for us.
            let socket = unsafe { OwnedFd::from_raw_fd(result) };
            // An answer that leaves late is a bad figure, not a wrong one.
            let _ = sockopt::set_tcp_nodelay(&socket, true);
            if self.connections.len() <= index {
                self.connections.resize_with(index + 1, || None);
            }
            let intake = Intake::default();
            self.connections[index] =
                Some(Connection { socket, intake, unsent: 0, sending: false });
            self.receive(result);
        }
        if !cqueue::more(flags) {
            self.push(&opcode::AcceptMulti::new(Fd(self.listener)).build().user_data(ACCEPT));
        }
    }

    fn receive(&mut self, descriptor: RawFd) {
        let data = RECEIVE | u64::from(descriptor.unsigned_abs());
        self.push(&opcode::RecvMulti::new(Fd(descriptor), GROUP).build().user_data(data));
    }

    fn received(&mut self, descriptor: RawFd, result: i32, flags: u32) {
        if let Some(buffer) = cqueue::buffer_select(flags) {
            self.buffers.give(buffer);
        }
        let Some(slot) = self.connections.get_mut(descriptor.unsigned_abs() as usize) else {
            return;
        };
        let Some(connection) = slot else { return };
        match usize::try_from(result) {
            Ok(bytes @ 1..) => {
                let requests = connection.intake.take(bytes, self.sizes);
                connection.unsent += requests * self.sizes.answer;
                if !cqueue::more(flags) {
                    self.receive(descriptor);
                }
                self.send(descriptor);
            }
            Err(_) if result == -libc::ENOBUFS => self.receive(descriptor),
            Ok(_) | Err(_) => *slot = None,
        }
    }

    fn send(&mut self, descriptor: RawFd) {
        let index = descriptor.unsigned_abs();
        let slot = self.connections.get_mut(index as usize);
        let Some(connection) = slot.and_then(Option::as_mut) else { return };
        if connection.sending || connection.unsent == 0 {
            return;
        }
        connection.sending = true;
        let fd = Fd(connection.socket.as_raw_fd());
        let length = u32::try_from(connection.unsent.min(self.answers.len())).unwrap_or(0);
        let entry = opcode::Send::new(fd, self.answers.as_ptr(), length)
            .flags(libc::MSG_NOSIGNAL)
            .build()
            .user_data(SEND | u64::from(index));
        self.push(&entry);
    }

    fn sent(&mut self, descriptor: RawFd, result: i32) {
        let slot = self.connections.get_mut(descriptor.unsigned_abs() as usize);
        let Some(connection) = slot.and_then(Option::as_mut) else { return };
        connection.sending = false;
        if let Ok(bytes) = usize::try_from(result) {
            connection.unsent = connection.unsent.saturating_sub(bytes);
            self.send(descriptor);
        }
    }
}

/// Memory of whole pages, which the kernel reads.
#[derive(Clone, Copy)]
#[repr(align(4096))]
struct Page(#[expect(dead_code, reason = "only the kernel reads it")] [u8; 4096]);

/// The buffers the kernel receives into, and the ring that lends them to it.
struct Buffers {
    entries: Box<[Page]>,
    memory: Box<[u8]>,
    tail: u16,
}

impl Buffers {
    fn new(ring: &IoUring) -> io::Result<Self> {
        let bytes = usize::from(BUFFERS) * size_of::<BufRingEntry>();
        let mut buffers = Self {
            entries: vec![Page([0; 4096]); bytes.div_ceil(4096)].into(),
            memory: vec![0; usize::from(BUFFERS) * BUFFER_BYTES].into(),
            tail: 0,
        };
        let address = buffers.entries.as_mut_ptr() as u64;
        // SAFETY: the pages are as long as the entries need, and live as long
        // as the ring: both are fields of the one server, which never ends.
        unsafe { ring.submitter().register_buf_ring_with_flags(address, BUFFERS, GROUP, 0)? };
        (0..BUFFERS).for_each(|buffer| buffers.give(buffer));
        buffers.publish();
        Ok(buffers)
    }

    fn ring(&mut self) -> *mut BufRingEntry {
        self.entries.as_mut_ptr().cast()
    }

    /// Lends a buffer to the kernel, from the next [`Self::publish`] on.
    fn give(&mut self, buffer: u16) {
        let start = usize::from(buffer) * BUFFER_BYTES;
        let address = self.memory[start..start + BUFFER_BYTES].as_mut_ptr() as u64;
        let slot = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: the slot is one of the `BUFFERS` entries.
        let entry = unsafe { self.ring().add(slot) };
        // SAFETY: the kernel reads entries below the published tail only, and
        // this one is not.
        let entry = unsafe { &mut *entry };
        entry.set_addr(address);
        entry.set_len(u32::try_from(BUFFER_BYTES).unwrap_or(0));
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Tells the kernel of all buffers that were given.
    fn publish(&mut self) {
        let ring = self.ring();
        // SAFETY: the ring is as `register_buf_ring_with_flags` wants it.
        let tail = unsafe { BufRingEntry::tail(ring) };
        // SAFETY: the tail is a 16-bit word in those pages, aligned as such,
        // which only this thread writes.
        let tail = unsafe { &*tail.cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}
