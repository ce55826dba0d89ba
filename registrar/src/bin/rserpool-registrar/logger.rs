//! Log lines on stderr, as text or as JSON.

use core::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::{LevelFilter, Log, Metadata, Record};

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// `2026-01-02T03:04:05.678Z WARN message`
    Text,
    /// `{"time":"2026-01-02T03:04:05.678Z","level":"warn","message":"message"}`
    Json,
}

/// From which level on lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Level {
    /// What failed.
    Error,
    /// What an operator should look at.
    Warn,
    /// What the registrar does as a whole.
    Info,
    /// Each connection that is closed for a reason of its own.
    Debug,
}

struct Logger(Format);

/// Installs the logger of this process.
pub(crate) fn install(format: Format, level: Level) {
    let filter = match level {
        Level::Error => LevelFilter::Error,
        Level::Warn => LevelFilter::Warn,
        Level::Info => LevelFilter::Info,
        Level::Debug => LevelFilter::Debug,
    };
    if log::set_boxed_logger(Box::new(Logger(format))).is_ok() {
        log::set_max_level(filter);
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The runtime's own lines tell an operator nothing below a warning.
        metadata.level() <= log::Level::Warn || metadata.target().starts_with("rserpool")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let level = record.level().as_str();
            let line = line(self.0, since, level, &record.args().to_string());
            // There is nowhere to say that stderr is gone.
            let _lost = std::io::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

fn line(format: Format, since: Duration, level: &str, message: &str) -> String {
    let time = time(since);
    match format {
        Format::Text => format!("{time} {level} {message}\n"),
        Format::Json => format!(
            "{{\"time\":\"{time}\",\"level\":\"{}\",\"message\":\"{}\"}}\n",
            level.to_lowercase(),
            escaped(message)
        ),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("\\n"),
            control if control.is_control() => {
                // Writing to a string cannot fail.
                let _written = write!(escaped, "\\u{:04x}", u32::from(control));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// Time since 1970 in UTC, as RFC 3339 writes it.
fn time(since: Duration) -> String {
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // Years that begin in March end with the leap day: days of eras of 400
    // years, then of the year, then of the month.
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_000, "2000-02-28T23:59:59.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (4_107_542_400_001, "2100-03-01T00:00:00.001Z"),
        ];
        for (millis, text) in cases {
            assert_eq!(time(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn json_lines_stay_one_line() {
        let line = line(Format::Json, Duration::ZERO, "WARN", "a \"b\" \\ c\nd\u{1}");
        let expected = "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warn\",\
                        \"message\":\"a \\\"b\\\" \\\\ c\\nd\\u0001\"}\n";
        assert_eq!(line, expected);
    }
}
