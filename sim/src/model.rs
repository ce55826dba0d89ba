//! What is true: which pool elements there are, what they asked for and were
//! told, and what each registrar heard of them. The checkers hold what the
//! registrars know against this.

use rserpool_codec::asap::peek_element;
use rserpool_engine::{PeId, Policy, PolicyKind, PoolHandle, RegistrationLife, Timestamp};

use crate::network::{Micros, NodeId};

/// A pool element by its number in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ElementNo(pub(crate) usize);

/// Where a registration stands, as its element knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has no registration that was acknowledged.
    Unknown,
    /// A registrar acknowledged the registration sent at that time.
    Registered { registrar: usize, sent: Micros },
    /// A registrar acknowledged that it is gone.
    Deregistered { registrar: usize, at: Micros },
}

/// What a registrar heard of an element, by the registrar's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    /// When it last registered there, or an update of it came.
    pub(crate) registered: Timestamp,
    /// When it last gave a sign of life there.
    pub(crate) alive: Timestamp,
}

/// A pool element.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) pool: usize,
    pub(crate) pe: PeId,
    /// The node of its host.
    pub(crate) node: NodeId,
    pub(crate) life: RegistrationLife,
    /// Its host is running and wants it registered.
    pub(crate) wanted: bool,
    pub(crate) standing: Standing,
    /// When its last registration was sent.
    pub(crate) asked: Micros,
    /// The policy values of its last registration.
    pub(crate) policy: Policy,
    /// And those of the last one that was acknowledged.
    pub(crate) acknowledged: Option<Policy>,
    /// By registrar.
    heard: Vec<Option<Heard>>,
}

/// A pool.
#[derive(Debug)]
pub(crate) struct KnownPool {
    pub(crate) name: String,
    pub(crate) kind: PolicyKind,
}

/// Faults that a node or a path suffers.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    now: u32,
    last: Option<Micros>,
}

/// What is true.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) pools: Vec<KnownPool>,
    pub(crate) elements: Vec<Known>,
    registrars: usize,
    /// Between every two nodes; those of one node with itself are its own.
    troubles: Vec<Trouble>,
    nodes: usize,
    salt: u32,
    /// The first thing that was wrong.
    pub(crate) failure: Option<String>,
    /// Checks made.
    pub(crate) checks: u64,
}

impl Model {
    pub(crate) fn new(pools: Vec<KnownPool>, registrars: usize, nodes: usize, salt: u32) -> Self {
        Self {
            pools,
            elements: Vec::new(),
            registrars,
            troubles: vec![Trouble::default(); nodes * nodes],
            nodes,
            salt: salt | 1 << 31,
            failure: None,
            checks: 0,
        }
    }

    /// Something is wrong. The first report counts.
    pub(crate) fn fail(&mut self, what: impl FnOnce() -> String) {
        if self.failure.is_none() {
            self.failure = Some(what());
        }
    }

    /// A new element.
    pub(crate) fn add(
        &mut self,
        pool: usize,
        node: NodeId,
        life: RegistrationLife,
        policy: Policy,
    ) -> ElementNo {
        let number = self.elements.len();
        let low = u32::try_from(number + 1).unwrap_or(u32::MAX);
        self.elements.push(Known {
            pool,
            pe: PeId::new(self.salt & 0xffff_0000 | low),
            node,
            life,
            wanted: true,
            standing: Standing::Unknown,
            asked: 0,
            policy,
            acknowledged: None,
            heard: vec![None; self.registrars],
        });
        ElementNo(number)
    }

    pub(crate) fn get(&self, number: ElementNo) -> Option<&Known> {
        self.elements.get(number.0)
    }

    pub(crate) fn get_mut(&mut self, number: ElementNo) -> Option<&mut Known> {
        self.elements.get_mut(number.0)
    }

