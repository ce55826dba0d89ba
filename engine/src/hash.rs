//! Keyed hashing of what peers choose: folded multiplications, as in wyhash.
//!
//! Who does not know the key cannot choose names that collide. The hash of a
//! name follows from the key alone: it is the same on every machine, so that
//! equal seeds place pools on equal shards.

use crate::chance::mix;

/// The two halves of a product, one over the other.
#[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
#[inline]
pub(crate) const fn fold(one: u64, other: u64) -> u64 {
    let product = one as u128 * other as u128;
    (product as u64) ^ (product >> 64) as u64
}

/// A key to hash with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hasher {
    keys: [u64; 3],
}

impl Hasher {
    pub(crate) fn new(seed: u64) -> Self {
        // Odd: no key folds everything to 0.
        let key = |number: u64| mix(seed ^ mix(number)) | 1;
        Self { keys: [key(1), key(2), key(3)] }
    }

    /// The hash of bytes.
    #[inline]
    pub(crate) fn bytes(&self, bytes: &[u8]) -> u64 {
        let [first, second, third] = self.keys;
        let (blocks, rest) = bytes.as_chunks::<16>();
        let mut sum = first;
        for block in blocks {
            sum = Self::step(sum, second, *block);
        }
        if !rest.is_empty() {
            let mut last = [0; 16];
            last[..rest.len()].copy_from_slice(rest);
            sum = Self::step(sum, second, last);
        }
        // Here and not before: no byte can make up for a length.
        fold(sum ^ bytes.len() as u64, third)
    }

    #[inline]
    fn step(sum: u64, key: u64, block: [u8; 16]) -> u64 {
        let [a, b, c, d, e, f, g, h, high @ ..] = block;
        let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        fold(low ^ sum, u64::from_le_bytes(high) ^ key)
    }

    /// The hash of a number.
    #[inline]
    pub(crate) const fn number(&self, number: u64) -> u64 {
        fold(number ^ self.keys[0], self.keys[1])
    }

    /// The hash of a name made of one that was hashed and of a number.
    #[inline]
    pub(crate) const fn with_number(&self, hash: u64, number: u32) -> u64 {
        fold(hash ^ number as u64, self.keys[2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_every_machine() {
        let hasher = Hasher::new(7);
        let hashes = [
            hasher.bytes(b""),
            hasher.bytes(b"EchoPool"),
            hasher.bytes(b"a pool handle of more than 16 bytes"),
            hasher.with_number(hasher.bytes(b"EchoPool"), 1),
            hasher.number(1),
        ];
        // As another program computes them.
        let expected = [
            0x8441_7ea1_beca_6a70,
            0x6e1b_5f48_6437_b3da,
            0xfc2f_c424_d589_5844,
            0xeccd_ab53_6cdb_dffc,
            0xbbff_0490_8bb8_2989,
        ];
        assert_eq!(hashes, expected);
    }

    #[test]
    fn names_that_differ_in_a_byte_or_in_length_are_spread_evenly() {
        let hasher = Hasher::new(1);
        let mut hashes = Vec::new();
        for len in 0..40 {
            let mut name = vec![0; len];
            hashes.push(hasher.bytes(&name));
            for at in 0..len {
                for value in 1..=255 {
                    name[at] = value;
                    hashes.push(hasher.bytes(&name));
                }
                name[at] = 0;
            }
        }
        let all = hashes.len();
        for shift in [0, 8, 24, 32, 56] {
            let mut counts = [0_u32; 256];
            for hash in &hashes {
                counts[usize::from((hash >> shift & 0xff) as u8)] += 1;
            }
            let expected = all as f64 / 256.0;
            let chi: f64 =
                counts.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
            // 255 degrees of freedom: 330.5 is the 99.9 % point.
            assert!(chi < 330.5, "bits from {shift}: {chi}");
        }
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), all, "no two are equal");
    }
}
