//! Blocks of many sizes in pages of 64 KiB: records, long pool handles and
//! the arrays of pools, stored once and used again.
//!
//! A page holds blocks of one size. A size is one of 96 classes (every eight
//! bytes up to 256, then eight to a doubling). A page whose last block is
//! freed serves any class again, so that a change of the usual size does not
//! keep memory for the old one.

use crate::paged::{NONE, narrow};

/// Bytes of a granule, the unit of sizes and addresses.
const GRANULE_BYTES: usize = 8;
const PAGE_BITS: u32 = 13;
const PAGE_GRANULES: u32 = 1 << PAGE_BITS;
const CLASSES: usize = 96;

/// What an arena can hold: bytes or words.
pub(crate) trait Unit: Copy + Default {
    /// How many of them a granule has.
    const PER_GRANULE: usize = GRANULE_BYTES / size_of::<Self>();
    fn write_link(granule: &mut [Self], link: u32);
    fn read_link(granule: &[Self]) -> u32;
}

impl Unit for u8 {
    fn write_link(granule: &mut [Self], link: u32) {
        granule[..4].copy_from_slice(&link.to_le_bytes());
    }

    fn read_link(granule: &[Self]) -> u32 {
        u32::from_le_bytes([granule[0], granule[1], granule[2], granule[3]])
    }
}

impl Unit for u32 {
    fn write_link(granule: &mut [Self], link: u32) {
        granule[0] = link;
    }

    fn read_link(granule: &[Self]) -> u32 {
        granule[0]
    }
}

#[derive(Debug)]
struct Page<T> {
    units: Box<[T]>,
    class: u8,
    /// Blocks in use.
    live: u32,
    /// Blocks ever used since the page got its class.
    carved: u32,
    /// First freed block, a granule of this page.
    freed: u32,
    /// Neighbors among the pages of this class with room, or of free pages.
    previous: u32,
    next: u32,
}

impl<T> Page<T> {
    const fn has_room(&self) -> bool {
        self.freed != NONE || self.carved < blocks(self.class)
    }
}

/// The granules of a block of this class.
const fn granules(class: u8) -> u32 {
    if class < 32 {
        class as u32 + 1
    } else {
        let above = class as u32 - 32;
        (above % 8 + 9) << (above / 8 + 2)
    }
}

const fn blocks(class: u8) -> u32 {
    PAGE_GRANULES / granules(class)
}

/// The smallest class of at least this many granules.
const fn class_of(wanted: u32) -> u8 {
    let wanted = if wanted == 0 { 1 } else { wanted };
    assert!(wanted <= PAGE_GRANULES, "a block fits a page");
    let class = if wanted <= 32 {
        wanted - 1
    } else {
        let exponent = (wanted - 1).ilog2();
        32 + (exponent - 5) * 8 + ((wanted - 1) >> (exponent - 3)) - 8
    };
    (class & 0xff) as u8
}

/// The arena. A block is named by the granule it starts at.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    pages: Vec<Page<T>>,
    /// Pages with room, by class.
    with_room: [u32; CLASSES],
    /// Pages without blocks.
    free: u32,
}