    /// The element with this identifier in this pool.
    pub(crate) fn find(&self, handle: PoolHandle<'_>, pe: PeId) -> Option<ElementNo> {
        let number = usize::try_from(pe.get() & 0xffff).ok()?.checked_sub(1)?;
        let known = self.elements.get(number)?;
        let pool = self.pools.get(known.pool)?;
        (known.pe == pe && pool.name.as_bytes() == handle.as_bytes()).then_some(ElementNo(number))
    }

    /// The pool of an element.
    pub(crate) fn pool_of(&self, number: ElementNo) -> Option<&KnownPool> {
        self.pools.get(self.get(number)?.pool)
    }

    /// A name for people.
    pub(crate) fn name(&self, number: ElementNo) -> String {
        match (self.get(number), self.pool_of(number)) {
            (Some(known), Some(pool)) => format!("{} of {}", known.pe, pool.name),
            _ => "nobody".to_owned(),
        }
    }

    /// A registrar takes this ASAP message from its association.
    pub(crate) fn heard_asap(
        &mut self,
        registrar: usize,
        local: Timestamp,
        message: &[u8],
        called: bool,
    ) {
        let registers = match message.first() {
            Some(1) => true,
            Some(8) => called,
            _ => return,
        };
        let Some((handle, pe)) = peek_element(message) else { return };
        if let Some(number) = self.find(handle, pe) {
            self.heard(registrar, number, local, registers);
        }
    }

    /// A registrar has news of an element.
    pub(crate) fn heard(
        &mut self,
        registrar: usize,
        number: ElementNo,
        local: Timestamp,
        registers: bool,
    ) {
        let Some(known) = self.get_mut(number) else { return };
        let Some(heard) = known.heard.get_mut(registrar) else { return };
        match heard {
            Some(heard) => {
                heard.alive = local;
                if registers {
                    heard.registered = local;
                }
            }
            None if registers => *heard = Some(Heard { registered: local, alive: local }),
            None => {}
        }
    }

    /// What a registrar heard of an element since it started.
    pub(crate) fn news(&self, registrar: usize, number: ElementNo) -> Option<Heard> {
        *self.get(number)?.heard.get(registrar)?
    }

    /// A registrar was stopped: for all it knows, what it heard it hears now.
    pub(crate) fn heard_again(&mut self, registrar: usize, local: Timestamp) {
        for known in &mut self.elements {
            if let Some(Some(heard)) = known.heard.get_mut(registrar) {
                *heard = Heard { registered: local, alive: local };
            }
        }
    }

    /// A registrar forgot everything.
    pub(crate) fn forgot(&mut self, registrar: usize) {
        for known in &mut self.elements {
            if let Some(heard) = known.heard.get_mut(registrar) {
                *heard = None;
            }
        }
    }

    fn trouble_mut(&mut self, a: NodeId, b: NodeId) -> Option<&mut Trouble> {
        let (low, high) = (a.min(b), a.max(b));
        self.troubles.get_mut(low.index() * self.nodes + high.index())
    }

    /// A fault begins at a node (twice the same) or between two.
    pub(crate) fn trouble(&mut self, a: NodeId, b: NodeId) {
        if let Some(trouble) = self.trouble_mut(a, b) {
            trouble.now += 1;
        }
    }

    /// It ends.
    pub(crate) fn relief(&mut self, now: Micros, a: NodeId, b: NodeId) {
        if let Some(trouble) = self.trouble_mut(a, b) {
            trouble.now = trouble.now.saturating_sub(1);
            trouble.last = Some(now);
        }
    }

    /// Since when nothing is wrong with two nodes and between them; `None`:
    /// something is.
    pub(crate) fn quiet_since(&self, a: NodeId, b: NodeId) -> Option<Micros> {
        let (low, high) = (a.min(b), a.max(b));
        let mut since = 0;
        for (x, y) in [(a, a), (b, b), (low, high)] {
            let trouble = self.troubles.get(x.index() * self.nodes + y.index())?;
            if trouble.now > 0 {
                return None;
            }
            since = since.max(trouble.last.map_or(0, |last| last + 1));
        }
        Some(since)
    }
}
