//! The view as a terminal of characters shows it.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::snapshot::Registrar;
use super::*;

fn pool(name: &str, elements: u64) -> PoolRow {
    let policy = "RoundRobin".to_owned();
    PoolRow { handle: name.as_bytes().to_vec(), name: name.to_owned(), policy, elements }
}

fn element(id: &str, state: &str) -> ElementRow {
    ElementRow {
        id: id.to_owned(),
        services: format!("192.0.2.1:{}", 80 + id.len()),
        policy: "RoundRobin".to_owned(),
        home: "0x00000001".to_owned(),
        state: state.to_owned(),
    }
}

fn snapshot(at: Instant, resolutions: u64, pools: &[PoolRow], open: &[ElementRow]) -> Snapshot {
    let registrar = Registrar {
        id: "0x00000001".to_owned(),
        uptime: 3_661.0,
        pools: pools.len() as u64,
        elements: 3,
        connections: 7,
        counts: [("resolutions".to_owned(), resolutions)].into(),
    };
    let opened = pools.first().map(|pool| (pool.handle.clone(), open.to_vec()));
    Snapshot { at, registrar: Some(registrar), pools: pools.to_vec(), opened }
}

fn drawn(screen: &Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    terminal.backend().to_string()
}

/// A view that looked twice, a second apart.
fn screen() -> Screen {
    let begun = Instant::now();
    let mut screen = Screen::new("http://127.0.0.1:8363".to_owned(), None);
    let (echo, web) = (pool("Echo", 2), pool("Web", 1));
    let before = [element("0x0000000a", "up"), element("0x0000000b", "up")];
    screen.update(snapshot(begun, 100, &[echo.clone(), web.clone()], &before), "12:00:00");
    let now = [element("0x0000000a", "drained"), element("0x0000000c", "up")];
    screen.update(snapshot(begun + Duration::from_secs(1), 350, &[echo, web], &now), "12:00:01");
    screen
}

#[test]
fn pools_elements_states_and_rates_are_on_the_screen() {
    let text = drawn(&screen(), 120, 24);
    for part in [
        "registrar 0x00000001  up 1 h 1 min  2 pools  3 elements  7 connections",
        "resolutions 250/s",
        "Pools (2)",
        "Echo (2)",
        "0x0000000a",
        "drained",
        "12:00:01  - 0x0000000b  192.0.2.1:90",
        "12:00:01  + 0x0000000c  192.0.2.1:90",
        "12:00:01  ~ 0x0000000a  drained",
        "q quit",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn keys_move_and_quit() {
    let mut screen = screen();
    assert_eq!(screen.open(), Some(b"Echo".as_slice()));
    assert_eq!(screen.press(KeyCode::Up), Wish::Nothing);
    assert_eq!(screen.press(KeyCode::Down), Wish::Look);
    assert_eq!(screen.open(), Some(b"Web".as_slice()));
    assert!(screen.is_unread());
    assert_eq!(screen.press(KeyCode::End), Wish::Nothing);
    assert_eq!(screen.press(KeyCode::Home), Wish::Look);
    // In the list of elements, keys change no pool.
    assert_eq!(screen.press(KeyCode::Enter), Wish::Nothing);
    for _ in 0..5 {
        assert_eq!(screen.press(KeyCode::Down), Wish::Nothing);
    }
    assert_eq!((screen.element, screen.open()), (1, Some(b"Echo".as_slice())));
    assert_eq!(screen.press(KeyCode::Esc), Wish::Nothing);
    assert_eq!(screen.press(KeyCode::Char('j')), Wish::Look);
    assert_eq!(screen.press(KeyCode::Char('q')), Wish::Quit);
}

#[test]
fn a_registrar_that_is_away_is_told_and_what_was_known_stays() {
    let mut screen = screen();
    screen.failed("127.0.0.1:8363: refused", "12:00:02");
    screen.failed("127.0.0.1:8363: refused", "12:00:03");
    let text = drawn(&screen, 120, 24);
    assert!(text.contains("12:00:02  127.0.0.1:8363: refused") && text.contains("Echo"), "{text}");
    assert!(!text.contains("12:00:03"), "{text}");
    screen.update(snapshot(Instant::now(), 0, &[], &[]), "12:00:04");
    let text = drawn(&screen, 120, 24);
    assert!(text.contains("it answers again") && text.contains("pool Echo is gone"), "{text}");
}

#[test]
fn every_size_can_be_drawn() {
    let screen = screen();
    let empty = Screen::new("somewhere".to_owned(), Some(b"Web".to_vec()));
    for width in [1, 2, 10, 79, 300] {
        for height in [1, 2, 3, 7, 19, 60] {
            drawn(&screen, width, height);
            drawn(&empty, width, height);
        }
    }
}

#[test]
fn events_are_bounded() {
    let mut screen = screen();
    for number in 0..1000 {
        screen.tell("12:00:00", &number.to_string());
    }
    assert_eq!(screen.events.len(), EVENTS_MAX);
}
