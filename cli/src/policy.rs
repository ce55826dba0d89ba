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
Loads and degradations are percentages such as 25%.";

/// Reads `NAME[:PARAMETER...]`.
pub(crate) fn parse(text: &str) -> Result<Policy, String> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let parameters: Vec<&str> = parts.collect();
    match (name, parameters.as_slice()) {
        ("rr", []) => Ok(Policy::RoundRobin),
        ("wrr", [weight]) => Ok(Policy::WeightedRoundRobin { weight: number(weight)? }),
        ("random", []) => Ok(Policy::Random),
        ("wrandom", [weight]) => Ok(Policy::WeightedRandom { weight: number(weight)? }),
        ("priority", [priority]) => Ok(Policy::Priority { priority: number(priority)? }),
        ("lu", []) => Ok(Policy::LeastUsed { load: 0 }),
        ("lu", [load]) => Ok(Policy::LeastUsed { load: share(load)? }),
        ("lud", [load, degradation]) => Ok(Policy::LeastUsedDegradation {
            load: share(load)?,
            degradation: share(degradation)?,
        }),
        ("plu", [load, degradation]) => {
            Ok(Policy::PriorityLeastUsed { load: share(load)?, degradation: share(degradation)? })
        }
        ("rlu", []) => Ok(Policy::RandomizedLeastUsed { load: 0 }),
        ("rlu", [load]) => Ok(Policy::RandomizedLeastUsed { load: share(load)? }),
        _ => Err("allowed: rr, wrr:WEIGHT, random, wrandom:WEIGHT, priority:PRIORITY, \
                  lu[:LOAD%], lud:LOAD%:DEGRADATION%, plu:LOAD%:DEGRADATION%, rlu[:LOAD%]"
            .to_owned()),
    }
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
fn share(text: &str) -> Result<u32, String> {
    let percent: Option<f64> = text.strip_suffix('%').and_then(|number| number.parse().ok());
    match percent {
        Some(percent @ 0.0..=100.0) => Ok((percent / 100.0 * f64::from(u32::MAX)).round() as u32),
        _ => Err(format!("{text:?} is not a percentage from 0% to 100%")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read() {
        assert_eq!(parse("rr"), Ok(Policy::RoundRobin));
        assert_eq!(parse("wrr:3"), Ok(Policy::WeightedRoundRobin { weight: 3 }));
        assert_eq!(parse("lu:100%"), Ok(Policy::LeastUsed { load: u32::MAX }));
        assert_eq!(parse("lu:50%"), Ok(Policy::LeastUsed { load: 1 << 31 }));
        let both = Policy::LeastUsedDegradation { load: 0, degradation: u32::MAX };
        assert_eq!(parse("lud:0%:100%"), Ok(both));
        for wrong in ["", "x", "rr:1", "wrr", "wrr:-1", "lu:50", "lu:101%", "lu:nan%", "lud:1%"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
