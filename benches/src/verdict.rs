//! Measured cells against their targets.

use rserpool_engine::PolicyKind;
use serde::{Deserialize, Serialize};

use crate::measure::Row;
use crate::shape::Shape;
use crate::targets::{self, Family};

/// What a cell was compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What it is.
    pub with: String,
    /// Nanoseconds on this machine.
    pub nanoseconds: f64,
    /// The same before it was scaled to this machine.
    pub unscaled: Option<f64>,
    /// Measured over what it was compared with.
    pub ratio: f64,
    /// The largest ratio that passes.
    pub tolerance: f64,
    /// Whether the cell passes; none if it is not judged.
    pub pass: Option<bool>,
}

/// One operation on one handlespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// The operation.
    pub operation: String,
    /// The policy.
    pub policy: String,
    /// The shape.
    pub shape: String,
    /// Median of the rounds in nanoseconds a call.
    pub median: f64,
    /// Fastest round.
    pub least: f64,
    /// Slowest round.
    pub most: f64,
    /// Calls measured.
    pub calls: u64,
    /// The sum over all results.
    pub sum: u64,
    /// What it was compared with.
    pub comparison: Option<Comparison>,
}

/// The pointer chase of one shape's working set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scale {
    /// The shape.
    pub shape: String,
    /// Its working set in bytes.
    pub bytes: usize,
    /// Nanoseconds of a load that depends on the one before, here.
    pub dependent: f64,
    /// Nanoseconds of a load in eight independent chains, here.
    pub independent: f64,
    /// The same two where the targets come from.
    pub reference: (f64, f64),
    /// What targets are multiplied by: the first ratio of dependent loads.
    pub factor: f64,
}

impl Scale {
    /// From the medians of a pointer chase that was measured here.
    #[must_use]
    pub fn new(shape: Shape, dependent: f64, independent: f64) -> Self {
        let bytes = targets::working_set(shape);
        let (dependent_there, independent_there) = targets::chase_there(bytes);
        Self {
            shape: shape.to_string(),
            bytes,
            dependent,
            independent,
            reference: (dependent_there, independent_there),
            factor: dependent / dependent_there,
        }
    }
}

/// Compares the rows of one shape: with the scaled target, or for a policy
/// without one with the row of the policy it is nearest to.
#[must_use]
pub fn judge(rows: &[Row], shape: Shape, scale: &Scale) -> Vec<Cell> {
    let name = |kind: PolicyKind| format!("{kind:?}/{shape}");
    let mut cells = Vec::new();
    for row in rows {
        let Some(kind) = PolicyKind::ALL.into_iter().find(|&kind| name(kind) == row.subject) else {
            continue;
        };
        let family = Family::of(kind).kind();
        let comparison = if family == kind {
            targets::goal(&row.operation, shape, kind).map(|goal| Comparison {
                unscaled: Some(goal.nanoseconds),
                ..compare(row.median, "target", goal.nanoseconds * scale.factor, goal.tolerance)
                    .judged(!goal.estimate)
            })
        } else {
            let nearest = rows
                .iter()
                .find(|other| other.operation == row.operation && other.subject == name(family));
            nearest.map(|nearest| {
                compare(row.median, &format!("{family:?}"), nearest.median, targets::TOLERANCE)
            })
        };
        cells.push(Cell {
            operation: row.operation.clone(),
            policy: format!("{kind:?}"),
            shape: shape.to_string(),
            median: row.median,
            least: row.least,
            most: row.most,
            calls: row.calls,
            sum: row.sum,
            comparison,
        });
    }
    cells
}

fn compare(median: f64, with: &str, nanoseconds: f64, tolerance: f64) -> Comparison {
    let ratio = median / nanoseconds;
    let (with, pass) = (with.to_owned(), Some(ratio <= tolerance));
    Comparison { with, nanoseconds, unscaled: None, ratio, tolerance, pass }
}

impl Comparison {
    fn judged(self, judged: bool) -> Self {
        Self { pass: self.pass.filter(|_| judged), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(operation: &str, subject: &str, median: f64) -> Row {
        Row {
            operation: operation.to_owned(),
            subject: subject.to_owned(),
            median,
            least: median,
            most: median,
            calls: 1,
            sum: 1,
        }
    }

    #[test]
    fn targets_scale_with_the_memory_and_other_policies_follow_their_family() {
        let shape = Shape::new(1, 1000);
        // Twice as slow a memory: the target of 35 ns becomes 70.
        let (dependent, independent) = targets::chase_there(targets::working_set(shape));
        let scale = Scale::new(shape, 2.0 * dependent, independent);
        let rows = [
            row("resolve 3", "LeastUsed/1x1e3", 90.0),
            row("resolve 3", "Priority/1x1e3", 120.0),
            row("resolve 3", "RoundRobin/1x1e3", 92.0),
            row("expiry", "LeastUsed/1x1e3", 9000.0),
            row("touch, batch", "LeastUsed/1x1e3", 1.0),
            row("dependent load", "chase 128 KiB", 8.6),
        ];
        let cells = judge(&rows, shape, &scale);
        let of = |index: usize| cells[index].comparison.clone().unwrap();
        assert_eq!(cells.len(), 5);
        assert!((of(0).nanoseconds - 70.0).abs() < 1e-9);
        assert_eq!((of(0).unscaled, of(1).unscaled), (Some(35.0), None));
        assert_eq!(of(0).pass, Some(true));
        assert_eq!((of(1).with.as_str(), of(1).nanoseconds), ("LeastUsed", 90.0));
        assert_eq!(of(1).pass, Some(false));
        assert_eq!(of(2).pass, Some(false));
        assert_eq!(of(3).pass, None);
        assert_eq!(cells[4].comparison, None);
    }
}
