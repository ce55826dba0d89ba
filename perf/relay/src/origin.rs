//! A server that sends as much as it is asked for, on a thread a connection.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Sent at once.
const CHUNK: usize = 256 * 1024;

pub(crate) fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (client, _) = listener.accept()?;
        thread::spawn(move || {
            // It ends with its client.
            let _ = answer(client);
        });
    }
}

fn answer(mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let chunk = vec![7; CHUNK];
    let mut request = [0; 8];
    loop {
        client.read_exact(&mut request)?;
        let mut left = usize::try_from(u64::from_be_bytes(request)).map_err(io::Error::other)?;
        while left > 0 {
            let part = chunk.get(..left.min(CHUNK)).unwrap_or(&chunk);
            client.write_all(part)?;
            left -= part.len();
        }
    }
}
