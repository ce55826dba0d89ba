//! Every operation of the engine, with every policy, at every shape.

use std::fmt::Write as _;

use rserpool_engine::PolicyKind;
use serde::{Deserialize, Serialize};

use crate::chase::{self, Chase};
use crate::host::Host;
use crate::measure::{Row, Subject, interleave};
use crate::options::{Measuring, file_name};
use crate::plot::{Plot, Series};
use crate::shape::Shape;
use crate::space::{self, Space};
use crate::targets::{self, Family};
use crate::verdict::{Cell, Scale, judge};

/// All that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Matrix {
    /// Where and when.
    pub host: Host,
    /// Rounds.
    pub rounds: usize,
    /// The pointer chase of each shape's working set.
    pub scales: Vec<Scale>,
    /// The cells.
    pub cells: Vec<Cell>,
}

impl Matrix {
    /// Measures the wanted cells. The spaces of one shape are alive together
    /// and measured in turns, with the pointer chase of their working set.
    /// `progress` hears of each shape when it is done.
    pub fn measure(
        options: &Measuring,
        policies: &[PolicyKind],
        shapes: &[Shape],
        mut progress: impl FnMut(Shape, &[Cell]),
    ) -> Self {
        let plan = options.plan();
        let host = Host::here();
        let mut matrix = Self { host, rounds: plan.rounds, scales: Vec::new(), cells: Vec::new() };
        for &shape in shapes {
            let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
            for &kind in policies {
                let name = space::name(kind, shape);
                if space::operation_names().any(|operation| options.wants(operation, &name)) {
                    subjects.push(Box::new(Space::new(shape, kind)));
                }
            }
            if subjects.is_empty() {
                continue;
            }
            subjects.push(Box::new(Chase::new(targets::working_set(shape))));
            let rows = interleave(&mut subjects, plan, |operation, subject| {
                chase::OPERATIONS.contains(&operation) || options.wants(operation, subject)
            });
            let scale = scale_of(shape, &rows);
            let cells = judge(&rows, shape, &scale);
            progress(shape, &cells);
            matrix.scales.push(scale);
            matrix.cells.extend(cells);
        }
        matrix
    }

    /// Adds what another run measured at other shapes.
    pub fn join(&mut self, other: Self) {
        self.scales.extend(other.scales);
        self.cells.extend(other.cells);
    }

    /// A cell by its names.
    #[must_use]
    pub fn cell(&self, operation: &str, policy: &str, shape: &str) -> Option<&Cell> {
        let same = |cell: &&Cell| {
            cell.operation == operation && cell.policy == policy && cell.shape == shape
        };
        self.cells.iter().find(same)
    }

    /// Nanoseconds of a load that depends on the one before, in the working set
    /// of a shape.
    #[must_use]
    pub fn dependent_load(&self, shape: &str) -> Option<f64> {
        self.scales.iter().find(|scale| scale.shape == shape).map(|scale| scale.dependent)
    }

