//! The metrics in the text format of OpenMetrics 1.0.

use core::fmt::Write as _;

use super::view::Status;

/// The metrics of a registrar.
pub(super) fn of(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ok = write(&mut text, status);
    text
}

fn write(text: &mut String, status: &Status) -> core::fmt::Result {
    writeln!(text, "# TYPE rserpool_registrar info")?;
    writeln!(
        text,
        "rserpool_registrar_info{{id=\"{}\",version=\"{}\"}} 1",
        status.id, status.version
    )?;
    writeln!(text, "# TYPE rserpool_uptime_seconds gauge")?;
    writeln!(text, "rserpool_uptime_seconds {}", status.uptime_seconds)?;
    let gauges = [
        ("rserpool_connections", "Connections that are open."),
        ("rserpool_pools", "Pools."),
        ("rserpool_elements", "Pool elements."),
    ];
    for (at, (name, help)) in gauges.into_iter().enumerate() {
        writeln!(text, "# TYPE {name} gauge\n# HELP {name} {help}")?;
        for shard in &status.shards {
            let value = [shard.connections, shard.pools, shard.elements];
            let value = value.get(at).copied().unwrap_or_default();
            writeln!(text, "{name}{{shard=\"{}\"}} {value}", shard.shard)?;
        }
    }
    let names = status.shards.first().map(|shard| shard.counts.as_slice()).unwrap_or_default();
    for (at, count) in names.iter().enumerate() {
        let name = count.name;
        writeln!(text, "# TYPE rserpool_{name} counter")?;
        for shard in &status.shards {
            let value = shard.counts.get(at).map_or(0, |count| count.count);
            writeln!(text, "rserpool_{name}_total{{shard=\"{}\"}} {value}", shard.shard)?;
        }
    }
    writeln!(text, "# EOF")
}
