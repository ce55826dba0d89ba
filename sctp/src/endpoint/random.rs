//! Unpredictable numbers from one seed: keyed BLAKE3 in counter mode. Equal
//! seeds give equal numbers, so an endpoint can be replayed.

use blake3::Hasher;

/// A deterministic source of unpredictable numbers.
#[derive(Debug)]
pub(super) struct Random {
    hasher: Hasher,
    counter: u64,
    block: [u8; 64],
    used: usize,
}

impl Random {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let key = blake3::derive_key("rserpool-sctp 2026 random numbers", seed);
        Self { hasher: Hasher::new_keyed(&key), counter: 0, block: [0; 64], used: 64 }
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        if self.used + N > self.block.len() {
            let mut hasher = self.hasher.clone();
            hasher.update(&self.counter.to_le_bytes());
            hasher.finalize_xof().fill(&mut self.block);
            self.counter += 1;
            self.used = 0;
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.block[self.used..self.used + N]);
        // What was given out is not kept.
        self.block[self.used..self.used + N].fill(0);
        self.used += N;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers_and_others_do_not() {
        let mut one = Random::new(&[1; 32]);
        let mut same = Random::new(&[1; 32]);
        let mut other = Random::new(&[2; 32]);
        let numbers: Vec<u64> = (0..100).map(|_| one.u64()).collect();
        assert!(numbers.iter().all(|number| *number == same.u64()));
        assert!(numbers.iter().all(|number| *number != other.u64()));
        let mut distinct = numbers;
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 100);
    }
}
