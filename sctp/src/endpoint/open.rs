//! An association that is up: dcsctp moves its data, and this file stands
//! between dcsctp and everything else.
//!
//! dcsctp is given an association that is already up, through its handover
//! state: the handshake, tags, heartbeats and addresses are the endpoint's. It
//! sees DATA, SACK and the chunks of a shutdown, and nothing it could choke on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dcsctp::api::handover::{
    HandoverCapabilities, HandoverReceive, HandoverSocketState, HandoverTransmission,
    SocketHandoverState,
};
use dcsctp::api::{
    DcSctpSocket as _, ErrorKind, Message as DcMessage, Options, PpId, SendOptions, Socket,
    SocketEvent, SocketState, SocketTime, StreamId,
    ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS,
};

use super::Shared;
use super::cookie::Offer;
use super::ledger::{Bounds, Ledger, Room};
use super::path::Path;
use super::paths::Paths;
use super::unacknowledged::Unacknowledged;
use crate::link::{AssocId, DownReason, Event, Message, SendError, Violation};
use crate::wire::{Header, Packet, be16, kind, padded, seal};

/// Packets that are handed to dcsctp are at most this long: it acknowledges
/// every second packet, and would take one that holds many for a single one.
pub(super) const PIECE_MAX: usize = 1500;
/// What keeping a message costs beside its bytes.
const MESSAGE_COST: usize = 64;

/// Both sides' tags and first TSNs, and between which ports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) local_port: u16,
    pub(super) peer_port: u16,
    pub(super) local_tag: u32,
    pub(super) local_tsn: u32,
}

/// How far the end of an association has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    /// We shall say SHUTDOWN when everything is acknowledged.
    Ours,
    /// The peer said SHUTDOWN, and something is not acknowledged.
    Theirs,
    /// dcsctp has been told.
    Under,
}

/// An association that is up.
pub(super) struct Open {
    socket: Socket,
    pub(super) ledger: Ledger,
    pub(super) unacknowledged: Unacknowledged,
    pub(super) paths: Paths,
    pub(super) identity: Identity,
    /// The peer's tag.
    pub(super) peer_tag: u32,
    /// How many streams we may send on.
    streams: u16,
    /// Messages since the last flush.
    queued: Vec<DcMessage>,
    /// Messages kept while reading is paused.
    held: VecDeque<Message>,
    held_bytes: usize,
    paused: bool,
    /// The application was told that there is no room.
    blocked: bool,
    closing: Closing,
    close_by: Option<Instant>,
    /// When the unfinished message is given up, and where it was then.
    stalled_at: Option<(Instant, u64)>,
    /// What the association keeps, as counted in the endpoint's total.
    cost: usize,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open")
            .field("identity", &self.identity)
            .field("paths", &self.paths)
            .field("ledger", &self.ledger)
            .field("unacknowledged", &self.unacknowledged)
            .field("closing", &self.closing)
            .finish_non_exhaustive()
    }
}

impl Open {
    /// The association that a handshake has led to. `None` only if dcsctp does
    /// not take it.
    pub(super) fn new(
        now: Instant,
        shared: &mut Shared,
        identity: Identity,
        offer: &Offer,
        path: Path,
    ) -> Option<Self> {
        let socket = socket(now, shared, identity, offer)?;
        let tuning = &shared.config.tuning;
        let mut paths = Paths::new(now, path, tuning, &mut shared.random);
        for address in &offer.addresses {
            paths.list(now, *address, tuning);
        }
        Some(Self {
            socket,
            ledger: Ledger::new(offer.tsn),
            unacknowledged: Unacknowledged::new(identity.local_tsn),
            paths,
            identity,
            peer_tag: offer.tag,
            streams: offer.streams.min(tuning.streams),
            queued: Vec::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            paused: false,
            blocked: false,
            closing: Closing::No,
            close_by: None,
            stalled_at: None,
            cost: 0,
        })
    }

    pub(super) fn streams(&self) -> u16 {
        self.streams
    }

