use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::fault::Fault;

/// The schema that is published.
const PUBLISHED: &str = include_str!("../../schema/report.schema.json");

fn latency(scale: f64) -> Latency {
    Latency { min: 0.5, mean: 2.0, p50: 1.5, p90: 3.0, p99: 9.0, p99_9: 20.0, max: scale }
}

fn operation(name: &str, count: u64) -> OperationReport {
    let name = name.to_owned();
    let distribution = vec![(0.0, 80.0), (0.5, 120.0), (0.999, 4000.0), (1.0, 9000.0)];
    OperationReport {
        name,
        count,
        per_second: 123.4,
        selected: 3 * count,
        latency_us: latency(12_345.6),
        distribution,
    }
}

fn phase(name: &str, began: f64, operations: Vec<OperationReport>) -> PhaseReport {
    PhaseReport {
        name: name.to_owned(),
        began,
        seconds: 5.0,
        operations,
        send_lag_us: (name == "steady state").then(|| latency(7.0)),
        unsent: 0,
        registrar_cpu_seconds: Some(2.5),
        loadgen_cpu_seconds: 1.5,
    }
}

fn phases() -> Vec<PhaseReport> {
    vec![
        phase("registering", 0.1, vec![operation("register", 100_000)]),
        phase("steady state", 5.1, vec![operation("resolve 1", 9), operation("resolve 3", 8)]),
    ]
}

fn workload() -> Workload {
    Workload {
        name: "canonical".to_owned(),
        elements: 100_000,
        pools: 1000,
        policies: vec!["least-used".to_owned(), "round-robin".to_owned()],
        items: vec![1, 3],
        duration_seconds: 5.0,
        rate: Some(40_000),
        closed: None,
        reregistration_seconds: 30.0,
        churn: 200,
        connections: 64,
        threads: 1,
        seed: 1,
    }
}

/// A report with everything in it.
pub(crate) fn full() -> Report {
    let second = |second| Second {
        second,
        phase: "steady state".to_owned(),
        selected: 9,
        operations: vec![OperationSecond {
            name: "resolve 3".to_owned(),
            count: 3,
            latency_us: latency(5.0),
        }],
    };
    Report {
        schema: SCHEMA.to_owned(),
        version: "0.1.0".to_owned(),
        started: 1_700_000_000,
        seconds: 12.5,
        result: Verdict::Aborted,
        aborted: Some(Aborted {
            phase: "audit".to_owned(),
            reason: "the registrar <closed> the connection".to_owned(),
        }),
        host: Host { processor: "x".to_owned(), cores: 2, kernel: "linux 6".to_owned() },
        registrar: Registrar {
            target: "tcp://h:1".to_owned(),
            transport: "tcp".to_owned(),
            compat: "rfc".to_owned(),
            inside: true,
            pids: vec![7],
        },
        workload: workload(),
        phases: phases(),
        selections: Selections {
            resolutions: 17,
            elements: 33,
            resolutions_per_second: 3.4,
            elements_per_second: 6.6,
        },
        findings: vec![Finding {
            name: "a <gap>".to_owned(),
            value: Some(0.25),
            unit: "s".to_owned(),
        }],
        failover: Some(FailoverReport { lost_associations: 3, ..FailoverReport::default() }),
        ceiling: Some(Ceiling { per_second: 9e5, loadgen_cpu_us: 1.1, server_cpu_us: 0.6 }),
        memory: Some(Memory {
            before_bytes: 10 << 20,
            registered_bytes: 30 << 20,
            bytes_per_element: 209.7,
        }),
        checks: Checks {
            answers: 100_017,
            elements: 33,
            keep_alives: 5,
            weighted_random_deviation: Some(0.8),
            errors: 2,
            errors_by_kind: BTreeMap::from([("lost".to_owned(), 2)]),
            samples: vec!["lost: load-1 & others".to_owned()],
        },
        warnings: vec!["late ".repeat(40)],
        series: vec![second(5), second(6)],
        usage: vec![UsageSecond {
            at: 1.0,
            registrar_cores: Some(0.5),
            registrar_bytes: Some(1 << 20),
            loadgen_cores: 0.4,
        }],
    }
}

/// The same without all that a run may lack.
fn bare() -> Report {
    let mut report = full();
    report.aborted = None;
    report.result = Verdict::Passed;
    report.registrar.pids.clear();
    report.findings[0].value = None;
    (report.failover, report.ceiling) = (None, None);
    report.registrar.inside = false;
    (report.workload.rate, report.workload.closed) = (None, Some(64));
    report.phases.clear();
    report.memory = None;
    report.checks = Checks::default();
    report.series.clear();
    report.usage[0].registrar_cores = None;
    report.usage[0].registrar_bytes = None;
    report
}

