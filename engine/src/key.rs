//! The name of one registered element inside a handlespace.

/// Names one registered element until it is removed. A key of a removed
/// element is recognized as such, also after its slot was used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementKey {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}
