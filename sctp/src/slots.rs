//! Numbered places for associations, with generations: a name of something
//! that is gone never finds what took its place.

use crate::link::AssocId;

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// A growing array of reusable places.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn insert(&mut self, value: T) -> AssocId {
        if let Some(slot) = self.free.pop() {
            let place = &mut self.slots[index(slot)];
            place.value = Some(value);
            return AssocId { slot, generation: place.generation };
        }
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot { generation: 1, value: Some(value) });
        AssocId { slot, generation: 1 }
    }

    pub(crate) fn remove(&mut self, id: AssocId) -> Option<T> {
        let place = self.slots.get_mut(index(id.slot))?;
        if place.generation != id.generation {
            return None;
        }
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.slot);
        Some(value)
    }

    pub(crate) fn get(&self, id: AssocId) -> Option<&T> {
        let place = self.slots.get(index(id.slot))?;
        if place.generation == id.generation { place.value.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, id: AssocId) -> Option<&mut T> {
        let place = self.slots.get_mut(index(id.slot))?;
        if place.generation == id.generation { place.value.as_mut() } else { None }
    }
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_what_is_gone_finds_nothing() {
        let mut slots = Slots::new();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(second.slot, first.slot);
        assert_ne!(second, first);
        assert_ne!(second.to_bits(), first.to_bits());
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
        assert_eq!(slots.len(), 1);
    }
}
