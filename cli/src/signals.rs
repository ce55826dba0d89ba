//! The signals that end a command.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::outcome::Failure;

/// SIGTERM and SIGINT, from now on.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Those that end a command anyway, but not in order.
    others: Option<(Signal, Signal)>,
}

fn catch(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::failed(format!("signals: {error}")))
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Failure> {
        let (terminate, interrupt) =
            (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, others: None })
    }

    /// SIGHUP and SIGQUIT, too: who has a terminal has to give it back.
    pub(crate) fn and_of_the_terminal(self) -> Result<Self, Failure> {
        let others = Some((catch(SignalKind::hangup())?, catch(SignalKind::quit())?));
        Ok(Self { others, ..self })
    }

    /// Waits for one of them.
    pub(crate) async fn end(&mut self) {
        let others = async {
            match &mut self.others {
                Some((hangup, quit)) => tokio::select! {
                    _ = hangup.recv() => {}
                    _ = quit.recv() => {}
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = others => {}
        }
    }
}
