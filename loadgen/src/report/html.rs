//! The report as one HTML page with plots, without anything from elsewhere.

use std::fmt::{self, Write as _};

use super::chart::{Axis, Chart, Line, escaped};
use super::units::{bytes, count, duration, rounded};
use super::{PhaseReport, Report, Verdict};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#6a737d;--line:#d8dee4;--back:#fff;--band:#f3f5f7}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#98a2ad;--line:#343b43;--back:#15181c;--band:#1d2126}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:960px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.25rem 0;color:var(--soft)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .5rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:nth-child(-n+2),td:nth-child(-n+2){text-align:left}th{color:var(--soft);font-weight:500}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:.75rem;margin:1.25rem 0}
dl div{border:1px solid var(--line);border-radius:8px;padding:.6rem .8rem}
dt{color:var(--soft);font-size:.85rem}dd{margin:0;font-size:1.35rem;font-weight:600}dd small{font-size:.8rem;font-weight:400;color:var(--soft)}
.passed{color:#1a7f37}.failed,.aborted{color:#cf222e}
figure{margin:0}figcaption{display:flex;flex-wrap:wrap;gap:.25rem 1rem;font-size:.85rem}
figcaption i{display:inline-block;width:.8rem;height:.8rem;border-radius:2px;margin-right:.35rem;vertical-align:-1px}
svg{width:100%;height:auto;font-size:12px}svg text{fill:var(--soft)}.middle{text-anchor:middle}.end{text-anchor:end}
.grid{stroke:var(--line);fill:none}.band{fill:transparent}.band.odd{fill:var(--band)}polyline{stroke-width:1.8;stroke-linejoin:round}
li{overflow-wrap:anywhere}";

/// The report as one page.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut page = String::new();
    let written = write(&mut page, report);
    debug_assert!(written.is_ok(), "a string takes everything");
    page
}

fn write(page: &mut String, report: &Report) -> fmt::Result {
    writeln!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>rserpool-loadgen</title><style>{STYLE}</style></head><body>"
    )?;
    head(page, report)?;
    cards(page, report)?;
    if let Some(steady) = report.steady() {
        writeln!(page, "<h2>Latency by percentile, steady state</h2>")?;
        page.push_str(&percentiles(steady).html());
    }
    writeln!(page, "<h2>Answers in each second</h2>")?;
    page.push_str(&throughput(report).html());
    writeln!(page, "<h2>99th percentile of each second</h2>")?;
    page.push_str(&tail(report).html());
    writeln!(page, "<h2>Processors in use</h2>")?;
    page.push_str(&processors(report).html());
    table(page, report)?;
    list(page, "Errors", &report.checks.samples)?;
    let findings = report.findings.iter().map(|f| format!("{}: {}", f.name, f.told()));
    list(page, "Findings", &findings.collect::<Vec<_>>())?;
    list(page, "Notes", &report.warnings)?;
    writeln!(page, "</body></html>")
}

fn head(page: &mut String, report: &Report) -> fmt::Result {
    let (workload, host) = (&report.workload, &report.host);
    let (elements, pools) = (count(workload.elements.into()), count(workload.pools.into()));
    let (class, verdict) = match report.result {
        Verdict::Passed => ("passed", "passed"),
        Verdict::Failed => ("failed", "failed"),
        Verdict::Aborted => ("aborted", "broken off"),
    };
    let name = escaped(&workload.name);
    writeln!(
        page,
        "<h1>{name}: {elements} pool elements in {pools} pools \
         <span class=\"{class}\">{verdict}</span></h1>"
    )?;
    if let Some(aborted) = &report.aborted {
        let (phase, reason) = (escaped(&aborted.phase), escaped(&aborted.reason));
        writeln!(page, "<p class=\"aborted\">While {phase}: {reason}</p>")?;
    }
    let pace = match (workload.closed, workload.rate) {
        (Some(window), _) => {
            format!("closed loop with {window} resolutions unanswered on each association")
        }
        (None, Some(rate)) => format!("open loop, {} resolutions/s due", count(rate.into())),
        (None, None) => "open loop".to_owned(),
    };
    writeln!(
        page,
        "<p>{} &middot; {pace} &middot; {} connections &middot; {} client threads &middot; \
         seed {} &middot; rserpool-loadgen {}</p>",
        escaped(&report.registrar.target),
        workload.connections,
        workload.threads,
        workload.seed,
        escaped(&report.version)
    )?;
    let (processor, kernel) = (escaped(&host.processor), escaped(&host.kernel));
    writeln!(page, "<p>{processor}, {} cores, {kernel}</p>", host.cores)
}

