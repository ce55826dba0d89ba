//! Weight classes with rejection (Matias, Vitter and Ni).

use super::weighted::Weighted;
use crate::random::Random;

/// The class of an element without weight.
const DRAINED: u8 = u8::MAX;

#[derive(Clone, Copy, Debug)]
struct Position {
    weight: u32,
    index: u32,
    class: u8,
}

#[derive(Clone, Debug, Default)]
struct Class {
    elements: Vec<(u32, u32)>,
    total: u64,
}

/// One dense array of (element, weight) for each power of two: class `c` has
/// the weights from `2^c` below `2^(c+1)`, so at least every second draw of an
/// element of the class is accepted.
#[derive(Debug)]
pub struct WeightClasses {
    classes: Vec<Class>,
    positions: Vec<Position>,
    /// A bit for each class with elements.
    used: u32,
    total: u64,
}

impl WeightClasses {
    fn insert(&mut self, element: u32, weight: u32) {
        let position = &mut self.positions[element as usize];
        position.weight = weight;
        position.class = DRAINED;
        if weight > 0 {
            let class = weight.ilog2();
            self.used |= 1 << class;
            position.class = u8::try_from(class).unwrap_or(DRAINED);
            let class = &mut self.classes[class as usize];
            position.index = u32::try_from(class.elements.len()).unwrap_or(u32::MAX);
            class.elements.push((element, weight));
            class.total += u64::from(weight);
            self.total += u64::from(weight);
        }
    }

    fn remove(&mut self, element: u32) {
        let Position { weight, index, class } = self.positions[element as usize];
        let bit = 1_u32.checked_shl(u32::from(class)).unwrap_or(0);
        if let Some(class) = self.classes.get_mut(usize::from(class)) {
            class.elements.swap_remove(index as usize);
            if let Some(&(moved, _)) = class.elements.get(index as usize) {
                self.positions[moved as usize].index = index;
            }
            class.total -= u64::from(weight);
            self.total -= u64::from(weight);
            if class.elements.is_empty() {
                self.used &= !bit;
            }
        }
    }
}

impl Weighted for WeightClasses {
    const NAME: &'static str = "weight classes";

    fn new(weights: &[u32]) -> Self {
        let blank = Position { weight: 0, index: 0, class: DRAINED };
        let positions = vec![blank; weights.len()];
        let mut classes =
            Self { classes: vec![Class::default(); 32], positions, used: 0, total: 0 };
        for (&weight, element) in weights.iter().zip(0..) {
            classes.insert(element, weight);
        }
        classes
    }

    fn update(&mut self, element: u32, weight: u32) {
        let old = self.positions[element as usize];
        let same_class = weight.checked_ilog2().is_some_and(|class| class == u32::from(old.class));
        if same_class {
            let class = &mut self.classes[usize::from(old.class)];
            class.elements[old.index as usize].1 = weight;
            class.total = class.total - u64::from(old.weight) + u64::from(weight);
            self.total = self.total - u64::from(old.weight) + u64::from(weight);
            self.positions[element as usize].weight = weight;
        } else {
            self.remove(element);
            self.insert(element, weight);
        }
    }

    fn sample(&self, random: &mut Random) -> u32 {
        let mut left = random.below_wide(self.total);
        let mut used = self.used;
        // The heaviest classes are the likeliest.
        while let Some(number) = used.checked_ilog2() {
            used ^= 1 << number;
            let class = &self.classes[number as usize];
            if left >= class.total {
                left -= class.total;
                continue;
            }
            let count = u32::try_from(class.elements.len()).unwrap_or(u32::MAX);
            loop {
                let (element, weight) = class.elements[random.below(count) as usize];
                if random.below_wide(2 << number) < u64::from(weight) {
                    return element;
                }
            }
        }
        0
    }
}
