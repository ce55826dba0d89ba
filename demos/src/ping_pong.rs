//! Ping-pong: each Ping is answered with a Pong that says how many replies the
//! session has had. After each reply the service leaves the next number with the
//! client, as a cookie; the next element goes on counting there.
//!
//! Over SCTP in user space and over TCP a reply and its cookie leave as one
//! piece, so that a client that asks again what was not answered sees each
//! number once. Over the kernel's SCTP the cookie is a message of its own,
//! behind the reply, as it is with rsplib: an element that dies between the two
//! has its successor use the number again, for another reply. No reply is lost
//! either way.

use std::io;
use std::time::Duration;

use rserpool_client::PeId;
use rserpool_client::session::{Event, ServerEvent, ServerSession, Session};
use tokio::time::{Instant, sleep_until};

use crate::Error;
use crate::octets::{Reader, open, seal};

/// The usual pool handle.
pub const POOL: &str = "PingPongPool";
/// The payload protocol identifier.
pub const PPID: u32 = 33;

const PING: u8 = 1;
const PONG: u8 = 2;
/// What a cookie begins with.
const COOKIE: &[u8; 8] = b"<PP-TD1>";

/// Serves one session.
///
/// # Errors
/// The association failed, or the client does not keep to the protocol, which
/// ends the session.
pub async fn serve(mut session: ServerSession) -> io::Result<()> {
    let mut next = 1_u64;
    while let Some(event) = session.receive().await? {
        let pong = match &event {
            ServerEvent::CookieEcho(echo) => match read_cookie(echo) {
                Some(number) => {
                    next = number;
                    continue;
                }
                None => None,
            },
            ServerEvent::Message { data, .. } => answer(data, next),
        };
        let Some(pong) = pong else {
            session.abort();
            return Err(io::ErrorKind::InvalidData.into());
        };
        next = next.wrapping_add(1);
        session.send_with_cookie(PPID, &pong, &cookie(next)).await?;
    }
    Ok(())
}

/// A Pong to this Ping, if it is one.
fn answer(ping: &[u8], reply: u64) -> Option<Vec<u8>> {
    let (PING, mut body) = open(ping)? else { return None };
    let mut pong = body.take::<8>()?.to_vec();
    pong.extend(reply.to_be_bytes());
    pong.extend(body.0);
    seal(PONG, &pong)
}

fn cookie(next: u64) -> Vec<u8> {
    COOKIE.iter().copied().chain(next.to_be_bytes()).collect()
}

fn read_cookie(cookie: &[u8]) -> Option<u64> {
    let mut reader = Reader(cookie.strip_prefix(COOKIE)?);
    reader.u64().filter(|_| reader.0.is_empty())
}

/// What a client says of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Which of its messages it answers, from 1.
    pub message: u64,
    /// Its number, as the service counts.
    pub number: u64,
    /// Who gave it.
    pub pe: PeId,
}

/// Sends this many Pings (`None`: until the caller has enough), the next one
/// after `interval` or when the one before is answered, whichever is later, and
/// tells of each reply. A Ping that was not answered before a failover is sent
/// again.
///
/// # Errors
/// The session failed, or the service answered what was not asked.
pub async fn play(
    mut session: Session,
    pings: Option<u64>,
    interval: Duration,
    mut told: impl FnMut(Reply) + Send,
) -> Result<(), Error> {
    let mut message = 0;
    while pings.is_none_or(|pings| message < pings) {
        message += 1;
        let due = Instant::now() + interval;
        session.send(PPID, ping(message)).await?;
        loop {
            match session.receive().await? {
                Event::Message { data, .. } => {
                    let reply = read_pong(&data)
                        .filter(|(answered, _)| *answered == message)
                        .ok_or_else(|| Error::Service("that is no Pong to our Ping".to_owned()))?;
                    told(Reply { message, number: reply.1, pe: session.peer() });
                    break;
                }
                Event::FailedOver { .. } => session.send(PPID, ping(message)).await?,
                Event::FailingOver { .. } | _ => {}
            }
        }
        sleep_until(due).await;
    }
    session.close().await;
    Ok(())
}

fn ping(message: u64) -> Vec<u8> {
    let text = format!("message {message}");
    let body: Vec<u8> = message.to_be_bytes().into_iter().chain(text.into_bytes()).collect();
    seal(PING, &body).unwrap_or_default()
}

/// The message that a Pong answers, and its number.
fn read_pong(pong: &[u8]) -> Option<(u64, u64)> {
    let (PONG, mut body) = open(pong)? else { return None };
    Some((body.u64()?, body.u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pong_is_a_ping_with_a_number_in_it() {
        // As rsplib's client sends it, with a shorter text.
        let ping = b"\x01\0\0\x0f\0\0\0\0\0\0\0\x05Hi!";
        let pong = b"\x02\0\0\x17\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\x01\x02Hi!";
        assert_eq!(answer(ping, 258).as_deref(), Some(pong.as_slice()));
        assert_eq!(read_pong(pong), Some((5, 258)));
    }

    #[test]
    fn what_is_no_ping_is_not_answered() {
        for bad in
            [b"".as_slice(), b"\x01\0\0\x04", b"\x02\0\0\x0c\0\0\0\0\0\0\0\x05", b"hello world!"]
        {
            assert_eq!(answer(bad, 1), None, "{bad:?}");
        }
        let longest = seal(PING, &[0; 65_531]).unwrap();
        assert_eq!(answer(&longest, 1), None);
    }

    #[test]
    fn a_cookie_is_the_next_number() {
        assert_eq!(cookie(258), b"<PP-TD1>\0\0\0\0\0\0\x01\x02");
        assert_eq!(read_cookie(&cookie(258)), Some(258));
        for bad in [b"".as_slice(), b"<PP-TD1>", b"<PP-TD2>\0\0\0\0\0\0\x01\x02", &[0; 17]] {
            assert_eq!(read_cookie(bad), None);
        }
    }
}
