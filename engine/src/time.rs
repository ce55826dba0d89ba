//! Time as an argument.

use core::time::Duration;

/// A point in time: microseconds since an epoch of the caller's choice.
/// All calls into one handlespace use the same epoch and never go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The epoch itself.
    pub const ZERO: Self = Self(0);
    /// Later than every deadline.
    pub const MAX: Self = Self(u64::MAX);

    /// A point `micros` microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This point moved `by` into the future; saturates.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        let micros = by.as_secs().saturating_mul(1_000_000);
        Self(self.0.saturating_add(micros.saturating_add(by.subsec_micros().into())))
    }

    /// How long ago `earlier` was; zero if it is later than `self`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
