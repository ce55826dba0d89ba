//! One shard's pools and pool elements.

use crate::{
    AssociationId, ChannelUse, Config, PeChecksum, PeId, Policy, PoolHandle, RegisterError,
    RegistrarId, RegistrationLife, Timestamp, TransportKind, UnknownPool,
};

/// Names one registered element until it is removed. A key of a removed
/// element is recognized as such, also after its slot was used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ElementKey {
    index: u32,
    generation: u32,
}

/// What [`Handlespace::register`] takes.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// The pool.
    pub handle: PoolHandle<'a>,
    /// The element in the pool.
    pub pe: PeId,
    /// Its home: this registrar for a registration by the element itself,
    /// the sender for a Handle Update.
    pub home: RegistrarId,
    /// The association it came by, if the element is at this registrar.
    pub association: Option<AssociationId>,
    /// How long it is valid.
    pub life: RegistrationLife,
    /// Its policy with its parameters.
    pub policy: Policy,
    /// The protocol of its user transport.
    pub transport: TransportKind,
    /// The use of its user transport.
    pub channel_use: ChannelUse,
    /// Bytes kept with the element and given back by
    /// [`ElementRef::record`]; the engine does not look into them.
    pub record: &'a [u8],
}

/// What a registration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The element is new.
    Created,
    /// The element was there with the same home, policy values and record:
    /// peers need not hear of it.
    Renewed,
    /// The element was there and something of it changed.
    Changed,
}

/// A successful registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Names the element from now on.
    pub key: ElementKey,
    /// What it did.
    pub outcome: Outcome,
    /// The home before, if it was another one.
    pub previous_home: Option<RegistrarId>,
}

/// The elements of one handle resolution. Reuse it: it does not allocate
/// once it has grown to the largest answer.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    /// The elements, in the order of the policy.
    pub elements: smallvec::SmallVec<[ElementKey; 16]>,
}

/// What [`Handlespace::poll_due`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a keep-alive to this element of ours. Its time-out runs.
    KeepAlive(ElementKey),
    /// The element did not answer a keep-alive in time. The caller removes it.
    Silent(ElementKey),
    /// Its registration life is over. The caller removes it.
    Expired(ElementKey),
}

/// What an unreachability report did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It was counted; the element stays.
    Counted(u8),
    /// It was one too many. The caller removes the element.
    LimitReached,
}

/// Where a handle-table download stands. It survives changes between pages.
#[derive(Clone, Debug, Default)]
pub struct TableCursor {
    _position: u64,
}

/// Counts of a handlespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Pools now.
    pub pools: u32,
    /// Elements now.
    pub elements: u32,
    /// Elements whose home is this registrar.
    pub own_elements: u32,
}

/// A registered element.
#[derive(Clone, Copy, Debug)]
pub struct ElementRef<'a> {
    space: &'a Handlespace,
    key: ElementKey,
}

/// A pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolRef<'a> {
    space: &'a Handlespace,
}

/// One shard's pools and pool elements.
#[derive(Debug)]
pub struct Handlespace {
    config: Config,
}

#[expect(clippy::todo, clippy::needless_pass_by_ref_mut, reason = "signatures first")]
#[expect(unused_variables, reason = "signatures first")]
impl Handlespace {
    /// An empty handlespace.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// Its configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Registers or re-registers an element (RFC 5352, 3.1), or applies a
    /// peer's Handle Update. All attributes are replaced; the life starts anew,
    /// the unreachability reports are forgotten, a degradation is reset.
    ///
    /// # Errors
    /// The reason for a refusal; nothing has changed then.
    pub fn register(
        &mut self,
        now: Timestamp,
        registration: &Registration<'_>,
    ) -> Result<Registered, RegisterError> {
        todo!()
    }

    /// The key of an element.
    #[must_use]
    pub fn find(&self, handle: PoolHandle<'_>, pe: PeId) -> Option<ElementKey> {
        todo!()
    }

