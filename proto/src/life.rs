//! The registration life on the wire (RFC 5354, 3.10).

use core::time::Duration;

use rserpool_engine::RegistrationLife;

/// The unit of the registration life on the wire. It cannot be told from the
/// value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LifeUnit {
    /// The RFC's, with a sign.
    #[default]
    Seconds,
    /// rsplib's, without a sign.
    Milliseconds,
}

impl LifeUnit {
    /// The life a value on the wire means; -1 is infinite. `None` if it means
    /// no time to come.
    #[must_use]
    pub fn from_wire(self, wire: i32) -> Option<RegistrationLife> {
        let life = match (wire, self) {
            (0, _) => return None,
            (-1, _) => return Some(RegistrationLife::Infinite),
            (_, Self::Seconds) => Duration::from_secs(u64::try_from(wire).ok()?),
            (_, Self::Milliseconds) => Duration::from_millis(u64::from(wire.cast_unsigned())),
        };
        Some(RegistrationLife::For(life))
    }

    /// The value on the wire for a life: at least 1 unit, rounded up, and the
    /// longest there is for one that is longer still.
    #[must_use]
    pub fn to_wire(self, life: RegistrationLife) -> i32 {
        let RegistrationLife::For(life) = life else { return -1 };
        match self {
            Self::Seconds => {
                let whole = life.as_secs().saturating_add(u64::from(life.subsec_nanos() > 0));
                i32::try_from(whole.max(1)).unwrap_or(i32::MAX)
            }
            Self::Milliseconds => {
                let millis = life.as_nanos().div_ceil(1_000_000).max(1);
                u32::try_from(millis).unwrap_or(u32::MAX).min(u32::MAX - 1).cast_signed()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registration_life_is_signed_seconds_or_unsigned_milliseconds() {
        let seconds = |wire| LifeUnit::Seconds.from_wire(wire);
        let millis = |wire| LifeUnit::Milliseconds.from_wire(wire);
        assert_eq!(seconds(90), Some(RegistrationLife::For(Duration::from_secs(90))));
        assert_eq!(millis(90_000), Some(RegistrationLife::For(Duration::from_secs(90))));
        assert_eq!(seconds(-1), Some(RegistrationLife::Infinite));
        assert_eq!(millis(-1), Some(RegistrationLife::Infinite));
        assert_eq!(seconds(-2), None);
        let longest = Duration::from_millis(0xffff_fffe);
        assert_eq!(millis(-2), Some(RegistrationLife::For(longest)));
        assert_eq!((seconds(0), millis(0)), (None, None));
    }

    #[test]
    fn a_life_that_fits_the_wire_comes_back_and_others_come_near() {
        for unit in [LifeUnit::Seconds, LifeUnit::Milliseconds] {
            for life in [
                RegistrationLife::Infinite,
                RegistrationLife::For(Duration::from_secs(1)),
                RegistrationLife::For(Duration::from_secs(86_400)),
            ] {
                assert_eq!(unit.from_wire(unit.to_wire(life)), Some(life));
            }
            assert_eq!(unit.to_wire(RegistrationLife::For(Duration::from_nanos(1))), 1);
        }
        let for_ever = RegistrationLife::For(Duration::MAX);
        assert_eq!(LifeUnit::Seconds.to_wire(for_ever), i32::MAX);
        assert_eq!(LifeUnit::Milliseconds.to_wire(for_ever), -2);
    }
}
