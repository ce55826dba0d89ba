//! What a message of the registrar means.

use rserpool_codec::{Causes, DecodeError, Elements, Transports};
use rserpool_engine::{PeId, Policy, PoolHandle, RegistrarId};

/// What a message of the registrar means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are named as in the messages; token as in the request")]
pub enum Event<'m> {
    /// The answer to a registration. `causes` without `rejected` are warnings.
    Registered {
        token: u64,
        handle: PoolHandle<'m>,
        pe: PeId,
        rejected: bool,
        causes: Option<Causes<'m>>,
    },
    /// The answer to a deregistration; refused if there are `causes`.
    Deregistered { token: u64, handle: PoolHandle<'m>, pe: PeId, causes: Option<Causes<'m>> },
    /// The registration life of this element was over (RFC 5352, 3.2).
    Expired { handle: PoolHandle<'m>, pe: PeId },
    /// The answer to a handle resolution; negative if there is an `error`.
    /// `subscribed`: [`Event::PoolChanged`] follows whenever the pool changes.
    Resolved {
        token: u64,
        handle: PoolHandle<'m>,
        subscribed: bool,
        policy: Option<Policy>,
        elements: Elements<'m>,
        error: Option<Causes<'m>>,
    },
    /// A pool that was subscribed to changed (RFC 5352, 2.2.6). With an
    /// `error` it is gone, and the subscription with it.
    PoolChanged {
        handle: PoolHandle<'m>,
        policy: Option<Policy>,
        elements: Elements<'m>,
        error: Option<Causes<'m>>,
    },
    /// The registrar asks whether the element (with rsplib's `pe`), or every
    /// element of the pool, is alive. Answer with
    /// [`ack_keep_alive`](super::Conversation::ack_keep_alive).
    KeepAlive { handle: PoolHandle<'m>, pe: Option<PeId>, registrar: RegistrarId, take_home: bool },
    /// A registrar tells where it listens.
    Announce { registrar: RegistrarId, transports: Transports<'m> },
    /// The registrar could not make sense of a message.
    Error { causes: Causes<'m> },
    /// Something else; it had no effect.
    Unexpected(Unexpected<'m>),
}

/// Why a message had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unexpected<'m> {
    /// It cannot be read. What the protocol wants reported is in the output.
    Malformed(DecodeError<'m>),
    /// It answers a request that was given up.
    Late(TimedOut),
    /// It answers nothing that was asked.
    Response,
    /// It is a message a registrar does not send.
    Message,
}

/// What a request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// A registration (T2).
    Registration,
    /// A deregistration (T3).
    Deregistration,
    /// A handle resolution (T1).
    Resolution,
}

/// A request that was not answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut {
    /// What it asked for.
    pub request: Request,
    /// The token of the request.
    pub token: u64,
}
