//! Handle tables for others (RFC 5353, 3.2.3 and 3.6): a page for each
//! request, as many requests under way as the other end likes.

use rserpool_codec::enrp::extension::{BUCKETS_LEN, BucketSet, Extensions, Session};
use rserpool_codec::enrp::{Body, HandleTableResponse};
use rserpool_engine::{RegistrarId, ShardId};

use super::exchange::{Digests, Order};
use super::group::{Group, Purpose};
use super::link::LinkId;

/// Requests of one session that wait for their page. More are rejected.
const PENDING_MAX: u16 = 64;

/// A handle table the other end of a link is reading.
#[derive(Debug)]
pub(super) struct Serving {
    /// The other end's number of it; `None`: it is of another kind.
    session: Option<Session>,
    own_only: bool,
    /// The digests of the other end, until they were compared.
    digests: Option<Digests>,
    /// Only elements of these buckets.
    buckets: Option<Box<BucketSet>>,
    /// Where the next page begins.
    shard: u16,
    cursor: u64,
    /// Requests without an answer.
    pending: u16,
    /// A shard was ordered something for it.
    busy: bool,
    /// The last page was sent.
    ended: bool,
}

/// Links with more bytes queued toward them get no further page.
const SERVE_STOP_BYTES: usize = 256 << 10;

impl Group {
    /// A Handle Table Request.
    pub(super) fn table_requested(
        &mut self,
        id: LinkId,
        from: RegistrarId,
        own_only: bool,
        extensions: &Extensions<'_>,
    ) {
        let known = self.peer(from).is_some_and(|peer| peer.introduced);
        if self.startup.is_some() || !known {
            self.reject_table(id, from);
            return;
        }
        let session = extensions.session;
        let Some(link) = self.links.get_mut(id) else { return };
        let goes_on = link.serving.as_ref().is_some_and(|serving| {
            serving.session == session
                && serving.own_only == own_only
                && (session.is_some() || !serving.ended)
        });
        if !goes_on {
            // A page of the table before may be under way; its token is not
            // known any more when it comes.
            self.rounds.retain(|round| {
                !matches!(round.purpose,
                    Purpose::Serve { link } | Purpose::ServeDigest { link } if link == id)
            });
            let digests = extensions.digest.map(|bytes| {
                let mut digests = Digests::new();
                digests.add_bytes(bytes);
                digests
            });
            link.serving = Some(Serving {
                session,
                own_only,
                digests,
                buckets: None,
                shard: 0,
                cursor: 0,
                pending: 0,
                busy: false,
                ended: false,
            });
        }
        let Some(serving) = &mut link.serving else { return };
        if serving.pending >= PENDING_MAX {
            self.reject_table(id, from);
            return;
        }
        serving.pending += 1;
        self.serve_more(id);
    }

    fn abandon_serving(&mut self, id: LinkId, receiver: RegistrarId) {
        if let Some(link) = self.links.get_mut(id) {
            link.serving = None;
        }
        self.reject_table(id, receiver);
    }

    fn reject_table(&mut self, id: LinkId, receiver: RegistrarId) {
        let sender = self.id;
        self.send(id, |out| HandleTableResponse::rejected(out, sender, receiver));
    }

    /// The own digests are there: what differs is served.
    pub(super) fn serve_differing(&mut self, id: LinkId, own: Option<Digests>) {
        let Some(serving) = self.links.get_mut(id).and_then(|link| link.serving.as_mut()) else {
            return;
        };
        let own = own.unwrap_or_else(Digests::new);
        let theirs = serving.digests.take();
        let differing = theirs.map_or([0xff; BUCKETS_LEN / 8], |theirs| own.differing(&theirs));
        serving.buckets = Some(Box::new(differing));
        serving.busy = false;
        if differing.iter().all(|byte| *byte == 0) {
            // Nothing: the first page is the last.
            serving.shard = self.map.shards();
        }
        self.serve_more(id);
    }

