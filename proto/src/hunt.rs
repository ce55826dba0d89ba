//! Looking for a registrar (RFC 5352, 3.6: the server hunt).
//!
//! [`Hunt`] knows candidates: those it was told of, and those that announced
//! themselves, for as long as they go on announcing (T7). It has a few of
//! them connected to at a time, takes the first that answers, and starts
//! again when that one is lost. It knows no addresses: a candidate is
//! whatever the embedder can connect to.

use core::time::Duration;
use std::collections::VecDeque;

use rserpool_engine::Timestamp;

use crate::chance::Chance;

/// Timers and limits of a hunt.
#[derive(Clone, Debug)]
pub struct Config {
    /// Most connections tried at once (RFC 5352, 3.6, SH1).
    pub parallel_max: usize,
    /// T5-Serverhunt: how long candidates have to answer in the first round.
    /// Doubles with each fruitless round.
    pub timeout: Duration,
    /// RETRAN-MAX: what T5 and the pause between two rounds grow to at most.
    pub timeout_max: Duration,
    /// The pause after a round in which every candidate refused at once.
    /// Doubles with each such round and is spread by a quarter. The RFC has
    /// none: it waits for T5, which is long for a registrar that restarts.
    pub pause: Duration,
    /// T7-ENRPoutdate: how long an announce counts.
    pub outdated: Duration,
    /// Most candidates; further announces are ignored.
    pub candidates_max: usize,
}

/// The defaults of RFC 5352, 7.
impl Default for Config {
    fn default() -> Self {
        Self {
            parallel_max: 3,
            timeout: Duration::from_secs(10),
            timeout_max: Duration::from_secs(60),
            pause: Duration::from_millis(50),
            outdated: Duration::from_secs(5),
            candidates_max: 64,
        }
    }
}

/// What the embedder is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<A> {
    /// Connect to this candidate, and tell by [`Hunt::connected`] or
    /// [`Hunt::failed`].
    Connect(A),
    /// Give up connecting to this candidate.
    Abandon(A),
    /// Every candidate failed, or there is none. The hunt goes on after a pause;
    /// whoever waits for a registrar may be told.
    Fruitless,
}

#[derive(Debug)]
struct Candidate<A> {
    address: A,
    /// Announced, and until when; `None` stays.
    until: Option<Timestamp>,
    state: State,
    /// Orders attempts: lower first.
    turn: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not tried in this round.
    Idle,
    Connecting,
    /// Failed in this round.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is wanted.
    Resting,
    /// Candidates are tried until T5.
    Round(Timestamp),
    /// All failed: the next round starts then.
    Pausing(Timestamp),
    /// A registrar was found.
    Found,
}

/// The server hunt of one pool element or pool user.
#[derive(Debug)]
pub struct Hunt<A> {
    config: Config,
    chance: Chance,
    candidates: Vec<Candidate<A>>,
    phase: Phase,
    /// T5 of the next round.
    timeout: Duration,
    pause: Duration,
    turns: u64,
    actions: VecDeque<Action<A>>,
}

impl<A: Clone + Eq> Hunt<A> {
    /// A hunt that has not begun. `seed` spreads the pauses and the order of
    /// candidates of many hunters.
    #[must_use]
    pub fn new(config: Config, seed: u64, candidates: impl IntoIterator<Item = A>) -> Self {
        let mut hunt = Self {
            timeout: config.timeout,
            pause: config.pause,
            config,
            chance: Chance::new(seed),
            candidates: Vec::new(),
            phase: Phase::Resting,
            turns: 0,
            actions: VecDeque::new(),
        };
        for address in candidates {
            hunt.add(address, None);
        }
        hunt
    }

    fn add(&mut self, address: A, until: Option<Timestamp>) -> bool {
        if self.candidates.iter().any(|candidate| candidate.address == address)
            || self.candidates.len() >= self.config.candidates_max
        {
            return false;
        }
        // A random place among those that were never tried.
        let turn = self.chance.below(1 << 16);
        self.candidates.push(Candidate { address, until, state: State::Idle, turn });
        true
    }

