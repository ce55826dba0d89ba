//! What a packet does to an association that is up, chunk by chunk.

use std::ops::Range;
use std::time::Instant;

use super::Shared;
use super::cookie::first_cause;
use super::ledger::Verdict;
use super::open::{Open, PIECE_MAX};
use super::path::Path;
use super::paths::Change;
use crate::link::{AssocId, DownReason, Violation};
use crate::wire::{
    Chunk, Chunks, HEADER, Header, LAST_FRAGMENT, Packet, REFLECTED, be16, be32, cause, kind,
    padded, parameter, parameters,
};

/// Bytes of an unrecognized chunk that are sent back with its report.
const REPORT_MAX: usize = 64;

/// What is left of a packet for dcsctp.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// The chunks it gets, by their place in the packet.
    taken: Vec<Range<usize>>,
    /// A chunk of our own that goes before them.
    extra: Vec<u8>,
    /// Something of the packet is not handed on.
    altered: bool,
    heartbeat_answered: bool,
}

impl Intake {
    fn clear(&mut self) {
        self.taken.clear();
        self.extra.clear();
        self.altered = false;
        self.heartbeat_answered = false;
    }
}

/// What follows from a chunk.
enum Step {
    /// dcsctp gets it.
    Take,
    /// It is done with.
    Skip,
    /// The rest of the packet is not looked at.
    Stop,
    Down(DownReason),
}

