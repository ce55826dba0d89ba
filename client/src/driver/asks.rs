//! Handle resolutions under way.

use std::collections::BTreeMap;
use std::time::Duration;

use rserpool_codec::{Causes, Elements};
use rserpool_engine::{Policy, PoolHandle, Timestamp};
use rserpool_proto::endpoint::Conversation;
use rserpool_proto::user::{Cache, Known};

use super::Answer;
use crate::{Config, Error, Resolution, ResolvedElement};

/// MAX-REQUEST-RETRANSMIT (RFC 5352, 7.3): how often a resolution that was not
/// answered is asked for again, at another registrar if there is one.
const RETRANSMIT_MAX: u32 = 2;

/// Handle resolutions under way.
#[derive(Debug)]
pub(super) struct Asks {
    /// T1, which is also how long a resolution waits for a registrar.
    patience: Duration,
    asks: BTreeMap<u64, Ask>,
    /// The resolutions for the cache: at most one a pool.
    for_cache: BTreeMap<Vec<u8>, u64>,
    /// Those that no registrar was asked for, by when to give them up.
    waiting: BTreeMap<(Timestamp, u64), ()>,
    tokens: u64,
}

#[derive(Debug)]
struct Ask {
    handle: Vec<u8>,
    items: Option<u32>,
    subscribe: bool,
    /// How often it was asked for in vain.
    attempts: u32,
    /// When to give it up, unless it was asked for.
    until: Option<Timestamp>,
    asker: Asker,
}

#[derive(Debug)]
enum Asker {
    Direct(Answer<Resolution>),
    /// The cache, and who waits for how many elements from there.
    Cache(Vec<(u32, Answer<Resolution>)>),
}

impl Asker {
    fn fail(self, error: impl Fn() -> Error) {
        // Who no longer waits for an answer does not miss it.
        match self {
            Self::Direct(answer) => drop(answer.send(Err(error()))),
            Self::Cache(waiting) => {
                for (_, answer) in waiting {
                    let _ = answer.send(Err(error()));
                }
            }
        }
    }
}

impl Asks {
    pub(super) const fn new(patience: Duration) -> Self {
        Self {
            patience,
            asks: BTreeMap::new(),
            for_cache: BTreeMap::new(),
            waiting: BTreeMap::new(),
            tokens: 0,
        }
    }

    /// Asks a registrar.
    pub(super) fn resolve(
        &mut self,
        now: Timestamp,
        conversation: Option<&mut Conversation>,
        handle: Vec<u8>,
        items: u32,
        answer: Answer<Resolution>,
    ) {
        let items = (items > 0).then_some(items);
        let asker = Asker::Direct(answer);
        let ask = Ask { handle, items, subscribe: false, attempts: 0, until: None, asker };
        self.add(now, conversation, ask);
    }

    /// Answers from the cache, and asks a registrar if that does not know.
    #[expect(clippy::too_many_arguments, reason = "the parts of the driver it works with")]
    pub(super) fn select(
        &mut self,
        now: Timestamp,
        conversation: Option<&mut Conversation>,
        cache: &mut Cache,
        config: &Config,
        handle: Vec<u8>,
        items: u32,
        answer: Answer<Resolution>,
    ) {
        let name = PoolHandle::new(&handle);
        let known = cache.known(now, name);
        let mut waiting = Vec::new();
        match known {
            Known::NoPool => return drop(answer.send(Err(Error::unknown_pool()))),
            Known::Fresh | Known::Stale => match selected(cache, now, name, items) {
                Some(resolution) => drop(answer.send(Ok(resolution))),
                // Every element that was known has failed.
                None => waiting.push((items, answer)),
            },
            Known::Nothing => waiting.push((items, answer)),
        }
        if known == Known::Fresh && waiting.is_empty() {
            return;
        }
        if let Some(token) = self.for_cache.get(&handle)
            && let Some(Ask { asker: Asker::Cache(others), .. }) = self.asks.get_mut(token)
        {
            others.append(&mut waiting);
            return;
        }
        self.for_cache.insert(handle.clone(), self.tokens);
        let (items, subscribe) = (Some(config.cache_items), config.subscribe);
        let asker = Asker::Cache(waiting);
        let ask = Ask { handle, items, subscribe, attempts: 0, until: None, asker };
        self.add(now, conversation, ask);
    }

    fn add(&mut self, now: Timestamp, conversation: Option<&mut Conversation>, ask: Ask) {
        let token = self.tokens;
        self.tokens += 1;
        self.asks.insert(token, ask);
        match conversation {
            Some(conversation) => self.send(now, conversation, token),
            None => self.wait(now, token),
        }
    }

