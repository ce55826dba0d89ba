//! The steps that do something.

use rserpool_engine::{Policy, PolicyKind};

use super::words::{Words, time};
use super::{Scenario, Step, registrar};
use crate::cluster::Cluster;
use crate::faults::Fault;
use crate::model::ElementNo;
use crate::network::{Health, NodeId, Side};
use crate::station::{Identity, Wanted};

impl Scenario {
    /// A registrar or the host of an element.
    fn node(&mut self, name: &str) -> Step<NodeId> {
        let element = self.names.iter().position(|other| other == name);
        let cluster = self.cluster()?;
        if let Some(element) = element {
            return cluster.stations.get(element).map(|it| it.node).ok_or_else(String::new);
        }
        let number = registrar(name)?;
        let found = cluster.registrars.get(number).map(|registrar| registrar.node);
        found.ok_or_else(|| format!("there is no {name}"))
    }

    /// An element: its station and its number.
    pub(super) fn element(&mut self, name: &str) -> Step<(usize, ElementNo)> {
        let at = self.names.iter().position(|other| other == name);
        let at = at.ok_or_else(|| format!("there is no element {name}"))?;
        let station = self.cluster()?.stations.get(at);
        let number = station.and_then(|station| station.numbers().next());
        number.map(|number| (at, number)).ok_or_else(|| format!("{name} has no element"))
    }

    /// Two nodes, and whether it is about one direction only.
    fn pair(&mut self, words: &mut Words<'_>) -> Step<(NodeId, NodeId, bool)> {
        let from = self.node(words.next("a name")?)?;
        let one_way = words.take("->");
        let to = self.node(words.next("a name")?)?;
        Ok((from, to, one_way))
    }

    pub(super) fn act(&mut self, verb: &str, words: &mut Words<'_>) -> Step {
        match verb {
            "cut" | "mend" | "slow" => self.path(verb, words),
            "hold" | "release" | "break" => self.links(verb, words),
            "freeze" | "thaw" | "kill" | "off" | "restart" => self.health(verb, words),
            "stall" | "resume" => {
                let number = registrar(words.next("a registrar")?)?;
                let fault = Fault::Stalled(number, words.number("a shard")?);
                self.begin_or_end(verb == "stall", fault)
            }
            "deregister" | "register" | "update" | "move" => self.instruct(verb, words),
            "report" => self.report(words),
            "resolve" => self.resolve(words),
            _ => Err(format!("there is no step {verb}")),
        }
    }

    fn begin_or_end(&mut self, begins: bool, fault: Fault) -> Step {
        let cluster = self.cluster()?;
        let done = if begins {
            cluster.begin_fault(fault)
        } else {
            cluster.end_fault(|other| other == fault)
        };
        if done { Ok(()) } else { Err("it is not so that this could be".to_owned()) }
    }

    fn path(&mut self, verb: &str, words: &mut Words<'_>) -> Step {
        let (from, to, one_way) = self.pair(words)?;
        let fault = match verb {
            "slow" => Fault::Slow(from, to, time(words.next("by how much")?)?),
            _ if one_way => Fault::OneWay(from, to),
            _ => Fault::Cut(from, to),
        };
        self.begin_or_end(verb != "mend", fault)
    }

    fn links(&mut self, verb: &str, words: &mut Words<'_>) -> Step {
        let (from, to, _) = self.pair(words)?;
        let Cluster { cx, .. } = self.cluster()?;
        for link in cx.net.live().to_vec() {
            let ends = [cx.net.node_at(link, Side::From), cx.net.node_at(link, Side::To)];
            if ends != [from, to] && ends != [to, from] {
                continue;
            }
            let side = if ends == [from, to] { Side::From } else { Side::To };
            let now = cx.net.now();
            match verb {
                "hold" => {
                    cx.model.trouble(from, to);
                    cx.net.stall(link, side, true);
                }
                "release" => {
                    cx.model.relief(now, from, to);
                    cx.net.stall(link, side, false);
                }
                _ => {
                    cx.model.trouble(from, to);
                    cx.model.relief(now + 100_000, from, to);
                    cx.net.break_link(link);
                }
            }
        }
        Ok(())
    }

