//! The engine alone: one pool in one handlespace, in this process.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rserpool_engine::{
    ChannelUse, Config, ElementKey, Handlespace, PeId, PoolHandle, RegistrarId, Registration,
    RegistrationLife, Resolution, Timestamp, TransportKind,
};
use serde::Serialize;

use crate::population::{CheckedPolicy, Layout, Population};
use crate::report::count;
use crate::stage::Scatter;

/// Each number is the median of so many rounds.
const ROUNDS: usize = 5;
/// Selections, and registrations at least, that one round times.
const SELECTIONS: u32 = 100_000;
const CHANGES: u32 = 20_000;
/// As long as the Pool Element parameter of one IPv4 address.
const RECORD: [u8; 40] = [0; 40];
const HANDLE: PoolHandle<'static> = PoolHandle::new(b"engine");
const HOME: RegistrarId = RegistrarId::new(1);

/// Options of the subcommand `engine`.
#[derive(Debug, clap::Args)]
pub(crate) struct EngineOptions {
    /// Elements in the pool, one table row each
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "100,10000,100000",
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    sizes: Vec<u32>,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Nanoseconds per operation.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Row {
    policy: &'static str,
    elements: u32,
    register: f64,
    reregister: f64,
    resolve_1: f64,
    resolve_3: f64,
    resolve_10: f64,
    deregister: f64,
}

/// Measures and prints.
pub(crate) fn measure(options: &EngineOptions) -> ExitCode {
    let mut rows = Vec::new();
    for policy in CheckedPolicy::ALL {
        rows.extend(options.sizes.iter().map(|&size| Bench::new(policy, size).row()));
    }
    let told = if options.json {
        serde_json::to_string_pretty(&rows).map_err(io::Error::other)
    } else {
        Ok(table(&rows))
    };
    match told.and_then(|told| writeln!(io::stdout(), "{told}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from("The engine alone, one pool, one thread: ns per operation\n\n");
    let [policy, elements, operations @ ..] = [
        "policy",
        "elements",
        "register",
        "re-register",
        "resolve 1",
        "resolve 3",
        "resolve 10",
        "deregister",
    ];
    let mut line = format!("  {policy:<16}{elements:>10}");
    for operation in operations {
        line.push_str(&format!("{operation:>13}"));
    }
    for row in rows {
        table.push_str(line.as_str());
        table.push('\n');
        line = format!("  {:<16}{:>10}", row.policy, count(row.elements.into()));
        for nanos in [
            row.register,
            row.reregister,
            row.resolve_1,
            row.resolve_3,
            row.resolve_10,
            row.deregister,
        ] {
            let written = write!(line, "{nanos:>13.0}");
            debug_assert!(written.is_ok(), "a string takes everything");
        }
    }
    table + line.as_str()
}

/// One pool to be measured.
struct Bench {
    policy: CheckedPolicy,
    size: u32,
    population: Population,
    order: Scatter,
}

impl Bench {
    fn new(policy: CheckedPolicy, size: u32) -> Self {
        let layout = Layout {
            elements: size,
            pools: 1,
            policies: vec![policy],
            seed: 1,
            ..Layout::default()
        };
        let population = layout.populations(1).swap_remove(0);
        Self { policy, size, population, order: Scatter::new(size) }
    }

    fn row(&self) -> Row {
        let rounds: Vec<[f64; 6]> = (0..ROUNDS).map(|_| self.round()).collect();
        let median = |column: usize| {
            let mut values: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
            values.sort_by(f64::total_cmp);
            values[ROUNDS / 2]
        };
        Row {
            policy: self.policy.name(),
            elements: self.size,
            register: median(0),
            reregister: median(1),
            resolve_1: median(2),
            resolve_3: median(3),
            resolve_10: median(4),
            deregister: median(5),
        }
    }

    /// The life of the pool, timed step by step, in a handlespace that had
    /// as many elements before.
    fn round(&self) -> [f64; 6] {
        let mut space = Handlespace::new(Config { seed: 1, ..Config::default() });
        let mut keys = Vec::with_capacity(self.size as usize);
        let mut resolution = Resolution::default();
        let lives = CHANGES.div_ceil(self.size).max(1);
        let mut sums = [0.0; 6];
        self.fill(&mut space, &mut keys);
        self.drain(&mut space, &keys);
        for _ in 0..lives {
            sums[0] += self.fill(&mut space, &mut keys);
            sums[1] += timed(self.size, |index| {
                black_box(self.register(&mut space, self.order.at(index + 1), 1));
            });
            for (sum, items) in sums[2..].iter_mut().zip([1, 3, 10]) {
                *sum += timed(SELECTIONS.div_ceil(lives), |index| {
                    let now = Timestamp::from_micros(index);
                    let _ = black_box(space.resolve(now, HANDLE, items, &mut resolution));
                    black_box(&resolution);
                });
            }
            sums[5] += self.drain(&mut space, &keys);
        }
        sums.map(|sum| sum / f64::from(lives))
    }

    /// Registers all elements.
    fn fill(&self, space: &mut Handlespace, keys: &mut Vec<ElementKey>) -> f64 {
        keys.clear();
        timed(self.size, |index| keys.extend(self.register(space, self.order.at(index), 0)))
    }

    /// Removes all elements, in another order.
    fn drain(&self, space: &mut Handlespace, keys: &[ElementKey]) -> f64 {
        timed(self.size, |index| {
            if let Some(&key) = keys.get(self.order.at(index) as usize) {
                black_box(space.remove(key));
            }
        })
    }

    fn register(
        &self,
        space: &mut Handlespace,
        element: u32,
        generation: u64,
    ) -> Option<ElementKey> {
        let registration = Registration {
            handle: HANDLE,
            pe: self.pe(element),
            home: HOME,
            association: None,
            life: RegistrationLife::For(Duration::from_secs(3600)),
            policy: self.policy.with(self.population.value(element, generation)),
            transport: TransportKind::Tcp,
            channel_use: ChannelUse::Data,
            record: &RECORD,
        };
        space.register(Timestamp::ZERO, &registration).ok().map(|registered| registered.key)
    }

    const fn pe(&self, element: u32) -> PeId {
        self.population.pe(element)
    }
}

/// Nanoseconds of each of so many calls.
fn timed(calls: u32, mut call: impl FnMut(u64)) -> f64 {
    let began = Instant::now();
    for index in 0..u64::from(calls) {
        call(index);
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_times_every_operation() {
        let row = Bench::new(CheckedPolicy::LeastUsed, 50).row();
        for nanos in [
            row.register,
            row.reregister,
            row.resolve_1,
            row.resolve_3,
            row.resolve_10,
            row.deregister,
        ] {
            assert!(nanos > 0.0 && nanos < 1e6, "{row:?}");
        }
    }

    #[test]
    fn the_table_is_aligned() {
        let row =
            Row { policy: "least-used", elements: 100_000, register: 123.4, ..Row::default() };
        let table = table(&[row, row]);
        let lines: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{table}");
        assert!(lines[1].contains("100,000") && lines[1].contains(" 123 "), "{table}");
    }
}
