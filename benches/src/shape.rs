//! How many pools of how many elements.

use core::fmt;

/// The shape of a handlespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number of pools.
    pub pools: u32,
    /// Elements in each.
    pub elements_per_pool: u32,
}

impl Shape {
    /// The shapes of a report: one pool of growing size, then a million
    /// elements in a thousand and in a hundred thousand pools.
    pub const ALL: [Self; 7] = [
        Self::new(1, 100),
        Self::new(1, 1_000),
        Self::new(1, 10_000),
        Self::new(1, 100_000),
        Self::new(1, 1_000_000),
        Self::new(1_000, 1_000),
        Self::new(100_000, 10),
    ];

    /// So many pools of so many elements.
    #[must_use]
    pub const fn new(pools: u32, elements_per_pool: u32) -> Self {
        Self { pools, elements_per_pool }
    }

    /// All elements together.
    #[must_use]
    pub const fn elements(self) -> u32 {
        self.pools * self.elements_per_pool
    }

    /// The shape with this name, as [`fmt::Display`] writes it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (pools, elements) = name.split_once('x')?;
        let shape = Self::new(number(pools)?, number(elements)?);
        (shape.pools > 0
            && shape.elements_per_pool > 0
            && shape.pools.checked_mul(shape.elements_per_pool).is_some())
        .then_some(shape)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", power(self.pools), power(self.elements_per_pool))
    }
}

/// Powers of ten as `1eN`, from 100 on.
fn power(number: u32) -> String {
    let digits = number.ilog10();
    if digits >= 2 && number == 10_u32.pow(digits) {
        format!("1e{digits}")
    } else {
        number.to_string()
    }
}

fn number(text: &str) -> Option<u32> {
    match text.split_once('e') {
        Some((factor, digits)) => {
            factor.parse::<u32>().ok()?.checked_mul(10_u32.checked_pow(digits.parse().ok()?)?)
        }
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_shapes_are_read_back() {
        for shape in Shape::ALL {
            assert_eq!(Shape::parse(&shape.to_string()), Some(shape));
        }
        assert_eq!(Shape::new(100_000, 10).to_string(), "1e5x10");
        assert_eq!(Shape::parse("1x1e7"), Some(Shape::new(1, 10_000_000)));
        assert_eq!(Shape::parse("3x250"), Some(Shape::new(3, 250)));
    }

    #[test]
    fn shapes_that_are_none_are_refused() {
        for name in ["", "7", "0x5", "1x", "1e9x1e9", "1x1e11", "ax1"] {
            assert_eq!(Shape::parse(name), None, "{name}");
        }
    }
}
