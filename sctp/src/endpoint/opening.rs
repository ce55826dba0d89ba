//! An association that we asked for and that is not up yet: COOKIE-WAIT and
//! COOKIE-ECHOED (RFC 9260 sections 4 and 5.1).

use std::time::{Duration, Instant};

use super::Shared;
use super::cookie::{Offer, first_cause};
use super::offered::Offered;
use super::open::Identity;
use super::path::Path;
use crate::link::{DownReason, Violation};
use crate::wire::{Chunks, Init, Packet, REFLECTED, cause, kind, parameter, put_parameter};

/// Bytes an INIT is padded to, so that an answer with further addresses is
/// still no longer than the question.
const INIT_BYTES: usize = 256;
/// How often a cookie may turn out to be out of date before we give up.
const STALE_MAX: u32 = 3;

/// An association in the making.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) identity: Identity,
    /// Where to try, in turn.
    pub(super) targets: Vec<Path>,
    target: usize,
    /// What the peer answered to our INIT, and from where.
    echoed: Option<(Offer, Path)>,
    /// The INIT or COOKIE ECHO, to be sent again.
    packet: Vec<u8>,
    retries: u16,
    stale: u32,
    timeout: Duration,
    pub(super) due: Instant,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Progressed {
    Waiting,
    /// The peer has taken the cookie.
    Up {
        offer: Offer,
        path: Path,
    },
    Down(DownReason),
}

impl Opening {
    /// Sends the INIT.
    pub(super) fn new(
        now: Instant,
        shared: &mut Shared,
        identity: Identity,
        targets: Vec<Path>,
    ) -> Self {
        let timeout = shared.config.tuning.rto_initial;
        let mut opening = Self {
            identity,
            targets,
            target: 0,
            echoed: None,
            packet: init(shared, identity),
            retries: 0,
            stale: 0,
            timeout,
            due: now,
        };
        opening.transmit(now, shared);
        opening
    }

    /// The peer's tag, 0 as long as it has not told.
    pub(super) fn peer_tag(&self) -> u32 {
        self.echoed.as_ref().map_or(0, |(offer, _)| offer.tag)
    }

    fn transmit(&mut self, now: Instant, shared: &mut Shared) {
        let path = match &self.echoed {
            Some((_, path)) => Some(*path),
            None => self.targets.get(self.target % self.targets.len().max(1)).copied(),
        };
        if let Some(path) = path {
            shared.output.transmit(path, self.packet.clone());
        }
        self.due = now + self.timeout;
    }

    /// Sends the INIT or cookie again, elsewhere if there is an elsewhere.
    pub(super) fn handle_timeout(&mut self, now: Instant, shared: &mut Shared) -> Progressed {
        if now < self.due {
            return Progressed::Waiting;
        }
        let tuning = &shared.config.tuning;
        if self.retries >= tuning.init_retransmissions_max {
            return Progressed::Down(DownReason::NoAnswer);
        }
        self.retries += 1;
        self.target += 1;
        self.timeout = (self.timeout * 2).min(tuning.rto_max);
        self.transmit(now, shared);
        Progressed::Waiting
    }