    fn send(&mut self, now: Timestamp, conversation: &mut Conversation, token: u64) {
        let Some(ask) = self.asks.get_mut(&token) else { return };
        if let Some(until) = ask.until.take() {
            self.waiting.remove(&(until, token));
        }
        let handle = PoolHandle::new(&ask.handle);
        if let Err(full) = conversation.resolve(now, token, handle, ask.items, ask.subscribe)
            && let Some(ask) = self.take(token)
        {
            ask.asker.fail(|| Error::Invalid(full.to_string()));
        }
    }

    fn wait(&mut self, now: Timestamp, token: u64) {
        let Some(ask) = self.asks.get_mut(&token) else { return };
        let until = now.after(self.patience);
        ask.until = Some(until);
        self.waiting.insert((until, token), ());
    }

    fn take(&mut self, token: u64) -> Option<Ask> {
        let ask = self.asks.remove(&token)?;
        if let Some(until) = ask.until {
            self.waiting.remove(&(until, token));
        }
        if matches!(ask.asker, Asker::Cache(_)) {
            self.for_cache.remove(&ask.handle);
        }
        Some(ask)
    }

    /// There is a registrar: everything is asked there.
    pub(super) fn connected(&mut self, now: Timestamp, conversation: &mut Conversation) {
        let tokens: Vec<u64> = self.asks.keys().copied().collect();
        for token in tokens {
            self.send(now, conversation, token);
        }
    }

    /// The registrar is gone: everything waits for the next one.
    pub(super) fn disconnected(&mut self, now: Timestamp) {
        let tokens: Vec<u64> = self.asks.keys().copied().collect();
        for token in tokens {
            self.wait(now, token);
        }
    }

    /// The registrar did not answer in time (T1).
    pub(super) fn timed_out(&mut self, token: u64) {
        let Some(ask) = self.asks.get_mut(&token) else { return };
        ask.attempts += 1;
        if ask.attempts > RETRANSMIT_MAX
            && let Some(ask) = self.take(token)
        {
            ask.asker.fail(|| Error::TimedOut);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Timestamp> {
        self.waiting.first_key_value().map(|((until, _), ())| *until)
    }

    /// Gives up what waited too long for a registrar.
    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        while let Some((&(until, token), ())) = self.waiting.first_key_value()
            && until <= now
        {
            self.waiting.remove(&(until, token));
            if let Some(ask) = self.take(token) {
                ask.asker.fail(|| Error::NoRegistrar(None));
            }
        }
    }

    /// A registrar answered.
    #[expect(clippy::too_many_arguments, reason = "the parts of the driver and of the answer")]
    pub(super) fn answered(
        &mut self,
        now: Timestamp,
        cache: &mut Cache,
        config: &Config,
        token: u64,
        handle: PoolHandle<'_>,
        answer: Result<(Option<Policy>, &Elements<'_>), &Causes<'_>>,
        subscribed: bool,
    ) {
        let Some(ask) = self.take(token) else { return };
        match (ask.asker, answer) {
            (Asker::Direct(asker), Ok((policy, elements))) => {
                // No policy means Round Robin (RFC 5352, 2.2.6).
                let policy = policy.unwrap_or(Policy::RoundRobin);
                let elements = elements.iter().map(Into::into).collect();
                let _ = asker.send(Ok(Resolution { policy, elements }));
            }
            (asker @ Asker::Direct(_), Err(causes)) => {
                asker.fail(|| Error::refused(Some(causes)));
            }
            (Asker::Cache(waiting), Ok((policy, elements))) => {
                cache.store(now, handle, policy, elements, subscribed && config.subscribe);
                for (items, answer) in waiting {
                    let found = selected(cache, now, handle, items);
                    let _ = answer.send(found.ok_or_else(Error::unknown_pool));
                }
            }
            (asker @ Asker::Cache(_), Err(causes)) => {
                cache.store_unknown(now, handle);
                asker.fail(|| Error::refused(Some(causes)));
            }
        }
    }
}

/// Elements from the cache. None: there are none.
fn selected(
    cache: &mut Cache,
    now: Timestamp,
    handle: PoolHandle<'_>,
    items: u32,
) -> Option<Resolution> {
    let policy = cache.policy(handle)?;
    let elements: Vec<ResolvedElement> =
        cache.select(now, handle, items.max(1)).map(Into::into).collect();
    (!elements.is_empty()).then_some(Resolution { policy, elements })
}
