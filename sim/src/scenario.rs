//! Scenarios: races written down as text, one step a line.
//!
//! The cluster comes first, then what happens. `#` begins a comment.
//!
//! ```text
//! registrars 3 [with 2 shards]      their names are R1, R2, R3; so are their identifiers 1, 2, 3
//! arbitration smaller|larger
//! multicast off
//! keep-alive 5s 5s                  interval and time-out; 0s is none
//! pool EchoPool RoundRobin          a policy as in PolicyKind
//! element A in EchoPool at R1 [life 30s] [over tcp] [alone]
//!
//! after 10s                         time passes
//! cut R1 R2      cut R1 -> R2       both ways, or one
//! mend R1 R2     mend R1 -> R2
//! hold R1 -> R2                     what is sent over links that are open waits
//! release R1 -> R2
//! break A R1                        the links between them break
//! slow R1 R2 500ms
//! freeze R1      thaw R1            its process is stopped
//! kill R1        off R1             its process, or its machine, is gone
//! restart R1     restart R1 anew    with the same identifier, or another
//! stall R1 0     resume R1 0        shard 0 does nothing
//! deregister A   register A
//! update A 50                       registers again with another load, weight or priority
//! move A R2                         goes to another registrar
//! report A at R1 by 3               so many pool users say that it is unreachable
//! resolve EchoPool at R1 gives A B  in that order
//! expect A at R1 R2                 they have it
//! expect A nowhere  expect A not at R1 R2
//! expect A home R2 at R1 R2
//! expect A value 50 at R1 R2
//! expect R1 alive at R2             as R2 sees it; also `known`
//! expect R1 unknown at R2
//! expect R1 serving
//! expect healed                     all that has to hold in the end
//! within 5s expect ...              at some time until then
//! for 5s expect ...                 all the time until then
//! ```
//!
//! All the time the checkers of random runs watch, too. An element is a host
//! of its own; with `alone` it never looks for another registrar by itself.

mod act;
mod expect;
mod words;

use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rserpool_engine::{PolicyKind, RegistrationLife};
use rserpool_proto::enrp::Arbitration;

use crate::cluster::Cluster;
use crate::network::Micros;
use crate::run::{Failure, panic_text};
use crate::settings::{PoolSettings, SECOND, Settings, StationSettings};
use crate::trace::{Keep, trace};
use words::{Words, kind, time};

/// What a step gives; an error says what is wrong with it, or was.
type Step<T = ()> = Result<T, String>;

/// A scenario while it runs.
#[derive(Debug)]
struct Scenario {
    settings: Settings,
    /// Names of elements, in the order of their stations.
    names: Vec<String>,
    cluster: Option<Cluster>,
}

/// Runs a scenario. Its steps are those that the documentation of this module
/// shows; `sim/scenarios` has examples.
///
/// # Errors
/// A step that cannot be understood, or what was wrong first.
pub fn run_scenario(text: &str) -> Result<(), Failure> {
    let settings = Settings::quiet(1);
    let mut scenario = Scenario { settings, names: Vec::new(), cluster: None };
    let ran = catch_unwind(AssertUnwindSafe(|| scenario.run(text)));
    let result = ran.unwrap_or_else(|panic| Err(panic_text(panic.as_ref())));
    let now = scenario.cluster.as_ref().map_or(0, |cluster| cluster.cx.net.now());
    let trace = scenario.cluster.map(|cluster| cluster.cx.trace.into_lines());
    result.map_err(|what| Failure {
        what,
        at: Duration::from_micros(now),
        trace: trace.unwrap_or_default(),
    })
}

