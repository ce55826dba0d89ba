//! `rsp watch` on a terminal.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rserpool_registrar::{AdminAddress, Options, Running, start};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// Enter and leave the other screen.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

fn registrar() -> (Running, String, String) {
    let asap = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    let admin = AdminAddress::At(SocketAddr::from(([127, 0, 0, 1], 0)));
    let running = start(&Options { asap, admin, shards: Some(1), ..Options::default() }).unwrap();
    let url = format!("tcp://{}", running.asap_tcp()[0]);
    let admin = format!("http://{}", running.bound().admin.unwrap());
    (running, url, admin)
}

/// What a terminal of this size shows.
const ROWS: usize = 24;
const COLUMNS: usize = 100;
/// How long something to be shown is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// As much of a terminal as it takes to read its screen.
struct Screen {
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    escape: Option<String>,
}

impl Screen {
    fn new() -> Self {
        Self { cells: vec![vec![' '; COLUMNS]; ROWS], at: (0, 0), escape: None }
    }

    fn take(&mut self, c: char) {
        match &mut self.escape {
            Some(escape) => {
                escape.push(c);
                if c.is_ascii_alphabetic() {
                    if let Some(place) =
                        escape.strip_prefix('[').and_then(|it| it.strip_suffix('H'))
                        && let Some((row, column)) = place.split_once(';')
                    {
                        let number = |text: &str| text.parse::<usize>().unwrap() - 1;
                        self.at = (number(row), number(column));
                    }
                    self.escape = None;
                }
            }
            None if c == '\x1b' => self.escape = Some(String::new()),
            None => {
                let (row, column) = self.at;
                if let Some(cell) = self.cells.get_mut(row).and_then(|row| row.get_mut(column)) {
                    *cell = c;
                }
                self.at.1 += 1;
            }
        }
    }

    fn text(&self) -> String {
        let rows: Vec<String> = self.cells.iter().map(|row| row.iter().collect()).collect();
        rows.join("\n")
    }
}

/// A command on a terminal of its own.
struct OnTerminal {
    child: Child,
    keyboard: File,
    /// The side of the command.
    terminal: OwnedFd,
    output: mpsc::Receiver<Vec<u8>>,
    rest: Vec<u8>,
    written: String,
    screen: Screen,
}

impl OnTerminal {
    fn start(arguments: &[&str]) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let open = || File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let terminal: OwnedFd = open().into();
        let (ws_row, ws_col) = (u16::try_from(ROWS).unwrap(), u16::try_from(COLUMNS).unwrap());
        tcsetwinsize(&terminal, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_rsp"))
            .args(arguments)
            .env("TERM", "xterm")
            .stdin(Stdio::from(open()))
            .stdout(Stdio::from(open()))
            .stderr(Stdio::from(open()))
            .spawn()
            .unwrap();
        let keyboard = File::from(controller);
        let (shown, output) = mpsc::channel();
        let mut reader = keyboard.try_clone().unwrap();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if shown.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let (written, screen) = (String::new(), Screen::new());
        Self { child, keyboard, terminal, output, rest: Vec::new(), written, screen }
    }

    fn read(&mut self, what: &str) {
        match self.output.recv_timeout(PATIENCE) {
            Ok(bytes) => {
                self.rest.extend(bytes);
                // A character may come in two parts.
                let whole = match std::str::from_utf8(&self.rest) {
                    Ok(text) => text.len(),
                    Err(error) => error.valid_up_to(),
                };
                let rest = self.rest.split_off(whole);
                let text = String::from_utf8(std::mem::replace(&mut self.rest, rest)).unwrap();
                text.chars().for_each(|c| self.screen.take(c));
                self.written.push_str(&text);
            }
            Err(_) => panic!("{what} is not shown:\n{}", self.screen.text()),
        }
    }

    /// Waits until this is on the screen.
    fn wait_for(&mut self, part: &str) {
        while !self.screen.text().contains(part) {
            self.read(part);
        }
    }

    /// Waits until this was sent to the terminal.
    fn wait_for_code(&mut self, code: &str) {
        while !self.written.contains(code) {
            self.read(code);
        }
    }

    fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Waits for the end: the terminal has to be as it was.
    fn end(mut self) -> i32 {
        self.wait_for_code(LEAVE);
        let status = self.child.wait().unwrap();
        assert!(!self.is_raw(), "the terminal is still raw");
        let after = self.written.rsplit(LEAVE).next().unwrap();
        assert!(!after.contains(ENTER));
        status.code().unwrap()
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_terminal_is_filled_follows_the_pools_and_is_given_back() {
    let (registrar, url, admin) = registrar();
    let mut element = Command::new(env!("CARGO_BIN_EXE_rsp"))
        .args(["register", "EchoPool", "--service", "127.0.0.1:7001", "-r", &url])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let watch = ["watch", "--admin", &admin, "--interval", "50ms"];
    let mut view = OnTerminal::start(&watch);
    view.wait_for_code(ENTER);
    view.wait_for("EchoPool");
    view.wait_for("127.0.0.1:7001");
    assert!(view.is_raw());
    kill_process(Pid::from_child(&element), Signal::TERM).unwrap();
    element.wait().unwrap();
    view.wait_for("is gone");
    view.keyboard.write_all(b"\x1b[Bq").unwrap();
    assert_eq!(view.end(), 0);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let mut view = OnTerminal::start(&watch);
        view.wait_for("Pools (0)");
        kill_process(Pid::from_child(&view.child), signal).unwrap();
        assert_eq!(view.end(), 0, "{signal:?}");
    }
    // Ctrl-C is a key there.
    let mut view = OnTerminal::start(&watch);
    view.wait_for("Pools (0)");
    view.keyboard.write_all(b"\x03").unwrap();
    assert_eq!(view.end(), 0);
    registrar.stop().unwrap();
}

#[test]
fn a_pool_is_shown_as_clients_see_it_where_there_is_no_admin_address() {
    let (registrar, url, _) = registrar();
    let mut element = Command::new(env!("CARGO_BIN_EXE_rsp"))
        .args(["register", "EchoPool", "--service", "127.0.0.1:7001", "-r", &url])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut view = OnTerminal::start(&[
        "watch",
        "EchoPool",
        "--interval",
        "50ms",
        "-r",
        &url,
        "--admin",
        "http://127.0.0.1:1",
    ]);
    view.wait_for("as clients see it");
    view.wait_for("127.0.0.1:7001");
    view.keyboard.write_all(b"q").unwrap();
    assert_eq!(view.end(), 0);
    element.kill().unwrap();
    element.wait().unwrap();
    registrar.stop().unwrap();
}