    /// A shutdown is under way.
    pub(super) fn is_closing(&self) -> bool {
        self.closing != Closing::No || self.socket.state() == SocketState::ShuttingDown
    }

    /// Takes a message; true if it is the first one since the last flush.
    pub(super) fn send(
        &mut self,
        shared: &Shared,
        stream: u16,
        ppid: u32,
        data: &[u8],
    ) -> Result<bool, SendError> {
        let tuning = &shared.config.tuning;
        if self.is_closing() {
            return Err(SendError::Closing);
        }
        if data.is_empty() {
            return Err(SendError::Empty);
        }
        if data.len() > tuning.message_bytes_max {
            return Err(SendError::TooLong);
        }
        if stream >= self.streams {
            return Err(SendError::Stream);
        }
        let waiting = self.unacknowledged.bytes();
        if waiting > 0 && waiting + data.len() > tuning.send_buffer {
            self.blocked = true;
            return Err(SendError::Full);
        }
        self.unacknowledged.taken(data.len());
        self.queued.push(DcMessage::new(StreamId(stream), PpId(ppid), data.to_vec()));
        Ok(self.queued.len() == 1)
    }

    /// Sends what was taken since the last flush, in as few packets as can be.
    pub(super) fn flush(&mut self, now: Instant, shared: &Shared) {
        if self.queued.is_empty() {
            return;
        }
        self.socket.advance_time(shared.socket_time(now));
        let queued = std::mem::take(&mut self.queued);
        // Nothing can fail: lengths were checked, and the queues have no bound
        // of their own.
        let taken = self.socket.send_many(queued, &SendOptions::default());
        debug_assert!(taken.is_ok());
    }

    /// Closes gracefully, once everything is acknowledged.
    pub(super) fn shutdown(&mut self, now: Instant, shared: &Shared) {
        if self.closing == Closing::No {
            self.closing = Closing::Ours;
            self.close_by = Some(now + shared.config.tuning.shutdown_timeout);
        }
    }

    /// The peer said SHUTDOWN and that it has all our data up to `tsn`. True:
    /// dcsctp may hear of it now.
    pub(super) fn peer_shut_down(&mut self, now: Instant, shared: &Shared) -> bool {
        let by = now + shared.config.tuning.shutdown_timeout;
        self.close_by.get_or_insert(by);
        let done = self.unacknowledged.bytes() == 0;
        self.closing = if done { Closing::Under } else { Closing::Theirs };
        done
    }

    /// The peer's window, as last heard.
    pub(super) fn peer_window(&self) -> u32 {
        self.socket.get_metrics().map_or(1500, |metrics| metrics.peer_rwnd_bytes)
    }

    /// Bounds of the ledger, less what is held back.
    pub(super) fn bounds(&self, shared: &Shared) -> Bounds {
        let tuning = &shared.config.tuning;
        let window = tuning.receive_window.saturating_sub(self.held_bytes);
        Bounds { message_max: tuning.message_bytes_max, window }
    }

    pub(super) fn room(&self, shared: &Shared) -> Room {
        if self.paused {
            Room::Held
        } else if shared.is_crowded() {
            Room::Crowded
        } else {
            Room::Open
        }
    }

    /// Hands a packet, or what is left of one, to dcsctp.
    pub(super) fn feed(&mut self, now: Instant, shared: &Shared, packet: &[u8]) {
        self.socket.advance_time(shared.socket_time(now));
        self.socket.handle_input(packet);
    }

    pub(super) fn advance(&mut self, now: Instant, shared: &Shared) {
        self.socket.advance_time(shared.socket_time(now));
    }

