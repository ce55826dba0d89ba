//! Unreachability reports (RFC 5352, 3.5) that a few forged ones cannot turn
//! into the removal of a healthy element.
//!
//! - An association counts once against an element, until the element answers
//!   a keep-alive or registers again.
//! - An element goes when enough associations reported it *and* it has not
//!   answered the keep-alive that the first report triggered within a grace.
//! - No more than [`SUSPECTS_MAX`] elements are under suspicion at once.
//!   Reports against others trigger the keep-alive only.

use core::time::Duration;

use rserpool_engine::{AssociationId, ElementKey, Timestamp};

/// Elements under suspicion at once. Looked up by a scan of 2 KiB.
const SUSPECTS_MAX: usize = 256;

/// The elements that were reported and have not answered since.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    keys: Vec<ElementKey>,
    /// In the order of `keys`.
    cases: Vec<Case>,
}

#[derive(Debug)]
struct Case {
    /// When the first report came.
    since: Timestamp,
    reporters: Vec<AssociationId>,
    /// Enough associations reported it.
    condemned: bool,
}

/// What to do about a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is one more: count it.
    Count,
    /// It does not count.
    Ignore,
}

impl Suspects {
    /// An association reports an element.
    pub(super) fn report(
        &mut self,
        now: Timestamp,
        key: ElementKey,
        reporter: AssociationId,
    ) -> Verdict {
        if let Some(case) = self.position(key).and_then(|at| self.cases.get_mut(at)) {
            if case.condemned || case.reporters.contains(&reporter) {
                return Verdict::Ignore;
            }
            case.reporters.push(reporter);
            return Verdict::Count;
        }
        if self.keys.len() >= SUSPECTS_MAX {
            return Verdict::Ignore;
        }
        self.keys.push(key);
        self.cases.push(Case { since: now, reporters: vec![reporter], condemned: false });
        Verdict::Count
    }

    /// Enough associations reported it: it goes after the grace.
    pub(super) fn condemn(&mut self, key: ElementKey) {
        if let Some(case) = self.position(key).and_then(|at| self.cases.get_mut(at)) {
            case.condemned = true;
        }
    }

    /// The element answered, registered again, or is removed.
    pub(super) fn forget(&mut self, key: ElementKey) {
        if let Some(at) = self.position(key) {
            self.keys.swap_remove(at);
            self.cases.swap_remove(at);
        }
    }

    /// When [`Suspects::poll_due`] gives an element next.
    pub(super) fn next_deadline(&self, grace: Duration) -> Option<Timestamp> {
        let condemned = self.cases.iter().filter(|case| case.condemned);
        condemned.map(|case| case.since.after(grace)).min()
    }

    /// A condemned element whose grace is over. It is forgotten.
    pub(super) fn poll_due(&mut self, now: Timestamp, grace: Duration) -> Option<ElementKey> {
        let due = |case: &Case| case.condemned && case.since.after(grace) <= now;
        let at = self.cases.iter().position(due)?;
        self.cases.swap_remove(at);
        Some(self.keys.swap_remove(at))
    }

    fn position(&self, key: ElementKey) -> Option<usize> {
        self.keys.iter().position(|&suspect| suspect == key)
    }
}
