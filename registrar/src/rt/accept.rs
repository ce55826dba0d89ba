//! Accepts connections.

use core::cell::Cell;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use glommio::net::{TcpListener, TcpStream};
use glommio::{GlommioError, timer};
use rserpool_engine::TransportKind;
use rserpool_proto::registrar::Peer;

use super::connection::{Connection, serve};
use super::host::Host;

/// The wait after an error such as "too many open files": accepting again at
/// once would fail again at once, for ever.
const PAUSE: Duration = Duration::from_millis(50);
/// Refusals and errors are logged at most this often.
const LOG_PERIOD: Duration = Duration::from_secs(1);

/// Accepts until the host stops; its listener is shut down then.
pub(super) async fn accept(host: Rc<Host>, listener: TcpListener) {
    let logged = Cell::new(None);
    while !host.stopping.get() {
        match listener.accept().await {
            Ok(stream) => admit(&host, stream, &logged),
            Err(_) if host.stopping.get() => return,
            Err(GlommioError::IoError(error)) if is_of_one_connection(&error) => {}
            Err(error) => {
                log_sometimes(&logged, || log::warn!("cannot accept a connection: {error}"));
                timer::sleep(PAUSE).await;
            }
        }
        host.pace.breathe().await;
    }
}

/// Whether an error concerns the connection that was to be accepted, which
/// is gone, and not the listener: accept(2), "error handling".
pub(super) fn is_of_one_connection(error: &io::Error) -> bool {
    let kinds = [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::Interrupted,
        io::ErrorKind::NetworkDown,
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::HostUnreachable,
    ];
    kinds.contains(&error.kind())
}

fn admit(host: &Rc<Host>, stream: TcpStream, logged: &Cell<Option<Instant>>) {
    // It may be gone already.
    let (Ok(peer), Ok(())) = (stream.peer_addr(), stream.set_nodelay(true)) else { return };
    let address = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let peer = Peer { address, transport: TransportKind::Tcp };
    let Ok(admitted) = host.with_shard(|shard, now| shard.accept(now, peer)) else { return };
    // Closes what made room, before the new one gets its place. A panic is
    // logged; the connection's own turns show whether it can be served.
    let _logged = host.turn([]);
    if let Some(id) = admitted {
        let connection = Rc::new(Connection::new(id));
        host.add(&connection);
        glommio::spawn_local(serve(Rc::clone(host), connection, stream)).detach();
    } else {
        log_sometimes(logged, || {
            log::warn!("no room for more connections, tcp://{address} refused");
        });
    }
}

pub(super) fn log_sometimes(logged: &Cell<Option<Instant>>, log: impl FnOnce()) {
    if logged.get().is_none_or(|at| at.elapsed() > LOG_PERIOD) {
        logged.set(Some(Instant::now()));
        log();
    }
}
