//! What shards tell each other, in batches of bytes. Both ends are the same
//! process and version: the format is nobody else's matter.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use rserpool_engine::{AssociationId, ShardId, TransportKind};

use super::Peer;

const KIND_REQUEST: u8 = 1;
const KIND_NOTICE: u8 = 2;
const KIND_ANSWER: u8 = 3;
const KIND_PUSH: u8 = 4;
const KIND_RELEASED: u8 = 5;
const KIND_CLOSED: u8 = 6;
const KIND_ORDERS: u8 = 7;
const KIND_NEWS: u8 = 8;

/// Kind, flag, two bytes of nothing, length of the rest, association, ticket.
const HEADER_BYTES: usize = 20;
/// Transport, a byte of nothing, port, address.
const PEER_BYTES: usize = 20;

/// One thing a shard tells another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// To the pool's shard: answer this message. `may_add`: the association
    /// may register one more element.
    Request {
        association: AssociationId,
        ticket: u32,
        may_add: bool,
        peer: Peer,
        message: &'a [u8],
    },
    /// To the pool's shard: a message nothing answers.
    Notice { association: AssociationId, peer: Peer, message: &'a [u8] },
    /// To the association's shard. `unused`: it was said that the association
    /// may register one more element, and it did not.
    Answer { association: AssociationId, ticket: u32, unused: bool, bytes: &'a [u8] },
    /// To the association's shard: send this, it answers nothing.
    Push { association: AssociationId, bytes: &'a [u8] },
    /// To the association's shard: one of its elements is removed, or is
    /// another association's now.
    Released { association: AssociationId },
    /// To a pool's shard: the association is gone.
    Closed { association: AssociationId },
    /// To a pool's shard: what the registrar group wants done.
    Orders { orders: &'a [u8] },
    /// To the shard of the registrar group: what it is to hear.
    News { news: &'a [u8] },
}

/// Appends a message of an association for the pool's shard. With a ticket it
/// is a request, without a notice.
pub(super) fn emit_message(
    out: &mut Vec<u8>,
    association: AssociationId,
    ticket: Option<u32>,
    may_add: bool,
    peer: &Peer,
    message: &[u8],
) {
    let kind = if ticket.is_some() { KIND_REQUEST } else { KIND_NOTICE };
    let mark = begin(out, kind, association, ticket.unwrap_or(0));
    out.push(peer.transport as u8);
    out.push(0);
    out.extend_from_slice(&peer.address.port().to_be_bytes());
    let address = match peer.address.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    out.extend_from_slice(&address.octets());
    out.extend_from_slice(message);
    finish(out, &mark, may_add);
}

/// Where an answer or a push was begun.
#[derive(Debug)]
#[must_use = "the item has no length before it is finished"]
pub(super) struct Mark(usize);

/// Begins an answer; its bytes are to be appended to `out`.
pub(super) fn begin_answer(out: &mut Vec<u8>, association: AssociationId, ticket: u32) -> Mark {
    begin(out, KIND_ANSWER, association, ticket)
}

/// Begins a push; its bytes are to be appended to `out`.
pub(super) fn begin_push(out: &mut Vec<u8>, association: AssociationId) -> Mark {
    begin(out, KIND_PUSH, association, 0)
}

/// Appends that an element of the association is removed.
pub(super) fn emit_released(out: &mut Vec<u8>, association: AssociationId) {
    let mark = begin(out, KIND_RELEASED, association, 0);
    finish(out, &mark, false);
}

/// Appends that the association is gone.
pub(super) fn emit_closed(out: &mut Vec<u8>, association: AssociationId) {
    let mark = begin(out, KIND_CLOSED, association, 0);
    finish(out, &mark, false);
}

/// Appends what the registrar group wants done.
pub(super) fn emit_orders(out: &mut Vec<u8>, orders: &[u8]) {
    let mark = begin(out, KIND_ORDERS, AssociationId(0), 0);
    out.extend_from_slice(orders);
    finish(out, &mark, false);
}

/// Appends what the registrar group is to hear.
pub(super) fn emit_news(out: &mut Vec<u8>, news: &[u8]) {
    let mark = begin(out, KIND_NEWS, AssociationId(0), 0);
    out.extend_from_slice(news);
    finish(out, &mark, false);
}

fn begin(out: &mut Vec<u8>, kind: u8, association: AssociationId, ticket: u32) -> Mark {
    let mark = Mark(out.len());
    out.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&association.0.to_be_bytes());
    out.extend_from_slice(&ticket.to_be_bytes());
    mark
}

/// Ends an item: sets its flag and its length.
pub(super) fn finish(out: &mut [u8], mark: &Mark, flag: bool) {
    let rest = u32::try_from(out.len() - mark.0 - HEADER_BYTES).unwrap_or(u32::MAX);
    if let Some(header) = out.get_mut(mark.0..) {
        header[1] = u8::from(flag);
        header[4..8].copy_from_slice(&rest.to_be_bytes());
    }
}

/// Ends a push, or takes it back if nothing was appended to it.
pub(super) fn finish_push(out: &mut Vec<u8>, mark: &Mark) {
    if out.len() == mark.0 + HEADER_BYTES {
        out.truncate(mark.0);
    } else {
        finish(out, mark, false);
    }
}

/// The items of a batch. Ends early at bytes that are none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    pub(super) const fn new(batch: &'a [u8]) -> Self {
        Self(batch)
    }

    /// Whether everything was read.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let (header, rest) = self.0.split_first_chunk::<HEADER_BYTES>()?;
        let [kind, flag, _, _, l0, l1, l2, l3, association @ .., t0, t1, t2, t3] = *header;
        let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).ok()?;
        let (bytes, rest) = rest.split_at_checked(length)?;
        let association = AssociationId(u64::from_be_bytes(association));
        let ticket = u32::from_be_bytes([t0, t1, t2, t3]);
        let item = match kind {
            KIND_REQUEST => {
                let (peer, message) = split_peer(bytes)?;
                Item::Request { association, ticket, may_add: flag != 0, peer, message }
            }
            KIND_NOTICE => {
                let (peer, message) = split_peer(bytes)?;
                Item::Notice { association, peer, message }
            }
            KIND_ANSWER => Item::Answer { association, ticket, unused: flag != 0, bytes },
            KIND_PUSH => Item::Push { association, bytes },
            KIND_RELEASED => Item::Released { association },
            KIND_CLOSED => Item::Closed { association },
            KIND_ORDERS => Item::Orders { orders: bytes },
            KIND_NEWS => Item::News { news: bytes },
            _ => return None,
        };
        self.0 = rest;
        Some(item)
    }
}

