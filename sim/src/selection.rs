//! Whether what a registrar selects obeys the policy of the pool (RFC 5356).

use rserpool_codec::Elements;
use rserpool_engine::{PeId, Policy, PolicyKind, PoolHandle};

use crate::cluster::Cx;
use crate::model::KnownPool;
use crate::registrar::Registrar;

/// What must not get smaller from one element of an answer to the next, if
/// the policy orders by it without a memory of its own.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others have no such order")]
const fn rank(policy: Policy) -> Option<u64> {
    match policy {
        Policy::Priority { priority } => Some((u32::MAX - priority) as u64),
        Policy::LeastUsed { load } => Some(load as u64),
        Policy::PriorityLeastUsed { load, degradation } => Some(load as u64 + degradation as u64),
        _ => None,
    }
}

/// The weight of an element that has one.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others have none")]
const fn weight(policy: Policy) -> Option<u32> {
    match policy {
        Policy::WeightedRoundRobin { weight }
        | Policy::WeightedRandom { weight }
        | Policy::WeightedRandomDpf { weight, .. } => Some(weight),
        _ => None,
    }
}

/// Checks an answer by itself: the elements are of the pool and exist, none
/// comes twice, none is drained, and they are in the order of the policy.
pub(crate) fn check_answer(
    cx: &mut Cx,
    name: &str,
    registrar: usize,
    handle: PoolHandle<'_>,
    elements: Elements<'_>,
) {
    cx.model.checks += 1;
    let mut last = None;
    for (at, element) in elements.iter().enumerate() {
        let pe = element.pe;
        let wrong = |what: &str| format!("{name}: R{} answers {what}: {pe}", registrar + 1);
        let Some(number) = cx.model.find(handle, pe) else {
            return cx.model.fail(|| wrong("with an element that never was"));
        };
        let kind = cx.model.pool_of(number).map(|pool: &KnownPool| pool.kind);
        if kind != Some(element.policy.kind()) {
            return cx.model.fail(|| wrong("with another policy than the pool's"));
        }
        if elements.iter().take(at).any(|before| before.pe == pe) {
            return cx.model.fail(|| wrong("with an element twice"));
        }
        if weight(element.policy) == Some(0) {
            return cx.model.fail(|| wrong("with a drained element"));
        }
        let rank = rank(element.policy);
        if rank < last {
            return cx.model.fail(|| wrong("in another order than the policy's"));
        }
        last = rank;
    }
}

/// Longest burst of a probe.
const BURST_MAX: usize = 64;

/// An element as it is before a probe.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    pe: PeId,
    policy: Policy,
}

/// Resolves one pool several times at one moment, and checks the sequence
/// against the policy.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others go round once")]
pub(crate) fn probe(cx: &mut Cx, registrar: &mut Registrar) {
    let pool = cx.chance.index(cx.model.pools.len());
    let Some(known) = cx.model.pools.get(pool) else { return };
    let (name, kind) = (known.name.clone(), known.kind);
    let handle = PoolHandle::new(name.as_bytes());
    let pools = registrar.spaces().filter_map(|space| space.pool(handle));
    let elements = pools.flat_map(|pool| pool.elements());
    let candidates = elements.filter(|element| !element.is_drained());
    let candidates: Vec<_> =
        candidates.map(|it| Candidate { pe: it.pe(), policy: it.policy() }).collect();
    let weights: u64 = candidates.iter().filter_map(|it| weight(it.policy)).map(u64::from).sum();
    let times = match kind {
        PolicyKind::WeightedRoundRobin => usize::try_from(2 * weights).unwrap_or(usize::MAX),
        _ => candidates.len(),
    };
    if !(1..=BURST_MAX).contains(&times) {
        return;
    }
    cx.model.checks += 1;
    let items = 1 + cx.chance.below_u32(3);
    let many = registrar.resolve_now(cx, handle, items, 1);
    let expected = candidates.len().min(items as usize);
    let drawn = many.first().map_or(0, Vec::len);
    let mut wrong = (drawn != expected)
        .then(|| format!("{drawn} elements, not {expected}, to a request for {items}"));
    let firsts = registrar.resolve_now(cx, handle, 1, times);
    let firsts: Vec<PeId> = firsts.into_iter().flatten().collect();
    if wrong.is_none() {
        wrong = unfair(kind, &candidates, &firsts, times);
    }
    if let Some(wrong) = wrong {
        let registrar = &registrar.name;
        cx.model.fail(|| format!("{registrar} selects from {name} ({kind:?}) {wrong}"));
    }
}

/// What is wrong with a sequence of selections of one element each.
#[expect(clippy::wildcard_enum_match_arm, reason = "chance is not fair in a few draws")]
fn unfair(
    kind: PolicyKind,
    candidates: &[Candidate],
    firsts: &[PeId],
    times: usize,
) -> Option<String> {
    if firsts.len() != times {
        return Some(format!("{} times, asked {times} times", firsts.len()));
    }
    let count = |pe: PeId| firsts.iter().filter(|&&first| first == pe).count();
    if let Some(first) = firsts.iter().find(|&&pe| !candidates.iter().any(|it| it.pe == pe)) {
        return Some(format!("{first}, which is not to be had"));
    }
    match kind {
        PolicyKind::RoundRobin => {
            let skipped = candidates.iter().find(|it| count(it.pe) != 1)?;
            Some(format!("{} {} times in a round", skipped.pe, count(skipped.pe)))
        }
        PolicyKind::WeightedRoundRobin => {
            let short =
                |it: &&Candidate| (count(it.pe) as u64) < weight(it.policy).unwrap_or(0).into();
            let skipped = candidates.iter().find(short)?;
            Some(format!("{} {} times in two rounds", skipped.pe, count(skipped.pe)))
        }
        PolicyKind::Priority | PolicyKind::LeastUsed | PolicyKind::PriorityLeastUsed => {
            let best = candidates.iter().filter_map(|it| rank(it.policy)).min();
            let best: Vec<PeId> =
                candidates.iter().filter(|it| rank(it.policy) == best).map(|it| it.pe).collect();
            if let Some(worse) = firsts.iter().find(|pe| !best.contains(pe)) {
                return Some(format!("{worse}, though others come first"));
            }
            let turn = firsts.get(..best.len())?;
            let skipped = best.iter().find(|pe| !turn.contains(pe))?;
            Some(format!("{skipped} not in its turn among equals"))
        }
        _ => None,
    }
}
