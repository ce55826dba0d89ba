//! What a proxy counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rserpool_client::PeId;
use serde_json::json;

use crate::outcome::Failure;
use crate::outlet;

/// Most elements that are counted one by one.
const ELEMENTS_MAX: usize = 10_000;

/// What a proxy counts.
#[derive(Debug, Default)]
pub(super) struct Stats {
    accepted: AtomicU64,
    open: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    replayed: AtomicU64,
    vanished: AtomicU64,
    /// From clients to servers, and back.
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    elements: Mutex<BTreeMap<PeId, Element>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Element {
    connections: u64,
    failures: u64,
}

/// A connection that is open.
#[derive(Debug)]
pub(super) struct Open<'a>(&'a Stats);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stats {
    /// A client connected; until what this gives is dropped.
    pub(super) fn open(&self) -> Open<'_> {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }

    /// A client could not be served.
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// An element accepted.
    pub(super) fn connected(&self, pe: PeId) {
        self.count(pe, |element| element.connections += 1);
    }

    /// An element could not be connected to.
    pub(super) fn failed(&self, pe: PeId) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.count(pe, |element| element.failures += 1);
    }

    /// An element ended a connection before it answered.
    pub(super) fn replayed(&self, pe: PeId) {
        self.replayed.fetch_add(1, Ordering::Relaxed);
        self.count(pe, |element| element.failures += 1);
    }

    /// The host of an element does not acknowledge any more.
    pub(super) fn vanished(&self, pe: PeId) {
        self.vanished.fetch_add(1, Ordering::Relaxed);
        self.count(pe, |element| element.failures += 1);
    }

    fn count(&self, pe: PeId, count: impl FnOnce(&mut Element)) {
        let mut elements = self.elements.lock().unwrap_or_else(PoisonError::into_inner);
        if elements.len() < ELEMENTS_MAX || elements.contains_key(&pe) {
            count(elements.entry(pe).or_default());
        }
    }

    /// Prints them.
    pub(super) fn tell(&self, as_json: bool) -> Result<(), Failure> {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let elements = self.elements.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (accepted, open, refused) = (of(&self.accepted), of(&self.open), of(&self.refused));
        let (failed, replayed, vanished) =
            (of(&self.failed), of(&self.replayed), of(&self.vanished));
        let (sent, received) = (of(&self.sent), of(&self.received));
        if as_json {
            let elements: BTreeMap<String, _> = elements
                .iter()
                .map(|(pe, one)| {
                    let counts =
                        json!({ "connections": one.connections, "failures": one.failures });
                    (pe.to_string(), counts)
                })
                .collect();
            return outlet::json(&json!({
                "accepted": accepted, "open": open, "not_served": refused,
                "failed_connects": failed, "replayed": replayed, "vanished": vanished,
                "bytes_sent": sent, "bytes_received": received, "elements": elements,
            }));
        }
        let mut text = format!(
            "{accepted} clients, {open} open, {refused} not served, {failed} failed connects, \
             {replayed} replayed, {vanished} vanished, {sent} bytes sent, {received} received"
        );
        for (pe, one) in elements {
            text +=
                &format!("\n  {pe}  {} connections, {} failures", one.connections, one.failures);
        }
        outlet::line(text)
    }
}
