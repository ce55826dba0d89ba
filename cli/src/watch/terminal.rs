//! The terminal of the full-screen view.

use std::io;
use std::thread;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use super::screen::Screen;

/// How long the end of the view is waited for.
const PATIENCE: Duration = Duration::from_millis(100);

/// The terminal in raw mode, on its other screen. It is as it was before when
/// this is dropped, and when the program panics.
#[derive(Debug)]
pub(super) struct Terminal {
    terminal: DefaultTerminal,
}

impl Terminal {
    pub(super) fn new() -> io::Result<Self> {
        // Sets the panic hook, too.
        Ok(Self { terminal: ratatui::try_init()? })
    }

    pub(super) fn draw(&mut self, screen: &Screen) -> io::Result<()> {
        self.terminal.draw(|frame| screen.draw(frame)).map(drop)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What the terminal tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Key(KeyCode),
    /// It has another size.
    Resized,
    /// Ctrl-C, or the terminal is gone.
    End,
}

/// Reads the terminal on a thread of its own, until nobody listens.
pub(super) fn inputs() -> mpsc::Receiver<Input> {
    let (outbox, inputs) = mpsc::channel(16);
    thread::spawn(move || {
        while !outbox.is_closed() {
            let input = match event::poll(PATIENCE) {
                Ok(false) => continue,
                Ok(true) => event::read().map_or(Some(Input::End), input),
                Err(_) => Some(Input::End),
            };
            if let Some(input) = input
                && (outbox.blocking_send(input).is_err() || input == Input::End)
            {
                return;
            }
        }
    });
    inputs
}

#[expect(clippy::wildcard_enum_match_arm, reason = "most of what happens is nothing to us")]
fn input(event: Event) -> Option<Input> {
    match event {
        Event::Key(KeyEvent { code: KeyCode::Char('c'), modifiers, .. })
            if modifiers.contains(KeyModifiers::CONTROL) =>
        {
            Some(Input::End)
        }
        Event::Key(KeyEvent { code, kind: KeyEventKind::Press | KeyEventKind::Repeat, .. }) => {
            Some(Input::Key(code))
        }
        Event::Resize(..) => Some(Input::Resized),
        _ => None,
    }
}