    /// Orders the next page of a link's table, if one is asked for.
    pub(super) fn serve_more(&mut self, id: LinkId) {
        let moving = self.is_moving();
        let Some(link) = self.links.get_mut(id) else { return };
        let is_full = link.output.len() > SERVE_STOP_BYTES;
        let (Some(serving), Some(receiver)) = (&mut link.serving, link.registrar) else { return };
        if moving || serving.busy || serving.pending == 0 || is_full {
            return;
        }
        if serving.digests.is_some() {
            serving.busy = true;
            let purpose = Purpose::ServeDigest { link: id };
            let home = self.id;
            match self.begin_round(self.map.shards(), purpose) {
                Some(token) => self.order_all(&Order::Digest { token, home }),
                None => self.abandon_serving(id, receiver),
            }
            return;
        }
        let kin = serving.session.is_some();
        if serving.ended || serving.shard >= self.map.shards() {
            serving.ended = true;
            let answers = serving.pending;
            serving.pending = 0;
            for _ in 0..answers {
                self.send_page(id, receiver, false, &[]);
            }
            return;
        }
        serving.busy = true;
        let home = if serving.own_only { self.id } else { RegistrarId::default() };
        let buckets = serving.buckets.clone();
        let (shard, cursor) = (serving.shard, serving.cursor);
        let bytes = if kin { self.config.page_bytes } else { self.config.page_bytes_others };
        // Room for the header and the extensions.
        let bytes_max = u32::try_from(bytes.saturating_sub(if kin { 128 } else { 12 }));
        let bytes_max = bytes_max.unwrap_or(u32::MAX);
        let Some(token) = self.begin_round(1, Purpose::Serve { link: id }) else {
            self.abandon_serving(id, receiver);
            return;
        };
        let buckets = buckets.as_deref();
        let order = Order::Page { token, home, buckets, cursor, bytes_max, kin };
        self.order(ShardId(shard), &order);
    }

    /// A shard wrote a page.
    pub(super) fn page_written(&mut self, id: LinkId, cursor: u64, done: bool, parameters: &[u8]) {
        let shards = self.map.shards();
        let Some(link) = self.links.get_mut(id) else { return };
        let (Some(serving), Some(receiver)) = (&mut link.serving, link.registrar) else { return };
        serving.busy = false;
        serving.cursor = cursor;
        if done {
            serving.shard += 1;
            serving.cursor = 0;
        }
        let ended = serving.shard >= shards;
        if parameters.is_empty() && !ended {
            self.serve_more(id);
            return;
        }
        serving.ended = ended;
        serving.pending = serving.pending.saturating_sub(1);
        self.send_page(id, receiver, !ended, parameters);
        self.serve_more(id);
    }

    fn send_page(&mut self, id: LinkId, receiver: RegistrarId, more: bool, parameters: &[u8]) {
        let sender = self.id;
        let serving = self.links.get(id).and_then(|link| link.serving.as_ref());
        let session = serving.and_then(|serving| serving.session);
        let buckets = serving.and_then(|serving| serving.buckets.clone());
        let extensions =
            Extensions { session, buckets: buckets.as_deref(), ..Extensions::default() };
        self.stats.pages_sent += 1;
        self.send(id, |out| {
            let response = HandleTableResponse::begin(out, sender, receiver);
            extensions.append(out);
            out.extend_from_slice(parameters);
            response.finish(out, more);
        });
    }

    /// Asks for a part of a peer's handle table.
    pub(super) fn request_table(
        &mut self,
        id: LinkId,
        receiver: RegistrarId,
        own_only: bool,
        session: Option<u32>,
        digests: Option<&Digests>,
    ) {
        use super::outgoing::FORM;
        use rserpool_codec::enrp::Message;

        let mut bytes = Vec::new();
        if let Some(digests) = digests {
            digests.emit(&mut bytes);
        }
        let extensions = Extensions {
            session: session.map(|number| Session { number }),
            digest: digests.map(|_| bytes.as_slice()),
            ..Extensions::default()
        };
        let body = Body::HandleTableRequest { own_only };
        let message = Message { sender: self.id, receiver, body };
        self.send(id, |out| {
            let start = out.len();
            let written = message.emit(out, FORM);
            let written = written.and_then(|()| extensions.insert(out, start));
            debug_assert!(written.is_ok(), "it is short enough");
        });
    }
}
