//! Echo: everything comes back as it was sent. There is no state to keep.

use std::io;

use rserpool_client::session::{ServerEvent, ServerSession, Session};
use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::{Error, lines};

/// The usual pool handle.
pub const POOL: &str = "EchoPool";

/// Serves one session.
///
/// # Errors
/// The association failed.
pub async fn serve(mut session: ServerSession) -> io::Result<()> {
    while let Some(event) = session.receive().await? {
        if let ServerEvent::Message { ppid, data } = event {
            session.send(ppid, &data).await?;
        }
    }
    Ok(())
}

/// Sends each line of `input`, waits for it to come back, and prints it. A line
/// that did not come back before a failover is sent again: it may have been
/// echoed twice, and is printed once.
///
/// # Errors
/// The session failed, something else came back, or input or output failed.
pub async fn converse(
    session: Session,
    input: impl AsyncBufRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> Result<(), Error> {
    lines::converse(session, input, output, lines::Answers::Echo).await
}
