//! Handle resolutions (RFC 5352, 3.3).

use rserpool_codec::asap::{Message, ResolutionResponse};
use rserpool_codec::{Cause, CauseCode, Causes};
use rserpool_engine::{ElementKey, Handlespace, PoolHandle};

use super::super::subscriptions::Subscriber;
use super::{Event, Origin, Pools, Turn, emit};
use crate::LifeUnit;

impl Pools {
    /// Appends the answer to a handle resolution: the pool's policy and its
    /// elements in the order of the policy. A pool that does not exist is
    /// answered with cause 9, one without an element that may serve with cause
    /// 6: a positive answer has at least one. Returns whether the association
    /// is told of changes from now on; a negative answer ends that.
    pub(super) fn resolve(
        &mut self,
        turn: &mut Turn<'_>,
        origin: &Origin,
        handle: PoolHandle<'_>,
        items: Option<u32>,
        subscribe: bool,
        out: &mut Vec<u8>,
    ) -> bool {
        let config = turn.config;
        let wanted = match items {
            None | Some(0) => config.items_default,
            Some(items) => items,
        };
        let wanted = wanted.clamp(1, config.items_max.max(1));
        // To answer with fewer is allowed, to pile up answers is not.
        let items = if origin.congested { 1 } else { wanted };
        if self.space.resolve(turn.now, handle, items, &mut self.resolution).is_err() {
            turn.stats.resolutions_unknown += 1;
            self.unknown(turn, handle, out);
            return false;
        }
        if self.resolution.elements.is_empty() {
            turn.stats.resolutions_drained += 1;
            self.negative(turn, handle, CauseCode::LackOfResources, out);
            return false;
        }
        let subscribed = subscribe && self.subscribe(turn, origin, handle, wanted);
        let keys = self.resolution.elements.iter().copied();
        let Some(count) = positive(turn, &self.space, handle, subscribed, keys, out) else {
            self.negative(turn, handle, CauseCode::LackOfResources, out);
            return false;
        };
        turn.stats.resolutions += 1;
        turn.stats.resolved_elements += count;
        subscribed
    }

    fn subscribe(
        &mut self,
        turn: &mut Turn<'_>,
        origin: &Origin,
        handle: PoolHandle<'_>,
        items: u32,
    ) -> bool {
        let limits = (turn.config.subscriptions_max, turn.config.subscriptions_per_association_max);
        let subscriber = Subscriber { items, transport: origin.peer.transport };
        let added = self.subscriptions.add(limits, origin.association, handle, subscriber);
        turn.stats.subscriptions += u64::from(added);
        added
    }

    /// Tells the next subscriber of a pool that changed what it is: its
    /// elements that may serve, in no particular order, for this selects none
    /// of them. A pool without any ends the subscription.
    pub(super) fn tell_subscriber(
        &mut self,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Event> {
        let interval = turn.config.subscription_interval;
        let (id, name, subscriber) = self.subscriptions.poll(turn.now, interval)?;
        let handle = PoolHandle::new(&name);
        turn.stats.notices += 1;
        let Turn { config, stats, now, .. } = turn;
        let dialect = config.dialect(subscriber.transport);
        let mut turn = Turn { config, dialect, stats, now: *now };
        let pool = self.space.pool(handle);
        let exists = pool.is_some();
        let elements = pool.into_iter().flat_map(|pool| pool.elements());
        let serving = elements.filter(|element| !element.is_drained());
        let keys = serving.take(subscriber.items as usize).map(|element| element.key());
        if positive(&turn, &self.space, handle, true, keys, out).is_none() {
            self.subscriptions.remove(id, handle);
            if exists {
                self.negative(&mut turn, handle, CauseCode::LackOfResources, out);
            } else {
                self.unknown(&mut turn, handle, out);
            }
        }
        Some(Event { association: Some(id), call: None, removed: false })
    }

    fn unknown(&self, turn: &mut Turn<'_>, handle: PoolHandle<'_>, out: &mut Vec<u8>) {
        if ResolutionResponse::unknown_pool(out, turn.dialect.length_form, handle).is_err() {
            // Too long with the handle twice.
            self.negative(turn, handle, CauseCode::UnknownPoolHandle, out);
        }
    }

    fn negative(
        &self,
        turn: &mut Turn<'_>,
        handle: PoolHandle<'_>,
        code: CauseCode,
        out: &mut Vec<u8>,
    ) {
        let causes = [Cause::new(code, &[])];
        let message = Message::HandleResolutionResponse {
            handle,
            subscribed: false,
            policy: None,
            elements: rserpool_codec::Elements::EMPTY,
            error: Some(Causes::list(&causes)),
        };
        emit(turn, &message, out);
    }
}

/// Appends a positive response, and returns how many elements it has. `None`:
/// there are none, or the handle is too long.
fn positive(
    turn: &Turn<'_>,
    space: &Handlespace,
    handle: PoolHandle<'_>,
    subscribed: bool,
    keys: impl Iterator<Item = ElementKey>,
    out: &mut Vec<u8>,
) -> Option<u64> {
    let mut elements = keys.filter_map(|key| space.get(key));
    let first = elements.next()?;
    let form = turn.dialect.length_form;
    let mut response =
        ResolutionResponse::begin(out, form, handle, subscribed, first.policy()).ok()?;
    let (stored, spoken) = (turn.config.sctp.life_unit, turn.dialect.life_unit);
    let mut count = 0;
    for element in core::iter::once(first).chain(elements) {
        let at = out.len();
        if !response.element(out, pool_element(element.record()), element.home()) {
            break;
        }
        if spoken != stored
            && let Some(copy) = out.get_mut(at..)
        {
            convert_life(copy, stored, spoken);
        }
        count += 1;
    }
    response.finish(out);
    Some(count)
}

/// The Pool Element parameter at the start of a record.
fn pool_element(record: &[u8]) -> &[u8] {
    let Some(&[_, _, high, low]) = record.first_chunk::<4>() else { return &[] };
    let length = usize::from(u16::from_be_bytes([high, low])).next_multiple_of(4);
    record.get(..length).unwrap_or(record)
}

/// Where the registration life is in a Pool Element parameter.
const LIFE_OFFSET: usize = 12;

/// Rewrites the registration life of a Pool Element parameter in another unit.
fn convert_life(element: &mut [u8], from: LifeUnit, to: LifeUnit) {
    let Some(wire) = element.get_mut(LIFE_OFFSET..).and_then(<[u8]>::first_chunk_mut::<4>) else {
        return;
    };
    if let Some(life) = from.from_wire(i32::from_be_bytes(*wire)) {
        *wire = to.to_wire(life).to_be_bytes();
    }
}
