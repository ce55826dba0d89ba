//! The steps that look.

use rserpool_engine::{Policy, PoolHandle, RegistrarId};
use rserpool_proto::enrp::Liveness;

use super::act::value;
use super::words::Words;
use super::{Scenario, Step, registrar};
use crate::checks;
use crate::model::ElementNo;
use crate::registrar::Registrar;

impl Scenario {
    pub(super) fn expect(&mut self, words: &mut Words<'_>) -> Step {
        let name = words.next("an element or a registrar")?;
        if name == "healed" {
            let cluster = self.cluster()?;
            let before = checks::mismatches(cluster);
            checks::check_healed(cluster, &before);
            return cluster.cx.model.failure.take().map_or(Ok(()), Err);
        }
        if registrar(name).is_ok() && !self.names.iter().any(|other| other == name) {
            return self.expect_registrar(name, words);
        }
        let (_, number) = self.element(name)?;
        match words.next("what")? {
            "at" => self.each(words, |found| {
                if found(number).is_some() { Ok(()) } else { Err("does not have it".to_owned()) }
            }),
            "not" => {
                words.expect("at")?;
                self.each(words, |found| lacks(found(number)))
            }
            "nowhere" => {
                let count = self.cluster()?.registrars.len();
                (0..count).try_for_each(|at| self.one(at, |found| lacks(found(number))))
            }
            "home" => {
                let home = registrar(words.next("a registrar")?)?;
                let home = self.id(home)?;
                words.expect("at")?;
                self.each(words, |found| match found(number) {
                    Some((other, _)) if other == home => Ok(()),
                    other => Err(format!("has it as {other:?}")),
                })
            }
            "value" => {
                let wanted = u32::try_from(words.number("a value")?).ok();
                words.expect("at")?;
                self.each(words, |found| match found(number) {
                    Some((_, policy)) if value(policy) == wanted => Ok(()),
                    other => Err(format!("has it as {other:?}")),
                })
            }
            other => Err(format!("what is {other}?")),
        }
    }

    fn id(&mut self, at: usize) -> Step<RegistrarId> {
        let found = self.cluster()?.registrars.get(at).map(|registrar| registrar.id);
        found.ok_or_else(|| format!("there is no R{}", at + 1))
    }

    /// Asks each registrar that is named.
    fn each(&mut self, words: &mut Words<'_>, ask: impl Fn(Find<'_>) -> Step) -> Step {
        let names = words.rest();
        if names.is_empty() {
            return Err("a registrar".to_owned());
        }
        names.into_iter().try_for_each(|name| self.one(registrar(name)?, &ask))
    }

    fn one(&mut self, at: usize, ask: impl Fn(Find<'_>) -> Step) -> Step {
        let cluster = self.cluster()?;
        let registrar = cluster.registrars.get(at);
        let registrar = registrar.ok_or_else(|| format!("there is no R{}", at + 1))?;
        let find = |number| find(cluster, registrar, number);
        ask(&find).map_err(|what| format!("{} {what}", registrar.name))
    }

    fn expect_registrar(&mut self, name: &str, words: &mut Words<'_>) -> Step {
        let at = registrar(name)?;
        let id = self.id(at)?;
        let wanted = words.next("alive, known, unknown or serving")?;
        if wanted == "serving" {
            let serving = self.cluster()?.registrars.get(at).is_some_and(|it| it.serving);
            return if serving { Ok(()) } else { Err("it is not in service".to_owned()) };
        }
        words.expect("at")?;
        for name in words.rest() {
            let observer = registrar(name)?;
            let cluster = self.cluster()?;
            let observer = cluster.registrars.get(observer).ok_or("it is not there")?;
            let seen = observer.peers().find(|&(other, _)| other == id).map(|(_, it)| it);
            let right = match wanted {
                "alive" => seen == Some(Liveness::Alive),
                "known" => seen.is_some(),
                "unknown" => seen.is_none(),
                _ => return Err(format!("what is {wanted}?")),
            };
            if !right {
                return Err(format!("{name} sees it as {seen:?}"));
            }
        }
        Ok(())
    }
}

/// Looks for an element at a registrar: its home and its policy there.
type Find<'a> = &'a dyn Fn(ElementNo) -> Option<(RegistrarId, Policy)>;

fn find(
    cluster: &crate::cluster::Cluster,
    registrar: &Registrar,
    number: ElementNo,
) -> Option<(RegistrarId, Policy)> {
    let known = cluster.cx.model.get(number)?;
    let handle = PoolHandle::new(cluster.cx.model.pool_of(number)?.name.as_bytes());
    registrar.spaces().find_map(|space| {
        let element = space.get(space.find(handle, known.pe)?)?;
        Some((element.home(), element.policy()))
    })
}

fn lacks(found: Option<(RegistrarId, Policy)>) -> Step {
    found.map_or(Ok(()), |(home, _)| Err(format!("has it, with home {home}")))
}
