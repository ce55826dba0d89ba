//! The command-line options that the measuring programs share.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use clap::Args;
use rserpool_engine::PolicyKind;
use serde::Serialize;

use crate::measure::Plan;
use crate::plot::Plot;
use crate::targets::Family;

/// What is measured, how long, and where the results go.
#[derive(Args, Clone, Debug, Default)]
pub struct Measuring {
    /// Few and short rounds: to see that everything works, not for figures.
    #[arg(long)]
    pub quick: bool,
    /// Rounds in which every cell is measured once.
    #[arg(long)]
    rounds: Option<usize>,
    /// About how long one cell is measured in one round, in milliseconds.
    #[arg(long)]
    sample_ms: Option<u64>,
    /// Only cells whose name, operation/subject, contains one of these.
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    cells: Vec<String>,
    /// Folder for the results: Markdown, JSON and plots.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl Measuring {
    /// Rounds and their length.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let plan = if self.quick { Plan::QUICK } else { Plan::FULL };
        Plan {
            rounds: self.rounds.unwrap_or(plan.rounds).max(1),
            sample: self.sample_ms.map_or(plan.sample, Duration::from_millis),
        }
    }

    /// Whether a cell is to be measured.
    #[must_use]
    pub fn wants(&self, operation: &str, subject: &str) -> bool {
        let name = format!("{operation}/{subject}");
        self.cells.is_empty() || self.cells.iter().any(|part| name.contains(part.as_str()))
    }

    /// Writes the results, if a folder is given: `name.md` with `text`, if there
    /// is any, `name.json` with `data`, and the plots by their file names.
    ///
    /// # Errors
    /// The folder or a file cannot be written.
    pub fn write(
        &self,
        name: &str,
        text: Option<&str>,
        data: &impl Serialize,
        plots: &[(String, Plot)],
    ) -> io::Result<()> {
        let Some(directory) = &self.out else { return Ok(()) };
        fs::create_dir_all(directory)?;
        if let Some(text) = text {
            fs::write(directory.join(format!("{name}.md")), text)?;
        }
        write_json(&directory.join(format!("{name}.json")), data)?;
        for (file, plot) in plots {
            fs::write(directory.join(file), plot.svg())?;
        }
        Ok(())
    }
}

/// Writes a value as indented JSON.
///
/// # Errors
/// The file cannot be written.
pub fn write_json(path: &Path, data: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string_pretty(data)?;
    fs::write(path, json + "\n")
}

/// The policies that a name means: `main` the four with targets, `all`, or one
/// of them, written as in [`PolicyKind`].
///
/// # Errors
/// A sentence that lists the names.
pub fn policies(name: &str) -> Result<Vec<PolicyKind>, String> {
    if name == "all" {
        return Ok(PolicyKind::ALL.to_vec());
    }
    let main = PolicyKind::ALL.into_iter().filter(|&kind| Family::of(kind).kind() == kind);
    if name == "main" {
        return Ok(main.collect());
    }
    let named = PolicyKind::ALL.into_iter().find(|kind| format!("{kind:?}") == name);
    named.map(|kind| vec![kind]).ok_or_else(|| {
        let names: Vec<String> = PolicyKind::ALL.iter().map(|kind| format!("{kind:?}")).collect();
        format!("is none of main, all, {}", names.join(", "))
    })
}

/// A file name made of the words of `title`.
#[must_use]
pub fn file_name(title: &str, extension: &str) -> String {
    let words: Vec<&str> =
        title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("{}.{extension}", words.join("-").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_named_one_by_one_or_together() {
        assert_eq!(policies("all").map(|all| all.len()), Ok(18));
        assert_eq!(policies("main").map(|main| main.len()), Ok(4));
        assert_eq!(policies("Priority"), Ok(vec![PolicyKind::Priority]));
        assert!(policies("Best").unwrap_err().contains("LeastUsedDpf"));
    }

    #[test]
    fn cells_are_chosen_by_parts_of_their_name() {
        let mut options = Measuring::default();
        assert!(options.wants("find", "Random/1x1e2"));
        options.cells = vec!["find/Random".to_owned(), "1e6".to_owned()];
        assert!(options.wants("find", "Random/1x1e2"));
        assert!(options.wants("mix", "LeastUsed/1x1e6"));
        assert!(!options.wants("mix", "LeastUsed/1x1e5"));
    }

    #[test]
    fn file_names_are_words() {
        assert_eq!(file_name("touch, batch (ns/op)", "svg"), "touch-batch-ns-op.svg");
    }
}
