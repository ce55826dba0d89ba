//! What is remembered of connections, as long as it is not too much.

use std::collections::BTreeMap;

/// Most connections and associations followed at once.
const ENTRIES_MAX: usize = 65_536;
/// Most bytes kept for all of them.
const BYTES_MAX: usize = 128 << 20;

/// What takes memory.
pub(crate) trait Weigh {
    /// About how many bytes it has.
    fn weight(&self) -> usize;
}

/// A map that forgets what was not used for the longest time.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    entries: BTreeMap<K, (u64, V)>,
    bytes: usize,
    bytes_max: usize,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), bytes: 0, bytes_max: BYTES_MAX }
    }
}

impl<K: Ord + Clone, V: Default + Weigh> Recent<K, V> {
    /// Changes the entry of a key, which is used now.
    pub(crate) fn change<R>(&mut self, key: K, now: u64, change: impl FnOnce(&mut V) -> R) -> R {
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&key) {
            self.forget_half();
        }
        let (used, value) = self.entries.entry(key).or_default();
        *used = now;
        let before = value.weight();
        let result = change(value);
        self.bytes = self.bytes + value.weight() - before;
        if self.bytes > self.bytes_max {
            self.forget_half();
        }
        result
    }

    fn forget_half(&mut self) {
        let mut used: Vec<u64> = self.entries.values().map(|(used, _)| *used).collect();
        let middle = used.len() / 2;
        let (_, &mut median, _) = used.select_nth_unstable(middle);
        self.entries.retain(|_, (used, _)| *used > median);
        self.bytes = self.values().map(Weigh::weight).sum();
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Some((_, value)) = self.entries.remove(key) {
            self.bytes -= value.weight();
        }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for usize {
        fn weight(&self) -> usize {
            *self
        }
    }

    #[test]
    fn the_older_half_makes_room() {
        let mut recent = Recent::<usize, usize>::default();
        for key in 0..=ENTRIES_MAX {
            recent.change(key, key as u64, |count| *count += 1);
        }
        assert!(recent.values().count() <= ENTRIES_MAX / 2 + 1);
        assert_eq!(recent.change(ENTRIES_MAX, 0, |count| *count), 1);
        assert_eq!(recent.change(0, 0, |count| *count), 0);
    }

    #[test]
    fn the_older_half_goes_when_all_is_too_large() {
        let mut recent = Recent::<usize, usize> { bytes_max: 100, ..Recent::default() };
        for key in 0..1000 {
            recent.change(key, key as u64, |bytes| *bytes += 10);
            recent.change(key, key as u64, |bytes| *bytes -= 1);
            assert!(recent.values().sum::<usize>() <= 100);
            assert_eq!(recent.bytes, recent.values().sum::<usize>());
        }
        assert_eq!(recent.change(999, 1000, |bytes| *bytes), 9);
        recent.remove(&999);
        assert_eq!(recent.bytes, recent.values().sum::<usize>());
    }
}
