//! What a policy consists of.

/// What the policy values of an element mean for its selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has its turn in a circle.
    Turn,
    /// It is ordered by this key, lowest first.
    Key(u32),
    /// It has this many turns in a round; 0: drained.
    Turns(u32),
    /// It is drawn with this weight; 0: drained.
    Weight(u32),
}

/// How the elements of a pool are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// A circle and a place in it.
    Circle,
    /// By key.
    Sorted,
    /// By the time of the next turn.
    Turns,
    /// All of weight 1.
    EqualLots,
    /// By weight.
    Lots,
}

/// What is the same for all elements of a policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) family: Family,
    /// A selection adds the degradation to the load of the element, until it
    /// registers again.
    pub(crate) degrades: bool,
    /// It has a distance and a delay penalty factor.
    pub(crate) has_distance: bool,
    /// It tells elements of less load from elements of more.
    pub(crate) has_load: bool,
}

impl Rule {
    pub(super) const fn of(family: Family) -> Self {
        Self { family, degrades: false, has_distance: false, has_load: false }
    }

    pub(super) const fn with_load(self) -> Self {
        Self { has_load: true, ..self }
    }

    pub(super) const fn with_degradation(self) -> Self {
        Self { degrades: true, ..self }
    }

    pub(super) const fn with_distance(self) -> Self {
        Self { has_distance: true, ..self }
    }
}

/// The parameters of a policy: weight, load or priority; degradation; degradation
/// per distance (DPF); distance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) first: u32,
    pub(crate) degradation: u32,
    pub(crate) dpf: u32,
    pub(crate) distance: u32,
}

impl Values {
    /// The load that the distance adds: DPF a millisecond, saturating.
    pub(super) const fn remoteness(self) -> u32 {
        let product = self.dpf as u64 * self.distance as u64;
        if product > u32::MAX as u64 { u32::MAX } else { (product & 0xffff_ffff) as u32 }
    }

    /// With the load of one more request, saturating.
    pub(super) const fn with_one_more(self) -> Self {
        Self { first: self.first.saturating_add(self.degradation), ..self }
    }
}
