//! An association between a pool user and a pool element.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use rserpool_engine::TransportKind;
use rserpool_proto::session::{FRAME_HEADER_BYTES, Framed, emit_frame, read_frame};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::{Config, SctpEndpoints};
use crate::sctp::Association;
use crate::wire::drive_stream;
use crate::{ResolvedElement, sctp};

/// The payload protocol identifier of the control channel (RFC 5352, 3.8).
pub(super) const CONTROL: u32 = rserpool_codec::asap::PPID;
/// Most bytes waiting to be sent.
pub(super) const OUTPUT_MAX: usize = 256 * 1024;

/// What carries messages with their payload protocol identifiers.
#[derive(Debug)]
pub(super) enum Channel {
    Tcp(Tcp),
    Sctp(Sctp),
}

/// A TCP connection: the messages are framed.
#[derive(Debug)]
pub(super) struct Tcp {
    stream: TcpStream,
    message_bytes_max: usize,
    output: Vec<u8>,
    input: Vec<u8>,
    /// How much of `input` was taken.
    taken: usize,
}

/// An SCTP association: its messages are the messages.
#[derive(Debug)]
pub(super) struct Sctp {
    association: Association,
    message_bytes_max: usize,
    output: VecDeque<Received>,
    output_bytes: usize,
    input: VecDeque<Received>,
}

/// A message that was received.
pub(super) type Received = sctp::Message;

impl Channel {
    /// Connects to a pool element: over TCP at the first of its addresses that
    /// accepts, over SCTP with all of them.
    pub(super) async fn connect(
        element: &ResolvedElement,
        config: &Config,
        endpoints: &SctpEndpoints,
    ) -> io::Result<Self> {
        if element.transport == TransportKind::Sctp {
            let to: Vec<IpAddr> = element.addresses.iter().map(|one| one.ip()).collect();
            let port = element.addresses.first().map_or(0, |one| one.port());
            let attempt = async { endpoints.of(config).await?.connect(to, port).await };
            return match tokio::time::timeout(config.connect_timeout, attempt).await {
                Ok(association) => Ok(Self::sctp(association?, config)),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
        }
        if element.transport != TransportKind::Tcp {
            let what = "the element's protocol is neither TCP nor SCTP";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        let mut failure = io::ErrorKind::AddrNotAvailable.into();
        for address in &element.addresses {
            let attempt = TcpStream::connect(address);
            match tokio::time::timeout(config.connect_timeout, attempt).await {
                Ok(Ok(stream)) => return Self::tcp(stream, config),
                Ok(Err(error)) => failure = error,
                Err(_) => failure = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(failure)
    }

    pub(super) fn tcp(stream: TcpStream, config: &Config) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let silence = config.silence_max.max(Duration::from_millis(100));
        let probe = (silence / 4).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new().with_time(probe).with_interval(probe).with_retries(3);
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(silence))?;
        let message_bytes_max = config.message_bytes_max;
        let (output, input) = (Vec::new(), Vec::new());
        Ok(Self::Tcp(Tcp { stream, message_bytes_max, output, input, taken: 0 }))
    }

    pub(super) const fn sctp(association: Association, config: &Config) -> Self {
        Self::Sctp(Sctp {
            association,
            message_bytes_max: config.message_bytes_max,
            output: VecDeque::new(),
            output_bytes: 0,
            input: VecDeque::new(),
        })
    }

    /// Queues a message.
    pub(super) fn queue(&mut self, ppid: u32, message: &[u8]) -> io::Result<()> {
        let invalid = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if message.is_empty() {
            return invalid("an empty message cannot be sent: SCTP has none");
        }
        let queued = match self {
            Self::Tcp(tcp) => {
                message.len() <= tcp.message_bytes_max && emit_frame(&mut tcp.output, ppid, message)
            }
            Self::Sctp(sctp) => {
                let fits = message.len() <= sctp.message_bytes_max;
                if fits {
                    sctp.output_bytes += message.len();
                    sctp.output.push_back((ppid, message.to_vec()));
                }
                fits
            }
        };
        if queued { Ok(()) } else { invalid("the message is too long") }
    }

    /// How many bytes wait to be sent.
    pub(super) fn queued(&self) -> usize {
        match self {
            Self::Tcp(tcp) => tcp.output.len(),
            Self::Sctp(sctp) => sctp.output_bytes,
        }
    }

    /// Takes the next message that is whole.
    pub(super) fn take(&mut self) -> io::Result<Option<Received>> {
        match self {
            Self::Tcp(tcp) => tcp.take(),
            Self::Sctp(sctp) => Ok(sctp.input.pop_front()),
        }
    }

    /// Sends or receives something. Cancelled, it has done neither.
    pub(super) async fn drive(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => {
                let input_max = tcp.message_bytes_max + FRAME_HEADER_BYTES;
                drive_stream(&tcp.stream, &mut tcp.output, &mut tcp.input, input_max).await
            }
            Self::Sctp(sctp) => sctp.drive().await,
        }
    }

    /// Waits until everything that was queued has left, and ends.
    pub(super) async fn finish(&mut self) {
        while self.queued() > 0 && self.drive().await.is_ok() {}
        if let Self::Sctp(sctp) = self {
            sctp.association.close().await;
        }
    }

    /// Ends at once: the other side does not answer.
    pub(super) fn abort(self) {
        if let Self::Sctp(sctp) = self {
            sctp.association.abort();
        }
    }
}

impl Tcp {
    fn take(&mut self) -> io::Result<Option<Received>> {
        let rest = self.input.get(self.taken..).unwrap_or_default();
        match read_frame(rest, self.message_bytes_max) {
            Framed::Whole { ppid, message, bytes } => {
                let received = (ppid, message.to_vec());
                self.taken += bytes;
                Ok(Some(received))
            }
            Framed::Incomplete => {
                self.input.drain(..self.taken);
                self.taken = 0;
                Ok(None)
            }
            Framed::TooLong => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl Sctp {
    async fn drive(&mut self) -> io::Result<()> {
        loop {
            let mut sent = false;
            while self.association.has_room()
                && let Some((ppid, data)) = self.output.pop_front()
            {
                self.output_bytes -= data.len();
                self.association.send(ppid, data);
                sent = true;
            }
            if sent {
                return Ok(());
            }
            tokio::select! {
                () = self.association.room(), if !self.output.is_empty() => {}
                received = self.association.receive(), if self.input.is_empty() => {
                    self.input.push_back(received?);
                    return Ok(());
                }
                else => std::future::pending().await,
            }
        }
    }
}
