//! The checkers: what the registrars know, held against what is true.

use rserpool_engine::{ElementRef, PeChecksum, PoolHandle, RegistrationLife, Timestamp};
use rserpool_proto::enrp::Liveness;

use crate::cluster::Cluster;
use crate::model::{ElementNo, Known, Standing};
use crate::network::{Health, Micros};
use crate::registrar::Registrar;
use crate::selection;
use crate::settings::{SECOND, micros};

/// How much later than its deadline a registrar may do something: the way
/// between its shards, and the turns it takes.
const SLACK: Micros = SECOND / 10;

/// How long registrars may take to agree after a fault among them.
const SETTLING: Micros = 20 * SECOND;

/// Checks what has to hold at any time.
pub(crate) fn check(cluster: &mut Cluster) {
    cluster.cx.model.checks += 1;
    for at in 0..cluster.registrars.len() {
        let Some(registrar) = cluster.registrars.get(at) else { return };
        let is_up = cluster.cx.net.health(registrar.node) == Health::Up;
        if !is_up || !registrar.is_running() {
            continue;
        }
        if let Some(wrong) = find_wrong(cluster, registrar) {
            return cluster.cx.model.fail(|| wrong);
        }
        if cluster.cx.chance.one_in(8)
            && let Some(registrar) = cluster.registrars.get_mut(at)
        {
            registrar.check_bounds(&mut cluster.cx);
            selection::probe(&mut cluster.cx, registrar);
        }
    }
    for station in 0..cluster.stations.len() {
        if let Some(wrong) = find_missing(cluster, station) {
            return cluster.cx.model.fail(|| wrong);
        }
    }
}

/// An element that a registrar should not have, or not so.
fn find_wrong(cluster: &Cluster, registrar: &Registrar) -> Option<String> {
    let sum = registrar.sum();
    let mut kept = PeChecksum::default();
    for space in registrar.spaces() {
        kept.add(space.checksum(registrar.id));
        for pool in space.pools() {
            for element in pool.elements() {
                if let Some(wrong) = judge(cluster, registrar, &element) {
                    let (name, pe, pool) = (&registrar.name, element.pe(), element.handle());
                    let home = element.home();
                    return Some(format!("{name} has {pe} of {pool}, home {home}, {wrong}"));
                }
            }
        }
    }
    let told = registrar.told().filter(|_| registrar.is_settled());
    let wrong = sum != kept || told.is_some_and(|(told, _)| told != sum.finish());
    wrong.then(|| format!("the PE checksum of {} is not that of its elements", registrar.name))
}

fn judge(cluster: &Cluster, registrar: &Registrar, element: &ElementRef<'_>) -> Option<String> {
    let cx = &cluster.cx;
    let Some(number) = cx.model.find(element.handle(), element.pe()) else {
        return Some("which never was".to_owned());
    };
    let known = cx.model.get(number)?;
    if let Standing::Deregistered { registrar: by, at } = known.standing
        && by == registrar.index
        && known.asked < at
        && registrar.started < at
        // The notice that a life is over looks like the answer.
        && at + SETTLING < cx.net.now()
        && element.home() == registrar.id
    {
        return Some("which it said is deregistered".to_owned());
    }
    // What has no association here is the word of another.
    element.association()?;
    let Some(heard) = cx.model.news(registrar.index, number) else {
        return Some("of which it never heard".to_owned());
    };
    // A shard that stood still hears of the end only now.
    let told = registrar.closed_last.max(registrar.stalled_last);
    let recently = told + SLACK + 10 * cx.settings.mesh_delay > cx.net.now();
    if element.association().is_some_and(|it| !registrar.has(it)) && !recently {
        return Some("whose association is gone".to_owned());
    }
    if element.home() != registrar.id || element.is_taken_over() {
        return None;
    }
    let local = cx.local(registrar.node);
    let slack = SLACK + 10 * cx.settings.mesh_delay;
    let late = |since: Timestamp, bound: Micros| {
        let age = micros(local.since(since));
        (age > bound + slack).then_some(age)
    };
    if let RegistrationLife::For(life) = known.life
        && let Some(age) = late(heard.registered, micros(life))
    {
        return Some(format!("whose life of {life:?} began {age} us ago"));
    }
    let (interval, timeout) =
        (micros(cx.settings.keep_alive_interval), micros(cx.settings.keep_alive_timeout));
    if interval > 0
        && let Some(age) = late(heard.alive, interval * 5 / 4 + timeout)
    {
        return Some(format!("which gave no sign of life for {age} us"));
    }
    None
}

/// Whether an element is registered for certain: the registration was sent
/// and acknowledged while nothing was wrong, and nothing has been since.
fn is_certain(cluster: &Cluster, station: usize, known: &Known) -> Option<usize> {
    let station = cluster.stations.get(station)?;
    let (registrar, link) = station.connected()?;
    let Standing::Registered { registrar: by, sent } = known.standing else { return None };
    let found = cluster.registrars.get(registrar)?;
    let quiet = cluster.cx.model.quiet_since(station.node, found.node)?;
    // Who owns what after a fault among registrars, they have to find out first.
    let group = cluster.group_quiet()?;
    let settled = group == 0 || cluster.cx.net.now() > group + SETTLING;
    let certain = known.wanted
        && settled
        && by == registrar
        && sent >= quiet
        && cluster.cx.net.is_open(link)
        && found.is_running();
    certain.then_some(registrar)
}

