//! The full-screen view: what it shows and what keys do. It knows no terminal.

use std::collections::{BTreeMap, VecDeque};

use ratatui::Frame;
use ratatui::crossterm::event::KeyCode;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Table, TableState};

use super::snapshot::{ElementRow, PoolRow, Snapshot};

/// What happened last.
const EVENTS_MAX: usize = 100;
/// Lines for that.
const EVENTS_SHOWN: u16 = 5;
/// Rates that are shown, and their names at the admin address.
const RATES: [(&str, &str); 5] = [
    ("registrations", "registrations"),
    ("re-registrations", "reregistrations"),
    ("resolutions", "resolutions"),
    ("keep-alives", "keep_alives"),
    ("reports", "reports"),
];
const KEYS: &str = " q quit   arrows move   Enter elements   Esc back ";

/// The list that keys go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Focus {
    Pools,
    Elements,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    /// Another pool is open: its elements are to be looked at.
    Look,
    Quit,
}

/// What the two lists differ in.
struct List<'a> {
    focus: Focus,
    title: String,
    header: &'a [&'static str],
    widths: &'a [Constraint],
    selected: Option<usize>,
}

/// The view.
#[derive(Debug)]
pub(super) struct Screen {
    source: String,
    seen: Option<Snapshot>,
    /// Each second.
    rates: Vec<(&'static str, f64)>,
    /// The pool whose elements are shown.
    open: Option<Vec<u8>>,
    focus: Focus,
    element: usize,
    events: VecDeque<String>,
    /// Why the last look failed.
    failure: Option<String>,
}

impl Screen {
    /// A view of a source, with a pool open from the start.
    pub(super) fn new(source: String, open: Option<Vec<u8>>) -> Self {
        let focus = if open.is_some() { Focus::Elements } else { Focus::Pools };
        Self {
            source,
            seen: None,
            rates: Vec::new(),
            open,
            focus,
            element: 0,
            events: VecDeque::new(),
            failure: None,
        }
    }

    /// The pool whose elements are wanted.
    pub(super) fn open(&self) -> Option<&[u8]> {
        self.open.as_deref()
    }

    /// Whether the elements of the open pool were not looked at yet.
    pub(super) fn is_unread(&self) -> bool {
        let opened = self.seen.as_ref().and_then(|seen| seen.opened.as_ref());
        self.open.is_some() && opened.map(|(handle, _)| handle) != self.open.as_ref()
    }

    /// Shows what was seen. `clock` is what people call this moment.
    pub(super) fn update(&mut self, now: Snapshot, clock: &str) {
        if self.failure.take().is_some() {
            self.tell(clock, "it answers again");
        }
        if let Some(before) = self.seen.take() {
            self.rates = rates(&before, &now);
            for event in events(&before, &now) {
                self.tell(clock, &event);
            }
        }
        if self.open.is_none() {
            self.open = now.pools.first().map(|pool| pool.handle.clone());
        }
        self.seen = Some(now);
    }

    /// A look failed.
    pub(super) fn failed(&mut self, why: &str, clock: &str) {
        if self.failure.is_none() {
            self.tell(clock, why);
        }
        self.failure = Some(why.to_owned());
    }

    fn tell(&mut self, clock: &str, what: &str) {
        self.events.push_back(format!("{clock}  {what}"));
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
    }

    fn pools(&self) -> &[PoolRow] {
        self.seen.as_ref().map_or(&[], |seen| &seen.pools)
    }

    /// The elements of the open pool, if they were looked at.
    fn elements(&self) -> &[ElementRow] {
        match self.seen.as_ref().and_then(|seen| seen.opened.as_ref()) {
            Some((handle, elements)) if Some(handle) == self.open.as_ref() => elements,
            _ => &[],
        }
    }

    fn pool_at(&self) -> Option<usize> {
        self.pools().iter().position(|pool| Some(&pool.handle) == self.open.as_ref())
    }