    /// Takes everything out of dcsctp: packets, messages, the end. Packets
    /// without data go `back` to where their cause came from.
    pub(super) fn pump(
        &mut self,
        now: Instant,
        id: AssocId,
        shared: &mut Shared,
        back: Option<Path>,
    ) -> Option<DownReason> {
        loop {
            let mut down = self.take_events(now, shared, back);
            self.take_messages(id, shared);
            if let Err(violation) = self.ledger.settle() {
                down = down.or(Some(DownReason::Violation(violation)));
            }
            self.account(now, shared);
            if down.is_some() {
                self.release(id, shared);
                return down;
            }
            if !self.continue_closing(now, shared) {
                break;
            }
        }
        let tuning = &shared.config.tuning;
        if self.blocked && self.unacknowledged.bytes() <= tuning.send_buffer / 2 {
            self.blocked = false;
            shared.output.events.push_back(Event::Writable { id });
        }
        if self.unacknowledged.all_acknowledged() {
            self.paths.nothing_is_due();
        }
        None
    }

    /// Once everything is acknowledged, dcsctp hears of the shutdown that waits
    /// for it. dcsctp itself would begin one while data is still queued.
    fn continue_closing(&mut self, now: Instant, shared: &Shared) -> bool {
        if self.unacknowledged.bytes() > 0 {
            return false;
        }
        match self.closing {
            Closing::No | Closing::Under => return false,
            Closing::Ours => {
                self.socket.advance_time(shared.socket_time(now));
                self.socket.shutdown();
            }
            Closing::Theirs => {
                let Identity { local_port, peer_port, local_tag, local_tsn: _ } = self.identity;
                let packet = Packet::new(peer_port, local_port, local_tag)
                    .chunk(kind::SHUTDOWN, 0, &[0; 4])
                    .finish_unsealed();
                self.feed(now, shared, &packet);
            }
        }
        self.closing = Closing::Under;
        true
    }

    fn take_events(
        &mut self,
        now: Instant,
        shared: &mut Shared,
        back: Option<Path>,
    ) -> Option<DownReason> {
        let mut down = None;
        while let Some(event) = self.socket.poll_event() {
            match event {
                SocketEvent::SendPacket(mut packet) => {
                    let has_data = self.finish_packet(now, shared, &mut packet);
                    let path = back.filter(|_| !has_data).unwrap_or_else(|| self.paths.active());
                    shared.output.transmit(path, packet);
                }
                SocketEvent::OnClosed() => down = Some(DownReason::Closed),
                SocketEvent::OnAborted(kind, _) => down = Some(reason(kind)),
                SocketEvent::OnConnected()
                | SocketEvent::OnConnectionRestarted()
                | SocketEvent::OnError(..)
                | SocketEvent::OnBufferedAmountLow(_)
                | SocketEvent::OnTotalBufferedAmountLow()
                | SocketEvent::OnStreamsResetFailed(_)
                | SocketEvent::OnStreamsResetPerformed(_)
                | SocketEvent::OnIncomingStreamReset(_)
                | SocketEvent::OnLifecycleMessageFullySent(_)
                | SocketEvent::OnLifecycleMessageMaybeExpired(_)
                | SocketEvent::OnLifecycleMessageExpired(_)
                | SocketEvent::OnLifecycleMessageDelivered(_)
                | SocketEvent::OnLifecycleEnd(_) => {}
            }
        }
        down
    }

    /// Puts our own window into a SACK, notes the data that leaves, and writes
    /// the checksum. True: there is data in it.
    fn finish_packet(&mut self, now: Instant, shared: &Shared, packet: &mut [u8]) -> bool {
        let window = self.window(shared).to_be_bytes();
        let mut has_data = false;
        let mut at = crate::wire::HEADER;
        while at + 4 <= packet.len() {
            let length = usize::from(be16(packet, at + 2)).max(4);
            match packet[at] {
                kind::SACK if at + 12 <= packet.len() => {
                    packet[at + 8..at + 12].copy_from_slice(&window);
                }
                kind::DATA => {
                    has_data = true;
                    let end = (at + length).min(packet.len());
                    self.unacknowledged.sent(&packet[at + 4..end]);
                }
                _ => {}
            }
            at += padded(length);
        }
        if has_data {
            self.paths.data_sent(now, &shared.config.tuning);
        }
        seal(packet);
        has_data
    }

