//! Alone in its process: what other tests allocate would be counted too.

use rserpool_benches::memory::{peak, resident};

#[test]
fn what_is_written_to_is_resident() {
    let before = resident();
    let bytes = std::hint::black_box(vec![1_u8; 32 << 20]);
    let grown = resident() - before;
    assert!((31 << 20..34 << 20).contains(&grown), "{grown}");
    drop(bytes);
    assert!(peak() >= before + (31 << 20));
}
