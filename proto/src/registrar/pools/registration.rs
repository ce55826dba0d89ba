//! Registrations (RFC 5352, 3.1).

use core::net::{IpAddr, Ipv4Addr};

use rserpool_codec::asap::Message;
use rserpool_codec::enrp::extension::identity_hash;
use rserpool_codec::{Addresses, Cause, CauseCode, Causes, Element, Transport, parameter};
use rserpool_engine::{
    AssociationId, ChannelUse, Outcome, PeId, PoolHandle, RegisterError, Registered, Registration,
    RegistrationLife, TransportKind,
};

use super::super::Loopback;
use super::super::journal::Change;
use super::{Effect, Origin, Pools, Turn, emit};
use crate::enrp::{Standing, Tally};

impl Pools {
    pub(super) fn register(
        &mut self,
        turn: &mut Turn<'_>,
        origin: &Origin,
        handle: PoolHandle<'_>,
        element: &Element<'_>,
        out: &mut Vec<u8>,
    ) -> Effect {
        let pe = element.pe;
        match self.accept(turn, origin, handle, element) {
            Ok(effect) => {
                let message =
                    Message::RegistrationResponse { handle, pe, rejected: false, error: None };
                emit(turn, &message, out);
                effect
            }
            Err(code) => {
                turn.stats.reject(code);
                let causes = [Cause::new(code, &self.data)];
                let error = Some(Causes::list(&causes));
                let message = Message::RegistrationResponse { handle, pe, rejected: true, error };
                if message.emit(out, turn.dialect.length_form).is_err() {
                    // The data made it too long.
                    let causes = [Cause::new(code, &[])];
                    let error = Some(Causes::list(&causes));
                    let bare = Message::RegistrationResponse { handle, pe, rejected: true, error };
                    emit(turn, &bare, out);
                }
                Effect::default()
            }
        }
    }

    /// Registers the element, or says why not and leaves the data of the cause
    /// in `self.data`.
    fn accept(
        &mut self,
        turn: &mut Turn<'_>,
        origin: &Origin,
        handle: PoolHandle<'_>,
        element: &Element<'_>,
    ) -> Result<Effect, CauseCode> {
        self.data.clear();
        if !may_be_at(&element.user_transport, turn.config.loopback, origin) {
            let _ = element.user_transport.emit(&mut self.data, turn.dialect.length_form);
            return Err(CauseCode::InvalidValues);
        }
        let Some(life) = turn.dialect.life_unit.from_wire(element.life) else {
            let _ = element.emit(&mut self.data, turn.dialect.length_form);
            return Err(CauseCode::InvalidValues);
        };
        let registered = self.space.find(handle, element.pe);
        let previous = registered.and_then(|key| self.space.get(key)?.association());
        let adds = previous != Some(origin.association);
        if adds && !origin.may_add {
            return Err(CauseCode::LackOfResources);
        }
        self.write_record(turn, origin, element, life)?;
        let registration = Registration {
            handle,
            pe: element.pe,
            home: turn.config.engine.registrar,
            association: Some(origin.association),
            life,
            policy: element.policy,
            transport: element.user_transport.kind,
            channel_use: element.user_transport.channel_use,
            record: &self.record,
        };
        match self.space.register(turn.now, &registration) {
            Ok(registered) => {
                if registered.outcome != Outcome::Renewed {
                    self.subscriptions.changed(turn.now, handle);
                }
                let unreachable = origin.peer.transport != TransportKind::Sctp;
                self.claim(turn, registered, handle, element.pe, unreachable);
                Ok(self.registered(turn, registered, adds, previous))
            }
            Err(error) => Err(self.cause_of(turn, handle, element, error)),
        }
    }

    /// This registrar is the home of an element that registered. Peers hear of
    /// it; those of our own kind only if that changed something, for they let
    /// the home watch over the registration life.
    fn claim(
        &mut self,
        turn: &Turn<'_>,
        registered: Registered,
        handle: PoolHandle<'_>,
        pe: PeId,
        unreachable: bool,
    ) {
        if !self.journal.on {
            return;
        }
        let key = registered.key;
        let before = Standing::of_tag(self.space.tag(key));
        let moved = registered.previous_home.is_some();
        let standing = if registered.outcome == Outcome::Created {
            let name = identity_hash(handle, pe);
            let last = self.graves.find(turn.now, name).map_or(0, |grave| grave.term);
            self.graves.exhume(name);
            Standing { term: last, ..before }.heard(true)
        } else {
            before.heard(moved)
        };
        let standing = Standing { unreachable, ..standing };
        let renewal = registered.outcome == Outcome::Renewed && standing == before;
        if !renewal {
            self.stand(key, standing);
        }
        let change = Change { deleted: false, renewal, claim: standing.claim(false) };
        let own = Tally::of(&self.space, turn.config.engine.registrar);
        self.journal.update(own, change, handle, pe, &self.record);
    }