    /// The measured names, each once, in their order.
    fn names(&self, name: impl Fn(&Cell) -> &String) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for cell in &self.cells {
            if !names.contains(name(cell)) {
                names.push(name(cell).clone());
            }
        }
        names
    }

    /// How many judged cells pass and how many there are, by what they were
    /// compared with: the targets, or other policies.
    #[must_use]
    pub fn passed(&self, targets: bool) -> (usize, usize) {
        let judged = self.cells.iter().filter_map(|cell| cell.comparison.as_ref());
        let judged = judged.filter(|comparison| (comparison.with == "target") == targets);
        let verdicts: Vec<bool> = judged.filter_map(|comparison| comparison.pass).collect();
        (verdicts.iter().filter(|&&pass| pass).count(), verdicts.len())
    }

    /// How many judged cells would pass if targets were not scaled to this
    /// machine, and how many there are.
    #[must_use]
    pub fn passed_unscaled(&self) -> (usize, usize) {
        let verdicts = self.cells.iter().filter_map(|cell| {
            let comparison = cell.comparison.as_ref().filter(|it| it.pass.is_some())?;
            Some(cell.median <= comparison.unscaled? * comparison.tolerance)
        });
        let verdicts: Vec<bool> = verdicts.collect();
        (verdicts.iter().filter(|&&pass| pass).count(), verdicts.len())
    }

    /// The tables.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = self.scale_table();
        text.push_str(
            "\nNanoseconds a call, median of the rounds; in parentheses the ratio to the \
             target scaled to this machine, or for a policy without targets to the policy \
             it is nearest to. \u{2717} marks a ratio above its tolerance, \u{2248} a target \
             that is an estimate and not judged.\n",
        );
        let shapes = self.names(|cell| &cell.shape);
        for operation in self.names(|cell| &cell.operation) {
            let _ = write!(text, "\n### {operation}\n\n| policy |");
            for shape in &shapes {
                let _ = write!(text, " {shape} |");
            }
            let _ = write!(text, "\n|---|{}\n", "---:|".repeat(shapes.len()));
            for policy in self.names(|cell| &cell.policy) {
                let _ = write!(text, "| {policy} |");
                for shape in &shapes {
                    let cell = self.cell(&operation, &policy, shape);
                    let _ = write!(text, " {} |", cell.map(entry).unwrap_or_default());
                }
                text.push('\n');
            }
        }
        text.push_str(&self.failures());
        text
    }

    fn scale_table(&self) -> String {
        let mut text = String::from(
            "| shape | working set | dependent load here | there | factor of targets | \
             8 chains here | there |\n|---|---:|---:|---:|---:|---:|---:|\n",
        );
        for scale in &self.scales {
            let _ = writeln!(
                text,
                "| {} | {} | {:.1} | {:.1} | {:.2} | {:.1} | {:.1} |",
                scale.shape,
                chase::size_name(scale.bytes),
                scale.dependent,
                scale.reference.0,
                scale.factor,
                scale.independent,
                scale.reference.1
            );
        }
        text
    }

    fn failures(&self) -> String {
        let mut failing: Vec<(&Cell, f64)> = self
            .cells
            .iter()
            .filter_map(|cell| {
                let comparison = cell.comparison.as_ref()?;
                (comparison.pass == Some(false)).then_some((cell, comparison.ratio))
            })
            .collect();
        failing.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let mut text = format!("\n### Cells above their tolerance: {}\n\n", failing.len());
        for (cell, _) in failing {
            let _ = writeln!(text, "- {}", line(cell));
        }
        text
    }

    /// One plot for each operation: the four policies with targets, and the
    /// targets scaled to this machine.
    #[must_use]
    pub fn plots(&self) -> Vec<(String, Plot)> {
        let shapes = self.names(|cell| &cell.shape);
        let main = self.names(|cell| &cell.policy);
        let main: Vec<String> = main.into_iter().filter(|name| is_main(name)).collect();
        let operations = self.names(|cell| &cell.operation);
        let plot = |operation: &String| {
            let mut series = Vec::new();
            for (color, policy) in main.iter().enumerate() {
                let cells = shapes.iter().map(|shape| self.cell(operation, policy, shape));
                let cells: Vec<Option<&Cell>> = cells.collect();
                let line = |values, name: &str, dashed| Series {
                    name: name.to_owned(),
                    values,
                    dashed,
                    color,
                };
                let measured = |cell: &Option<&Cell>| cell.map(|c| (c.median, c.least, c.most));
                series.push(line(cells.iter().map(measured).collect(), policy, false));
                let goal = |cell: &Option<&Cell>| {
                    let goal = cell.as_ref()?.comparison.as_ref()?.nanoseconds;
                    Some((goal, goal, goal))
                };
                let goals: Vec<_> = cells.iter().map(goal).collect();
                if goals.iter().any(Option::is_some) {
                    series.push(line(goals, &format!("{policy}, target"), true));
                }
            }
            let title = format!("{operation}, by pools x elements");
            let unit = "nanoseconds a call".to_owned();
            let plot = Plot { title, unit, categories: shapes.clone(), series };
            (file_name(&format!("matrix {operation}"), "svg"), plot)
        };
        operations.iter().map(plot).collect()
    }
}

fn is_main(policy: &str) -> bool {
    PolicyKind::ALL
        .into_iter()
        .any(|kind| format!("{kind:?}") == policy && Family::of(kind).kind() == kind)
}

fn scale_of(shape: Shape, rows: &[Row]) -> Scale {
    let median = |operation: &str| {
        rows.iter().find(|row| row.operation == operation).map_or(f64::NAN, |row| row.median)
    };
    let [dependent, independent] = chase::OPERATIONS;
    Scale::new(shape, median(dependent), median(independent))
}

/// What a table says of one cell.
fn entry(cell: &Cell) -> String {
    let median = figure(cell.median);
    match &cell.comparison {
        None => median,
        Some(comparison) => {
            let mark = match comparison.pass {
                Some(true) => "",
                Some(false) => " \u{2717}",
                None => " \u{2248}",
            };
            format!("{median} ({:.2}{mark})", comparison.ratio)
        }
    }
}

/// What a list says of one cell.
#[must_use]
pub fn line(cell: &Cell) -> String {
    let mut line = format!(
        "{}/{}/{}: {} ns ({} to {})",
        cell.operation,
        cell.policy,
        cell.shape,
        figure(cell.median),
        figure(cell.least),
        figure(cell.most)
    );
    if let Some(comparison) = &cell.comparison {
        let verdict = match comparison.pass {
            Some(true) => "pass",
            Some(false) => "FAIL",
            None => "estimate",
        };
        let _ = write!(
            line,
            ", {} {} ns, ratio {:.2} of {:.1}: {verdict}",
            comparison.with,
            figure(comparison.nanoseconds),
            comparison.ratio,
            comparison.tolerance
        );
    }
    line
}

/// Two or three digits that matter.
#[must_use]
pub fn figure(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}