impl Scenario {
    fn run(&mut self, text: &str) -> Step {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if let Some(cluster) = &mut self.cluster {
                trace!(cluster.cx, "-- {line}");
            }
            let mut words = Words::new(line);
            let step = self.step(&mut words).and_then(|()| words.finish());
            step.map_err(|what| format!("line {number}, {line}: {what}"))?;
        }
        Ok(())
    }

    fn step(&mut self, words: &mut Words<'_>) -> Step {
        let verb = words.next("a step")?;
        match verb {
            "registrars" | "arbitration" | "multicast" | "keep-alive" | "pool" | "element" => {
                if self.cluster.is_some() {
                    return Err("the cluster comes first".to_owned());
                }
                self.describe(verb, words)
            }
            _ => {
                self.start();
                match verb {
                    "after" => {
                        let time = time(words.next("a time")?)?;
                        self.pass(time)
                    }
                    "within" | "for" => {
                        let time = time(words.next("a time")?)?;
                        words.expect("expect")?;
                        self.expect_while(verb == "within", time, words)
                    }
                    "expect" => self.expect(words),
                    _ => self.act(verb, words),
                }
            }
        }
    }

    /// A step that describes the cluster.
    fn describe(&mut self, verb: &str, words: &mut Words<'_>) -> Step {
        match verb {
            "registrars" => {
                self.settings.registrars = words.number("how many")?;
                if words.take("with") {
                    let shards = words.number("how many shards")?;
                    self.settings.shards = u16::try_from(shards).map_err(|_| "too many")?;
                    words.expect("shards")?;
                }
            }
            "arbitration" => {
                self.settings.group.arbitration = match words.next("smaller or larger")? {
                    "smaller" => Arbitration::SmallerId,
                    "larger" => Arbitration::LargerId,
                    _ => return Err("smaller or larger".to_owned()),
                };
            }
            "multicast" => {
                words.expect("off")?;
                self.settings.multicast = false;
            }
            "keep-alive" => {
                let mut next = |what| words.next(what).and_then(time);
                let (interval, timeout) = (next("the interval")?, next("the time-out")?);
                self.settings.keep_alive_interval = Duration::from_micros(interval);
                self.settings.keep_alive_timeout = Duration::from_micros(timeout);
            }
            "pool" => {
                let name = words.next("its name")?.to_owned();
                let kind = kind(words.next("its policy")?)?;
                self.settings.pools.push(PoolSettings { name, kind });
            }
            _ => self.describe_element(words)?,
        }
        Ok(())
    }

    fn describe_element(&mut self, words: &mut Words<'_>) -> Step {
        let name = words.next("its name")?.to_owned();
        words.expect("in")?;
        let pool = self.pool(words.next("its pool")?)?;
        words.expect("at")?;
        let first = registrar(words.next("its registrar")?)?;
        let mut station = StationSettings {
            elements: vec![pool],
            life: RegistrationLife::For(Duration::from_secs(30)),
            first: Some(first),
            callable: true,
            hunts: true,
            interval: None,
        };
        if words.take("life") {
            let life = time(words.next("its life")?)?;
            station.life = RegistrationLife::For(Duration::from_micros(life));
        }
        if words.take("over") {
            words.expect("tcp")?;
            station.callable = false;
        }
        station.hunts = !words.take("alone");
        self.settings.stations.push(station);
        self.names.push(name);
        Ok(())
    }

    fn pool(&self, name: &str) -> Step<usize> {
        let found = self.settings.pools.iter().position(|pool| pool.name == name);
        found.ok_or_else(|| format!("there is no pool {name}"))
    }

    /// Starts the cluster, if it was not.
    fn start(&mut self) {
        if self.cluster.is_some() {
            return;
        }
        let mut cluster = Cluster::new(self.settings.clone(), None, Keep::Tail);
        for (station, name) in cluster.stations.iter_mut().zip(&self.names) {
            station.name.clone_from(name);
        }
        cluster.cx.calm = true;
        self.cluster = Some(cluster);
    }

    fn cluster(&mut self) -> Step<&mut Cluster> {
        self.cluster.as_mut().ok_or_else(|| "there is no cluster".to_owned())
    }

    /// Lets time pass.
    fn pass(&mut self, time: Micros) -> Step {
        let cluster = self.cluster()?;
        cluster.run(cluster.cx.net.now() + time);
        cluster.cx.model.failure.take().map_or(Ok(()), Err)
    }

    /// An expectation that has to hold at some time, or all the time.
    fn expect_while(&mut self, once: bool, time: Micros, words: &mut Words<'_>) -> Step {
        let end = self.cluster()?.cx.net.now() + time;
        loop {
            let mut again = words.clone();
            let held = self.expect(&mut again);
            let over = self.cluster()?.cx.net.now() >= end;
            match (once, held, over) {
                (true, Ok(()), _) | (false, Ok(()), true) => {
                    *words = again;
                    return Ok(());
                }
                (true, Err(what), true) | (false, Err(what), _) => return Err(what),
                (true, Err(_), false) | (false, Ok(()), false) => self.pass(SECOND / 20)?,
            }
        }
    }
}

/// The number of a registrar, from 0, from its name.
fn registrar(name: &str) -> Step<usize> {
    let number = name.strip_prefix('R').and_then(|number| number.parse::<usize>().ok());
    let number = number.and_then(|number| number.checked_sub(1));
    number.ok_or_else(|| format!("{name} is no registrar"))
}

/// The kinds of policies a scenario can name.
const KINDS: [PolicyKind; 18] = PolicyKind::ALL;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_means_nothing_is_refused_with_its_line() {
        for (text, what) in [
            ("registrars", "line 1, registrars: how many"),
            ("\nregistrars 1 2", "line 2, registrars 1 2: what is 2?"),
            ("registrars 1\nafter 5", "line 2, after 5: write a time as in 5s or 500ms"),
            ("registrars 1\nafter 1s\npool A RoundRobin", "the cluster comes first"),
            ("pool A Robin", "there is no policy Robin"),
            ("registrars 1\ndance R1", "there is no step dance"),
            ("registrars 1\nfreeze R2", "there is no R2"),
            ("registrars 1\nexpect A at R1", "there is no element A"),
        ] {
            let failure = run_scenario(text).unwrap_err();
            assert!(failure.what.contains(what), "{}", failure.what);
        }
    }

    #[test]
    fn an_expectation_that_does_not_hold_is_told() {
        let base = "registrars 1\npool P RoundRobin\nelement A in P at R1\nafter 10s\n";
        assert_eq!(run_scenario(&format!("{base}expect A at R1")), Ok(()));
        for wrong in [
            "expect A nowhere",
            "expect A home R2 at R1",
            "kill R1\nwithin 1s expect A at R1",
            "deregister A\nafter 1s\nexpect A at R1",
            "deregister A\nfor 1s expect A at R1",
            "resolve P at R1 gives A A",
        ] {
            assert!(run_scenario(&format!("{base}{wrong}")).is_err(), "{wrong}");
        }
    }
}
