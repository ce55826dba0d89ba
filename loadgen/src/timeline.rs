//! What all client threads did, second by second and phase by phase.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter};
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriter, IntervalLogWriterBuilder, Tag};

use crate::recorder::{Interval, Latencies, Tallies};
use crate::report::{Latency, OperationSecond, Second};
use crate::stage::Phase;

/// A second is complete when the latest one is so much later.
const SETTLED: u64 = 2;

/// The file of the latency log and what writes into it.
pub(crate) struct LogFile {
    file: BufWriter<File>,
    serializer: V2DeflateSerializer,
}

impl LogFile {
    pub(crate) fn new(file: File) -> Self {
        Self { file: BufWriter::new(file), serializer: V2DeflateSerializer::new() }
    }
}

/// What happened in one phase.
#[derive(Debug, Default)]
pub(crate) struct PhaseTotals {
    pub(crate) operations: Tallies,
    /// How late requests were sent.
    pub(crate) lag: Option<Latencies>,
}

/// What all client threads did.
pub(crate) struct Timeline<'l> {
    log: IntervalLogWriter<'l, 'l, BufWriter<File>, V2DeflateSerializer>,
    names: Vec<String>,
    open: BTreeMap<(u64, Phase), Tallies>,
    pub(crate) phases: BTreeMap<Phase, PhaseTotals>,
    pub(crate) seconds: Vec<Second>,
}

impl fmt::Debug for Timeline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeline").field("seconds", &self.seconds).finish_non_exhaustive()
    }
}

impl<'l> Timeline<'l> {
    /// A timeline of operations with these names, from `began`.
    pub(crate) fn new(
        file: &'l mut LogFile,
        names: Vec<String>,
        began: SystemTime,
    ) -> io::Result<Self> {
        let log = IntervalLogWriterBuilder::new()
            .add_comment("[Histogram log format version 1.3]")
            .add_comment("[Latencies in nanoseconds, from the time a request was due]")
            .with_start_time(began)
            .with_base_time(began)
            .with_max_value_divisor(1_000_000.0)
            .begin_log_with(&mut file.file, &mut file.serializer)?;
        let (open, phases, seconds) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Ok(Self { log, names, open, phases, seconds })
    }

    /// Adds what one client thread did.
    pub(crate) fn add(&mut self, interval: &Interval) -> io::Result<()> {
        let totals = self.phases.entry(interval.phase).or_default();
        totals.operations.merge(&interval.operations);
        if let Some(lag) = &interval.lag {
            let all = totals.lag.get_or_insert_with(crate::recorder::latencies);
            let added = all.add(lag);
            debug_assert!(added.is_ok(), "all histograms have the same bounds");
        }
        let key = (interval.second, interval.phase);
        self.open.entry(key).or_default().merge(&interval.operations);
        self.settle(interval.second.saturating_sub(SETTLED))
    }

    /// Closes the seconds before this one.
    pub(crate) fn settle(&mut self, before: u64) -> io::Result<()> {
        while let Some(entry) = self.open.first_entry() {
            if entry.key().0 >= before {
                break;
            }
            let ((second, phase), tallies) = entry.remove_entry();
            self.close(second, phase, &tallies)?;
        }
        Ok(())
    }

    fn close(&mut self, second: u64, phase: Phase, tallies: &Tallies) -> io::Result<()> {
        const SECOND: Duration = Duration::from_secs(1);
        let mut operations = Vec::new();
        let mut selected = 0;
        for (index, tally) in tallies.iter() {
            let name = self.names.get(index).map_or("", String::as_str);
            let tag = name.replace([' ', ','], "-");
            let at = Duration::from_secs(second);
            self.log
                .write_histogram(&tally.latencies, at, SECOND, Tag::new(&tag))
                .map_err(|error| io::Error::other(error.to_string()))?;
            selected += tally.selected;
            operations.push(OperationSecond {
                name: name.to_owned(),
                count: tally.latencies.len(),
                latency_us: Latency::of(&tally.latencies),
            });
        }
        let phase = phase.name().to_owned();
        self.seconds.push(Second { second, phase, selected, operations });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::recorder::Recorder;
    use crate::stage::{Operation, operation_names};

    #[test]
    fn threads_are_merged_by_second_and_phase_and_logged() {
        let path = std::env::temp_dir().join(format!("timeline-{}.hlog", std::process::id()));
        let mut file = LogFile::new(File::create(&path).unwrap());
        let names = operation_names(&[1, 3]);
        let mut timeline = Timeline::new(&mut file, names, SystemTime::now()).unwrap();
        let at = Duration::from_millis;
        let mut recorders = [Recorder::new(), Recorder::new()];
        for second in 0..4_u64 {
            for recorder in &mut recorders {
                recorder.hand_over(at(1000 * second), Phase::Steady);
                recorder.answered(Operation::resolve(1), at(3), 3);
                recorder.sent_late(at(1));
                let interval = recorder.hand_over(at(1000 * second + 999), Phase::Steady).unwrap();
                timeline.add(&interval).unwrap();
            }
        }
        timeline.settle(u64::MAX).unwrap();
        let totals = &timeline.phases[&Phase::Steady];
        assert_eq!(totals.operations.iter().next().unwrap().1.latencies.len(), 8);
        assert_eq!(totals.lag.as_ref().unwrap().len(), 8);
        let counts: Vec<_> = timeline.seconds.iter().map(|s| (s.second, s.selected)).collect();
        assert_eq!(counts, [(0, 6), (1, 6), (2, 6), (3, 6)]);
        assert_eq!(timeline.seconds[0].operations[0].name, "resolve 3");
        drop(timeline);
        drop(file);
        let log = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let histograms = IntervalLogIterator::new(&log).filter(|entry| {
            matches!(entry, Ok(LogEntry::Interval(interval))
                if interval.tag().unwrap().as_str() == "resolve-3")
        });
        assert_eq!(histograms.count(), 4);
    }
}
