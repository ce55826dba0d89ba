//! The Member Selection Policy parameter (RFC 5354, 3.8; RFC 5356; rsplib).

use rserpool_engine::{Policy, PolicyKind};

use crate::error::{DecodeError, EmitError, Fault};
use crate::parameter::kind;
use crate::reader::Tlv;
use crate::writer::Writer;

/// Reads a policy. Words after those of its layout are ignored.
#[inline]
pub(crate) fn read<'a>(tlv: &Tlv<'a>) -> Result<Policy, DecodeError<'a>> {
    let mut words = tlv.value;
    let mut word = || {
        let (word, rest) = words.split_first_chunk().ok_or_else(|| tlv.invalid(Fault::Length))?;
        words = rest;
        Ok(u32::from_be_bytes(*word))
    };
    let kind = PolicyKind::from_code(word()?).ok_or_else(|| tlv.invalid(Fault::Value))?;
    Ok(match kind {
        PolicyKind::RoundRobin => Policy::RoundRobin,
        PolicyKind::WeightedRoundRobin => Policy::WeightedRoundRobin { weight: word()? },
        PolicyKind::Random => Policy::Random,
        PolicyKind::WeightedRandom => Policy::WeightedRandom { weight: word()? },
        PolicyKind::Priority => Policy::Priority { priority: word()? },
        PolicyKind::LeastUsed => Policy::LeastUsed { load: word()? },
        PolicyKind::LeastUsedDegradation => {
            Policy::LeastUsedDegradation { load: word()?, degradation: word()? }
        }
        PolicyKind::PriorityLeastUsed => {
            Policy::PriorityLeastUsed { load: word()?, degradation: word()? }
        }
        PolicyKind::RandomizedLeastUsed => Policy::RandomizedLeastUsed { load: word()? },
        PolicyKind::RandomizedPriorityLeastUsed => {
            Policy::RandomizedPriorityLeastUsed { load: word()?, degradation: word()? }
        }
        PolicyKind::RandomizedLeastUsedDegradation => {
            Policy::RandomizedLeastUsedDegradation { load: word()?, degradation: word()? }
        }
        PolicyKind::PriorityLeastUsedDegradation => {
            Policy::PriorityLeastUsedDegradation { load: word()?, degradation: word()? }
        }
        PolicyKind::RandomizedPriorityLeastUsedDegradation => {
            Policy::RandomizedPriorityLeastUsedDegradation { load: word()?, degradation: word()? }
        }
        PolicyKind::WeightedRandomDpf => {
            Policy::WeightedRandomDpf { weight: word()?, dpf: word()?, distance: word()? }
        }
        PolicyKind::LeastUsedDpf => {
            Policy::LeastUsedDpf { load: word()?, dpf: word()?, distance: word()? }
        }
        PolicyKind::LeastUsedDegradationDpf => Policy::LeastUsedDegradationDpf {
            load: word()?,
            degradation: word()?,
            dpf: word()?,
            distance: word()?,
        },
        // rsplib has the codes but no layout for them.
        PolicyKind::PriorityLeastUsedDpf | PolicyKind::PriorityLeastUsedDegradationDpf => {
            return Err(tlv.invalid(Fault::Value));
        }
    })
}

/// Appends a policy.
pub(crate) fn write(w: &mut Writer<'_>, policy: Policy) -> Result<(), EmitError> {
    let start = w.open(kind::POLICY, policy.kind().code().to_be_bytes());
    match policy {
        Policy::RoundRobin | Policy::Random => {}
        Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight } => {
            w.word(weight);
        }
        Policy::Priority { priority } => w.word(priority),
        Policy::LeastUsed { load } | Policy::RandomizedLeastUsed { load } => w.word(load),
        Policy::LeastUsedDegradation { load, degradation }
        | Policy::PriorityLeastUsed { load, degradation }
        | Policy::RandomizedPriorityLeastUsed { load, degradation }
        | Policy::RandomizedLeastUsedDegradation { load, degradation }
        | Policy::PriorityLeastUsedDegradation { load, degradation }
        | Policy::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
            w.word(load);
            w.word(degradation);
        }
        Policy::WeightedRandomDpf { weight: first, dpf, distance }
        | Policy::LeastUsedDpf { load: first, dpf, distance } => {
            w.word(first);
            w.word(dpf);
            w.word(distance);
        }
        Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance } => {
            w.word(load);
            w.word(degradation);
            w.word(dpf);
            w.word(distance);
        }
        Policy::PriorityLeastUsedDpf { .. } | Policy::PriorityLeastUsedDegradationDpf { .. } => {
            return Err(EmitError::Policy);
        }
    }
    w.close(&start)
}