/// What of `value` breaks `schema`, as far as the published schema goes in
/// its use of JSON Schema. A keyword that is not known here is a breach.
fn breaches(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
        let holds = match keyword.as_str() {
            "$schema" | "$id" | "title" | "description" | "$defs" => true,
            "$ref" => {
                let pointer = wanted.as_str().unwrap().trim_start_matches('#');
                breaches(root, root.pointer(pointer).unwrap(), value, path, found);
                true
            }
            "anyOf" => wanted.as_array().unwrap().iter().any(|choice| {
                let mut inner = Vec::new();
                breaches(root, choice, value, path, &mut inner);
                inner.is_empty()
            }),
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "type" => match wanted.as_array() {
                Some(types) => types.iter().any(|wanted| is_a(value, wanted)),
                None => is_a(value, wanted),
            },
            "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
            "required" => value.as_object().is_none_or(|object| {
                let names = wanted.as_array().unwrap();
                names.iter().all(|name| object.contains_key(name.as_str().unwrap()))
            }),
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        breaches(root, schema, value, &format!("{path}/{name}"), found);
                    }
                }
                true
            }
            "additionalProperties" => {
                assert_eq!(wanted, &Value::Bool(false));
                let known = schema["properties"].as_object().unwrap();
                value.as_object().is_none_or(|o| o.keys().all(|name| known.contains_key(name)))
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    breaches(root, wanted, item, &format!("{path}/{index}"), found);
                }
                true
            }
            _ => false,
        };
        if !holds {
            found.push(format!("{path}: {keyword} {wanted}"));
        }
    }
}

fn is_a(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn breaches_of(value: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(PUBLISHED).unwrap();
    let mut found = Vec::new();
    breaches(&schema, &schema, value, "", &mut found);
    found
}

#[test]
fn reports_keep_to_the_published_schema() {
    for report in [full(), bare()] {
        assert_eq!(breaches_of(&serde_json::to_value(&report).unwrap()), [""; 0]);
    }
}

#[test]
fn the_schema_knows_what_a_report_may_not_be() {
    let good = serde_json::to_value(full()).unwrap();
    let spoil = |pointer: &str, value: Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        bad
    };
    let mut missing = good.clone();
    missing.as_object_mut().unwrap().remove("checks");
    let mut surplus = good.clone();
    surplus["host"]["color"] = "blue".into();
    for bad in [
        spoil("/result", "perhaps".into()),
        spoil("/schema", "other".into()),
        spoil("/phases/0/operations/0/count", "many".into()),
        spoil("/phases/0/operations/0/latency_us", Value::Null),
        spoil("/seconds", (-1).into()),
        spoil("/workload/items/0", 0.into()),
        missing,
        surplus,
    ] {
        assert_eq!(breaches_of(&bad).len(), 1, "{bad}");
    }
}

#[test]
fn the_schema_lists_every_kind_of_error_and_the_version() {
    let schema: Value = serde_json::from_str(PUBLISHED).unwrap();
    let kinds = &schema["properties"]["checks"]["properties"]["errors_by_kind"]["properties"];
    assert_eq!(kinds.as_object().unwrap().len(), Fault::ALL.len());
    assert!(Fault::ALL.iter().all(|kind| kinds.get(kind.name()).is_some()));
    assert_eq!(schema["properties"]["schema"]["const"], SCHEMA);
}

#[test]
fn a_report_survives_its_json() {
    let report = full();
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

#[test]
fn the_screen_has_what_was_asked_for_in_aligned_columns() {
    let screen = text(&full(), Path::new("there"));
    for wanted in [
        "100,000 pool elements in 1,000 pools",
        "210 bytes per pool element",
        "lost 2",
        "lost: load-1 & others",
        "there/report.html",
        "while audit: the registrar <closed> the connection",
        "ABORTED after 12.5 s",
        "note           late late",
        "a <gap>: 250 ms",
        "3 associations lost",
        "900,000/s against a server that answers at once",
    ] {
        assert!(screen.contains(wanted), "{wanted}: {screen}");
    }
    let rows: Vec<_> = screen
        .lines()
        .skip_while(|line| !line.contains("p99.9"))
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 115), "{screen}");
    assert!(screen.lines().count() < 40);
    assert!(text(&bare(), Path::new("x")).contains("PASSED"));
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_means_what_it_says() {
    for report in [full(), bare()] {
        let page = html(&report);
        for foreign in ["http", "src=", "@import", "url(", "<script", "NaN", "inf"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(page.ends_with("</body></html>\n"));
        let opened = page.matches("<svg").count();
        assert_eq!(opened, page.matches("</svg>").count());
    }
    let page = html(&full());
    assert!(page.contains("&lt;closed&gt;") && !page.contains("<closed>"));
    assert!(page.contains("load-1 &amp; others") && page.contains("a &lt;gap&gt;: 250 ms"));
    assert!(page.matches("<polyline").count() >= 5, "lines in each chart");
}
