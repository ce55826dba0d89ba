//! An SCTP association with a registrar.

use std::io;
use std::net::IpAddr;

use rserpool_codec::{Frame, asap, frame};
use rserpool_sctp::Tuning;

use crate::sctp::{self, Role, Stack};

/// Where to connect to.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// By the kernel's SCTP.
    Kernel(Vec<IpAddr>, u16),
    /// By SCTP over UDP; the last is the UDP port.
    Udp(Vec<IpAddr>, u16, u16),
}

/// An association with a registrar. One message is one ASAP message under the
/// payload protocol identifier of ASAP (RFC 5352, 8.3).
#[derive(Debug)]
pub(crate) struct Association(sctp::Association);

impl Association {
    /// Connects.
    pub(crate) async fn connect(target: Target) -> io::Result<Self> {
        let (stack, to, port) = match target {
            Target::Kernel(to, port) => (Stack::Kernel, to, port),
            Target::Udp(to, port, udp) => (Stack::Udp(udp), to, port),
        };
        let (endpoint, ..) = sctp::Endpoint::open(stack, Role::Connect, Tuning::default()).await?;
        Ok(Self(endpoint.connect(to, port).await?))
    }

    /// Hands over the messages at the front of `output`, or appends received
    /// ones to `input`. Cancelled, it has done neither.
    pub(crate) async fn drive(
        &mut self,
        output: &mut Vec<u8>,
        input: &mut Vec<u8>,
        input_max: usize,
    ) -> io::Result<()> {
        loop {
            if self.send(output) {
                return Ok(());
            }
            let (ppid, data) = tokio::select! {
                () = self.0.room(), if !output.is_empty() && !self.0.has_room() => continue,
                received = self.0.receive(), if input.len() < input_max => received?,
                else => std::future::pending().await,
            };
            if ppid == asap::PPID {
                input.extend_from_slice(&data);
                // On a stream, a message is followed by its padding.
                input.resize(input.len().next_multiple_of(4), 0);
                return Ok(());
            }
        }
    }

    /// Hands over what there is room for; whether there was something.
    fn send(&self, output: &mut Vec<u8>) -> bool {
        let mut taken = 0;
        while self.0.has_room()
            && let Some(rest) = output.get(taken..)
            && let Frame::Whole(length) = frame(rest)
        {
            self.0.send(asap::PPID, rest.get(..length).unwrap_or(rest).to_vec());
            taken += length;
        }
        output.drain(..taken);
        taken > 0
    }

    /// Waits until what was handed over has arrived.
    pub(crate) async fn close(&mut self) {
        self.0.close().await;
    }
}