fn cards(page: &mut String, report: &Report) -> fmt::Result {
    let mut cards = vec![("Run", format!("{:.1}", report.seconds), "s".to_owned())];
    let operations = report.phases.iter().flat_map(|phase| &phase.operations);
    if let Some(registrations) = operations.into_iter().find(|o| o.name == "register") {
        cards.push(("Registrations", rounded(registrations.per_second), "/s".to_owned()));
    }
    let selections = &report.selections;
    let resolutions = format!("/s in {}/s resolutions", rounded(selections.resolutions_per_second));
    cards.push(("Selections", rounded(selections.elements_per_second), resolutions));
    if let Some(memory) = &report.memory {
        let all = format!("bytes, {} in all", bytes(memory.registered_bytes));
        cards.push(("Memory per pool element", rounded(memory.bytes_per_element), all));
    }
    let checked = format!("in {} answers", count(report.checks.answers));
    cards.push(("Errors", count(report.checks.errors), checked));
    writeln!(page, "<dl>")?;
    for (term, value, note) in cards {
        writeln!(page, "<div><dt>{term}</dt><dd>{value} <small>{note}</small></dd></div>")?;
    }
    writeln!(page, "</dl>")
}

/// Latency by percentile: the nines are as far apart as the tens.
fn percentiles(steady: &PhaseReport) -> Chart {
    const NINES: [(f64, &str); 6] = [
        (0.0, "0 %"),
        (1.0, "90 %"),
        (2.0, "99 %"),
        (3.0, "99.9 %"),
        (4.0, "99.99 %"),
        (5.0, "99.999 %"),
    ];
    let nines = |quantile: f64| -(1.0 - quantile).max(1e-5).log10();
    let line = |operation: &super::OperationReport| Line {
        name: operation.name.clone(),
        points: operation.distribution.iter().map(|&(q, us)| (nines(q), us)).collect(),
        gap: f64::INFINITY,
    };
    let lines: Vec<Line> = steady.operations.iter().map(line).collect();
    let values = lines.iter().flat_map(|line| line.points.iter().map(|&(_, us)| us));
    let min = values.clone().fold(f64::INFINITY, f64::min);
    let max = values.fold(0.0, f64::max);
    let min = if min.is_finite() { min } else { 1.0 };
    let ticks = NINES.map(|(place, label)| (place, label.to_owned())).to_vec();
    Chart {
        x: Axis::fixed("percentile of answers", 5.0, ticks),
        y: Axis::logarithmic("latency from when due", min, max, duration),
        lines,
        bands: Vec::new(),
    }
}

/// The names of all operations, in the order of their first answers.
fn names(report: &Report) -> Vec<&str> {
    let mut names = Vec::new();
    for operation in report.series.iter().flat_map(|second| &second.operations) {
        if !names.contains(&operation.name.as_str()) {
            names.push(operation.name.as_str());
        }
    }
    names
}

fn seconds(report: &Report) -> Axis {
    Axis::linear("seconds since the run began", report.seconds, |tick| format!("{tick:.0}"))
}

