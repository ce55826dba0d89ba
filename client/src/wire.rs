//! What carries the messages of an association with a registrar.

use std::io;
use std::net::IpAddr;

use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::association::{Association, Target};
use crate::registrar_url::ASAP_PORT;
use crate::{Carrier, RegistrarUrl};

/// Most bytes of unread messages. More are read when these are handled.
pub(crate) const INPUT_MAX: usize = 256 * 1024;

/// An association with a registrar.
#[derive(Debug)]
pub(crate) enum Wire {
    Tcp(TcpStream),
    Sctp(Association),
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
            Carrier::Sctp => {
                let to = addresses(&url.host, url.port).await?;
                Ok(Self::Sctp(Association::connect(Target::Kernel(to, url.port)).await?))
            }
            Carrier::SctpUdp => {
                let to = addresses(&url.host, url.port).await?;
                let target = Target::Udp(to, ASAP_PORT, url.port);
                Ok(Self::Sctp(Association::connect(target).await?))
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
            Self::Sctp(association) => association.drive(output, input, INPUT_MAX).await,
        }
    }

    /// Waits until what was sent has arrived, where that can be known.
    pub(crate) async fn close(&mut self) {
        match self {
            // What the kernel has taken, it delivers.
            Self::Tcp(_) => {}
            Self::Sctp(association) => association.close().await,
        }
    }
}

/// The addresses of a host.
async fn addresses(host: &str, port: u16) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.map(|one| one.ip()).collect())
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
