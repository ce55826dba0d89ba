//! The unanswered requests of one type, in their order.

use core::time::Duration;
use std::collections::VecDeque;

use rserpool_engine::{PeId, PoolHandle, Timestamp};

/// The unanswered requests of one type.
#[derive(Debug, Default)]
pub(super) struct Requests {
    asked: VecDeque<Asked>,
    /// The pool handles of `asked`, one behind the other.
    handles: VecDeque<u8>,
    /// Where `handles` starts, counted from the first request ever.
    start: u64,
    /// How many of `asked` are known to be answered or overdue; all of them
    /// are at the front.
    passed: usize,
}

#[derive(Debug)]
struct Asked {
    token: u64,
    deadline: Timestamp,
    pe: PeId,
    handle_start: u64,
    handle_bytes: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Overdue,
    Answered,
}

/// The request an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The one with this token.
    Waiting(u64),
    /// The one with this token, which was given up.
    Overdue(u64),
    /// None.
    None,
}

impl Requests {
    /// Whether there is no room for one more beside `max`. Requests that were
    /// given up make room.
    pub(super) fn is_full(&mut self, max: usize) -> bool {
        while self.asked.len() >= max
            && self.asked.front().is_some_and(|asked| asked.state != State::Waiting)
        {
            self.pop();
        }
        self.asked.len() >= max
    }

    /// Notes a request. All have the same time-out.
    pub(super) fn push(
        &mut self,
        now: Timestamp,
        timeout: Duration,
        token: u64,
        handle: PoolHandle<'_>,
        pe: PeId,
    ) {
        let handle = handle.as_bytes();
        self.asked.push_back(Asked {
            token,
            deadline: now.after(timeout),
            pe,
            handle_start: self.start + self.handles.len() as u64,
            handle_bytes: handle.len(),
            state: State::Waiting,
        });
        self.handles.extend(handle);
    }

    /// Finds the request an answer belongs to: the oldest that waits and
    /// agrees in pool handle and PE identifier, else the oldest that was given
    /// up. Earlier requests that wait for another answer are left alone: the
    /// registrar answered them with an error, which does not say so.
    pub(super) fn answer(&mut self, handle: PoolHandle<'_>, pe: PeId) -> Match {
        let agrees = |at: &usize| self.agrees(*at, handle, pe);
        let found =
            (self.passed..self.asked.len()).find(agrees).or_else(|| (0..self.passed).find(agrees));
        let Some(asked) = found.and_then(|at| self.asked.get_mut(at)) else { return Match::None };
        let token = asked.token;
        let overdue = asked.state == State::Overdue;
        asked.state = State::Answered;
        while self.asked.front().is_some_and(|asked| asked.state == State::Answered) {
            self.pop();
        }
        if overdue { Match::Overdue(token) } else { Match::Waiting(token) }
    }

    fn agrees(&self, at: usize, handle: PoolHandle<'_>, pe: PeId) -> bool {
        let Some(asked) = self.asked.get(at) else { return false };
        if asked.state == State::Answered
            || asked.pe != pe
            || asked.handle_bytes != handle.as_bytes().len()
        {
            return false;
        }
        let Ok(start) = usize::try_from(asked.handle_start - self.start) else { return false };
        self.handles.range(start..start + asked.handle_bytes).eq(handle.as_bytes())
    }

    fn pop(&mut self) {
        if let Some(asked) = self.asked.pop_front() {
            self.handles.drain(..asked.handle_bytes);
            self.start += asked.handle_bytes as u64;
            self.passed = self.passed.saturating_sub(1);
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        let waits = |asked: &&Asked| asked.state == State::Waiting;
        self.asked.range(self.passed..).filter(waits).count()
    }

    /// When the oldest that waits is overdue.
    pub(super) fn next_timeout(&self) -> Option<Timestamp> {
        let mut rest = self.asked.range(self.passed..);
        rest.find(|asked| asked.state == State::Waiting).map(|asked| asked.deadline)
    }

    /// Gives up the oldest that waits, if it is overdue. Returns its token.
    pub(super) fn give_up(&mut self, now: Timestamp) -> Option<u64> {
        while let Some(asked) = self.asked.get_mut(self.passed) {
            if asked.state == State::Waiting {
                if asked.deadline > now {
                    return None;
                }
                asked.state = State::Overdue;
                self.passed += 1;
                return Some(asked.token);
            }
            self.passed += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO.after(Duration::from_secs(seconds))
    }

    fn push(requests: &mut Requests, now: u64, token: u64, handle: &str) {
        requests.push(at(now), SECOND, token, PoolHandle::new(handle.as_bytes()), PeId::new(1));
    }

    fn answer(requests: &mut Requests, handle: &str) -> Match {
        requests.answer(PoolHandle::new(handle.as_bytes()), PeId::new(1))
    }

    #[test]
    fn answers_belong_to_the_oldest_request_they_agree_with() {
        let mut requests = Requests::default();
        push(&mut requests, 0, 1, "a");
        push(&mut requests, 0, 2, "bb");
        push(&mut requests, 0, 3, "a");
        assert_eq!(answer(&mut requests, "b"), Match::None);
        assert_eq!(requests.answer(PoolHandle::new(b"bb"), PeId::new(2)), Match::None);
        assert_eq!(answer(&mut requests, "bb"), Match::Waiting(2));
        assert_eq!(answer(&mut requests, "a"), Match::Waiting(1));
        assert_eq!(requests.waiting(), 1);
        assert_eq!(answer(&mut requests, "a"), Match::Waiting(3));
        assert_eq!(answer(&mut requests, "a"), Match::None);
        assert_eq!((requests.waiting(), requests.handles.len()), (0, 0));
    }

    #[test]
    fn a_request_that_is_never_answered_does_not_shift_the_answers_of_later_ones() {
        let mut requests = Requests::default();
        push(&mut requests, 0, 1, "a");
        assert_eq!(requests.next_timeout(), Some(at(1)));
        assert_eq!(requests.give_up(at(0)), None);
        assert_eq!(requests.give_up(at(1)), Some(1));
        assert_eq!((requests.give_up(at(1)), requests.next_timeout()), (None, None));
        push(&mut requests, 2, 2, "a");
        assert_eq!(answer(&mut requests, "a"), Match::Waiting(2));
        assert_eq!(answer(&mut requests, "a"), Match::Overdue(1));
        assert_eq!(answer(&mut requests, "a"), Match::None);
    }

    #[test]
    fn a_request_that_was_given_up_makes_room() {
        let mut requests = Requests::default();
        push(&mut requests, 0, 1, "a");
        push(&mut requests, 2, 2, "b");
        assert!(requests.is_full(2));
        assert_eq!(requests.give_up(at(1)), Some(1));
        assert!(!requests.is_full(2));
        assert_eq!(requests.next_timeout(), Some(at(3)));
        assert_eq!(answer(&mut requests, "b"), Match::Waiting(2));
    }
}
