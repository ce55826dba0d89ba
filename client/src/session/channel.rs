//! A connection between a pool user and a pool element.

use std::io;
use std::time::Duration;

use rserpool_engine::TransportKind;
use rserpool_proto::session::{FRAME_HEADER_BYTES, Framed, emit_frame, read_frame};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::Config;
use crate::ResolvedElement;
use crate::wire::drive_stream;

/// The payload protocol identifier of the control channel (RFC 5352, 3.8).
pub(super) const CONTROL: u32 = rserpool_codec::asap::PPID;
/// Most bytes waiting to be sent.
pub(super) const OUTPUT_MAX: usize = 256 * 1024;

/// A connection that carries messages with their payload protocol identifiers.
#[derive(Debug)]
pub(super) struct Channel {
    stream: TcpStream,
    message_bytes_max: usize,
    output: Vec<u8>,
    input: Vec<u8>,
    /// How much of `input` was taken.
    taken: usize,
}

/// A message that was received.
pub(super) type Received = (u32, Vec<u8>);

impl Channel {
    /// Connects to a pool element at the first of its addresses that accepts.
    pub(super) async fn connect(element: &ResolvedElement, config: &Config) -> io::Result<Self> {
        if element.transport != TransportKind::Tcp {
            let what = "the element's protocol is not TCP";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        let mut failure = io::ErrorKind::AddrNotAvailable.into();
        for address in &element.addresses {
            let attempt = TcpStream::connect(address);
            match tokio::time::timeout(config.connect_timeout, attempt).await {
                Ok(Ok(stream)) => return Self::new(stream, config),
                Ok(Err(error)) => failure = error,
                Err(_) => failure = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(failure)
    }

    pub(super) fn new(stream: TcpStream, config: &Config) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let silence = config.silence_max.max(Duration::from_millis(100));
        let probe = (silence / 4).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new().with_time(probe).with_interval(probe).with_retries(3);
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(silence))?;
        let message_bytes_max = config.message_bytes_max;
        Ok(Self { stream, message_bytes_max, output: Vec::new(), input: Vec::new(), taken: 0 })
    }

    /// Queues a message.
    pub(super) fn queue(&mut self, ppid: u32, message: &[u8]) -> io::Result<()> {
        if message.len() <= self.message_bytes_max && emit_frame(&mut self.output, ppid, message) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"))
    }

    /// How many bytes wait to be sent.
    pub(super) fn queued(&self) -> usize {
        self.output.len()
    }

    /// Takes the next message that is whole.
    pub(super) fn take(&mut self) -> io::Result<Option<Received>> {
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

    /// Sends or receives something. Cancelled, it has done neither.
    pub(super) async fn drive(&mut self) -> io::Result<()> {
        let input_max = self.message_bytes_max + FRAME_HEADER_BYTES;
        drive_stream(&self.stream, &mut self.output, &mut self.input, input_max).await
    }
}
