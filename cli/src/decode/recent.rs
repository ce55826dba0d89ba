//! What is remembered of connections, as long as there are not too many.

use std::collections::BTreeMap;

/// Most connections and associations followed at once.
const ENTRIES_MAX: usize = 65_536;

/// A map that forgets what was not used for the longest time.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    entries: BTreeMap<K, (u64, V)>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V: Default> Recent<K, V> {
    /// The entry of a key, used now.
    pub(super) fn entry(&mut self, key: K, now: u64) -> &mut V {
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&key) {
            self.forget_half();
        }
        let entry = self.entries.entry(key).or_default();
        entry.0 = now;
        &mut entry.1
    }

    fn forget_half(&mut self) {
        let mut used: Vec<u64> = self.entries.values().map(|(used, _)| *used).collect();
        let middle = used.len() / 2;
        let (_, &mut median, _) = used.select_nth_unstable(middle);
        self.entries.retain(|_, (used, _)| *used > median);
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_half_makes_room() {
        let mut recent = Recent::<usize, usize>::default();
        for key in 0..=ENTRIES_MAX {
            *recent.entry(key, key as u64) += 1;
        }
        assert!(recent.values().count() <= ENTRIES_MAX / 2 + 1);
        assert_eq!(*recent.entry(ENTRIES_MAX, 0), 1);
        assert_eq!(*recent.entry(0, 0), 0);
    }
}
