//! What was asked over one association, and whether the answers are those, in
//! that order, each once. ASAP has no transaction identifiers: this is all
//! that tells an answer from another.

use std::collections::VecDeque;

use rserpool_codec::asap::{Message, peek_element, peek_handle};
use rserpool_engine::{PeId, Policy};

use crate::cluster::Cx;
use crate::messages::Messages;
use crate::model::ElementNo;
use crate::network::{LinkId, Micros, NodeId};
use crate::trace::trace;

const REGISTRATION: u8 = 1;
const DEREGISTRATION: u8 = 2;
const REGISTRATION_RESPONSE: u8 = 3;
const DEREGISTRATION_RESPONSE: u8 = 4;
const RESOLUTION: u8 = 5;
const RESOLUTION_RESPONSE: u8 = 6;
const ERROR: u8 = 14;

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    code: u8,
    pool: Box<[u8]>,
    pe: Option<PeId>,
    pub(crate) sent: Micros,
    /// The policy values of a registration.
    pub(crate) policy: Option<Policy>,
}

/// The requests of one association, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    asked: VecDeque<Asked>,
}

impl Ledger {
    /// Notes the requests that were appended to an output.
    pub(crate) fn note_all(
        &mut self,
        cx: &mut Cx,
        output: &[u8],
        start: usize,
        elements: &[ElementNo],
    ) {
        for message in Messages(output.get(start..).unwrap_or_default()) {
            let Some(code @ (REGISTRATION | DEREGISTRATION | RESOLUTION)) =
                message.first().copied()
            else {
                continue;
            };
            let Some((_, handle)) = peek_handle(message) else { continue };
            let pe = peek_element(message).map(|(_, pe)| pe);
            let mut policy = None;
            trace!(cx, "{} asks {}", who(cx, elements), plain(message));
            if code == REGISTRATION
                && let Ok(Message::Registration { element, .. }) = Message::parse(message)
            {
                policy = Some(element.policy);
                for &number in elements {
                    if let Some(known) = cx.model.get_mut(number) {
                        known.asked = cx.net.now();
                        known.policy = element.policy;
                    }
                }
            }
            let pool = handle.as_bytes().into();
            self.asked.push_back(Asked { code, pool, pe, sent: cx.net.now(), policy });
        }
    }

    /// A message came. Gives the request it answers.
    pub(crate) fn answer(&mut self, cx: &mut Cx, name: &str, message: &[u8]) -> Option<Asked> {
        let code = message.first().copied().unwrap_or(0);
        let wanted = match code {
            REGISTRATION_RESPONSE => REGISTRATION,
            DEREGISTRATION_RESPONSE => DEREGISTRATION,
            RESOLUTION_RESPONSE => RESOLUTION,
            ERROR => {
                let read = format!("{:?}", Message::parse(message));
                cx.model.fail(|| format!("{name} is sent an error: {read}"));
                return None;
            }
            _ => return None,
        };
        let handle = peek_handle(message).map(|(_, handle)| handle);
        let pe = peek_element(message).map(|(_, pe)| pe);
        let fits = self.asked.front().is_some_and(|asked| {
            asked.code == wanted
                && handle.is_some_and(|handle| handle.as_bytes() == &*asked.pool)
                && (wanted == RESOLUTION || asked.pe == pe)
        });
        if fits {
            return self.asked.pop_front();
        }
        // A registrar may say by itself that a registration life is over.
        if code != DEREGISTRATION_RESPONSE {
            let front = self.asked.front().cloned();
            cx.model.fail(|| {
                format!("{name} got an answer out of order: {code} of {handle:?}, not {front:?}")
            });
        }
        None
    }

    /// A request was given up. That must not happen while all is well.
    pub(crate) fn overdue(
        &self,
        cx: &mut Cx,
        name: &str,
        node: NodeId,
        registrar: usize,
        link: LinkId,
    ) {
        let quiet = cx.model.quiet_since(node, cx.registrar_node(registrar));
        let Some(asked) = self.asked.front() else { return };
        let sent = asked.sent;
        if quiet.is_some_and(|quiet| sent >= quiet) && cx.net.is_open(link) {
            let code = asked.code;
            cx.model.fail(|| {
                format!("{name} was never answered a request {code} by R{}", registrar + 1)
            });
        }
    }
}

/// Who asks, for people.
fn who(cx: &Cx, elements: &[ElementNo]) -> String {
    elements.first().map_or_else(|| "a pool user".to_owned(), |&number| cx.model.name(number))
}

/// A request in words.
fn plain(message: &[u8]) -> String {
    match Message::parse(message) {
        Ok(Message::Registration { element, .. }) => {
            format!("for its registration for {} s with {:?}", element.life, element.policy)
        }
        Ok(Message::Deregistration { handle, pe }) => format!("to deregister {pe} of {handle}"),
        Ok(Message::HandleResolution { handle, items, .. }) => {
            format!("for {handle}, {items:?} elements")
        }
        other => format!("{other:?}"),
    }
}
