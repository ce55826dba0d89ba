//! What `perf/proxy` measures proxies with.
//!
//! ```text
//! rserpool-relay origin                    a server that sends as much as it is asked for
//! rserpool-relay splice ORIGIN             a plain splice proxy, one thread
//! rserpool-relay drive PROXY CONNECTIONS EXCHANGES BYTES [--short]
//! ```
//! The first two print their address. The client makes so many exchanges on
//! each connection, each of 8 bytes there and so many back; with `--short` each
//! exchange has a connection of its own. It prints the seconds it took.

mod client;
mod origin;
mod splice;

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;

const USAGE: &str = "usage: rserpool-relay origin | splice ORIGIN | \
                     drive PROXY CONNECTIONS EXCHANGES BYTES [--short]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["origin"] => listen().and_then(|listener| origin::serve(&listener)),
        ["splice", origin] => match origin.parse() {
            Ok(origin) => listen().and_then(|listener| splice::serve(&listener, origin)),
            Err(_) => return wrong(),
        },
        ["drive", proxy, connections, exchanges, bytes, rest @ ..] => {
            let numbers = (connections.parse(), exchanges.parse(), bytes.parse());
            let (Ok(proxy), (Ok(connections @ 1..=1024), Ok(exchanges), Ok(bytes))) =
                (proxy.parse::<SocketAddr>(), numbers)
            else {
                return wrong();
            };
            let short = match rest {
                [] => client::Connections::Kept,
                ["--short"] => client::Connections::Short,
                _ => return wrong(),
            };
            client::drive(proxy, &client::Load { connections, exchanges, bytes, short })
                .and_then(|took| writeln!(io::stdout(), "{:.6}", took.as_secs_f64()))
        }
        _ => return wrong(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody reads it, the exit status tells.
            let _ = writeln!(io::stderr(), "rserpool-relay: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wrong() -> ExitCode {
    let _ = writeln!(io::stderr(), "{USAGE}");
    ExitCode::from(2)
}

/// A free port of loopback, which is printed.
fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    Ok(listener)
}
