//! The pool element's side of a session.

use std::io;
use std::net::SocketAddr;

use rserpool_codec::asap::Message;
use rserpool_codec::{Elements, LengthForm};
use rserpool_engine::PoolHandle;
use tokio::net::{TcpListener, TcpSocket, ToSocketAddrs, lookup_host};
use tokio::sync::{Mutex, mpsc};

use super::Config;
use super::channel::{CONTROL, Channel};
use crate::ResolvedElement;
use crate::sctp::{Accepted, Endpoint, Role};

/// Connections that wait to be accepted: all sessions of an element that failed
/// may come at once, and one that finds no room tries again only after a second.
const BACKLOG: u32 = 4096;

/// Accepts the sessions of pool users.
#[derive(Debug)]
pub struct SessionListener {
    listener: Listener,
    config: Config,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Sctp {
        address: SocketAddr,
        accepting: Mutex<mpsc::UnboundedReceiver<Accepted>>,
        /// It takes associations as long as this is there.
        _endpoint: Endpoint,
    },
}

impl SessionListener {
    /// Listens at a TCP address.
    ///
    /// # Errors
    /// The address cannot be listened at.
    pub async fn bind(address: impl ToSocketAddrs, config: Config) -> io::Result<Self> {
        let mut failure = io::ErrorKind::AddrNotAvailable.into();
        for address in lookup_host(address).await? {
            match listen(address) {
                Ok(listener) => return Ok(Self { listener: Listener::Tcp(listener), config }),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Listens at an SCTP address; at all addresses where it is unspecified.
    /// Port 0 takes a free one.
    ///
    /// # Errors
    /// The address cannot be listened at, or there is no SCTP of this kind.
    pub async fn bind_sctp(address: SocketAddr, config: Config) -> io::Result<Self> {
        let ip = address.ip();
        let addresses = if ip.is_unspecified() { Vec::new() } else { vec![ip] };
        let role = Role::Listen(addresses, address.port());
        let (endpoint, port, accepting) =
            Endpoint::open(config.sctp.stack(), role, config.tuning()).await?;
        let (address, accepting) = (SocketAddr::new(ip, port), Mutex::new(accepting));
        Ok(Self { listener: Listener::Sctp { address, accepting, _endpoint: endpoint }, config })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr(),
            Listener::Sctp { address, .. } => Ok(*address),
        }
    }

    /// Waits for the next session. May be cancelled at any time.
    ///
    /// # Errors
    /// The system has no room for it; the next one may find some.
    pub async fn accept(&self) -> io::Result<ServerSession> {
        match &self.listener {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(ServerSession { channel: Channel::tcp(stream, &self.config)?, peer })
            }
            Listener::Sctp { accepting, .. } => {
                let accepted = accepting.lock().await.recv().await;
                let (association, peer) = accepted.ok_or(io::ErrorKind::NotConnected)?;
                Ok(ServerSession { channel: Channel::sctp(association, &self.config), peer })
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What a pool user sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// Data, with its payload protocol identifier.
    Message {
        /// The payload protocol identifier; never that of ASAP.
        ppid: u32,
        /// The message.
        data: Vec<u8>,
    },
    /// The last cookie that it got from another pool element. It is the first
    /// thing of a session that was failed over; see
    /// [`CookieKey::open`](super::CookieKey::open).
    CookieEcho(Vec<u8>),
}

/// A session with a pool user. Dropped, it ends.
#[derive(Debug)]
pub struct ServerSession {
    channel: Channel,
    peer: SocketAddr,
}

impl ServerSession {
    /// Where the pool user is.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Waits for what the pool user sends next. `None`: it is gone. May be
    /// cancelled at any time.
    ///
    /// # Errors
    /// The connection failed, or the pool user does not keep to the protocol.
    pub async fn receive(&mut self) -> io::Result<Option<ServerEvent>> {
        loop {
            while let Some((ppid, data)) = self.channel.take()? {
                if ppid != CONTROL {
                    return Ok(Some(ServerEvent::Message { ppid, data }));
                }
                if let Ok(Message::CookieEcho { cookie }) = Message::parse(&data) {
                    return Ok(Some(ServerEvent::CookieEcho(cookie.to_vec())));
                }
            }
            match self.channel.drive().await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends data. Cancelled, the message is sent with the next call.
    ///
    /// # Errors
    /// The connection failed, the message is too long, or the identifier is
    /// that of ASAP.
    pub async fn send(&mut self, ppid: u32, data: &[u8]) -> io::Result<()> {
        self.queue(ppid, data)?;
        self.flush().await
    }

    fn queue(&mut self, ppid: u32, data: &[u8]) -> io::Result<()> {
        if ppid == CONTROL {
            let what = "11 is the payload protocol identifier of ASAP";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        self.channel.queue(ppid, data)
    }

    /// Leaves the state of the session with the pool user: whoever goes on with
    /// it gets the last cookie first (RFC 5352, 3.8).
    ///
    /// # Errors
    /// As [`ServerSession::send`].
    pub async fn send_cookie(&mut self, cookie: &[u8]) -> io::Result<()> {
        self.queue_control(&Message::Cookie { cookie })?;
        self.flush().await
    }

    /// Sends data, and behind it the cookie with the state after it, as one
    /// piece: a process that is killed has sent both or, but for the kernel's
    /// SCTP and messages longer than a packet, neither.
    ///
    /// # Errors
    /// As [`ServerSession::send`].
    pub async fn send_with_cookie(
        &mut self,
        ppid: u32,
        data: &[u8],
        cookie: &[u8],
    ) -> io::Result<()> {
        self.queue(ppid, data)?;
        self.queue_control(&Message::Cookie { cookie })?;
        self.flush().await
    }

    /// Ends the session when everything that was sent has left.
    pub async fn close(mut self) {
        self.channel.finish().await;
    }

    /// Ends the session at once, because of what the pool user did.
    pub fn abort(self) {
        self.channel.abort();
    }

    /// Recommends elements of the pool to go on with when this one fails, in
    /// this order (RFC 5352, 3.9), as [`Endpoint::resolve`](crate::Endpoint)
    /// gives them. The last business card counts.
    ///
    /// # Errors
    /// As [`ServerSession::send`]; there has to be an element, and each has to
    /// have an address.
    pub async fn send_business_card(
        &mut self,
        handle: impl AsRef<[u8]>,
        elements: &[ResolvedElement],
    ) -> io::Result<()> {
        let addresses: Vec<_> = elements.iter().map(ResolvedElement::ips).collect();
        let named = elements.iter().zip(&addresses);
        let elements: Option<Vec<_>> = named.map(|(one, ips)| one.parameter(ips)).collect();
        let Some(elements) = elements.filter(|all| !all.is_empty()) else {
            let what = "a business card has elements, and each of them has an address";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        };
        let (handle, elements) = (PoolHandle::new(handle.as_ref()), Elements::list(&elements));
        self.queue_control(&Message::BusinessCard { handle, elements })?;
        self.flush().await
    }

    fn queue_control(&mut self, message: &Message<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        message
            .emit(&mut bytes, LengthForm::Rfc)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
        self.channel.queue(CONTROL, &bytes)
    }

    async fn flush(&mut self) -> io::Result<()> {
        while self.channel.queued() > 0 {
            self.channel.drive().await?;
        }
        Ok(())
    }
}
