//! The tree in every way to build it and every way to take it down, up to
//! seven nodes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use rserpool_engine::tree::{Augment, Nodes, Tree, WeightSum};

const MOST: usize = 7;

/// Calls `visit` with every order of the numbers below `len`.
fn permutations(len: usize, visit: &mut dyn FnMut(&[u32])) {
    fn place(order: &mut Vec<u32>, len: u32, visit: &mut dyn FnMut(&[u32])) {
        if order.len() == len as usize {
            return visit(order);
        }
        for next in 0..len {
            if !order.contains(&next) {
                order.push(next);
                place(order, len, visit);
                order.pop();
            }
        }
    }
    place(&mut Vec::new(), u32::try_from(len).unwrap(), visit);
}

/// Keys with room between them.
fn key_of(slot: u32) -> u64 {
    u64::from(slot) * 10
}

fn weight_of(slot: u32) -> u64 {
    1 << slot
}

fn build(order: &[u32]) -> (Nodes<WeightSum>, Tree) {
    let (mut nodes, mut tree) = (Nodes::new(16), Tree::EMPTY);
    for (count, &slot) in (1..).zip(order) {
        let value = WeightSum::new(weight_of(slot));
        nodes.insert(&mut tree, slot, key_of(slot), value);
        assert_eq!(nodes.assert_invariants(&tree), count);
    }
    (nodes, tree)
}

/// One order of insertion for each shape that any order leads to.
fn shapes(len: usize) -> Vec<Vec<u32>> {
    let mut shapes = BTreeMap::new();
    permutations(len, &mut |order| {
        let (nodes, tree) = build(order);
        shapes.entry(nodes.shape(&tree)).or_insert_with(|| order.to_vec());
    });
    shapes.into_values().collect()
}

fn assert_content(nodes: &Nodes<WeightSum>, tree: &Tree, content: &[u32]) {
    assert_eq!(nodes.assert_invariants(tree) as usize, content.len());
    assert_eq!(tree.len() as usize, content.len());
    let sum: u64 = content.iter().map(|&slot| weight_of(slot)).sum();
    assert_eq!(nodes.weight(tree), sum);
}

#[test]
fn every_tree_is_taken_down_in_every_order() {
    for len in 1..=MOST {
        for order in shapes(len) {
            permutations(len, &mut |removals| {
                let (mut nodes, mut tree) = build(&order);
                for (done, &slot) in removals.iter().enumerate() {
                    nodes.remove(&mut tree, slot);
                    assert_content(&nodes, &tree, &removals[done + 1..]);
                    assert_eq!(tree.first(), removals[done + 1..].iter().min().copied());
                    assert_eq!(tree.last(), removals[done + 1..].iter().max().copied());
                }
                assert_eq!(tree, Tree::EMPTY);
            });
        }
    }
}

/// The slots in order.
fn walk<A: Augment>(nodes: &Nodes<A>, tree: &Tree) -> Vec<u32> {
    let mut slots = Vec::new();
    let mut at = tree.first();
    while let Some(slot) = at {
        slots.push(slot);
        at = nodes.next(slot);
    }
    slots
}

#[test]
fn every_node_of_every_tree_moves_to_every_place() {
    for len in 1..=MOST {
        for order in shapes(len) {
            for slot in order.clone() {
                for place in 0..=2 * u64::try_from(len).unwrap() {
                    // Between all others, and equal to each of them.
                    let key = (place * 5).wrapping_sub(5);
                    let (mut nodes, mut tree) = build(&order);
                    nodes.change(&mut tree, slot, key);
                    assert_content(&nodes, &tree, &order);
                    let mut expected: Vec<u32> = (0..u32::try_from(len).unwrap()).collect();
                    expected.retain(|&it| it != slot);
                    let behind = |it: &u32| key_of(*it).cast_signed() <= key.cast_signed();
                    let place = expected.iter().filter(|it| behind(it)).count();
                    expected.insert(place, slot);
                    assert_eq!(walk(&nodes, &tree), expected);
                }
            }
        }
    }
}

#[test]
fn every_node_of_every_tree_gets_one_behind_it() {
    for order in (1..=MOST).flat_map(shapes) {
        for &slot in &order {
            let (mut nodes, mut tree) = build(&order);
            let value = WeightSum::new(weight_of(9));
            nodes.insert_after(&mut tree, slot, 9, key_of(slot), value);
            nodes.assert_invariants(&tree);
            assert_eq!((nodes.next(slot), nodes.previous(9)), (Some(9), Some(slot)));
            assert_eq!(nodes.last_not_after(&tree, key_of(slot) + 1), Some(9));
            assert_eq!(
                nodes.last_not_after(&tree, key_of(slot).wrapping_sub(1)),
                nodes.previous(slot)
            );
        }
    }
}

#[test]
fn equal_keys_stand_in_the_order_in_which_they_came() {
    permutations(MOST, &mut |order| {
        let (mut nodes, mut tree) = (Nodes::<()>::new(16), Tree::EMPTY);
        for &slot in order {
            nodes.insert(&mut tree, slot, u64::from(slot / 3), ());
        }
        nodes.assert_invariants(&tree);
        let mut expected = order.to_vec();
        expected.sort_by_key(|slot| slot / 3);
        assert_eq!(walk(&nodes, &tree), expected);
        // The first goes behind its equals, again and again.
        for turn in 0..MOST {
            let first = tree.first().unwrap();
            assert_eq!(first, expected[turn % 3]);
            nodes.change(&mut tree, first, 0);
            nodes.assert_invariants(&tree);
        }
    });
}

#[test]
fn every_weight_of_every_tree_finds_its_node() {
    for order in shapes(MOST) {
        let (nodes, tree) = build(&order);
        let total = nodes.weight(&tree);
        for at in 0..total {
            // Weights are powers of two: bit n and those above it are reached
            // when the sum of the lower ones is.
            assert_eq!(nodes.at_weight(&tree, at), Some((at + 1).ilog2()));
        }
        assert_eq!(nodes.at_weight(&tree, total), None);
    }
}

#[test]
fn keys_that_grow_wrap_around() {
    let (mut nodes, mut tree) = (Nodes::<()>::new(16), Tree::EMPTY);
    let start = u64::MAX - 20;
    for slot in 0..8 {
        let key = start.wrapping_add(u64::from(slot) * 10);
        nodes.insert(&mut tree, slot, key, ());
    }
    nodes.assert_invariants(&tree);
    assert_eq!((tree.first(), tree.last()), (Some(0), Some(7)));
    for turn in 8..1000_u64 {
        let first = tree.first().unwrap();
        assert_eq!(u64::from(first), turn % 8);
        nodes.change(&mut tree, first, start.wrapping_add(turn * 10));
        nodes.assert_invariants(&tree);
    }
}
