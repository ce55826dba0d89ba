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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{LocalModes, tcgetattr};

    use super::*;

    const PANICS: &str = "RSP_TEST_PANICS_ON_ITS_TERMINAL";

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_says_why() {
        if std::env::var_os(PANICS).is_some() {
            let _terminal = Terminal::new().unwrap();
            panic!("on purpose");
        }
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let open = || File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let terminal = open();
        // This test again, on that terminal.
        let this = "watch::terminal::tests::a_panic_gives_the_terminal_back_before_it_says_why";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture"])
            .env(PANICS, "yes")
            .env("TERM", "xterm")
            .stdin(Stdio::from(open()))
            .stdout(Stdio::from(open()))
            .stderr(Stdio::from(open()))
            .spawn()
            .unwrap();
        let mut reader = File::from(controller);
        let (mut shown, mut bytes) = (String::new(), [0; 4096]);
        while !shown.contains("test result: FAILED") {
            let count = reader.read(&mut bytes).unwrap();
            shown.push_str(&String::from_utf8_lossy(bytes.get(..count).unwrap()));
        }
        assert!(!child.wait().unwrap().success());
        let place = |part: &str| shown.find(part).unwrap_or_else(|| panic!("{part:?}: {shown}"));
        let (entered, left) = (place("\x1b[?1049h"), place("\x1b[?1049l"));
        assert!(entered < left && left < place("on purpose"), "{shown}");
        let modes = tcgetattr(&terminal).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO));
    }
}
