//! An SCTP association with a registrar.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rserpool_codec::{Frame, asap, frame};
use rserpool_sctp::kernel::{self, KernelLink};
use rserpool_sctp::udp::{Bind, UdpLink, bind};
use rserpool_sctp::{
    AssocId, ConnectError, DownReason, Event, Link, Progress, SendError, endpoint,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use crate::wire::INPUT_MAX;

/// Messages of an association with a registrar keep their order.
const STREAM: u16 = 0;

/// How long the goodbye to a registrar may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// Batches of messages on their way to or from the thread of an association.
const BATCHES: usize = 16;

/// Where to connect to.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// By the kernel's SCTP.
    Kernel(Vec<IpAddr>, u16),
    /// By SCTP over UDP; the last is the UDP port.
    Udp(Vec<IpAddr>, u16, u16),
}

/// An association with a registrar. A thread of its own drives it: links stay
/// where they were made. It ends with this.
#[derive(Debug)]
pub(crate) struct Association {
    outgoing: Option<mpsc::Sender<Vec<u8>>>,
    incoming: mpsc::Receiver<io::Result<Vec<u8>>>,
}

impl Association {
    /// Connects.
    pub(crate) async fn connect(target: Target) -> io::Result<Self> {
        let (outgoing, to_send) = mpsc::channel(BATCHES);
        let (received, incoming) = mpsc::channel(BATCHES);
        let (connected, outcome) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("rserpool-sctp".to_owned()).spawn(move || {
            runtime.block_on(carry(target, connected, to_send, received));
        })?;
        outcome.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))?;
        Ok(Self { outgoing: Some(outgoing), incoming })
    }

    /// Hands over all of `output`, which has whole messages, or appends received
    /// ones to `input`. Cancelled, it has done neither.
    pub(crate) async fn drive(
        &mut self,
        output: &mut Vec<u8>,
        input: &mut Vec<u8>,
        input_max: usize,
    ) -> io::Result<()> {
        let Some(outgoing) = &self.outgoing else { return Err(io::ErrorKind::NotConnected.into()) };
        let received = tokio::select! {
            permit = outgoing.reserve(), if !output.is_empty() => match permit {
                Ok(permit) => {
                    permit.send(std::mem::take(output));
                    return Ok(());
                }
                // It is lost; why, comes from the other side.
                Err(_) => self.incoming.recv().await,
            },
            received = self.incoming.recv(), if input.len() < input_max => received,
        };
        input.append(&mut received.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))?);
        Ok(())
    }

    /// Waits until what was handed over has arrived.
    pub(crate) async fn close(&mut self) {
        self.outgoing = None;
        while self.incoming.recv().await.is_some() {}
    }
}

/// The life of an association, on its thread.
async fn carry(
    target: Target,
    connected: oneshot::Sender<io::Result<()>>,
    mut to_send: mpsc::Receiver<Vec<u8>>,
    received: mpsc::Sender<io::Result<Vec<u8>>>,
) {
    let mut connected = connected;
    let opened = tokio::select! {
        opened = Carrier::connect(target) => opened,
        // It was given up.
        () = connected.closed() => return,
    };
    let mut carrier = match opened {
        Ok(carrier) => carrier,
        Err(error) => return drop(connected.send(Err(error))),
    };
    if connected.send(Ok(())).is_err() {
        return;
    }
    let (mut output, mut input) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            batch = to_send.recv(), if output.len() < INPUT_MAX => match batch {
                Some(mut batch) => output.append(&mut batch),
                None => break carrier.say_goodbye(&mut output).await,
            },
            driven = carrier.drive(&mut output, &mut input, INPUT_MAX) => {
                let lost = driven.is_err();
                let news = match driven {
                    Ok(()) if input.is_empty() => continue,
                    Ok(()) => Ok(std::mem::take(&mut input)),
                    Err(error) => Err(error),
                };
                if received.send(news).await.is_err() || lost {
                    break;
                }
            }
        }
    }
}

/// A link of its own, with one association. One message is one ASAP message
/// under the payload protocol identifier of ASAP (RFC 5352, 8.3).
struct Carrier {
    link: Box<dyn Link>,
    /// Its descriptor. The link is what it stands for.
    ready: AsyncFd<OwnedFd>,
    id: AssocId,
    up: bool,
    down: Option<DownReason>,
    events: Vec<Event>,
}

