//! Registers many elements in a fresh process and says what one of them costs
//! in memory: all resident bytes of the process over the number of elements.

use std::hint::black_box;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use rserpool_benches::memory;
use rserpool_benches::options::{policies, write_json};
use rserpool_benches::population::{Handle, OWN, Prepared};
use rserpool_benches::random::Random;
use rserpool_benches::shape::Shape;
use rserpool_engine::{Config, Handlespace, PolicyKind, Resolution, Timestamp};
use serde_json::json;

/// Registers many elements in a fresh process and says what one of them costs
/// in memory: all resident bytes of the process over the number of elements.
#[derive(Parser)]
struct Options {
    /// Pools x elements in each.
    #[arg(long, default_value = "1x1e6", value_parser = shape)]
    shape: Shape,
    /// One policy.
    #[arg(long, default_value = "RoundRobin", value_parser = policy)]
    policy: PolicyKind,
    /// Selections of three elements afterwards.
    #[arg(long, default_value_t = 1_000_000)]
    selections: u32,
    /// File for the result as JSON.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn shape(name: &str) -> Result<Shape, String> {
    Shape::parse(name).ok_or_else(|| "is no shape like 1000x1e3".to_owned())
}

fn policy(name: &str) -> Result<PolicyKind, String> {
    match policies(name)?[..] {
        [kind] => Ok(kind),
        _ => Err("is more than one policy".to_owned()),
    }
}

/// A number without a divisor in common with `count`, near its golden section:
/// adding it again and again visits all numbers below `count` out of order.
fn stride(count: u64) -> u64 {
    let common = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    (count * 618 / 1000 + 1..).find(|&stride| common(stride, count) == 1).unwrap_or(1)
}

fn main() -> Result<(), String> {
    let Options { shape, policy, selections, out } = Options::parse();
    let config = Config {
        registrar: OWN,
        elements_max: shape.elements().max(Config::default().elements_max),
        elements_per_pool_max: shape.elements_per_pool.max(Config::default().elements_per_pool_max),
        ..Config::default()
    };
    let mut space = Handlespace::new(config);
    let empty = memory::resident();
    let now = Timestamp::from_micros(1);
    let count = u64::from(shape.elements());
    let step = stride(count);
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut element = 0;
    for _ in 0..count {
        let number = u32::try_from(element).unwrap_or(u32::MAX);
        let prepared = Prepared::new(shape, policy, number, 0);
        let one = Instant::now();
        let registered = space.register(now, &prepared.registration());
        slowest = slowest.max(one.elapsed());
        registered.map_err(|refused| format!("element {element}: {refused}"))?;
        element = (element + step) % count;
    }
    let registering = start.elapsed();
    let resident = memory::resident();
    let (selecting, selected) = select(&mut space, shape, selections);
    let per_element = resident as f64 / count as f64;
    let result = json!({
        "shape": shape.to_string(),
        "policy": format!("{policy:?}"),
        "elements": count,
        "resident": resident,
        "empty": empty,
        "peak": memory::peak(),
        "bytes_per_element": per_element,
        "registration_ns": registering.as_secs_f64() * 1e9 / count as f64,
        "slowest_registration_ns": slowest.as_secs_f64() * 1e9,
        "selection_ns": selecting.as_secs_f64() * 1e9 / f64::from(selections.max(1)),
        "selected": selected,
    });
    let _ = writeln!(
        io::stdout(),
        "{shape} {policy:?}: {per_element:.1} bytes an element ({resident} resident, peak {}), \
         {:.0} ns a registration, {:.0} ns a selection of 3",
        memory::peak(),
        registering.as_secs_f64() * 1e9 / count as f64,
        selecting.as_secs_f64() * 1e9 / f64::from(selections.max(1)),
    );
    out.map_or(Ok(()), |file| write_json(&file, &result).map_err(|error| error.to_string()))
}

/// Selects from random pools; gives the time and how many were selected.
fn select(space: &mut Handlespace, shape: Shape, selections: u32) -> (Duration, usize) {
    let mut random = Random::new(1);
    let mut resolution = Resolution::default();
    let mut selected = 0;
    let now = Timestamp::from_micros(2);
    let start = Instant::now();
    for _ in 0..selections {
        let handle = Handle::of(random.below(shape.pools));
        if space.resolve(now, handle.get(), 3, &mut resolution).is_ok() {
            selected += black_box(&resolution).elements.len();
        }
    }
    (start.elapsed(), selected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stride_visits_every_element_once() {
        for count in [1_u64, 2, 10, 999, 1000] {
            let step = stride(count);
            let mut visited: Vec<u64> = (0..count).map(|turn| turn * step % count).collect();
            visited.sort_unstable();
            assert!(visited.into_iter().eq(0..count));
        }
    }
}