impl<T: Unit> Arena<T> {
    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new(), with_room: [NONE; CLASSES], free: NONE }
    }

    const fn class_for(units: usize) -> u8 {
        let wanted = units.div_ceil(T::PER_GRANULE);
        assert!(wanted <= PAGE_GRANULES as usize, "a block fits a page");
        class_of(narrow(wanted))
    }

    /// The units a block for `units` really has.
    pub(crate) const fn capacity_for(units: usize) -> usize {
        granules(Self::class_for(units)) as usize * T::PER_GRANULE
    }

    /// The units of a block.
    #[inline]
    pub(crate) fn capacity(&self, block: u32) -> usize {
        granules(self.pages[(block >> PAGE_BITS) as usize].class) as usize * T::PER_GRANULE
    }

    /// A block of at least `units` units, whose content is left over.
    pub(crate) fn allocate(&mut self, units: usize) -> u32 {
        let class = Self::class_for(units);
        let mut number = self.with_room[usize::from(class)];
        if number == NONE {
            number = self.free_page(class);
            self.link(number);
        }
        let page = &mut self.pages[number as usize];
        page.live += 1;
        let granule = if page.freed == NONE {
            page.carved += 1;
            (page.carved - 1) * granules(class)
        } else {
            let granule = page.freed;
            page.freed = T::read_link(&page.units[granule as usize * T::PER_GRANULE..]);
            granule
        };
        if !page.has_room() {
            self.unlink(number);
        }
        number << PAGE_BITS | granule
    }

    /// Gives a block back.
    pub(crate) fn free(&mut self, block: u32) {
        let number = block >> PAGE_BITS;
        let page = &mut self.pages[number as usize];
        let had_room = page.has_room();
        let granule = block & (PAGE_GRANULES - 1);
        T::write_link(&mut page.units[granule as usize * T::PER_GRANULE..], page.freed);
        page.freed = granule;
        page.live -= 1;
        let empty = page.live == 0;
        if empty {
            if had_room {
                self.unlink(number);
            }
            let free = self.free;
            let page = &mut self.pages[number as usize];
            page.next = free;
            self.free = number;
        } else if !had_room {
            self.link(number);
        }
    }

    /// The first `units` units of a block.
    #[inline]
    pub(crate) fn get(&self, block: u32, units: usize) -> &[T] {
        let start = (block & (PAGE_GRANULES - 1)) as usize * T::PER_GRANULE;
        &self.pages[(block >> PAGE_BITS) as usize].units[start..start + units]
    }

    /// The first `units` units of a block, to write.
    #[inline]
    pub(crate) fn get_mut(&mut self, block: u32, units: usize) -> &mut [T] {
        let start = (block & (PAGE_GRANULES - 1)) as usize * T::PER_GRANULE;
        &mut self.pages[(block >> PAGE_BITS) as usize].units[start..start + units]
    }

    fn free_page(&mut self, class: u8) -> u32 {
        let number = if self.free == NONE {
            let units = vec![T::default(); PAGE_GRANULES as usize * T::PER_GRANULE];
            self.pages.push(Page {
                units: units.into_boxed_slice(),
                class,
                live: 0,
                carved: 0,
                freed: NONE,
                previous: NONE,
                next: NONE,
            });
            narrow(self.pages.len() - 1)
        } else {
            let number = self.free;
            self.free = self.pages[number as usize].next;
            number
        };
        let page = &mut self.pages[number as usize];
        page.class = class;
        page.carved = 0;
        page.freed = NONE;
        number
    }

    fn link(&mut self, number: u32) {
        let class = usize::from(self.pages[number as usize].class);
        let first = core::mem::replace(&mut self.with_room[class], number);
        if first != NONE {
            self.pages[first as usize].previous = number;
        }
        let page = &mut self.pages[number as usize];
        page.previous = NONE;
        page.next = first;
    }

    fn unlink(&mut self, number: u32) {
        let page = &self.pages[number as usize];
        let (class, previous, next) = (usize::from(page.class), page.previous, page.next);
        if previous == NONE {
            self.with_room[class] = next;
        } else {
            self.pages[previous as usize].next = next;
        }
        if next != NONE {
            self.pages[next as usize].previous = previous;
        }
    }

    /// Checks the lists of pages and blocks; returns the number of blocks in
    /// use.
    pub(crate) fn assert_invariants(&self) -> u32 {
        let mut listed = vec![false; self.pages.len()];
        let mut list = |first: u32, class: Option<usize>| {
            let mut at = first;
            while at != NONE {
                let page = &self.pages[at as usize];
                assert!(
                    !core::mem::replace(&mut listed[at as usize], true),
                    "a page is listed once"
                );
                assert_eq!(
                    class.is_none(),
                    page.live == 0,
                    "exactly pages without blocks are free"
                );
                if let Some(class) = class {
                    assert_eq!(usize::from(page.class), class, "a page is listed under its class");
                    assert!(page.has_room(), "a listed page has room");
                }
                at = page.next;
            }
        };
        list(self.free, None);
        for (class, &first) in self.with_room.iter().enumerate() {
            list(first, Some(class));
        }
        for (page, listed) in self.pages.iter().zip(listed) {
            assert!(listed || !page.has_room(), "a page with room is listed");
            if page.live > 0 {
                let mut freed = 0;
                let mut at = page.freed;
                while at != NONE {
                    freed += 1;
                    assert_eq!(at % granules(page.class), 0, "a freed block starts a block");
                    at = T::read_link(&page.units[at as usize * T::PER_GRANULE..]);
                }
                assert_eq!(page.live + freed, page.carved, "each carved block is live or freed");
            }
        }
        self.pages.iter().map(|page| page.live).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_the_smallest_that_fits() {
        for wanted in 1..=PAGE_GRANULES {
            let class = class_of(wanted);
            assert!(usize::from(class) < CLASSES);
            assert!(granules(class) >= wanted, "{wanted}");
            assert!(class == 0 || granules(class - 1) < wanted, "{wanted}");
        }
    }

    #[test]
    fn blocks_keep_their_bytes_and_are_used_again() {
        let mut arena = Arena::<u8>::new();
        let mut held = Vec::new();
        for round in 0..4_usize {
            for size in (0..65_536).step_by(997) {
                let block = arena.allocate(size);
                let fill = u8::try_from((size + round) % 251).unwrap();
                arena.get_mut(block, size).fill(fill);
                held.push((block, size, fill));
            }
            assert_eq!(arena.assert_invariants() as usize, held.len());
            for &(block, size, fill) in &held {
                assert!(arena.get(block, size).iter().all(|&it| it == fill));
                assert!(arena.capacity(block) >= size);
            }
            let mut keep = round;
            held.retain(|&(block, ..)| {
                keep += 1;
                if keep % 3 != 0 {
                    arena.free(block);
                }
                keep % 3 == 0
            });
        }
        for (block, ..) in held.drain(..) {
            arena.free(block);
        }
        assert_eq!(arena.assert_invariants(), 0);
    }

    #[test]
    fn emptied_pages_serve_other_sizes() {
        let mut arena = Arena::<u32>::new();
        for size in [2, 10, 100, 1000, 16_384] {
            let blocks: Vec<u32> = (0..16_384 / size).map(|_| arena.allocate(size)).collect();
            blocks.into_iter().for_each(|block| arena.free(block));
        }
        assert!(arena.pages.len() <= 2, "{}", arena.pages.len());
    }
}