/// An element of a station that its registrar should have, and has not.
fn find_missing(cluster: &Cluster, station: usize) -> Option<String> {
    for number in cluster.stations.get(station)?.numbers() {
        let known = cluster.cx.model.get(number)?;
        let Some(registrar) = is_certain(cluster, station, known) else { continue };
        let registrar = cluster.registrars.get(registrar)?;
        if let Some(wrong) = lacks(cluster, registrar, number) {
            return Some(wrong);
        }
    }
    None
}

/// What is wrong with an element at a registrar that should have it.
fn lacks(cluster: &Cluster, registrar: &Registrar, number: ElementNo) -> Option<String> {
    let known = cluster.cx.model.get(number)?;
    let handle = cluster.cx.model.pool_of(number)?.name.as_bytes();
    let handle = PoolHandle::new(handle);
    let mut found = registrar.spaces().filter_map(|space| space.get(space.find(handle, known.pe)?));
    let name = &registrar.name;
    let Some(element) = found.next() else {
        return Some(format!("{name} lacks {}, which is alive", cluster.cx.model.name(number)));
    };
    if found.next().is_some() {
        return Some(format!("{name} has {} twice", cluster.cx.model.name(number)));
    }
    let policy = element.policy();
    if known.acknowledged != Some(policy) && known.policy != policy {
        let name = format!("{name} has {}", cluster.cx.model.name(number));
        return Some(format!("{name} with {policy:?}, not {:?}", known.acknowledged));
    }
    None
}

/// How often a checksum was unexpected, by registrar.
pub(crate) fn mismatches(cluster: &Cluster) -> Vec<u64> {
    let told = cluster.registrars.iter().map(|registrar| registrar.told());
    told.map(|told| told.map_or(0, |(_, mismatches)| mismatches)).collect()
}

/// Checks what has to hold when nothing has been wrong for long enough.
/// `mismatches` is what it was when checksums had to agree already.
pub(crate) fn check_healed(cluster: &mut Cluster, before: &[u64]) {
    check(cluster);
    if mismatches(cluster) != before {
        cluster.cx.model.fail(|| "PE checksums differ again and again".to_owned());
    }
    if cluster.cx.model.failure.is_some() {
        return;
    }
    for station in 0..cluster.stations.len() {
        if let Some(wrong) = find_lost(cluster, station) {
            return cluster.cx.model.fail(|| wrong);
        }
    }
    if let Some(wrong) = find_stale(cluster).or_else(|| find_ghost(cluster)) {
        cluster.cx.model.fail(|| wrong);
    }
}

/// An element that somebody has yet, and that is gone.
fn find_stale(cluster: &Cluster) -> Option<String> {
    for registrar in &cluster.registrars {
        let elements = registrar.spaces().flat_map(|space| space.pools());
        for element in elements.flat_map(|pool| pool.elements()) {
            let number = cluster.cx.model.find(element.handle(), element.pe());
            let known = number.and_then(|number| cluster.cx.model.get(number));
            if known.is_none_or(|known| !known.wanted) {
                let (name, home) = (&registrar.name, element.home());
                let (pe, handle) = (element.pe(), element.handle());
                return Some(format!(
                    "{name} still has {pe} of {handle}, which is gone, with home {home}"
                ));
            }
        }
    }
    None
}

/// A registrar that another one does not know rightly.
fn find_ghost(cluster: &Cluster) -> Option<String> {
    for registrar in &cluster.registrars {
        let name = &registrar.name;
        if !registrar.serving {
            return Some(format!("{name} is not in service"));
        }
        let of_group = |id| cluster.registrars.iter().any(|other| other.id == id);
        for (id, liveness) in registrar.peers() {
            if !of_group(id) || liveness != Liveness::Alive {
                return Some(format!("to {name}, the registrar {id} is {liveness:?}"));
            }
        }
        if registrar.peers().count() + 1 != cluster.registrars.len() {
            return Some(format!("{name} does not know all others"));
        }
    }
    None
}

/// An element that should be registered everywhere by now, and is not.
fn find_lost(cluster: &Cluster, station: usize) -> Option<String> {
    for number in cluster.stations.get(station)?.numbers() {
        let known = cluster.cx.model.get(number)?;
        if !known.wanted {
            continue;
        }
        let name = cluster.cx.model.name(number);
        let Some(home) = is_certain(cluster, station, known) else {
            let standing = known.standing;
            return Some(format!("{name} found no registrar although all are there: {standing:?}"));
        };
        let home = cluster.registrars.get(home)?;
        for registrar in &cluster.registrars {
            if let Some(wrong) = lacks(cluster, registrar, number) {
                return Some(wrong);
            }
            let handle = PoolHandle::new(cluster.cx.model.pool_of(number)?.name.as_bytes());
            let mut spaces = registrar.spaces();
            let found =
                spaces.find_map(|space| Some(space.get(space.find(handle, known.pe)?)?.home()));
            if found != Some(home.id) {
                let (other, home) = (&registrar.name, home.id);
                return Some(format!("to {other}, the home of {name} is {found:?}, not {home}"));
            }
        }
    }
    None
}
