//! What came, went and changed, as lines: the elements of a pool as a client
//! sees them, or the pools of a registrar as its admin address tells them.

use std::collections::BTreeMap;

use rserpool_client::{Endpoint, Error, PeId, ResolvedElement};
use serde_json::json;

use super::snapshot::{self, ITEMS, PoolRow};
use crate::access;
use crate::command_line::{Line, Watch};
use crate::outcome::Failure;
use crate::outlet;
use crate::resolve::{ShownElement, row};
use crate::signals::Signals;

type Elements = BTreeMap<PeId, ResolvedElement>;

/// When to look.
struct Looks {
    ticks: tokio::time::Interval,
    left: Option<u64>,
}

impl Looks {
    fn new(options: &Watch) -> Self {
        let mut ticks = tokio::time::interval(options.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { ticks, left: options.count }
    }

    /// Waits for the next look; `false`: there is none.
    async fn next(&mut self, signals: &mut Signals) -> bool {
        if self.left == Some(0) {
            return false;
        }
        self.left = self.left.map(|left| left - 1);
        tokio::select! {
            _ = self.ticks.tick() => true,
            () = signals.end() => false,
        }
    }
}

/// The elements of a pool, as a client sees them.
pub(super) async fn pool(line: &Line, options: &Watch, handle: &str) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let access = access::find(line).await?;
    let mut looks = Looks::new(options);
    let mut known = Elements::new();
    let mut reachable = true;
    while looks.next(&mut signals).await {
        match look(&access.endpoint, handle).await {
            Ok(now) => {
                if !reachable {
                    tell(line, "registrar", "a registrar answers again", None)?;
                }
                reachable = true;
                for change in changes(&known, &now) {
                    change.tell(line)?;
                }
                known = now;
            }
            Err(error @ (Error::NoRegistrar(_) | Error::TimedOut)) => {
                if reachable {
                    tell(line, "registrar", &error.to_string(), None)?;
                }
                reachable = false;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// All pools, as the registrar's admin address tells them.
pub(super) async fn pools(line: &Line, options: &Watch) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut looks = Looks::new(options);
    let mut known = BTreeMap::<Vec<u8>, PoolRow>::new();
    let mut begun = false;
    let mut reachable = true;
    while looks.next(&mut signals).await {
        match snapshot::pools(&options.admin, line.timeout).await {
            Ok(now) => {
                if !reachable {
                    tell(line, "registrar", "the registrar answers again", None)?;
                }
                (begun, reachable) = (true, true);
                let now: BTreeMap<Vec<u8>, PoolRow> =
                    now.into_iter().map(|pool| (pool.handle.clone(), pool)).collect();
                for pool in known.values().filter(|pool| !now.contains_key(&pool.handle)) {
                    tell_pool(line, "gone", '-', pool)?;
                }
                for pool in now.values() {
                    match known.get(&pool.handle) {
                        None => tell_pool(line, "came", '+', pool)?,
                        Some(other) if other != pool => tell_pool(line, "changed", '~', pool)?,
                        Some(_) => {}
                    }
                }
                known = now;
            }
            Err(failure) if begun && !failure.is_no() => {
                if reachable {
                    tell(line, "registrar", &failure.to_string(), None)?;
                }
                reachable = false;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

fn tell_pool(line: &Line, event: &str, sign: char, pool: &PoolRow) -> Result<(), Failure> {
    let PoolRow { name, policy, elements, .. } = pool;
    if line.json {
        let pool = json!({ "handle": name, "policy": policy, "elements": elements });
        return outlet::json(&json!({ "event": event, "pool": pool }));
    }
    outlet::line(format!("{sign} {name:<24}  {elements:>8} elements  {policy}"))
}

/// The elements there are now. A pool that is not there has none.
async fn look(endpoint: &Endpoint, handle: &str) -> Result<Elements, Error> {
    match endpoint.resolve(handle, ITEMS).await {
        Ok(resolution) => Ok(resolution.elements.into_iter().map(|one| (one.pe, one)).collect()),
        Err(error) if error.is_unknown_pool() || error.is_drained_pool() => Ok(Elements::new()),
        Err(error) => Err(error),
    }
}

/// What became of an element.
#[derive(Debug, PartialEq)]
struct Change<'a> {
    what: &'static str,
    element: &'a ResolvedElement,
}

impl Change<'_> {
    fn tell(&self, line: &Line) -> Result<(), Failure> {
        let sign = match self.what {
            "came" => '+',
            "gone" => '-',
            _ => '~',
        };
        tell(line, self.what, &format!("{sign} {}", row(self.element)), Some(self.element))
    }
}

fn tell(
    line: &Line,
    event: &str,
    text: &str,
    element: Option<&ResolvedElement>,
) -> Result<(), Failure> {
    if line.json {
        let element = element.map(ShownElement::from);
        let text = element.is_none().then_some(text);
        return outlet::json(&json!({ "event": event, "element": element, "text": text }));
    }
    outlet::line(text)
}

fn changes<'a>(before: &'a Elements, now: &'a Elements) -> Vec<Change<'a>> {
    let gone = before.values().filter(|one| !now.contains_key(&one.pe));
    let gone = gone.map(|element| Change { what: "gone", element });
    let rest = now.values().filter_map(|element| match before.get(&element.pe) {
        None => Some(Change { what: "came", element }),
        Some(other) if other != element => Some(Change { what: "changed", element }),
        Some(_) => None,
    });
    gone.chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use rserpool_client::{ChannelUse, Policy, RegistrarId, TransportKind};

    use super::*;

    fn elements(all: &[(u32, u32)]) -> Elements {
        let element = |&(pe, load)| ResolvedElement {
            pe: PeId::new(pe),
            home: RegistrarId::new(1),
            policy: Policy::LeastUsed { load },
            transport: TransportKind::Tcp,
            channel_use: ChannelUse::Data,
            addresses: Vec::new(),
        };
        all.iter().map(element).map(|one| (one.pe, one)).collect()
    }

    #[test]
    fn what_came_went_and_changed_is_told() {
        let (before, now) =
            (elements(&[(1, 0), (2, 0), (3, 0)]), elements(&[(2, 0), (3, 9), (4, 0)]));
        let told: Vec<(&str, u32)> =
            changes(&before, &now).iter().map(|one| (one.what, one.element.pe.get())).collect();
        assert_eq!(told, [("gone", 1), ("changed", 3), ("came", 4)]);
    }
}