    fn health(&mut self, verb: &str, words: &mut Words<'_>) -> Step {
        let node = self.node(words.next("a name")?)?;
        let cluster = self.cluster()?;
        match verb {
            "freeze" => self.begin_or_end(true, Fault::Frozen(node)),
            "thaw" => self.begin_or_end(false, Fault::Frozen(node)),
            "kill" => self.begin_or_end(true, Fault::Gone(node, Health::Dead, Identity::Kept)),
            "off" => self.begin_or_end(true, Fault::Gone(node, Health::Off, Identity::Kept)),
            _ => {
                let identity = if words.take("anew") { Identity::New } else { Identity::Kept };
                cluster.set_identity(node, identity);
                let ended = cluster
                    .end_fault(|fault| matches!(fault, Fault::Gone(other, ..) if other == node));
                if ended { Ok(()) } else { Err("it runs".to_owned()) }
            }
        }
    }

    fn instruct(&mut self, verb: &str, words: &mut Words<'_>) -> Step {
        let (at, number) = self.element(words.next("an element")?)?;
        let Cluster { cx, stations, .. } = self.cluster()?;
        let station = stations.get_mut(at).ok_or("it has no host")?;
        match verb {
            "deregister" => station.want(cx, number, Wanted::Deregistered),
            "register" => station.want(cx, number, Wanted::Registered),
            "update" => {
                let value = u32::try_from(words.number("a value")?).map_err(|_| "too large")?;
                let kind = cx.model.pool_of(number).map(|pool| pool.kind);
                station.update(cx, number, policy(kind, value)?);
            }
            _ => station.go_to(cx, registrar(words.next("a registrar")?)?),
        }
        Ok(())
    }

    fn report(&mut self, words: &mut Words<'_>) -> Step {
        let (_, number) = self.element(words.next("an element")?)?;
        words.expect("at")?;
        let at = registrar(words.next("a registrar")?)?;
        words.expect("by")?;
        let times = words.number("by how many")?;
        let Cluster { cx, registrars, .. } = self.cluster()?;
        let registrar = registrars.get_mut(at).ok_or("it is not there")?;
        registrar.report(cx, number, times);
        Ok(())
    }

    fn resolve(&mut self, words: &mut Words<'_>) -> Step {
        let pool = self.pool(words.next("a pool")?)?;
        words.expect("at")?;
        let at = registrar(words.next("a registrar")?)?;
        words.expect("gives")?;
        let mut expected = Vec::new();
        for name in words.rest() {
            let (_, number) = self.element(name)?;
            expected.push(self.cluster()?.cx.model.get(number).map(|known| known.pe));
        }
        let Cluster { cx, registrars, .. } = self.cluster()?;
        let registrar = registrars.get_mut(at).ok_or("it is not there")?;
        let found = registrar.resolve_pool(cx, pool, u32::try_from(expected.len()).unwrap_or(1));
        let found: Vec<_> = found.into_iter().map(Some).collect();
        if found == expected { Ok(()) } else { Err(format!("it gives {found:?}")) }
    }
}

/// A policy with one value.
fn policy(kind: Option<PolicyKind>, value: u32) -> Step<Policy> {
    Ok(match kind {
        Some(PolicyKind::LeastUsed) => Policy::LeastUsed { load: value },
        Some(PolicyKind::Priority) => Policy::Priority { priority: value },
        Some(PolicyKind::WeightedRoundRobin) => Policy::WeightedRoundRobin { weight: value },
        Some(PolicyKind::WeightedRandom) => Policy::WeightedRandom { weight: value },
        _ => return Err("its policy has not one value".to_owned()),
    })
}

/// The value of such a policy.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others have not one value")]
pub(super) const fn value(policy: Policy) -> Option<u32> {
    match policy {
        Policy::LeastUsed { load } => Some(load),
        Policy::Priority { priority } => Some(priority),
        Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight } => Some(weight),
        _ => None,
    }
}