    /// An element; `None` if it was removed.
    #[must_use]
    pub fn get(&self, key: ElementKey) -> Option<ElementRef<'_>> {
        todo!()
    }

    /// Removes an element, and its pool with the last one. `false` if it was
    /// removed before.
    pub fn remove(&mut self, key: ElementKey) -> bool {
        todo!()
    }

    /// Selects up to `items` elements by the pool's policy (RFC 5356) into
    /// `into`, which is cleared first. A pool whose elements are all drained
    /// gives none.
    ///
    /// # Errors
    /// No pool has this handle.
    pub fn resolve(
        &mut self,
        now: Timestamp,
        handle: PoolHandle<'_>,
        items: u32,
        into: &mut Resolution,
    ) -> Result<(), UnknownPool> {
        todo!()
    }

    /// Counts a report that the element is unreachable (RFC 5352, 3.5).
    /// `None` if it was removed before.
    pub fn report_unreachable(&mut self, key: ElementKey) -> Option<Reported> {
        todo!()
    }

    /// Makes the next [`Handlespace::poll_due`] ask for a keep-alive to this
    /// element of ours, whatever the interval, unless one is under way.
    pub fn probe(&mut self, now: Timestamp, key: ElementKey) {
        todo!()
    }

    /// The element acknowledged a keep-alive: its time-out ends, the reports
    /// against it are forgotten. `false` if it was removed before.
    pub fn keep_alive_acked(&mut self, now: Timestamp, key: ElementKey) -> bool {
        todo!()
    }

    /// When [`Handlespace::poll_due`] has something to do; not later than the
    /// earliest deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        todo!()
    }

    /// The next element whose deadline is over. Call it until `None`, or as
    /// often as the caller's turn allows. An element that is silent or expired
    /// is to be removed by the caller at once.
    pub fn poll_due(&mut self, now: Timestamp) -> Option<Due> {
        todo!()
    }

    /// Any element registered by this association.
    #[must_use]
    pub fn first_of_association(&self, association: AssociationId) -> Option<ElementKey> {
        todo!()
    }

    /// Any element with this home.
    #[must_use]
    pub fn first_of_home(&self, home: RegistrarId) -> Option<ElementKey> {
        todo!()
    }

    /// Gives an element to another home registrar. If that is this registrar,
    /// its keep-alive is due at once. `false` if it was removed before.
    pub fn set_home(&mut self, now: Timestamp, key: ElementKey, home: RegistrarId) -> bool {
        todo!()
    }

    /// Gives up to `batch` elements of `from` to this registrar (RFC 5353,
    /// 3.5); their keep-alives become due. Returns how many; fewer than
    /// `batch`: all are done.
    pub fn take_over(&mut self, now: Timestamp, from: RegistrarId, batch: usize) -> usize {
        todo!()
    }

    /// A pool by its handle.
    #[must_use]
    pub fn pool(&self, handle: PoolHandle<'_>) -> Option<PoolRef<'_>> {
        todo!()
    }

    /// The next page of the handle table, grouped by pool, into `page`, which
    /// is cleared first: up to `limit` elements, of one home or of all. `false`
    /// on the last page. An element that was there all along is given exactly
    /// once, whatever changed between the pages.
    pub fn handle_table(
        &self,
        cursor: &mut TableCursor,
        home: Option<RegistrarId>,
        limit: usize,
        page: &mut Vec<ElementKey>,
    ) -> bool {
        todo!()
    }

    /// The PE checksum sum of one home's elements. O(1).
    #[must_use]
    pub fn checksum(&self, home: RegistrarId) -> PeChecksum {
        todo!()
    }

    /// Counts. O(1).
    #[must_use]
    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// Checks every invariant. O(n): for tests, fuzzing and simulation.
    ///
    /// # Panics
    /// If one does not hold.
    pub fn assert_invariants(&self) {
        todo!()
    }
}

#[expect(clippy::todo, reason = "signatures first")]
impl<'a> ElementRef<'a> {
    /// The key that names it.
    #[must_use]
    pub const fn key(&self) -> ElementKey {
        self.key
    }

    /// Its pool handle.
    #[must_use]
    pub fn handle(&self) -> PoolHandle<'a> {
        todo!()
    }

    /// Its PE identifier.
    #[must_use]
    pub fn pe(&self) -> PeId {
        todo!()
    }

    /// Its home registrar.
    #[must_use]
    pub fn home(&self) -> RegistrarId {
        todo!()
    }

    /// Its registration life as registered.
    #[must_use]
    pub fn life(&self) -> RegistrationLife {
        todo!()
    }

    /// Its policy as registered.
    #[must_use]
    pub fn policy(&self) -> Policy {
        todo!()
    }

    /// The association it is registered by, if it is at this registrar.
    #[must_use]
    pub fn association(&self) -> Option<AssociationId> {
        todo!()
    }

    /// The bytes kept with it.
    #[must_use]
    pub fn record(&self) -> &'a [u8] {
        let _ = self.space;
        todo!()
    }
}

#[expect(clippy::todo, reason = "signatures first")]
impl PoolRef<'_> {
    /// The policy of its first element; the pool's policy is its kind.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let _ = self.space;
        todo!()
    }

    /// The number of its elements.
    #[must_use]
    pub fn len(&self) -> u32 {
        todo!()
    }

    /// Never: a pool goes with its last element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        todo!()
    }

    /// The protocol of its service.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        todo!()
    }

    /// The use of its service's transport.
    #[must_use]
    pub fn channel_use(&self) -> ChannelUse {
        todo!()
    }
}