impl Open {
    /// Handles a packet of this association: tag and ports are right. Returns
    /// why the association has to end, if it has.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        id: AssocId,
        shared: &mut Shared,
        from: Path,
        packet: &[u8],
    ) -> Option<DownReason> {
        let header = Header::read(packet)?;
        let known = self.paths.is_verified(from.remote.ip());
        let change = self.paths.heard(now, from, &shared.config.tuning);
        shared.note(change);
        let mut intake = std::mem::take(&mut shared.intake);
        intake.clear();
        let mut down = None;
        let mut at = HEADER;
        let mut chunks = Chunks::of(packet);
        for chunk in chunks.by_ref() {
            let place = at..at + chunk.whole.len();
            at = place.end;
            match self.chunk(now, shared, from, header, chunk, &mut intake) {
                Step::Take => intake.taken.push(place),
                Step::Skip => intake.altered = true,
                Step::Stop => {
                    intake.altered = true;
                    break;
                }
                Step::Down(reason) => {
                    down = Some(reason);
                    break;
                }
            }
        }
        intake.altered |= !chunks.is_finished();
        if down.is_none() {
            self.hand_on(now, shared, packet, &intake);
        }
        shared.intake = intake;
        let back = known.then_some(from);
        down.or_else(|| self.pump(now, id, shared, back))
    }

    fn chunk(
        &mut self,
        now: Instant,
        shared: &mut Shared,
        from: Path,
        header: Header,
        chunk: Chunk<'_>,
        intake: &mut Intake,
    ) -> Step {
        match chunk.kind {
            kind::DATA => self.data(shared, chunk),
            kind::SACK => self.sack(now, shared, chunk),
            kind::HEARTBEAT => {
                // One a packet: an answer of each would be more than was sent.
                if !intake.heartbeat_answered && chunk.value.len() < PIECE_MAX {
                    intake.heartbeat_answered = true;
                    let packet = self.reply(header).chunk(kind::HEARTBEAT_ACK, 0, chunk.value);
                    shared.output.transmit(from, packet.finish());
                }
                Step::Skip
            }
            kind::HEARTBEAT_ACK => {
                let info = parameters(chunk.value)
                    .find(|found| found.kind == parameter::HEARTBEAT_INFO)
                    .map_or(&[][..], |found| found.value);
                let (tuning, random) = (&shared.config.tuning, &mut shared.random);
                let change = self.paths.heartbeat_acknowledged(now, info, tuning, random);
                shared.note(change);
                Step::Skip
            }
            kind::ABORT => {
                let reflected = chunk.flags & REFLECTED != 0;
                let tag = if reflected { self.peer_tag } else { self.identity.local_tag };
                if header.tag == tag {
                    return Step::Down(DownReason::Aborted { cause: first_cause(chunk.value) });
                }
                Step::Stop
            }
            kind::SHUTDOWN if chunk.value.len() == 4 => {
                self.shutdown_chunk(now, shared, chunk, intake)
            }
            kind::SHUTDOWN_ACK | kind::SHUTDOWN_COMPLETE if chunk.value.is_empty() => Step::Take,
            // Errors are the peer's trouble; a handshake is over, or handled
            // before; explicit congestion notification was never agreed on.
            kind::SHUTDOWN
            | kind::SHUTDOWN_ACK
            | kind::SHUTDOWN_COMPLETE
            | kind::ERROR
            | kind::INIT
            | kind::INIT_ACK
            | kind::COOKIE_ECHO
            | kind::COOKIE_ACK
            | kind::ECNE
            | kind::CWR => Step::Skip,
            _ => self.unrecognized(shared, chunk),
        }
    }

    fn data(&mut self, shared: &mut Shared, chunk: Chunk<'_>) -> Step {
        let Some(length) = chunk.value.len().checked_sub(12) else { return Step::Skip };
        if length == 0 {
            return Step::Down(DownReason::Violation(Violation::EmptyData));
        }
        if be16(chunk.value, 4) >= shared.config.tuning.streams {
            return Step::Down(DownReason::Violation(Violation::Stream));
        }
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        let last = chunk.flags & LAST_FRAGMENT != 0;
        let (bounds, room) = (self.bounds(shared), self.room(shared));
        match self.ledger.admit(be32(chunk.value, 0), length, last, bounds, room) {
            Ok(Verdict::Take) => Step::Take,
            Ok(Verdict::Drop) => {
                shared.output.stats.data_dropped += 1;
                Step::Skip
            }
            Err(violation) => Step::Down(DownReason::Violation(violation)),
        }
    }

    fn sack(&mut self, now: Instant, shared: &Shared, chunk: Chunk<'_>) -> Step {
        let counted = usize::from(be16(chunk.value, 8)) + usize::from(be16(chunk.value, 10));
        if chunk.value.len() < 12 || chunk.value.len() != 12 + 4 * counted {
            return Step::Skip;
        }
        if self.unacknowledged.acknowledged(chunk.value) {
            self.paths.data_acknowledged(now, &shared.config.tuning);
        }
        Step::Take
    }

    /// A SHUTDOWN acknowledges data too, which dcsctp does not look at.
    fn shutdown_chunk(
        &mut self,
        now: Instant,
        shared: &Shared,
        chunk: Chunk<'_>,
        intake: &mut Intake,
    ) -> Step {
        if !self.unacknowledged.all_acknowledged() && intake.extra.is_empty() {
            let mut value = Vec::with_capacity(12);
            value.extend_from_slice(&chunk.value[..4]);
            value.extend_from_slice(&self.peer_window().to_be_bytes());
            value.extend_from_slice(&[0; 4]);
            if self.unacknowledged.acknowledged(&value) {
                self.paths.data_acknowledged(now, &shared.config.tuning);
                intake.extra.extend_from_slice(&[kind::SACK, 0, 0, 16]);
                intake.extra.extend_from_slice(&value);
            }
        }
        if self.peer_shut_down(now, shared) { Step::Take } else { Step::Skip }
    }

    /// RFC 9260 section 3.2: the upper bits say what to do.
    fn unrecognized(&self, shared: &mut Shared, chunk: Chunk<'_>) -> Step {
        if chunk.kind & 0x40 != 0 {
            let told = &chunk.whole[..chunk.whole.len().min(REPORT_MAX)];
            let packet = self.packet().cause(kind::ERROR, 0, cause::UNRECOGNIZED_CHUNK, told);
            shared.output.transmit(self.paths.active(), packet.finish());
        }
        if chunk.kind & 0x80 == 0 { Step::Stop } else { Step::Skip }
    }

    /// Hands the taken chunks to dcsctp: the packet as it came if it can be,
    /// else what is left of it, in pieces of a length that a network carries.
    fn hand_on(&mut self, now: Instant, shared: &Shared, packet: &[u8], intake: &Intake) {
        if !intake.altered && intake.extra.is_empty() && packet.len() <= PIECE_MAX {
            return self.feed(now, shared, packet);
        }
        let Some(header) = Header::read(packet) else { return };
        let begin = || Packet::new(header.source_port, header.destination_port, header.tag);
        let mut piece = begin();
        piece.raw(&intake.extra);
        for place in &intake.taken {
            let chunk = &packet[place.clone()];
            if piece.len() > HEADER && piece.len() + padded(chunk.len()) > PIECE_MAX {
                let whole = std::mem::replace(&mut piece, begin());
                self.feed(now, shared, &whole.finish_unsealed());
            }
            piece.raw(chunk);
        }
        if piece.len() > HEADER {
            self.feed(now, shared, &piece.finish_unsealed());
        }
    }
}

impl Shared {
    /// Remembers a change of an association's addresses for the tables.
    pub(super) fn note(&mut self, change: Change) {
        if change != Change::None {
            self.changes.push(change);
        }
    }
}