    /// A registrar announced itself (RFC 5352, 3.6).
    pub fn announced(&mut self, now: Timestamp, address: A) {
        let until = Some(now.after(self.config.outdated));
        let known = self.candidates.iter_mut().find(|candidate| candidate.address == address);
        match known {
            Some(candidate) => {
                if candidate.until.is_some() {
                    candidate.until = until;
                }
            }
            None => {
                let new = self.add(address, until);
                match self.phase {
                    Phase::Round(_) => self.connect_more(now),
                    // Somebody new: no reason to wait any longer.
                    Phase::Pausing(_) if new => self.begin_round(now),
                    Phase::Pausing(_) | Phase::Resting | Phase::Found => {}
                }
            }
        }
    }

    /// Begins to look for a registrar, if that is not under way already.
    pub fn start(&mut self, now: Timestamp) {
        if matches!(self.phase, Phase::Resting | Phase::Found) {
            self.timeout = self.config.timeout;
            self.pause = self.config.pause;
            self.begin_round(now);
        }
    }

    fn begin_round(&mut self, now: Timestamp) {
        self.expire(now);
        for candidate in &mut self.candidates {
            candidate.state = State::Idle;
        }
        self.phase = Phase::Round(now.after(self.timeout));
        self.connect_more(now);
    }

    fn expire(&mut self, now: Timestamp) {
        self.candidates.retain(|candidate| {
            candidate.state == State::Connecting || candidate.until.is_none_or(|until| until > now)
        });
    }

    /// Tries as many as may be tried at once, those first that were tried
    /// longest ago.
    fn connect_more(&mut self, now: Timestamp) {
        let mut connecting = self.connecting();
        while connecting < self.config.parallel_max.max(1) {
            let idle = self.candidates.iter_mut().filter(|one| one.state == State::Idle);
            let Some(next) = idle.min_by_key(|one| one.turn) else { break };
            next.state = State::Connecting;
            self.turns += 1;
            next.turn = (1 << 16) + self.turns;
            self.actions.push_back(Action::Connect(next.address.clone()));
            connecting += 1;
        }
        if connecting == 0 {
            self.rest(now);
        }
    }

    fn connecting(&self) -> usize {
        self.candidates.iter().filter(|one| one.state == State::Connecting).count()
    }

    /// Nobody is left to try: a pause, spread so that all who lost the same
    /// registrar do not come back at once.
    fn rest(&mut self, now: Timestamp) {
        let quarter = u64::try_from(self.pause.as_micros() / 4).unwrap_or(u64::MAX);
        let spread = Duration::from_micros(self.chance.below(2 * quarter + 1));
        let pause = self.pause.saturating_sub(Duration::from_micros(quarter)) + spread;
        self.phase = Phase::Pausing(now.after(pause));
        self.pause = (self.pause * 2).min(self.config.timeout_max);
        self.actions.push_back(Action::Fruitless);
    }

    /// A connection to this candidate is there. `true`: it is the registrar
    /// to use, and the other attempts are given up (SH3, SH6). `false`: it
    /// came too late; drop it.
    pub fn connected(&mut self, address: &A) -> bool {
        let wanted = matches!(self.phase, Phase::Round(_));
        let known = self.candidates.iter_mut().find(|one| one.address == *address);
        let Some(known) = known.filter(|one| one.state == State::Connecting) else { return false };
        known.state = State::Idle;
        if !wanted {
            return false;
        }
        self.phase = Phase::Found;
        for other in &mut self.candidates {
            if other.state == State::Connecting {
                other.state = State::Idle;
                self.actions.push_back(Action::Abandon(other.address.clone()));
            }
        }
        true
    }

    /// Connecting to this candidate failed (SH4).
    pub fn failed(&mut self, now: Timestamp, address: &A) {
        let known = self.candidates.iter_mut().find(|one| one.address == *address);
        let Some(known) = known.filter(|one| one.state == State::Connecting) else { return };
        known.state = State::Failed;
        if matches!(self.phase, Phase::Round(_)) {
            self.connect_more(now);
        }
    }

