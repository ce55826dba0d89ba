//! Discard: what is sent is thrown away, and nobody says so.

use std::io;

use rserpool_client::session::{ServerSession, Session};
use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::{Error, lines};

/// The usual pool handle.
pub const POOL: &str = "DiscardPool";

/// Serves one session.
///
/// # Errors
/// The association failed.
pub async fn serve(mut session: ServerSession) -> io::Result<()> {
    while session.receive().await?.is_some() {}
    Ok(())
}

/// Sends each line of `input`. Which ones arrived nobody knows.
///
/// # Errors
/// The session failed, the service said something, or input or output failed.
pub async fn converse(
    session: Session,
    input: impl AsyncBufRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> Result<(), Error> {
    lines::converse(session, input, output, lines::Answers::None).await
}