    /// Handles a packet that came under our tag.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        shared: &mut Shared,
        from: Path,
        packet: &[u8],
    ) -> Progressed {
        let Some(chunk) = Chunks::of(packet).next() else { return Progressed::Waiting };
        match (chunk.kind, &self.echoed) {
            (kind::ABORT, _) if chunk.flags & REFLECTED == 0 => {
                Progressed::Down(DownReason::Refused)
            }
            (kind::INIT_ACK, None) => self.init_ack(now, shared, from, chunk.value),
            (kind::COOKIE_ACK, Some((offer, echoed))) => {
                // What was proven is that the cookie reached the peer.
                let same = echoed.remote.ip() == from.remote.ip();
                let path = if same { from } else { *echoed };
                Progressed::Up { offer: offer.clone(), path }
            }
            (kind::ERROR, Some(_)) if first_cause(chunk.value) == cause::STALE_COOKIE => {
                self.begin_again(now, shared)
            }
            // Anything else is early, late or none of ours.
            _ => Progressed::Waiting,
        }
    }

    fn init_ack(
        &mut self,
        now: Instant,
        shared: &mut Shared,
        from: Path,
        value: &[u8],
    ) -> Progressed {
        let unusable = Progressed::Down(DownReason::Violation(Violation::Handshake));
        let Some(init) = Init::read(value) else { return unusable };
        let offered = Offered::read(init.parameters);
        let cookie_max = shared.config.packet_bytes_max.saturating_sub(128);
        let Some(cookie) = offered.cookie.filter(|cookie| cookie.len() <= cookie_max) else {
            self.refuse(shared, from, init.tag);
            return unusable;
        };
        let mut packet = Packet::new(self.identity.local_port, self.identity.peer_port, init.tag)
            .chunk(kind::COOKIE_ECHO, 0, cookie);
        let mut unrecognized = Vec::new();
        for whole in &offered.unrecognized {
            if unrecognized.len() + whole.len() <= 64 {
                unrecognized.extend_from_slice(whole);
                unrecognized.resize(unrecognized.len().next_multiple_of(4), 0);
            }
        }
        if !unrecognized.is_empty() {
            packet = packet.cause(kind::ERROR, 0, cause::UNRECOGNIZED_PARAMETERS, &unrecognized);
        }
        let offer = Offer {
            tag: init.tag,
            tsn: init.tsn,
            window: init.window,
            streams: init.inbound,
            addresses: offered.addresses,
        };
        self.echoed = Some((offer, from));
        self.packet = packet.finish();
        self.retries = 0;
        self.timeout = shared.config.tuning.rto_initial;
        self.transmit(now, shared);
        Progressed::Waiting
    }

    /// RFC 9260 section 5.2.6.
    fn begin_again(&mut self, now: Instant, shared: &mut Shared) -> Progressed {
        self.stale += 1;
        if self.stale > STALE_MAX {
            return Progressed::Down(DownReason::NoAnswer);
        }
        self.echoed = None;
        self.packet = init(shared, self.identity);
        self.transmit(now, shared);
        Progressed::Waiting
    }

    fn refuse(&self, shared: &mut Shared, to: Path, peer_tag: u32) {
        // Missing mandatory parameter: one of them, the State Cookie.
        let mut missing = 1u32.to_be_bytes().to_vec();
        missing.extend_from_slice(&parameter::STATE_COOKIE.to_be_bytes());
        let packet = Packet::new(self.identity.local_port, self.identity.peer_port, peer_tag)
            .cause(kind::ABORT, 0, cause::MISSING_PARAMETER, &missing);
        shared.output.transmit(to, packet.finish());
    }

    /// Tells the peer, if it knows of us, that nothing will come of it.
    pub(super) fn abort(&self, shared: &mut Shared) {
        if let Some((offer, path)) = &self.echoed {
            let packet = Packet::new(self.identity.local_port, self.identity.peer_port, offer.tag)
                .cause(kind::ABORT, 0, cause::USER_ABORT, &[]);
            shared.output.transmit(*path, packet.finish());
        }
    }
}

fn init(shared: &Shared, identity: Identity) -> Vec<u8> {
    let config = &shared.config;
    let mut parameters = Vec::new();
    for address in &config.addresses {
        match address {
            std::net::IpAddr::V4(ip) => {
                put_parameter(&mut parameters, parameter::IPV4, &ip.octets());
            }
            std::net::IpAddr::V6(ip) => {
                put_parameter(&mut parameters, parameter::IPV6, &ip.octets());
            }
        }
    }
    let init = Init {
        tag: identity.local_tag,
        window: u32::try_from(config.tuning.receive_window).unwrap_or(u32::MAX),
        outbound: config.tuning.streams,
        inbound: config.tuning.streams,
        tsn: identity.local_tsn,
        parameters: &parameters,
    };
    let mut packet = Packet::new(identity.local_port, identity.peer_port, 0);
    let at = packet.init(kind::INIT, &init);
    if let Some(pad) = INIT_BYTES.checked_sub(packet.len() + 4) {
        packet.parameter(parameter::PAD, &vec![0; pad]);
    }
    packet.close_chunk(at);
    packet.finish()
}
