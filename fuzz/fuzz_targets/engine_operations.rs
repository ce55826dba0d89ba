//! Operations on a handlespace and on the plain model of the engine's tests:
//! both say the same, and all invariants hold.
#![no_main]

#[path = "../../engine/tests/oracle/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the engine's own tests use the rest")]
mod oracle;

use libfuzzer_sys::fuzz_target;
use oracle::{Op, Session, Size};

/// Bytes of an operation.
const OPERATION: usize = 20;
/// Few enough that a comparison after each takes no time.
const OPERATIONS_MAX: usize = 200;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[kind, seed, ..], operations)) = bytes.split_first_chunk::<4>() else { return };
    let max_increment = [1, 0, 2, u32::MAX][usize::from(kind >> 2) % 4];
    let size = if kind & 1 == 0 {
        Size { pools: 20, pes: 6, elements_max: 70, max_increment }
    } else {
        Size { pools: 18, pes: 150, elements_max: 250, max_increment }
    };
    let mut session = Session::new(size, seed.into());
    for operation in operations.chunks_exact(OPERATION).take(OPERATIONS_MAX) {
        let mut numbers = [0; OPERATION / 2];
        for (number, bytes) in numbers.iter_mut().zip(operation.chunks_exact(2)) {
            *number = u16::from_le_bytes([bytes[0], bytes[1]]);
        }
        if kind & 2 != 0 {
            // One policy and its modes at a time.
            numbers[1] = u16::from(kind >> 4);
        }
        session.apply(Op::from(numbers));
    }
});
