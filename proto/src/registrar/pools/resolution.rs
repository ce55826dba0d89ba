//! Handle resolutions (RFC 5352, 3.3).

use rserpool_codec::asap::{Message, ResolutionResponse};
use rserpool_codec::{Cause, CauseCode, Causes};
use rserpool_engine::PoolHandle;

use super::{Origin, Pools, Turn, emit};

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
            if ResolutionResponse::unknown_pool(out, config.length_form, handle).is_err() {
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
            ResolutionResponse::begin(out, config.length_form, handle, false, first.policy());
        let Ok(mut response) = begun else {
            self.negative(turn, handle, CauseCode::LackOfResources, out);
            return;
        };
        turn.stats.resolutions += 1;
        for element in core::iter::once(first).chain(elements) {
            if !response.element(out, pool_element(element.record()), element.home()) {
                break;
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