    /// Does what a key says.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys do nothing")]
    pub(super) fn press(&mut self, key: KeyCode) -> Wish {
        match key {
            KeyCode::Char('q' | 'Q') => return Wish::Quit,
            KeyCode::Down | KeyCode::Char('j') => return self.go(1),
            KeyCode::Up | KeyCode::Char('k') => return self.go(-1),
            KeyCode::PageDown => return self.go(10),
            KeyCode::PageUp => return self.go(-10),
            KeyCode::Home => return self.go(isize::MIN),
            KeyCode::End => return self.go(isize::MAX),
            KeyCode::Enter | KeyCode::Right | KeyCode::Char('l') => self.focus = Focus::Elements,
            KeyCode::Esc | KeyCode::Left | KeyCode::Char('h') => self.focus = Focus::Pools,
            KeyCode::Tab => {
                self.focus =
                    if self.focus == Focus::Pools { Focus::Elements } else { Focus::Pools };
            }
            _ => {}
        }
        Wish::Nothing
    }

    fn go(&mut self, by: isize) -> Wish {
        let moved =
            |at: usize, count: usize| at.saturating_add_signed(by).min(count.saturating_sub(1));
        match self.focus {
            Focus::Elements => {
                self.element = moved(self.element, self.elements().len());
                Wish::Nothing
            }
            Focus::Pools => {
                let at = self.pool_at().map_or(0, |at| moved(at, self.pools().len()));
                let next = self.pools().get(at).map(|pool| pool.handle.clone());
                if next.is_none() || next == self.open {
                    return Wish::Nothing;
                }
                (self.open, self.element) = (next, 0);
                Wish::Look
            }
        }
    }

    /// Draws all of it.
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let events = if frame.area().height >= 20 { EVENTS_SHOWN + 2 } else { 0 };
        let rows = Layout::vertical([
            Constraint::Length(2),
            Constraint::Min(3),
            Constraint::Length(events),
            Constraint::Length(1),
        ]);
        let [top, middle, bottom, keys] = rows.areas(frame.area());
        self.draw_top(frame, top);
        let columns = Layout::horizontal([Constraint::Percentage(30), Constraint::Percentage(70)]);
        let [left, right] = columns.areas(middle);
        self.draw_pools(frame, left);
        self.draw_elements(frame, right);
        if events > 0 {
            self.draw_events(frame, bottom);
        }
        let style = Style::new().add_modifier(Modifier::REVERSED);
        frame.render_widget(Paragraph::new(KEYS).style(style), keys);
    }

    fn draw_top(&self, frame: &mut Frame<'_>, area: Rect) {
        let first =
            match (&self.failure, self.seen.as_ref().and_then(|seen| seen.registrar.as_ref())) {
                (Some(failure), _) => {
                    Line::styled(format!("{}  {failure}", self.source), Style::new().fg(Color::Red))
                }
                (None, Some(registrar)) => Line::from(format!(
                    "{}  registrar {}  up {}  {} pools  {} elements  {} connections",
                    self.source,
                    registrar.id,
                    duration(registrar.uptime),
                    registrar.pools,
                    registrar.elements,
                    registrar.connections
                )),
                (None, None) => Line::from(self.source.clone()),
            };
        let rates: Vec<String> =
            self.rates.iter().map(|(name, rate)| format!("{name} {rate:.0}/s")).collect();
        frame.render_widget(Paragraph::new(vec![first, Line::from(rates.join("  "))]), area);
    }

    fn draw_pools(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.pools().iter().map(|pool| {
            Row::new([pool.name.clone(), pool.elements.to_string(), pool.policy.clone()])
        });
        let widths = [Constraint::Fill(2), Constraint::Length(8), Constraint::Fill(1)];
        let list = List {
            focus: Focus::Pools,
            title: format!(" Pools ({}) ", self.pools().len()),
            header: &["handle", "elements", "policy"],
            widths: &widths,
            selected: self.pool_at(),
        };
        self.draw_list(frame, area, list, rows.collect());
    }