impl Carrier {
    async fn connect(target: Target) -> io::Result<Self> {
        match target {
            Target::Kernel(to, port) => {
                let link = KernelLink::new(kernel::Config::default())?;
                Self::open(Box::new(link), &to, port).await
            }
            Target::Udp(to, port, udp) => {
                let any = match to.first() {
                    Some(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                    Some(IpAddr::V4(_)) | None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                };
                let here = Bind { addresses: vec![any], port: 0, ..Bind::default() };
                let sockets = bind(&here)?.pop().ok_or(io::ErrorKind::AddrNotAvailable)?;
                let config =
                    endpoint::Config { remote_udp_port: udp, ..endpoint::Config::default() };
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(io::Error::other)?;
                let link = UdpLink::new(sockets, config, Instant::now(), seed)?;
                Self::open(Box::new(link), &to, port).await
            }
        }
    }

    async fn open(mut link: Box<dyn Link>, to: &[IpAddr], port: u16) -> io::Result<Self> {
        let id = link.connect(Instant::now(), to, port, None).map_err(|error| match error {
            ConnectError::System(error) => error,
            error @ (ConnectError::NoAddress | ConnectError::TooMany | ConnectError::InUse) => {
                io::Error::new(io::ErrorKind::AddrNotAvailable, error)
            }
        })?;
        #[expect(deprecated, reason = "an OwnedFd keeps its descriptor, so this is sound and safe")]
        let ready = AsyncFd::new(link.fd().try_clone_to_owned()?)?;
        let mut this = Self { link, ready, id, up: false, down: None, events: Vec::new() };
        while !this.up {
            this.work(&mut Vec::new())?;
            if let Some(reason) = this.down {
                return Err(lost(reason));
            }
            if !this.up {
                this.wait().await?;
            }
        }
        Ok(this)
    }

    /// Gives whole messages from the front of `output` to the association, or
    /// appends received ones to `input`. Cancelled, it has done neither.
    async fn drive(
        &mut self,
        output: &mut Vec<u8>,
        input: &mut Vec<u8>,
        input_max: usize,
    ) -> io::Result<()> {
        let (had, had_to_send) = (input.len(), output.len());
        loop {
            if input.len() < input_max {
                self.link.resume(Instant::now(), self.id);
            } else {
                self.link.pause(self.id);
            }
            self.send(output)?;
            self.work(input)?;
            if input.len() > had || output.len() < had_to_send {
                return Ok(());
            }
            if let Some(reason) = self.down {
                return Err(lost(reason));
            }
            self.wait().await?;
        }
    }

    /// Gives the link what it takes.
    fn send(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        let mut taken = 0;
        while let Some(rest) = output.get(taken..)
            && let Frame::Whole(length) = frame(rest)
        {
            let message = rest.get(..length).unwrap_or(rest);
            match self.link.send(Instant::now(), self.id, STREAM, asap::PPID, message) {
                Ok(()) => taken += length,
                // The link tells when there is room, or why it is over.
                Err(SendError::Full | SendError::Gone | SendError::NotUp | SendError::Closing) => {
                    break;
                }
                Err(error @ (SendError::Empty | SendError::TooLong | SendError::Stream)) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
                }
            }
        }
        output.drain(..taken);
        self.link.flush(Instant::now())
    }

    /// Lets the link work, and takes what it tells.
    fn work(&mut self, input: &mut Vec<u8>) -> io::Result<()> {
        while self.link.poll(Instant::now(), &mut self.events)? == Progress::More {}
        for event in self.events.drain(..) {
            match event {
                Event::Up(up) => self.up |= up.id == self.id,
                Event::Message(message) if message.id == self.id && message.ppid == asap::PPID => {
                    input.extend_from_slice(&message.data);
                    // On a stream, a message is followed by its padding.
                    input.resize(input.len().next_multiple_of(4), 0);
                }
                // A registrar that was set up anew knows nothing of us.
                Event::Restarted { id } if id == self.id => self.down = Some(DownReason::Closed),
                Event::Down { id, reason } if id == self.id => self.down = Some(reason),
                Event::Message(_)
                | Event::Restarted { .. }
                | Event::Down { .. }
                | Event::Writable { .. } => {}
            }
        }
        Ok(())
    }

    /// Closes the association when all of `output` was acknowledged.
    async fn say_goodbye(&mut self, output: &mut Vec<u8>) {
        let goodbye = async {
            while !output.is_empty() {
                self.drive(output, &mut Vec::new(), INPUT_MAX).await?;
            }
            self.link.shutdown(Instant::now(), self.id);
            self.link.flush(Instant::now())?;
            while self.down.is_none() {
                self.work(&mut Vec::new())?;
                if self.down.is_none() {
                    self.wait().await?;
                }
            }
            Ok::<(), io::Error>(())
        };
        // Whoever does not answer is left.
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }

    /// Waits until the link has something to do.
    async fn wait(&self) -> io::Result<()> {
        let timeout = self.link.timeout();
        tokio::select! {
            ready = self.ready.readable() => {
                ready?.clear_ready();
                Ok(())
            }
            () = sleep_until(timeout.unwrap_or_else(Instant::now).into()), if timeout.is_some() => Ok(()),
        }
    }
}

fn lost(reason: DownReason) -> io::Error {
    let kind = match reason {
        DownReason::Closed => io::ErrorKind::UnexpectedEof,
        DownReason::Refused => io::ErrorKind::ConnectionRefused,
        DownReason::NoAnswer | DownReason::TimedOut => io::ErrorKind::TimedOut,
        DownReason::System(number) => return io::Error::from_raw_os_error(number),
        DownReason::Aborted { .. } | DownReason::Violation(_) => io::ErrorKind::ConnectionReset,
    };
    io::Error::new(kind, reason.to_string())
}