    /// The window we offer (`a_rwnd`).
    fn window(&self, shared: &Shared) -> u32 {
        let window = shared.config.tuning.receive_window;
        let left = window.saturating_sub(self.ledger.kept_bytes() + self.held_bytes);
        // One packet may always come, or nobody would find out about room.
        let left = if shared.is_crowded() { left.min(1500) } else { left };
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    fn take_messages(&mut self, id: AssocId, shared: &mut Shared) {
        while let Some(message) = self.socket.get_next_message() {
            self.ledger.delivered(message.payload.len());
            let message = Message {
                id,
                stream: message.stream_id.0,
                ppid: message.ppid.0,
                data: message.payload,
            };
            if self.paused {
                self.held_bytes += message.data.len();
                self.held.push_back(message);
            } else {
                shared.deliver(message);
            }
        }
    }

    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    /// Delivers what was held back, and tells the peer that there is room.
    pub(super) fn resume(&mut self, now: Instant, id: AssocId, shared: &mut Shared) {
        if !self.paused {
            return;
        }
        self.paused = false;
        let was_small = self.held_bytes > shared.config.tuning.receive_window / 2;
        self.release(id, shared);
        self.account(now, shared);
        if was_small && !self.ledger.has_gap() {
            let mut value = Vec::with_capacity(12);
            value.extend_from_slice(&self.ledger.last_in_order().to_be_bytes());
            value.extend_from_slice(&self.window(shared).to_be_bytes());
            value.extend_from_slice(&[0; 4]);
            let packet = self.packet().chunk(kind::SACK, 0, &value).finish();
            shared.output.transmit(self.paths.active(), packet);
        }
    }

    fn release(&mut self, id: AssocId, shared: &mut Shared) {
        for mut message in self.held.drain(..) {
            message.id = id;
            shared.deliver(message);
        }
        self.held_bytes = 0;
    }

    /// A packet to the peer.
    pub(super) fn packet(&self) -> Packet {
        Packet::new(self.identity.local_port, self.identity.peer_port, self.peer_tag)
    }

    /// A packet to the peer in answer to one of its own.
    pub(super) fn reply(&self, header: Header) -> Packet {
        Packet::reply(header, self.peer_tag)
    }

    /// Keeps the endpoint's total and the deadline of the unfinished message.
    fn account(&mut self, now: Instant, shared: &mut Shared) {
        let cost = self.ledger.cost() + self.held_bytes + MESSAGE_COST * self.held.len();
        shared.memory = shared.memory.saturating_sub(self.cost) + cost;
        self.cost = cost;
        let position = self.ledger.position();
        self.stalled_at = match self.stalled_at {
            _ if self.ledger.kept_bytes() == 0 || self.paused => None,
            Some(stall) if stall.1 == position => Some(stall),
            _ => Some((now + shared.config.message_timeout, position)),
        };
    }

    /// The association ends: its share of the total is given back.
    pub(super) fn forget_cost(&mut self, shared: &mut Shared) {
        shared.memory = shared.memory.saturating_sub(self.cost);
        self.cost = 0;
    }

    /// When [`Self::overdue`], dcsctp or the paths have something to do.
    pub(super) fn deadline(&self, shared: &Shared) -> Option<Instant> {
        let timeout = self.socket.poll_timeout();
        let timeout = (timeout != SocketTime::infinite_future())
            .then(|| shared.epoch + (timeout - SocketTime::zero()));
        let stall = self.stalled_at.map(|(at, _)| at);
        let paths = self.paths.next_timeout(&shared.config.tuning);
        [timeout, stall, self.close_by, paths].into_iter().flatten().min()
    }

    /// What the peer has let pass.
    pub(super) fn overdue(&self, now: Instant) -> Option<Violation> {
        if self.stalled_at.is_some_and(|(at, _)| at <= now) {
            return Some(Violation::StalledMessage);
        }
        self.close_by.is_some_and(|at| at <= now).then_some(Violation::SlowShutdown)
    }
}

fn reason(kind: ErrorKind) -> DownReason {
    match kind {
        ErrorKind::TooManyRetries => DownReason::TimedOut,
        ErrorKind::PeerReported => DownReason::Aborted { cause: 0 },
        ErrorKind::NoError
        | ErrorKind::NotConnected
        | ErrorKind::ParseFailed
        | ErrorKind::WrongSequence
        | ErrorKind::ProtocolViolation
        | ErrorKind::ResourceExhaustion
        | ErrorKind::UnsupportedOperation => DownReason::Violation(Violation::Order),
    }
}

/// A dcsctp socket in the middle of an association that nothing was sent on.
fn socket(now: Instant, shared: &Shared, identity: Identity, offer: &Offer) -> Option<Socket> {
    let options = options(shared, identity);
    let streams = shared.config.tuning.streams;
    let state = SocketHandoverState {
        socket_state: HandoverSocketState::Connected,
        my_verification_tag: identity.local_tag,
        my_initial_tsn: identity.local_tsn,
        peer_verification_tag: offer.tag,
        peer_initial_tsn: offer.tsn,
        tie_tag: 0,
        capabilities: HandoverCapabilities {
            partial_reliability: false,
            message_interleaving: false,
            reconfig: false,
            // The checksum is written here, by the processor's instruction.
            zero_checksum: true,
            negotiated_maximum_incoming_streams: streams,
            negotiated_maximum_outgoing_streams: offer.streams.min(streams),
        },
        tx: HandoverTransmission {
            next_tsn: identity.local_tsn,
            next_reset_req_sn: identity.local_tsn,
            cwnd: u32::try_from(options.cwnd_mtus_initial * options.mtu).unwrap_or(u32::MAX),
            rwnd: offer.window,
            // "Arbitrarily high" (RFC 9260 section 7.2.1).
            ssthresh: 1 << 30,
            last_cumulative_tsn_ack: identity.local_tsn.wrapping_sub(1),
            ..HandoverTransmission::default()
        },
        rx: HandoverReceive {
            seen_packet: false,
            last_cumulative_acked_tsn: offer.tsn.wrapping_sub(1),
            last_assembled_tsn: offer.tsn.wrapping_sub(1),
            last_completed_reset_req_sn: offer.tsn.wrapping_sub(1),
            ..HandoverReceive::default()
        },
    };
    let mut socket = Socket::new("", &options);
    socket.advance_time(shared.socket_time(now));
    socket.restore_from_state(&state).ok()?;
    Some(socket)
}

fn options(shared: &Shared, identity: Identity) -> Options {
    let tuning = &shared.config.tuning;
    // dcsctp drops data without a word at nine tenths of its buffer. The
    // ledger never lets it come so far.
    let kept_max = tuning.receive_window + tuning.message_bytes_max + usize::from(u16::MAX);
    Options {
        local_port: identity.local_port,
        remote_port: identity.peer_port,
        announced_maximum_incoming_streams: tuning.streams,
        announced_maximum_outgoing_streams: tuning.streams,
        mtu: shared.config.packet_bytes_max & !3,
        max_message_size: usize::MAX,
        max_receiver_window_buffer_size: kept_max + kept_max / 4,
        max_send_buffer_size: usize::MAX,
        per_stream_send_queue_limit: usize::MAX,
        total_buffered_amount_low_threshold: usize::MAX,
        default_stream_buffered_amount_low_threshold: usize::MAX,
        rto_initial: tuning.rto_initial,
        rto_min: tuning.rto_min,
        rto_max: tuning.rto_max,
        t2_shutdown_timeout: tuning.rto_initial,
        max_timer_backoff_duration: Some(tuning.rto_max),
        heartbeat_interval: Duration::ZERO,
        max_retransmissions: Some(tuning.retransmissions_max.into()),
        enable_partial_reliability: false,
        enable_message_interleaving: false,
        zero_checksum_alternate_error_detection_method:
            ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS,
        disable_checksum_verification: true,
        ..Options::default()
    }
}