    /// The registrar proved to be of use: it answered. The next hunt starts
    /// without pauses.
    pub const fn useful(&mut self) {
        self.timeout = self.config.timeout;
        self.pause = self.config.pause;
    }

    /// The registrar in use is lost: looks for one again, for it too, but for
    /// others first. One that accepts and is lost again each time is paused
    /// for as one that refuses, unless it was [useful](Hunt::useful).
    pub fn lost(&mut self, now: Timestamp) {
        if self.phase != Phase::Found {
            return;
        }
        self.expire(now);
        for candidate in &mut self.candidates {
            candidate.state = State::Idle;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(self.config.timeout_max);
        if pause > self.config.pause {
            self.phase = Phase::Pausing(now.after(pause));
        } else {
            self.begin_round(now);
        }
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action<A>> {
        self.actions.pop_front()
    }

    /// Whether a registrar is in use.
    #[must_use]
    pub fn has_found(&self) -> bool {
        self.phase == Phase::Found
    }

    /// When [`Hunt::handle_timeout`] has something to do.
    #[must_use]
    pub const fn next_timeout(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Round(at) | Phase::Pausing(at) => Some(at),
            Phase::Resting | Phase::Found => None,
        }
    }

    /// Ends a pause, or a round whose T5 is over (SH5): the candidates that
    /// did not answer are given up for others.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        match self.phase {
            Phase::Pausing(at) if at <= now => self.begin_round(now),
            Phase::Round(at) if at <= now => {
                self.timeout = (self.timeout * 2).min(self.config.timeout_max);
                let mut untried = false;
                for candidate in &mut self.candidates {
                    untried |= candidate.state == State::Idle;
                    if candidate.state == State::Connecting {
                        candidate.state = State::Failed;
                        self.actions.push_back(Action::Abandon(candidate.address.clone()));
                    }
                }
                if untried {
                    self.phase = Phase::Round(now.after(self.timeout));
                    self.connect_more(now);
                } else {
                    // T5 was the pause.
                    self.actions.push_back(Action::Fruitless);
                    self.begin_round(now);
                }
            }
            Phase::Pausing(_) | Phase::Round(_) | Phase::Resting | Phase::Found => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    fn actions(hunt: &mut Hunt<u8>) -> Vec<Action<u8>> {
        core::iter::from_fn(|| hunt.poll_action()).collect()
    }

    fn connects(hunt: &mut Hunt<u8>) -> Vec<u8> {
        let only = |action| match action {
            Action::Connect(one) => Some(one),
            Action::Abandon(_) | Action::Fruitless => None,
        };
        actions(hunt).into_iter().filter_map(only).collect()
    }

    #[test]
    fn three_are_tried_at_once_and_the_first_that_answers_is_taken() {
        let mut hunt = Hunt::new(Config::default(), 1, 0..5);
        hunt.start(at(0));
        let tried = connects(&mut hunt);
        assert_eq!(tried.len(), 3);
        hunt.failed(at(1), &tried[0]);
        let fourth = connects(&mut hunt);
        assert_eq!(fourth.len(), 1);
        assert!(!tried.contains(&fourth[0]));
        assert!(hunt.connected(&tried[1]));
        assert!(hunt.has_found());
        let mut given_up = actions(&mut hunt);
        given_up.sort_by_key(|action| format!("{action:?}"));
        let mut others = [Action::Abandon(tried[2]), Action::Abandon(fourth[0])];
        others.sort_by_key(|action| format!("{action:?}"));
        assert_eq!(given_up, others);
        assert!(!hunt.connected(&tried[2]), "it came too late");
        assert_eq!(hunt.next_timeout(), None);
    }

    #[test]
    fn candidates_that_do_not_answer_make_room_for_others_after_t5_which_doubles() {
        let mut hunt = Hunt::new(Config::default(), 1, 0..4);
        hunt.start(at(0));
        let silent = connects(&mut hunt);
        assert_eq!(hunt.next_timeout(), Some(at(10_000)));
        hunt.handle_timeout(at(9_999));
        assert_eq!(connects(&mut hunt), []);
        hunt.handle_timeout(at(10_000));
        let other = connects(&mut hunt);
        assert_eq!(other.len(), 1);
        assert!(!silent.contains(&other[0]));
        assert_eq!(hunt.next_timeout(), Some(at(30_000)));
        hunt.handle_timeout(at(30_000));
        let again = actions(&mut hunt);
        assert_eq!(again[..2], [Action::Abandon(other[0]), Action::Fruitless]);
        assert_eq!(again.len(), 5);
        assert_eq!(hunt.next_timeout(), Some(at(70_000)));
        hunt.handle_timeout(at(70_000));
        assert_eq!(hunt.next_timeout(), Some(at(130_000)), "RETRAN-MAX");
    }

    #[test]
    fn refusals_are_paused_for_longer_and_longer() {
        let mut hunt = Hunt::new(Config::default(), 1, [7]);
        hunt.start(at(0));
        let (mut now, mut pauses) = (0, Vec::new());
        for _ in 0..15 {
            assert_eq!(connects(&mut hunt), [7]);
            hunt.failed(at(now), &7);
            assert_eq!(actions(&mut hunt), [Action::Fruitless]);
            let next = hunt.next_timeout().unwrap().as_micros() / 1000;
            pauses.push(next - now);
            now = next;
            hunt.handle_timeout(at(now + 1));
        }
        assert!(pauses[0] >= 37 && pauses[0] <= 63, "{pauses:?}");
        assert!(pauses[14] >= 45_000 && pauses[14] <= 75_001, "{pauses:?}");
    }

    #[test]
    fn a_lost_registrar_is_replaced_by_another_at_once() {
        let mut hunt = Hunt::new(Config { parallel_max: 1, ..Config::default() }, 1, 0..2);
        hunt.start(at(0));
        let first = connects(&mut hunt)[0];
        assert!(hunt.connected(&first));
        hunt.useful();
        hunt.lost(at(5));
        assert_eq!(connects(&mut hunt), [1 - first]);
    }

    #[test]
    fn a_registrar_that_accepts_and_is_lost_at_once_is_not_asked_in_a_tight_loop() {
        let mut hunt = Hunt::new(Config::default(), 1, [7]);
        hunt.start(at(0));
        let mut attempts = 0;
        for now in 0..1000 {
            hunt.handle_timeout(at(now));
            for _ in connects(&mut hunt) {
                attempts += 1;
                assert!(hunt.connected(&7));
                hunt.lost(at(now));
            }
        }
        assert!(attempts < 8, "{attempts}");
    }

    #[test]
    fn an_announced_registrar_counts_for_t7_and_is_tried_at_once() {
        let mut hunt = Hunt::new(Config::default(), 1, []);
        hunt.start(at(0));
        assert_eq!(actions(&mut hunt), [Action::Fruitless]);
        hunt.announced(at(10), 3);
        assert_eq!(connects(&mut hunt), [3]);
        hunt.failed(at(20), &3);
        actions(&mut hunt);
        hunt.announced(at(4_000), 3);
        hunt.handle_timeout(at(8_999));
        assert_eq!(connects(&mut hunt), [3]);
        hunt.failed(at(9_000), &3);
        actions(&mut hunt);
        let next = hunt.next_timeout().unwrap();
        hunt.handle_timeout(next);
        assert_eq!(actions(&mut hunt), [Action::Fruitless], "it is outdated");
    }

    #[test]
    fn announces_do_not_grow_the_list_without_bound() {
        let config = Config { candidates_max: 10, ..Config::default() };
        let mut hunt = Hunt::new(config, 1, []);
        for address in 0..100 {
            hunt.announced(at(0), address);
        }
        assert_eq!(hunt.candidates.len(), 10);
    }
}
