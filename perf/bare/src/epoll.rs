//! A bare server on epoll: one receive and one send for each readiness.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send, sockopt};

use crate::server::{BATCH_MAX, Intake, Sizes};

const LISTENER: u64 = u64::MAX;
const READ_BYTES: usize = 64 << 10;

struct Connection {
    socket: OwnedFd,
    intake: Intake,
    /// Bytes of answers that the kernel did not take.
    unsent: usize,
}

/// Serves for ever.
pub(crate) fn serve(listener: &TcpListener, sizes: Sizes) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let answers = vec![0xa5_u8; sizes.answer * BATCH_MAX];
    let mut scratch = vec![0; READ_BYTES];
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut events = vec![Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 512];
    loop {
        let count = match epoll::wait(&epoll, &mut events, None) {
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for event in events.iter().take(count) {
            let key = event.data.u64();
            if key == LISTENER {
                while let Ok(socket) = accept_with(listener, SocketFlags::NONBLOCK) {
                    sockopt::set_tcp_nodelay(&socket, true)?;
                    let key = u64::try_from(socket.as_raw_fd()).unwrap_or(LISTENER);
                    epoll::add(&epoll, &socket, EventData::new_u64(key), EventFlags::IN)?;
                    let intake = Intake::default();
                    connections.insert(key, Connection { socket, intake, unsent: 0 });
                }
                continue;
            }
            let Some(connection) = connections.get_mut(&key) else { continue };
            let before = connection.unsent;
            if !connection.turn(&mut scratch, &answers, sizes) {
                connections.remove(&key);
                continue;
            }
            let waits = connection.unsent > 0;
            if waits != (before > 0) {
                let flags = if waits { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
                epoll::modify(&epoll, &connection.socket, EventData::new_u64(key), flags)?;
            }
        }
    }
}

impl Connection {
    /// Receives once and answers; `false` if the connection is gone.
    fn turn(&mut self, scratch: &mut [u8], answers: &[u8], sizes: Sizes) -> bool {
        match recv(self.socket.as_fd(), scratch, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return false,
            Ok((bytes, _)) => self.unsent += self.intake.take(bytes, sizes) * sizes.answer,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return false,
        }
        while self.unsent > 0 {
            let batch = &answers[..self.unsent.min(answers.len())];
            match send(self.socket.as_fd(), batch, SendFlags::NOSIGNAL) {
                Ok(sent) => self.unsent -= sent,
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }
}