fn bands(report: &Report) -> Vec<(f64, f64, String)> {
    let band = |phase: &PhaseReport| (phase.began, phase.began + phase.seconds, phase.name.clone());
    report.phases.iter().map(band).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a chart shows three digits")]
fn throughput(report: &Report) -> Chart {
    let end = report.series.iter().map(|second| second.second + 1).max().unwrap_or(1);
    let line = |name: &str| {
        let count = |at: u64| -> u64 {
            let seconds = report.series.iter().filter(|second| second.second == at);
            let operations = seconds.flat_map(|second| &second.operations);
            operations.filter(|operation| operation.name == name).map(|o| o.count).sum()
        };
        let points = (0..end).map(|at| (at as f64 + 0.5, count(at) as f64)).collect();
        Line { name: name.to_owned(), points, gap: f64::INFINITY }
    };
    let lines: Vec<Line> = names(report).into_iter().map(line).collect();
    let max = lines.iter().flat_map(|line| &line.points).map(|&(_, y)| y).fold(0.0, f64::max);
    let y = Axis::linear("answers per second", max, rounded);
    Chart { x: seconds(report), y, lines, bands: bands(report) }
}

#[expect(clippy::cast_precision_loss, reason = "a chart shows three digits")]
fn tail(report: &Report) -> Chart {
    let line = |name: &str| {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for second in &report.series {
            let found = second.operations.iter().find(|operation| operation.name == name);
            if let Some(operation) = found {
                points.push((second.second as f64 + 0.5, operation.latency_us.p99));
            }
        }
        Line { name: name.to_owned(), points, gap: 1.5 }
    };
    let lines: Vec<Line> = names(report).into_iter().map(line).collect();
    let values = lines.iter().flat_map(|line| line.points.iter().map(|&(_, us)| us));
    let min = values.clone().filter(|&us| us > 0.0).fold(f64::INFINITY, f64::min);
    let max = values.fold(0.0, f64::max);
    let min = if min.is_finite() { min } else { 1.0 };
    let y = Axis::logarithmic("99th percentile", min, max, duration);
    Chart { x: seconds(report), y, lines, bands: bands(report) }
}

fn processors(report: &Report) -> Chart {
    let registrar = report.usage.iter().filter_map(|used| Some((used.at, used.registrar_cores?)));
    let loadgen = report.usage.iter().map(|used| (used.at, used.loadgen_cores));
    let line = |name: &str, points: Vec<(f64, f64)>| {
        (!points.is_empty()).then(|| Line { name: name.to_owned(), points, gap: f64::INFINITY })
    };
    let lines = [line("registrar", registrar.collect()), line("load generator", loadgen.collect())];
    let lines: Vec<Line> = lines.into_iter().flatten().collect();
    let max = lines.iter().flat_map(|line| &line.points).map(|&(_, y)| y).fold(1.0, f64::max);
    let y = Axis::linear("cores", max, |tick| format!("{tick:.1}"));
    Chart { x: seconds(report), y, lines, bands: bands(report) }
}

fn table(page: &mut String, report: &Report) -> fmt::Result {
    writeln!(page, "<h2>All operations</h2><table><thead><tr>")?;
    for column in
        ["phase", "operation", "answers", "per second", "p50", "p90", "p99", "p99.9", "max"]
    {
        write!(page, "<th>{column}</th>")?;
    }
    writeln!(page, "</tr></thead><tbody>")?;
    for phase in &report.phases {
        for operation in &phase.operations {
            let latency = &operation.latency_us;
            let (name, operation_name) = (escaped(&phase.name), escaped(&operation.name));
            write!(page, "<tr><td>{name}</td><td>{operation_name}</td>")?;
            let (answers, rate) = (count(operation.count), rounded(operation.per_second));
            write!(page, "<td>{answers}</td><td>{rate}</td>")?;
            for us in [latency.p50, latency.p90, latency.p99, latency.p99_9, latency.max] {
                write!(page, "<td>{}</td>", duration(us))?;
            }
            writeln!(page, "</tr>")?;
        }
    }
    writeln!(page, "</tbody></table>")
}

fn list(page: &mut String, title: &str, entries: &[String]) -> fmt::Result {
    if entries.is_empty() {
        return Ok(());
    }
    writeln!(page, "<h2>{title}</h2><ul>")?;
    for entry in entries {
        writeln!(page, "<li>{}</li>", escaped(entry))?;
    }
    writeln!(page, "</ul>")
}
