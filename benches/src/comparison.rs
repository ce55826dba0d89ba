//! All plain structures on one page.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::chase::{self, Chase};
use crate::host::Host;
use crate::matrix::figure;
use crate::measure::interleave;
use crate::options::{Measuring, file_name};
use crate::plot::{Plot, Series};
use crate::structures;

/// The sizes of a report.
pub const SIZES: [u32; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];

/// Bytes of one element in the pointer chase: a cache line.
const LINE: usize = 64;

/// One operation of one structure at one size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The operation.
    pub operation: String,
    /// The structure.
    pub structure: String,
    /// Its number of elements.
    pub elements: u32,
    /// Median of the rounds in nanoseconds a call.
    pub median: f64,
    /// Fastest round.
    pub least: f64,
    /// Slowest round.
    pub most: f64,
    /// The sum over all results.
    pub sum: u64,
}

/// All that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// Where and when.
    pub host: Host,
    /// Rounds.
    pub rounds: usize,
    /// The entries.
    pub entries: Vec<Entry>,
}

/// The name of the pointer chase, whatever its size.
const CHASE: &str = "pointer chase, 64 bytes an element";

impl Comparison {
    /// Measures the wanted cells: at each size all structures in turns.
    /// `progress` hears of each size when it is done.
    pub fn measure(
        options: &Measuring,
        sizes: &[u32],
        mut progress: impl FnMut(u32, &[Entry]),
    ) -> Self {
        let plan = options.plan();
        let mut comparison = Self { host: Host::here(), rounds: plan.rounds, entries: Vec::new() };
        for &elements in sizes {
            let mut subjects = structures::subjects(elements);
            subjects.push(Box::new(Chase::new(elements as usize * LINE)));
            let rows = interleave(&mut subjects, plan, |operation, subject| {
                options.wants(operation, &format!("{subject}/{elements}"))
            });
            let entry = |row: crate::measure::Row| Entry {
                structure: if chase::OPERATIONS.contains(&row.operation.as_str()) {
                    CHASE.to_owned()
                } else {
                    row.subject
                },
                operation: row.operation,
                elements,
                median: row.median,
                least: row.least,
                most: row.most,
                sum: row.sum,
            };
            let entries: Vec<Entry> = rows.into_iter().map(entry).collect();
            progress(elements, &entries);
            comparison.entries.extend(entries);
        }
        comparison
    }

    /// The median of one cell in nanoseconds.
    #[must_use]
    pub fn median(&self, operation: &str, structure: &str, elements: u32) -> Option<f64> {
        self.entry(operation, structure, elements).map(|entry| entry.median)
    }

    fn entry(&self, operation: &str, structure: &str, elements: u32) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            entry.operation == operation
                && entry.structure == structure
                && entry.elements == elements
        })
    }

    fn sizes(&self) -> Vec<u32> {
        let mut sizes: Vec<u32> = self.entries.iter().map(|entry| entry.elements).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    fn operations(&self) -> Vec<&str> {
        let mut operations: Vec<&str> = Vec::new();
        for entry in &self.entries {
            if !operations.contains(&entry.operation.as_str()) {
                operations.push(&entry.operation);
            }
        }
        operations
    }

    /// Who has this operation.
    fn structures(&self, operation: &str) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.operation == operation) {
            if !names.contains(&entry.structure.as_str()) {
                names.push(&entry.structure);
            }
        }
        names
    }

    /// The tables: the fastest of each size in bold.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "Nanoseconds a call, median of the rounds. The fastest of each size is bold.\n",
        );
        let sizes = self.sizes();
        for operation in self.operations() {
            let _ = write!(text, "\n### {operation}\n\n| structure |");
            for &size in &sizes {
                let _ = write!(text, " {size} |");
            }
            let _ = write!(text, "\n|---|{}\n", "---:|".repeat(sizes.len()));
            let structures = self.structures(operation);
            let best = |size| {
                let medians =
                    structures.iter().filter_map(|name| self.median(operation, name, size));
                medians.fold(f64::INFINITY, f64::min)
            };
            for structure in &structures {
                let _ = write!(text, "| {structure} |");
                for &size in &sizes {
                    match self.median(operation, structure, size) {
                        Some(median) if structures.len() > 1 && median <= best(size) => {
                            let _ = write!(text, " **{}** |", figure(median));
                        }
                        Some(median) => {
                            let _ = write!(text, " {} |", figure(median));
                        }
                        None => text.push_str(" |"),
                    }
                }
                text.push('\n');
            }
        }
        text
    }

    /// One plot for each operation, with the pointer chase as the limit.
    #[must_use]
    pub fn plots(&self) -> Vec<(String, Plot)> {
        let sizes = self.sizes();
        let line = |operation: &str, structure: &str, color: usize| Series {
            name: structure.to_owned(),
            values: sizes
                .iter()
                .map(|&size| self.entry(operation, structure, size))
                .map(|entry| entry.map(|entry| (entry.median, entry.least, entry.most)))
                .collect(),
            dashed: structure == CHASE,
            color,
        };
        let measured = self.operations().into_iter();
        let plot = |operation: &str| {
            let structures = self.structures(operation);
            let mut series: Vec<Series> = structures
                .iter()
                .enumerate()
                .map(|(color, structure)| line(operation, structure, color))
                .collect();
            for (chased, color) in chase::OPERATIONS.into_iter().zip(6..) {
                let mut limit = line(chased, CHASE, color);
                chased.clone_into(&mut limit.name);
                if limit.values.iter().any(Option::is_some) {
                    series.push(limit);
                }
            }
            let plot = Plot {
                title: format!("{operation}, by number of elements"),
                unit: "nanoseconds a call".to_owned(),
                categories: sizes.iter().map(ToString::to_string).collect(),
                series,
            };
            (file_name(&format!("structures {operation}"), "svg"), plot)
        };
        measured.filter(|operation| !chase::OPERATIONS.contains(operation)).map(plot).collect()
    }
}
