//! The full-screen view at work: looks, keys and signals.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::screen::{Screen, Wish};
use super::snapshot::{Snapshot, Source};
use super::terminal::{Input, Terminal, inputs};
use crate::access;
use crate::command_line::{Line, Watch};
use crate::outcome::Failure;
use crate::signals::Signals;

type Look = JoinHandle<Result<Snapshot, Failure>>;

pub(super) async fn run(line: &Line, options: &Watch) -> Result<(), Failure> {
    let mut signals = Signals::new()?.and_of_the_terminal()?;
    // The first look comes before the screen: what fails then is an error.
    let source = Arc::new(source(line, options).await?);
    let handle = options.handle.as_ref().map(|handle| handle.as_bytes().to_vec());
    let mut screen = Screen::new(source.name(), handle);
    let mut terminal = Terminal::new().map_err(Failure::failed)?;
    let mut inputs = inputs();
    let mut ticks = interval(options.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = options.count;
    let mut look: Option<Look> = None;
    let begin = |screen: &Screen| {
        let (source, patience) = (Arc::clone(&source), line.timeout);
        let open = screen.open().map(<[u8]>::to_vec);
        tokio::spawn(async move { source.look(open.as_deref(), patience).await })
    };
    loop {
        terminal.draw(&screen).map_err(Failure::failed)?;
        tokio::select! {
            _ = ticks.tick(), if look.is_none() => {
                if left == Some(0) {
                    return Ok(());
                }
                left = left.map(|left| left - 1);
                look = Some(begin(&screen));
            }
            seen = finished(&mut look) => {
                look = None;
                match seen {
                    Ok(now) => {
                        screen.update(now, &clock());
                        // Its elements were not asked for with this look.
                        if screen.is_unread() {
                            look = Some(begin(&screen));
                        }
                    }
                    Err(failure) => screen.failed(&failure.to_string(), &clock()),
                }
            }
            input = inputs.recv() => match input {
                Some(Input::Key(key)) => match screen.press(key) {
                    Wish::Quit => return Ok(()),
                    Wish::Look => {
                        if let Some(old) = look.replace(begin(&screen)) {
                            old.abort();
                        }
                    }
                    Wish::Nothing => {}
                },
                Some(Input::Resized) => {}
                Some(Input::End) | None => return Ok(()),
            },
            () = signals.end() => return Ok(()),
        }
    }
}

/// The admin address if it answers, or the pool as a client sees it.
async fn source(line: &Line, options: &Watch) -> Result<Source, Failure> {
    let admin = Source::Admin(options.admin.clone());
    match (admin.look(None, line.timeout).await, &options.handle) {
        (Ok(_), _) => Ok(admin),
        (Err(_), Some(handle)) => Ok(Source::Client(access::find(line).await?, handle.clone())),
        (Err(failure), None) => Err(failure),
    }
}

/// Waits for the look under way, if there is one.
async fn finished(look: &mut Option<Look>) -> Result<Snapshot, Failure> {
    match look {
        Some(look) => look.await.map_err(Failure::failed)?,
        None => std::future::pending().await,
    }
}

/// The time of day, in UTC.
fn clock() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs()) % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
