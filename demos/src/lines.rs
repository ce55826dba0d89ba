//! A client that sends lines.

use rserpool_client::session::{Event, Session};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::Error;

/// Lines are data of no particular protocol.
const PPID: u32 = 0;

/// What comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Each line.
    Echo,
    None,
}

/// Sends each line, and waits for the answer before the next one.
pub(crate) async fn converse(
    mut session: Session,
    input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
    answers: Answers,
) -> Result<(), Error> {
    let mut lines = input.lines();
    let mut waiting: Option<Vec<u8>> = None;
    loop {
        tokio::select! {
            line = lines.next_line(), if waiting.is_none() => {
                let Some(mut line) = line? else { break };
                line.push('\n');
                session.send(PPID, line.clone()).await?;
                waiting = (answers == Answers::Echo).then(|| line.into_bytes());
            }
            event = session.receive() => match event? {
                Event::Message { data, .. } => {
                    if waiting.as_ref() != Some(&data) {
                        let what = String::from_utf8_lossy(&data).into_owned();
                        return Err(Error::Service(format!("it says {what:?}")));
                    }
                    waiting = None;
                    output.write_all(&data).await?;
                    output.flush().await?;
                }
                Event::FailedOver { .. } => {
                    if let Some(line) = &waiting {
                        session.send(PPID, line.clone()).await?;
                    }
                }
                Event::FailingOver { .. } | _ => {}
            }
        }
    }
    session.close().await;
    Ok(())
}
