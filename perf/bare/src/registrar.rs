//! The registrar as one of the servers, with pools that all have handles of
//! the same length and elements of the same size, so that all answers to a
//! resolution of one element have the same length.

use std::io::{self, Read, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rserpool_codec::asap::Message;
use rserpool_codec::{Addresses, Element, Frame, LengthForm, Transport, frame};
use rserpool_engine::{PeId, Policy, PoolHandle, RegistrarId};
use rserpool_registrar::{Announce, AsapAddress, Host, Options, Running, start};

use crate::server::{Sizes, keep_to, ready};

/// Pools, and elements of each.
pub(crate) const POOLS: u32 = 100;
const ELEMENTS: u32 = 10;
/// An hour in milliseconds, or longer in seconds.
const LIFE: i32 = 3_600_000;

/// Starts one in this process, on a free port, with one shard on each of the
/// first cores of this thread.
pub(crate) fn running(
    host: Host,
    shards: u16,
    move_connections: bool,
) -> io::Result<(Running, SocketAddr)> {
    let options = Options {
        asap: vec![AsapAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))],
        announce: vec![Announce::Off],
        shards: Some(shards),
        host: Some(host),
        // Keep-alives are no part of what is compared.
        keep_alive_interval: Duration::ZERO,
        move_connections,
        ..Options::default()
    };
    let running = start(&options).map_err(|error| io::Error::other(error.to_string()))?;
    let address = running.asap_tcp().first().copied();
    Ok((running, address.ok_or_else(|| io::Error::other("it listens nowhere"))?))
}

/// Serves until the process ends, with one shard on this core.
pub(crate) fn serve(host: Host, core: usize) -> io::Result<()> {
    keep_to(&[core])?;
    let (mut running, address) = running(host, 1, false)?;
    ready(address)?;
    loop {
        if let Some(failure) = running.failure(Duration::from_secs(1)) {
            return Err(io::Error::other(failure.to_string()));
        }
    }
}

fn handle(pool: u32) -> [u8; 12] {
    let mut handle = *b"bare-pool-00";
    handle[10] = b'0' + u8::try_from(pool / 10 % 10).unwrap_or(0);
    handle[11] = b'0' + u8::try_from(pool % 10).unwrap_or(0);
    handle
}

/// Requests for one element of each pool, behind one another.
pub(crate) fn requests() -> Vec<u8> {
    (0..POOLS).flat_map(|pool| request(pool, 1)).collect()
}

/// A request for so many elements of one pool.
pub(crate) fn request(pool: u32, items: u32) -> Vec<u8> {
    let handle = handle(pool);
    let handle = PoolHandle::new(&handle);
    let mut bytes = Vec::new();
    let request = Message::HandleResolution { handle, subscribe: false, items: Some(items) };
    // A short handle always fits.
    let _ = request.emit(&mut bytes, LengthForm::Padded);
    bytes
}

/// Registers all pools over a connection that has to stay open, and finds out
/// the sizes of requests and answers.
pub(crate) fn fill(address: SocketAddr) -> io::Result<(TcpStream, Sizes)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let addresses = [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))];
    let (mut sent, mut answers) = (Vec::new(), 0);
    for pool in 0..POOLS {
        for element in 0..ELEMENTS {
            let element = Element {
                pe: PeId::new(1 + pool * ELEMENTS + element),
                home: RegistrarId::default(),
                life: LIFE,
                user_transport: Transport::tcp(7, Addresses::List(&addresses)),
                policy: Policy::RoundRobin,
                asap_transport: None,
            };
            let handle = handle(pool);
            let handle = PoolHandle::new(&handle);
            let message = Message::Registration { handle, element };
            message
                .emit(&mut sent, LengthForm::Padded)
                .map_err(|error| io::Error::other(error.to_string()))?;
            answers += 1;
        }
    }
    stream.write_all(&sent)?;
    for _ in 0..answers {
        let answer = message(&mut stream)?;
        if !matches!(
            Message::parse(&answer),
            Ok(Message::RegistrationResponse { rejected: false, .. })
        ) {
            return Err(io::Error::other("a registration was refused"));
        }
    }
    let requests = requests();
    let Frame::Whole(request) = frame(&requests) else {
        return Err(io::Error::other("no request"));
    };
    stream.write_all(&requests[..request])?;
    let answer = message(&mut stream)?.len();
    Ok((stream, Sizes { request, answer }))
}

/// Reads one whole message.
pub(crate) fn message(mut stream: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    stream.read_exact(&mut bytes)?;
    let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    bytes.resize(length.next_multiple_of(4).max(4), 0);
    stream.read_exact(&mut bytes[4..])?;
    Ok(bytes)
}
