//! Policies as they are written on the command line.

use rserpool_client::Policy;

pub(crate) const HELP: &str = "\
The policy, and what it has of this element:
  rr                        Round Robin
  wrr:WEIGHT                Weighted Round Robin
  random                    Random
  wrandom:WEIGHT            Weighted Random
  priority:PRIORITY         Priority; the largest is selected
  lu[:LOAD]                 Least Used
  lud:LOAD:DEGRADATION      Least Used with Degradation
  plu:LOAD:DEGRADATION      Priority Least Used
  rlu[:LOAD]                Randomized Least Used
and those of rsplib:
  plud:LOAD:DEGRADATION     Priority Least Used with Degradation
  rlud:LOAD:DEGRADATION     Randomized Least Used with Degradation
  rplu:LOAD:DEGRADATION     Randomized Priority Least Used
  rplud:LOAD:DEGRADATION    Randomized Priority Least Used with Degradation
  wrandom-dpf:WEIGHT:DPF:DISTANCE, lu-dpf:LOAD:DPF:DISTANCE,
  lud-dpf, plu-dpf, plud-dpf:LOAD:DEGRADATION:DPF:DISTANCE
                            the same, with a delay penalty factor
Loads, degradations and DPFs are percentages such as 25%, distances milliseconds.";

const ALLOWED: &str = "allowed: rr, wrr:WEIGHT, random, wrandom:WEIGHT, priority:PRIORITY, \
    lu[:LOAD%], rlu[:LOAD%], lud, plu, plud, rlud, rplu or rplud:LOAD%:DEGRADATION%, \
    wrandom-dpf:WEIGHT:DPF%:DISTANCE, lu-dpf:LOAD%:DPF%:DISTANCE, \
    lud-dpf, plu-dpf or plud-dpf:LOAD%:DEGRADATION%:DPF%:DISTANCE";

/// Reads `NAME[:PARAMETER...]`.
pub(crate) fn parse(text: &str) -> Result<Policy, String> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let parameters: Vec<&str> = parts.collect();
    Ok(match (name, parameters.as_slice()) {
        ("rr", []) => Policy::RoundRobin,
        ("wrr", [weight]) => Policy::WeightedRoundRobin { weight: number(weight)? },
        ("random", []) => Policy::Random,
        ("wrandom", [weight]) => Policy::WeightedRandom { weight: number(weight)? },
        ("priority", [priority]) => Policy::Priority { priority: number(priority)? },
        ("lu", []) => Policy::LeastUsed { load: 0 },
        ("lu", [load]) => Policy::LeastUsed { load: share(load)? },
        ("rlu", []) => Policy::RandomizedLeastUsed { load: 0 },
        ("rlu", [load]) => Policy::RandomizedLeastUsed { load: share(load)? },
        (name, [load, degradation]) => {
            let (load, degradation) = (share(load), share(degradation));
            match name {
                "lud" => Policy::LeastUsedDegradation { load: load?, degradation: degradation? },
                "plu" => Policy::PriorityLeastUsed { load: load?, degradation: degradation? },
                "plud" => {
                    Policy::PriorityLeastUsedDegradation { load: load?, degradation: degradation? }
                }
                "rlud" => Policy::RandomizedLeastUsedDegradation {
                    load: load?,
                    degradation: degradation?,
                },
                "rplu" => {
                    Policy::RandomizedPriorityLeastUsed { load: load?, degradation: degradation? }
                }
                "rplud" => Policy::RandomizedPriorityLeastUsedDegradation {
                    load: load?,
                    degradation: degradation?,
                },
                _ => return Err(ALLOWED.to_owned()),
            }
        }
        ("wrandom-dpf", [weight, dpf, distance]) => Policy::WeightedRandomDpf {
            weight: number(weight)?,
            dpf: share(dpf)?,
            distance: number(distance)?,
        },
        ("lu-dpf", [load, dpf, distance]) => Policy::LeastUsedDpf {
            load: share(load)?,
            dpf: share(dpf)?,
            distance: number(distance)?,
        },
        ("lud-dpf" | "plu-dpf" | "plud-dpf", [load, degradation, dpf, distance]) => {
            let (load, degradation) = (share(load)?, share(degradation)?);
            let (dpf, distance) = (share(dpf)?, number(distance)?);
            match name {
                "lud-dpf" => Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance },
                "plu-dpf" => Policy::PriorityLeastUsedDpf { load, degradation, dpf, distance },
                _ => Policy::PriorityLeastUsedDegradationDpf { load, degradation, dpf, distance },
            }
        }
        _ => return Err(ALLOWED.to_owned()),
    })
}

/// The policy that is not said, or is.
pub(crate) const fn chosen(said: Option<Policy>, has_load: bool) -> Policy {
    match said {
        Some(policy) => policy,
        None if has_load => Policy::LeastUsed { load: 0 },
        None => Policy::RoundRobin,
    }
}

/// Why there can be no `--load`.
pub(crate) fn no_load(policy: Policy) -> String {
    format!("{policy} has no load: --load goes with the policies of Least Used, such as lu")
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number from 0 to {}", u32::MAX))
}

/// A percentage as the fixed point of RFC 5356, 3.1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between 0 and u32::MAX"
)]
pub(crate) fn share(text: &str) -> Result<u32, String> {
    let percent: Option<f64> = text.strip_suffix('%').and_then(|number| number.parse().ok());
    match percent {
        Some(percent @ 0.0..=100.0) => Ok((percent / 100.0 * f64::from(u32::MAX)).round() as u32),
        _ => Err(format!("{text:?} is not a percentage from 0% to 100%")),
    }
}

#[cfg(test)]
mod tests {
    use rserpool_client::PolicyKind;

    use super::*;

    #[test]
    fn policies_are_read() {
        assert_eq!(parse("rr"), Ok(Policy::RoundRobin));
        assert_eq!(parse("wrr:3"), Ok(Policy::WeightedRoundRobin { weight: 3 }));
        assert_eq!(parse("lu:100%"), Ok(Policy::LeastUsed { load: u32::MAX }));
        assert_eq!(parse("lu:50%"), Ok(Policy::LeastUsed { load: 1 << 31 }));
        assert_eq!(
            parse("plud-dpf:0%:0%:100%:7"),
            Ok(Policy::PriorityLeastUsedDegradationDpf {
                load: 0,
                degradation: 0,
                dpf: u32::MAX,
                distance: 7,
            })
        );
        let both = Policy::LeastUsedDegradation { load: 0, degradation: u32::MAX };
        assert_eq!(parse("lud:0%:100%"), Ok(both));
        for wrong in
            ["", "x", "rr:1", "wrr", "wrr:-1", "lu:50", "lu:101%", "lu:nan%", "lud:1%", "x:1%:1%"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_policy_can_be_written() {
        let written = [
            "rr",
            "wrr:1",
            "random",
            "wrandom:1",
            "priority:1",
            "lu:1%",
            "lud:1%:1%",
            "plu:1%:1%",
            "rlu:1%",
            "rplu:1%:1%",
            "rlud:1%:1%",
            "plud:1%:1%",
            "rplud:1%:1%",
            "wrandom-dpf:1:1%:1",
            "lu-dpf:1%:1%:1",
            "lud-dpf:1%:1%:1%:1",
            "plu-dpf:1%:1%:1%:1",
            "plud-dpf:1%:1%:1%:1",
        ];
        let kinds = written.map(|text| parse(text).map(|policy| policy.kind()));
        for kind in PolicyKind::ALL {
            assert!(kinds.contains(&Ok(kind)), "{kind:?}");
        }
    }
}
