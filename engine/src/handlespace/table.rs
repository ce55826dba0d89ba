//! Handle tables: the whole handlespace, page by page.

use super::Handlespace;
use crate::pool::Pool;
use crate::{ElementKey, PeChecksum, RegistrarId};

/// How many elements and pools a page looks at beyond those it gives.
const LOOKS: usize = 1024;

/// Where a handle-table download stands. It survives changes between pages.
#[derive(Clone, Debug, Default)]
pub struct TableCursor {
    pub(super) pool: u32,
    /// The number in the pool's roster.
    pub(super) number: u32,
}

impl Handlespace {
    /// The next page of the handle table, grouped by pool, into `page`, which
    /// is cleared first: up to `limit` elements, of one home or of all. `false`
    /// on the last page. An element that was there all along is given exactly
    /// once, whatever changed between the pages.
    ///
    /// A page looks at a bounded number of elements: one of a home that has
    /// few may be short, even empty, though more follow.
    pub fn handle_table(
        &self,
        cursor: &mut TableCursor,
        home: Option<RegistrarId>,
        limit: usize,
        page: &mut Vec<ElementKey>,
    ) -> bool {
        page.clear();
        self.visit_page(cursor, home, limit, |_, key| page.push(key))
    }

    /// The PE checksum of the next `limit` elements of the handle table with
    /// this home, computed anew from their identifiers and added to `sum`;
    /// `false` on the last page. Once through, `sum` is what
    /// [`Handlespace::checksum`] says, if nothing changed meanwhile.
    pub fn audit_checksum(
        &self,
        cursor: &mut TableCursor,
        home: RegistrarId,
        limit: usize,
        sum: &mut PeChecksum,
    ) -> bool {
        self.visit_page(cursor, Some(home), limit, |pool, key| {
            sum.add(pool.share(&self.bytes, self.elements[key.index].pe));
        })
    }

    /// Calls `visit` with the elements of a page and their pool; `false` on the
    /// last page.
    #[inline]
    fn visit_page(
        &self,
        cursor: &mut TableCursor,
        home: Option<RegistrarId>,
        limit: usize,
        mut visit: impl FnMut(&Pool, ElementKey),
    ) -> bool {
        let home = match home {
            None => None,
            Some(home) => match self.homes.find(home.get().into()) {
                None => return false,
                group => group,
            },
        };
        let mut left = limit;
        let mut looks = limit.saturating_add(LOOKS);
        while cursor.pool < self.pools.end() {
            let pool = &self.pools[cursor.pool];
            let mut is_full = false;
            if pool.is_there() {
                pool.roster.visit(&self.rosters, cursor.number, |number, key| {
                    is_full = left == 0 || looks == 0;
                    if is_full {
                        return false;
                    }
                    looks -= 1;
                    cursor.number = number + 1;
                    if home.is_none_or(|home| self.elements[key.index].home() == home) {
                        left -= 1;
                        visit(pool, key);
                    }
                    true
                });
            }
            if is_full || looks == 0 {
                return true;
            }
            looks -= 1;
            *cursor = TableCursor { pool: cursor.pool + 1, number: 0 };
        }
        false
    }
}