fn split_peer(bytes: &[u8]) -> Option<(Peer, &[u8])> {
    let (peer, message) = bytes.split_first_chunk::<PEER_BYTES>()?;
    let [transport, _, p0, p1, address @ ..] = *peer;
    let address = Ipv6Addr::from(address).to_canonical();
    let transport = match transport {
        3 => TransportKind::Dccp,
        4 => TransportKind::Sctp,
        5 => TransportKind::Tcp,
        6 => TransportKind::Udp,
        7 => TransportKind::UdpLite,
        _ => TransportKind::Opaque,
    };
    let address = SocketAddr::new(address, u16::from_be_bytes([p0, p1]));
    Some((Peer { address, transport }, message))
}

/// The batches for the other shards.
#[derive(Debug)]
pub(super) struct Outbox {
    batches: Vec<Batch>,
    bytes_max: usize,
    congested: usize,
}

#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    /// `Output::Mesh` is queued or was given, and the batch is not taken.
    announced: bool,
    congested: bool,
}

impl Outbox {
    pub(super) fn new(shards: u16, bytes_max: usize) -> Self {
        let batches = (0..shards).map(|_| Batch::default()).collect();
        Self { batches, bytes_max, congested: 0 }
    }

    /// Lets `write` append to the batch for a shard. The flag is whether the
    /// host is to be told of the batch.
    pub(super) fn write<R>(
        &mut self,
        to: ShardId,
        write: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Option<(R, bool)> {
        let batch = self.batches.get_mut(usize::from(to.0))?;
        let result = write(&mut batch.bytes);
        if !batch.congested && batch.bytes.len() > self.bytes_max {
            batch.congested = true;
            self.congested += 1;
        }
        let announce = !batch.announced && !batch.bytes.is_empty();
        batch.announced |= announce;
        Some((result, announce))
    }

    /// Whether a batch is longer than it should be.
    pub(super) const fn is_congested(&self) -> bool {
        self.congested > 0
    }

    /// Whether the batch for this shard is.
    pub(super) fn is_congested_toward(&self, to: ShardId) -> bool {
        self.batches.get(usize::from(to.0)).is_some_and(|batch| batch.congested)
    }

    /// Whether there is something for this shard.
    pub(super) fn has(&self, to: ShardId) -> bool {
        self.batches.get(usize::from(to.0)).is_some_and(|batch| !batch.bytes.is_empty())
    }

    /// Swaps the batch for a shard into `into`, which is emptied first.
    pub(super) fn take(&mut self, to: ShardId, into: &mut Vec<u8>) {
        into.clear();
        let Some(batch) = self.batches.get_mut(usize::from(to.0)) else { return };
        core::mem::swap(&mut batch.bytes, into);
        batch.announced = false;
        self.congested -= usize::from(batch.congested);
        batch.congested = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: AssociationId = AssociationId(0x0102_0304_0506_0708);

    fn peer(address: &str) -> Peer {
        Peer { address: address.parse().unwrap(), transport: TransportKind::Sctp }
    }

    #[test]
    fn items_are_read_as_they_were_written() {
        let mut batch = Vec::new();
        let v4 = peer("10.0.0.1:40000");
        let v6 = peer("[2001:db8::1]:1");
        emit_message(&mut batch, ID, Some(9), true, &v4, b"message");
        emit_message(&mut batch, ID, None, false, &v6, b"");
        let mark = begin_answer(&mut batch, ID, 7);
        batch.extend_from_slice(b"answer");
        finish(&mut batch, &mark, true);
        let mark = begin_push(&mut batch, ID);
        batch.extend_from_slice(b"push");
        finish_push(&mut batch, &mark);
        let mark = begin_push(&mut batch, ID);
        finish_push(&mut batch, &mark);
        emit_released(&mut batch, ID);
        emit_closed(&mut batch, ID);
        emit_orders(&mut batch, b"orders");
        emit_news(&mut batch, b"news");
        let items: Vec<_> = Items::new(&batch).collect();
        let association = ID;
        assert_eq!(
            items,
            [
                Item::Request {
                    association,
                    ticket: 9,
                    may_add: true,
                    peer: v4,
                    message: b"message"
                },
                Item::Notice { association, peer: v6, message: b"" },
                Item::Answer { association, ticket: 7, unused: true, bytes: b"answer" },
                Item::Push { association, bytes: b"push" },
                Item::Released { association },
                Item::Closed { association },
                Item::Orders { orders: b"orders" },
                Item::News { news: b"news" },
            ]
        );
    }

    #[test]
    fn a_cut_batch_gives_its_whole_items_only() {
        let mut batch = Vec::new();
        emit_released(&mut batch, ID);
        emit_message(&mut batch, ID, Some(1), false, &peer("10.0.0.1:1"), b"message");
        for end in 0..batch.len() {
            let items = Items::new(&batch[..end]).count();
            assert_eq!(items, usize::from(end >= HEADER_BYTES), "cut at {end}");
        }
    }

    #[test]
    fn a_batch_beyond_the_limit_congests_until_it_is_taken() {
        let mut outbox = Outbox::new(2, 30);
        let write = |outbox: &mut Outbox| {
            outbox.write(ShardId(1), |out| emit_released(out, ID)).map(|((), told)| told)
        };
        assert_eq!(write(&mut outbox), Some(true));
        assert!(!outbox.is_congested());
        assert_eq!(write(&mut outbox), Some(false));
        assert!(outbox.is_congested() && outbox.is_congested_toward(ShardId(1)));
        let mut taken = Vec::new();
        outbox.take(ShardId(1), &mut taken);
        assert_eq!(taken.len(), 2 * HEADER_BYTES);
        assert!(!outbox.is_congested());
        assert_eq!(outbox.write(ShardId(2), |_| ()), None);
    }
}
