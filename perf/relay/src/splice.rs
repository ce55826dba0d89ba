//! The plain splice proxy: one thread, one origin, two pipes a connection, and
//! nothing else: no pools, no counts, no time-outs.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// As `rsp proxy` has it.
const MOVED_MAX: usize = 256 * 1024;
const LISTENER: u64 = u64::MAX;

/// One direction.
struct Half {
    reader: OwnedFd,
    writer: OwnedFd,
    /// Bytes in the pipe.
    waiting: usize,
    ended: bool,
}

impl Half {
    fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        fcntl_setpipe_size(&writer, MOVED_MAX)?;
        Ok(Self { reader, writer, waiting: 0, ended: false })
    }
}

/// Client and origin, and from each to the other.
struct Connection {
    sockets: [TcpStream; 2],
    halves: [Half; 2],
    /// What each socket is watched for.
    watched: [EventFlags; 2],
}

pub(crate) fn serve(listener: &TcpListener, origin: SocketAddr) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections = BTreeMap::<u64, Connection>::new();
    let mut next = 0;
    let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 256];
    loop {
        let count = match epoll::wait(&epoll, &mut events, None) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for event in events.iter().take(count) {
            let token = event.data.u64();
            if token == LISTENER {
                let connection = Connection::accept(listener, origin)?;
                for (side, socket) in (0..).zip(&connection.sockets) {
                    let data = EventData::new_u64(next * 2 + side);
                    epoll::add(&epoll, socket, data, EventFlags::IN)?;
                }
                connections.insert(next, connection);
                next += 1;
                continue;
            }
            let Some(connection) = connections.get_mut(&(token / 2)) else { continue };
            let side = usize::from(token % 2 == 1);
            let over = connection.work(side, event.flags).is_err()
                || connection.halves.iter().all(|half| half.ended)
                || connection.watch(&epoll, token / 2).is_err();
            if over {
                connections.remove(&(token / 2));
            }
        }
    }
}

impl Connection {
    fn accept(listener: &TcpListener, origin: SocketAddr) -> io::Result<Self> {
        let (client, _) = listener.accept()?;
        let server = TcpStream::connect(origin)?;
        for socket in [&client, &server] {
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
        }
        let halves = [Half::new()?, Half::new()?];
        Ok(Self { sockets: [client, server], halves, watched: [EventFlags::IN; 2] })
    }

    /// Does what a socket is ready for.
    fn work(&mut self, side: usize, ready: EventFlags) -> io::Result<()> {
        if ready.contains(EventFlags::OUT) {
            self.send(1 - side)?;
        }
        if ready.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.receive(side)?;
        }
        Ok(())
    }

    fn receive(&mut self, from: usize) -> io::Result<()> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let (Some(half), Some(socket)) = (self.halves.get_mut(from), self.sockets.get(from)) else {
            return Ok(());
        };
        if half.waiting > 0 || half.ended {
            return Ok(());
        }
        match splice(socket, None, &half.writer, None, MOVED_MAX, flags) {
            Ok(0) => {
                half.ended = true;
                self.sockets.get(1 - from).map_or(Ok(()), |to| to.shutdown(Shutdown::Write))
            }
            Ok(count) => {
                half.waiting = count;
                self.send(from)
            }
            Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what is in the pipe of a direction.
    fn send(&mut self, from: usize) -> io::Result<()> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let (Some(half), Some(to)) = (self.halves.get_mut(from), self.sockets.get(1 - from)) else {
            return Ok(());
        };
        while half.waiting > 0 {
            match splice(&half.reader, None, to, None, half.waiting, flags) {
                Ok(count) => half.waiting -= count,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Has sockets watched for what they are needed for, if that is not so.
    fn watch(&mut self, epoll: &OwnedFd, number: u64) -> io::Result<()> {
        let [up, down] = &self.halves;
        for (side, (input, output)) in [(up, down), (down, up)].into_iter().enumerate() {
            let mut wanted = EventFlags::empty();
            if input.waiting == 0 && !input.ended {
                wanted |= EventFlags::IN;
            }
            if output.waiting > 0 {
                wanted |= EventFlags::OUT;
            }
            let (Some(watched), Some(socket)) =
                (self.watched.get_mut(side), self.sockets.get(side))
            else {
                continue;
            };
            if *watched != wanted {
                *watched = wanted;
                let data = EventData::new_u64(number * 2 + side as u64);
                epoll::modify(epoll, socket, data, wanted)?;
            }
        }
        Ok(())
    }
}
