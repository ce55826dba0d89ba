//! `rsp watch`: a pool's elements as they come, go and change.

use std::collections::BTreeMap;

use rserpool_client::{Endpoint, Error, PeId, ResolvedElement};
use serde_json::json;

use crate::command_line::{Line, Watch};
use crate::outcome::Failure;
use crate::outlet;
use crate::resolve::{ShownElement, endpoint, row};
use crate::signals::Signals;

/// Most elements to ask for.
const ITEMS: u32 = 1024;

type Elements = BTreeMap<PeId, ResolvedElement>;

pub(crate) async fn run(line: &Line, options: &Watch) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let endpoint = endpoint(line).await?;
    let mut ticks = tokio::time::interval(options.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known = Elements::new();
    let mut reachable = true;
    let mut looks = 0;
    while options.count.is_none_or(|count| looks < count) {
        tokio::select! {
            _ = ticks.tick() => {}
            () = signals.end() => break,
        }
        looks += 1;
        match look(&endpoint, &options.handle).await {
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
