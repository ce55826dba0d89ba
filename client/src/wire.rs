//! What carries the messages of an association with a registrar.

use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::{Carrier, RegistrarUrl};

/// Most bytes of unread messages. More are read when these are handled.
const INPUT_MAX: usize = 256 * 1024;

/// An association with a registrar.
#[derive(Debug)]
pub(crate) enum Wire {
    Tcp(TcpStream),
}

impl Wire {
    /// Connects to a registrar.
    pub(crate) async fn connect(url: &RegistrarUrl) -> io::Result<Self> {
        match url.carrier {
            Carrier::Tcp => {
                let stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            Carrier::Sctp | Carrier::SctpUdp => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "SCTP is not there yet"))
            }
        }
    }

    /// Sends from the front of `output` or appends to `input`, whichever can
    /// be done first. Cancelled, it has done neither.
    pub(crate) async fn drive(
        &mut self,
        output: &mut Vec<u8>,
        input: &mut Vec<u8>,
    ) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => drive_stream(stream, output, input, INPUT_MAX).await,
        }
    }
}

/// Sends from the front of `output` or appends to `input`, up to `input_max`
/// bytes of it, whichever can be done first. Cancelled, it has done neither.
pub(crate) async fn drive_stream(
    stream: &TcpStream,
    output: &mut Vec<u8>,
    input: &mut Vec<u8>,
    input_max: usize,
) -> io::Result<()> {
    let interest = match (output.is_empty(), input.len() < input_max) {
        (true, true) => Interest::READABLE,
        (false, true) => Interest::READABLE | Interest::WRITABLE,
        (false, false) => Interest::WRITABLE,
        (true, false) => return std::future::pending().await,
    };
    loop {
        let ready = stream.ready(interest).await?;
        let mut done = false;
        if ready.is_readable() && input.len() < input_max {
            input.reserve(16 * 1024);
            match stream.try_read_buf(input) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => done = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if ready.is_writable() && !output.is_empty() {
            done |= write(stream, output)?;
        }
        if done {
            return Ok(());
        }
    }
}

/// Sends from the front of `output` what the socket takes now; whether it took
/// something.
pub(crate) fn write(stream: &TcpStream, output: &mut Vec<u8>) -> io::Result<bool> {
    if output.is_empty() {
        return Ok(false);
    }
    match stream.try_write(output) {
        Ok(count) => {
            output.drain(..count);
            Ok(count > 0)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