    /// What follows from an accepted registration.
    fn registered(
        &mut self,
        turn: &mut Turn<'_>,
        registered: Registered,
        adds: bool,
        previous: Option<AssociationId>,
    ) -> Effect {
        if registered.outcome == Outcome::Created {
            turn.stats.registrations += 1;
        } else {
            turn.stats.reregistrations += 1;
            self.suspects.forget(registered.key);
        }
        let released = previous.filter(|_| adds);
        if released.is_some() {
            turn.stats.moves += 1;
        }
        Effect { added: adds, released }
    }

    /// What the engine keeps with the element: the Pool Element parameter for
    /// pool users, with this registrar as home and the life in the unit of
    /// peers over SCTP, and behind it the ASAP transport that peers get, if the
    /// association has one.
    fn write_record(
        &mut self,
        turn: &Turn<'_>,
        origin: &Origin,
        element: &Element<'_>,
        life: RegistrationLife,
    ) -> Result<(), CauseCode> {
        let form = turn.config.sctp.length_form;
        let home = turn.config.engine.registrar;
        self.record.clear();
        let life = turn.config.sctp.life_unit.to_wire(life);
        let kept = Element { home, life, asap_transport: None, ..*element };
        let mut written = kept.emit(&mut self.record, form);
        if origin.peer.transport == TransportKind::Sctp {
            let address = [origin.peer.address.ip()];
            let port = origin.peer.address.port();
            let asap = Transport::sctp(port, ChannelUse::Data, Addresses::List(&address));
            written = written.and_then(|()| asap.emit(&mut self.record, form));
        }
        written.map_err(|_| CauseCode::InvalidValues)
    }

    /// The cause for the engine's refusal; its data is left in `self.data`.
    fn cause_of(
        &mut self,
        turn: &Turn<'_>,
        handle: PoolHandle<'_>,
        element: &Element<'_>,
        error: RegisterError,
    ) -> CauseCode {
        let form = turn.dialect.length_form;
        match error {
            RegisterError::InvalidHandle => {
                self.handle_data(handle);
                CauseCode::InvalidValues
            }
            RegisterError::InvalidPeId | RegisterError::InvalidHome => {
                let _ = element.emit(&mut self.data, form);
                CauseCode::InvalidValues
            }
            RegisterError::InconsistentPolicy(pool) => {
                let _ = parameter::emit_policy(pool, &mut self.data);
                CauseCode::InconsistentPolicy
            }
            RegisterError::InconsistentTransport(pool) => {
                let _ = sample_transport(pool).emit(&mut self.data, form);
                CauseCode::InconsistentTransport
            }
            RegisterError::InconsistentChannelUse(_) => CauseCode::InconsistentChannelUse,
            RegisterError::LackOfResources(_) => CauseCode::LackOfResources,
            _ => CauseCode::Unspecified,
        }
    }
}

/// A transport that shows no more than its kind (RFC 5354, 3.12.8).
const fn sample_transport<'a>(kind: TransportKind) -> Transport<'a> {
    const NOWHERE: Addresses<'_> = Addresses::List(&[IpAddr::V4(Ipv4Addr::UNSPECIFIED)]);
    const PORT: u16 = 9;
    match kind {
        TransportKind::Dccp => Transport::dccp(PORT, 0, NOWHERE),
        TransportKind::Sctp => Transport::sctp(PORT, ChannelUse::Data, NOWHERE),
        TransportKind::Tcp => Transport::tcp(PORT, NOWHERE),
        TransportKind::Udp => Transport::udp(PORT, NOWHERE),
        TransportKind::UdpLite => Transport::udp_lite(PORT, NOWHERE),
        TransportKind::Opaque => Transport::opaque(&[]),
    }
}

/// Whether a pool user could reach a service at this transport. Over TCP its
/// addresses cannot be compared with those of the association, as RFC 5352
/// wants for SCTP endpoints: what cannot be anybody's is refused.
fn may_be_at(transport: &Transport<'_>, loopback: Loopback, origin: &Origin) -> bool {
    if transport.kind == TransportKind::Opaque {
        return true;
    }
    let loopback = match loopback {
        Loopback::Local => origin.peer.address.ip().to_canonical().is_loopback(),
        Loopback::Allowed => true,
        Loopback::Refused => false,
    };
    let may = |address: IpAddr| {
        !address.is_unspecified()
            && !address.is_multicast()
            && address != IpAddr::V4(Ipv4Addr::BROADCAST)
            && (loopback || !address.is_loopback())
    };
    transport.port != 0 && transport.addresses.iter().all(may)
}