    fn draw_elements(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.elements().iter().map(|element| {
            let style = match element.state.as_str() {
                "up" | "selected" => Style::new(),
                "drained" => Style::new().fg(Color::Yellow),
                _ => Style::new().fg(Color::Red),
            };
            let ElementRow { id, services, policy, home, state } = element.clone();
            Row::new([id, services, policy, state, home]).style(style)
        });
        let widths = [
            Constraint::Length(10),
            Constraint::Min(21),
            Constraint::Fill(1),
            Constraint::Length(13),
            Constraint::Length(10),
        ];
        let name = self.pool_at().and_then(|at| self.pools().get(at));
        let name = name.map_or("", |pool| pool.name.as_str());
        let list = List {
            focus: Focus::Elements,
            title: format!(" {name} ({}) ", self.elements().len()),
            header: &["id", "service", "policy", "state", "home"],
            widths: &widths,
            selected: Some(self.element.min(self.elements().len().saturating_sub(1))),
        };
        self.draw_list(frame, area, list, rows.collect());
    }

    fn draw_list(&self, frame: &mut Frame<'_>, area: Rect, list: List<'_>, rows: Vec<Row<'_>>) {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let (border, marked) = if self.focus == list.focus {
            (bold, Style::new().add_modifier(Modifier::REVERSED))
        } else {
            (Style::new(), Style::new().add_modifier(Modifier::UNDERLINED))
        };
        let table = Table::new(rows, list.widths)
            .header(Row::new(list.header.iter().copied()).style(bold))
            .block(Block::bordered().title(list.title).border_style(border))
            .row_highlight_style(marked);
        let mut state = TableState::new().with_selected(list.selected);
        frame.render_stateful_widget(table, area, &mut state);
    }

    fn draw_events(&self, frame: &mut Frame<'_>, area: Rect) {
        let shown = usize::from(EVENTS_SHOWN);
        let skipped = self.events.len().saturating_sub(shown);
        let lines: Vec<Line<'_>> =
            self.events.iter().skip(skipped).map(|event| Line::from(event.as_str())).collect();
        frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Events ")), area);
    }
}

/// What was counted between two looks, each second.
#[expect(clippy::cast_precision_loss, reason = "they are shown without digits")]
fn rates(before: &Snapshot, now: &Snapshot) -> Vec<(&'static str, f64)> {
    let (Some(old), Some(new)) = (&before.registrar, &now.registrar) else { return Vec::new() };
    let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
    let rate = |name: &str| {
        let of = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or_default();
        // A registrar that was started anew counts from zero.
        of(&new.counts).saturating_sub(of(&old.counts)) as f64 / seconds.max(0.001)
    };
    RATES.iter().map(|(shown, name)| (*shown, rate(name))).collect()
}

/// What people want to know of two looks.
fn events(before: &Snapshot, now: &Snapshot) -> Vec<String> {
    let mut told = Vec::new();
    let by_handle = |pools: &[PoolRow]| -> BTreeMap<Vec<u8>, PoolRow> {
        pools.iter().map(|pool| (pool.handle.clone(), pool.clone())).collect()
    };
    let (old, new) = (by_handle(&before.pools), by_handle(&now.pools));
    told.extend(
        old.values()
            .filter(|pool| !new.contains_key(&pool.handle))
            .map(|pool| format!("pool {} is gone", pool.name)),
    );
    for pool in new.values() {
        match old.get(&pool.handle) {
            None => told.push(format!("pool {} came", pool.name)),
            Some(other) if other.elements != pool.elements => {
                let (name, was, is) = (&pool.name, other.elements, pool.elements);
                told.push(format!("pool {name} has {is} elements, before {was}"));
            }
            Some(_) => {}
        }
    }
    if let (Some((handle, old)), Some((same, new))) = (&before.opened, &now.opened)
        && handle == same
    {
        let find = |rows: &[ElementRow], id: &str| rows.iter().find(|row| row.id == id).cloned();
        for row in old {
            if find(new, &row.id).is_none() {
                told.push(format!("- {}  {}", row.id, row.services));
            }
        }
        for row in new {
            match find(old, &row.id) {
                None => told.push(format!("+ {}  {}", row.id, row.services)),
                Some(other) if other.state != row.state => {
                    told.push(format!("~ {}  {}", row.id, row.state));
                }
                Some(_) => {}
            }
        }
    }
    told
}

/// Seconds as people say them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a registrar is not up for longer"
)]
fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests;
