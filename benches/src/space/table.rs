//! The handle table and the checksum.

use std::hint::black_box;

use rserpool_engine::PeChecksum;

use super::{CHUNK, Space, TableCursor};
use crate::measure::Measured;
use crate::population::OWN;

/// Elements of one page of the handle table.
const PAGE: usize = 1024;

impl Space {
    /// Goes on through the handle table by one page, from its end to its
    /// start again. Returns how many elements the page has.
    fn next_page(&mut self) -> u64 {
        if !self.handlespace.handle_table(&mut self.cursor, None, PAGE, &mut self.page) {
            self.cursor = TableCursor::default();
        }
        black_box(&self.page).len() as u64
    }

    pub(super) fn walk(&mut self, measured: &mut Measured) {
        let mut elements = 0;
        measured.time(0, || {
            elements = self.next_page();
            elements
        });
        measured.calls += elements;
    }

    /// The handle table with a copy of every handle and record: what a Handle
    /// Table Response needs.
    pub(super) fn export(&mut self, measured: &mut Measured) {
        let mut elements = 0;
        let mut bytes: Vec<u8> = Vec::with_capacity(PAGE * 100);
        measured.time(0, || {
            elements = self.next_page();
            for element in self.page.iter().filter_map(|&key| self.handlespace.get(key)) {
                bytes.extend_from_slice(element.handle().as_bytes());
                bytes.extend_from_slice(element.record());
            }
            black_box(&bytes).len() as u64
        });
        measured.calls += elements;
    }

    pub(super) fn checksum(&mut self, measured: &mut Measured) {
        measured.time(u64::from(CHUNK), || {
            let mut sum = 0;
            for _ in 0..CHUNK {
                let checksum = black_box(&self.handlespace).checksum(black_box(OWN));
                sum += u64::from(checksum.finish());
            }
            sum
        });
    }

    /// The checksum computed anew from the handle table.
    pub(super) fn checksum_audit(&mut self, measured: &mut Measured) {
        let mut sum = PeChecksum::default();
        let mut more = true;
        measured.time(0, || {
            let (space, cursor) = (&self.handlespace, &mut self.audited);
            more = space.audit_checksum(cursor, OWN, PAGE, &mut sum);
            u64::from(sum.finish())
        });
        let all = u64::from(self.elements());
        measured.calls += if more { PAGE as u64 } else { all - self.audited_elements };
        self.audited_elements += PAGE as u64;
        if !more {
            self.audited = TableCursor::default();
            self.audited_elements = 0;
        }
    }
}
