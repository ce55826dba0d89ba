//! Handle resolutions (RFC 5352, 3.3).

use rserpool_codec::asap::{Message, ResolutionResponse};
use rserpool_codec::{Cause, CauseCode, Causes};
use rserpool_engine::PoolHandle;

use super::{Origin, Pools, Turn, emit};
use crate::LifeUnit;

impl Pools {
    /// Appends the answer to a handle resolution: the pool's policy and its
    /// elements in the order of the policy. A pool that does not exist is
    /// answered with cause 9, one without an element that may serve with cause
    /// 6: a positive answer has at least one. Subscriptions are not accepted.
    pub(super) fn resolve(
        &mut self,
        turn: &mut Turn<'_>,
        origin: &Origin,
        handle: PoolHandle<'_>,
        items: Option<u32>,
        out: &mut Vec<u8>,
    ) {
        let config = turn.config;
        let items = match items {
            // To answer with fewer is allowed, to pile up answers is not.
            _ if origin.congested => 1,
            None | Some(0) => config.items_default,
            Some(items) => items,
        };
        let items = items.clamp(1, config.items_max.max(1));
        if self.space.resolve(turn.now, handle, items, &mut self.resolution).is_err() {
            turn.stats.resolutions_unknown += 1;
            if ResolutionResponse::unknown_pool(out, turn.dialect.length_form, handle).is_err() {
                // Too long with the handle twice.
                self.negative(turn, handle, CauseCode::UnknownPoolHandle, out);
            }
            return;
        }
        let mut elements = self.resolution.elements.iter().filter_map(|&key| self.space.get(key));
        let Some(first) = elements.next() else {
            turn.stats.resolutions_drained += 1;
            self.negative(turn, handle, CauseCode::LackOfResources, out);
            return;
        };
        let begun =
            ResolutionResponse::begin(out, turn.dialect.length_form, handle, false, first.policy());
        let Ok(mut response) = begun else {
            self.negative(turn, handle, CauseCode::LackOfResources, out);
            return;
        };
        turn.stats.resolutions += 1;
        for element in core::iter::once(first).chain(elements) {
            let at = out.len();
            if !response.element(out, pool_element(element.record()), element.home()) {
                break;
            }
            if turn.dialect.life_unit != config.sctp.life_unit
                && let Some(copy) = out.get_mut(at..)
            {
                convert_life(copy, config.sctp.life_unit, turn.dialect.life_unit);
            }
            turn.stats.resolved_elements += 1;
        }
        response.finish(out);
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
