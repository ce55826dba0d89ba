//! What the load generator could do at most on this host: the same load
//! against a server that answers with the same bytes at once.

use std::sync::Arc;
use std::time::Duration;

use super::Run;
use crate::inside::Inside;
use crate::plan::{Pace, Plan, Target, Transport};
use crate::report::Ceiling;
use crate::stage::Phase;

/// How long it is measured.
const TIME: Duration = Duration::from_secs(1);
/// Pools and elements at most: the server knows none of them anyway.
const POOLS_MAX: u32 = 1000;
const ELEMENTS_MAX: u32 = 100_000;

/// Measures the ceiling, for TCP: there is no null server for SCTP.
pub(super) fn measure(plan: &Plan, window: u32) -> Result<Option<Ceiling>, String> {
    if plan.transport != Transport::Tcp {
        return Ok(None);
    }
    let server = Inside::null()?;
    let address = server.address();
    let pools = plan.pools.min(POOLS_MAX).max(plan.threads);
    let plan = Arc::new(Plan {
        targets: vec![Target {
            transport: Transport::Tcp,
            host: address.ip().to_string(),
            port: address.port(),
        }],
        pid: Some(server.pid()),
        pools,
        elements: plan.elements.min(ELEMENTS_MAX).max(pools),
        duration: TIME,
        pace: Pace::Closed(window),
        churn: 0,
        progress: false,
        ..plan.clone()
    });
    let mut run = Run::start(&plan)?;
    let aborted = |aborted: super::Aborted| format!("the null server: {}", aborted.reason);
    run.await_phase(Phase::Connect).map_err(aborted)?;
    let before = run.counted();
    run.enter(Phase::Steady);
    let ended = run.await_phase(Phase::Steady);
    run.leave(Phase::Steady);
    let after = run.counted();
    ended.map_err(aborted)?;
    let span = run.spans.first().copied();
    run.stop_clients();
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let answers = (after.answers - before.answers) as f64;
    Ok(span.map(|span| {
        let seconds = (span.ended - span.began).as_secs_f64().max(1e-9);
        let micros = |cpu: Duration| (cpu.as_secs_f64() * 1e7 / answers.max(1.0)).round() / 10.0;
        Ceiling {
            per_second: (answers / seconds).round(),
            loadgen_cpu_us: micros(span.loadgen_cpu),
            server_cpu_us: micros(span.registrar_cpu.unwrap_or_default()),
        }
    }))
}
