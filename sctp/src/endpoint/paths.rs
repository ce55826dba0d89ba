//! The addresses of one peer: which of them answer, and which one is used
//! (RFC 9260 sections 5.4, 6.4, 8.2 and 8.3).
//!
//! Only HEARTBEATs are sent to an address that has not answered one. They are
//! short, few, and carry a random number that has to come back.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::path::{Path, may_be_listed};
use super::random::Random;
use crate::tuning::Tuning;
use crate::wire::{parameter, put_parameter};

/// Addresses of a peer that are kept track of.
const PATHS_MAX: usize = 8;

/// Of whom we heard of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// It was used to set the association up.
    Handshake,
    /// The peer listed it.
    Listed,
    /// Packets of the association came from it.
    Heard,
}

/// One address of the peer.
#[derive(Debug)]
struct Way {
    path: Path,
    origin: Origin,
    /// It answered: data may be sent to it.
    verified: bool,
    /// Unanswered heartbeats in a row.
    errors: u16,
    /// The random number of the heartbeat that is under way.
    probe: Option<u64>,
    sent_at: Instant,
    /// When the heartbeat under way is given up, or the next one is due.
    due: Instant,
    rto: Duration,
    /// Smoothed round trip and its variation, once measured.
    round_trip: Option<(Duration, Duration)>,
}

impl Way {
    fn new(path: Path, origin: Origin, due: Instant, tuning: &Tuning) -> Self {
        Self {
            path,
            origin,
            verified: origin == Origin::Handshake,
            errors: 0,
            probe: None,
            sent_at: due,
            due,
            rto: tuning.rto_initial,
            round_trip: None,
        }
    }

    fn works(&self, tuning: &Tuning) -> bool {
        self.verified && self.errors <= tuning.path_retransmissions_max
    }

    /// RFC 9260 section 6.3.1.
    fn measured(&mut self, sample: Duration, tuning: &Tuning) {
        let (smoothed, variation) = match self.round_trip {
            None => (sample, sample / 2),
            Some((smoothed, variation)) => {
                let off = smoothed.abs_diff(sample);
                (smoothed - smoothed / 8 + sample / 8, variation - variation / 4 + off / 4)
            }
        };
        self.round_trip = Some((smoothed, variation));
        self.rto = (smoothed + 4 * variation).clamp(tuning.rto_min, tuning.rto_max);
    }
}

/// A heartbeat to send.
#[derive(Debug)]
pub(super) struct Heartbeat {
    pub(super) to: Path,
    /// The value of the chunk.
    pub(super) value: Vec<u8>,
}

/// What a change of the paths means for the association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// The peer was proven to be at this address.
    Verified(IpAddr),
    /// This address is not the peer's any more.
    Forgotten(IpAddr),
}

/// The addresses of one peer. There is always at least one.
#[derive(Debug)]
pub(super) struct Paths {
    ways: Vec<Way>,
    active: usize,
    /// Unanswered heartbeats to verified addresses in a row.
    errors: u16,
    /// When data was sent that nothing has acknowledged since.
    unanswered_since: Option<Instant>,
    /// When to ask whether the peer's port is open (`Tuning::probe_after`).
    ask_at: Option<Instant>,
}

impl Paths {
    /// The paths of an association that was just set up over `first`.
    pub(super) fn new(now: Instant, first: Path, tuning: &Tuning, random: &mut Random) -> Self {
        let due = now + jittered(tuning.heartbeat_interval, tuning.rto_initial, random);
        Self {
            ways: vec![Way::new(first, Origin::Handshake, due, tuning)],
            active: 0,
            errors: 0,
            unanswered_since: None,
            ask_at: None,
        }
    }

    /// Takes note of an address that the peer listed. It is probed at once.
    pub(super) fn list(&mut self, now: Instant, ip: IpAddr, tuning: &Tuning) {
        let active = self.active();
        let known = self.ways.iter().any(|way| way.path.remote.ip() == ip);
        if known || self.ways.len() >= PATHS_MAX || !may_be_listed(ip, active.remote.ip()) {
            return;
        }
        let mut remote = active.remote;
        remote.set_ip(ip);
        self.ways.push(Way::new(Path { remote, local: None }, Origin::Listed, now, tuning));
    }

    /// The path data is sent on.
    pub(super) fn active(&self) -> Path {
        self.ways[self.active].path
    }

    /// Whether data may be sent to this address.
    pub(super) fn is_verified(&self, ip: IpAddr) -> bool {
        self.ways.iter().any(|way| way.verified && way.path.remote.ip() == ip)
    }

    pub(super) fn knows(&self, ip: IpAddr) -> bool {
        self.ways.iter().any(|way| way.path.remote.ip() == ip)
    }

    pub(super) fn verified(&self) -> impl Iterator<Item = IpAddr> {
        self.ways.iter().filter(|way| way.verified).map(|way| way.path.remote.ip())
    }

    /// A packet of the association came over `path`. The port and our address
    /// are what they were last (RFC 6951 section 5.4); a new address of the
    /// peer has to be proven first.
    pub(super) fn heard(&mut self, now: Instant, path: Path, tuning: &Tuning) -> Change {
        if let Some(way) = self.ways.iter_mut().find(|way| same_address(&way.path, &path)) {
            way.path.remote = path.remote;
            if path.local.is_some() {
                way.path.local = path.local;
            }
            return Change::None;
        }
        let mut change = Change::None;
        if self.ways.len() >= PATHS_MAX {
            let active = self.active;
            let useless = |&(index, way): &(usize, &Way)| index != active && !way.works(tuning);
            let Some((index, _)) = self.ways.iter().enumerate().find(useless) else {
                return Change::None;
            };
            change = self.forget(index);
        }
        self.ways.push(Way::new(path, Origin::Heard, now, tuning));
        change
    }

    fn forget(&mut self, index: usize) -> Change {
        let way = self.ways.remove(index);
        if self.active > index {
            self.active -= 1;
        }
        if way.verified { Change::Forgotten(way.path.remote.ip()) } else { Change::None }
    }

    /// Data was sent, so an acknowledgement is due.
    pub(super) fn data_sent(&mut self, now: Instant, tuning: &Tuning) {
        if self.unanswered_since.is_none() {
            self.unanswered_since = Some(now);
            self.ask_at = tuning.probe_after.map(|after| now + after);
        }
    }

    /// Data was acknowledged: the active path works, and need not be probed.
    pub(super) fn data_acknowledged(&mut self, now: Instant, tuning: &Tuning) {
        self.nothing_is_due();
        self.errors = 0;
        let way = &mut self.ways[self.active];
        way.errors = 0;
        if way.probe.is_none() {
            way.due = way.due.max(now + tuning.heartbeat_interval);
        }
    }

    /// All that was sent is acknowledged, or lost with a restart.
    pub(super) fn nothing_is_due(&mut self) {
        self.unanswered_since = None;
        self.ask_at = None;
    }

    /// A HEARTBEAT ACK came with this information.
    pub(super) fn heartbeat_acknowledged(
        &mut self,
        now: Instant,
        info: &[u8],
        tuning: &Tuning,
        random: &mut Random,
    ) -> Change {
        let Ok(number) = info.try_into().map(u64::from_be_bytes) else { return Change::None };
        let Some(index) = self.ways.iter().position(|way| way.probe == Some(number)) else {
            return Change::None;
        };
        let way = &mut self.ways[index];
        way.probe = None;
        way.errors = 0;
        let sample = now.saturating_duration_since(way.sent_at);
        way.measured(sample, tuning);
        way.due = now + jittered(tuning.heartbeat_interval, way.rto, random);
        self.errors = 0;
        let (first, ip, origin) = (!way.verified, way.path.remote.ip(), way.origin);
        way.verified = true;
        // A peer that speaks from a new address has moved there.
        let moved = first && origin == Origin::Heard;
        if moved || !self.ways[self.active].works(tuning) {
            self.active = index;
        }
        if first { Change::Verified(ip) } else { Change::None }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn next_timeout(&self, tuning: &Tuning) -> Option<Instant> {
        self.ways.iter().map(|way| way.due).chain(self.switch_at(tuning)).chain(self.ask_at).min()
    }

    /// When the active path is given up for another one that works.
    fn switch_at(&self, tuning: &Tuning) -> Option<Instant> {
        let since = self.unanswered_since?;
        self.another(tuning)?;
        Some(since + 2 * self.ways[self.active].rto)
    }

    /// The next path after the active one that works.
    fn another(&self, tuning: &Tuning) -> Option<usize> {
        let count = self.ways.len();
        (1..count)
            .map(|step| (self.active + step) % count)
            .find(|index| self.ways[*index].works(tuning))
    }

    /// Gives up what has gone unanswered for too long and probes what is due.
    /// At most one heartbeat a call; call again while one is returned.
    /// `Err`: the peer is given up.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        tuning: &Tuning,
        random: &mut Random,
    ) -> Result<(Option<Heartbeat>, Change), PeerLost> {
        if self.switch_at(tuning).is_some_and(|at| at <= now) {
            self.switch(tuning);
            self.unanswered_since = Some(now);
        }
        if self.ask_at.is_some_and(|at| at <= now) {
            // None of the path's own heartbeats: no answer is no error.
            self.ask_at = None;
            let heartbeat = Heartbeat { to: self.active(), value: info(random.u64()) };
            return Ok((Some(heartbeat), Change::None));
        }
        let Some(index) = self.ways.iter().position(|way| way.due <= now) else {
            return Ok((None, Change::None));
        };
        if self.ways[index].probe.is_some() {
            return self.unanswered(now, index, tuning, random).map(|change| (None, change));
        }
        let way = &mut self.ways[index];
        let number = random.u64();
        way.probe = Some(number);
        way.sent_at = now;
        way.due = now + way.rto;
        Ok((Some(Heartbeat { to: way.path, value: info(number) }), Change::None))
    }

    fn unanswered(
        &mut self,
        now: Instant,
        index: usize,
        tuning: &Tuning,
        random: &mut Random,
    ) -> Result<Change, PeerLost> {
        let way = &mut self.ways[index];
        way.probe = None;
        way.errors = way.errors.saturating_add(1);
        way.rto = (way.rto * 2).min(tuning.rto_max);
        if !way.verified {
            if way.errors > tuning.path_retransmissions_max {
                return Ok(self.forget(index));
            }
            way.due = now + way.rto;
            return Ok(Change::None);
        }
        way.due = now + jittered(tuning.heartbeat_interval, way.rto, random);
        self.errors = self.errors.saturating_add(1);
        if self.errors > tuning.retransmissions_max {
            return Err(PeerLost);
        }
        if index == self.active && !self.ways[index].works(tuning) {
            self.switch(tuning);
        }
        Ok(Change::None)
    }

    /// Nobody has the UDP port at this address. The other addresses that work
    /// are probed at once. Whether none is left; `None` if the address is not
    /// one that data is sent to.
    pub(super) fn unreachable(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        tuning: &Tuning,
    ) -> Option<bool> {
        let index = self.ways.iter().position(|way| way.verified && way.path.remote == remote)?;
        self.ways[index].errors = tuning.path_retransmissions_max.saturating_add(1);
        if index == self.active {
            self.switch(tuning);
        }
        for way in self.ways.iter_mut().filter(|way| way.works(tuning) && way.probe.is_none()) {
            way.due = way.due.min(now);
        }
        Some(!self.ways[self.active].works(tuning))
    }

    fn switch(&mut self, tuning: &Tuning) {
        if let Some(index) = self.another(tuning) {
            self.active = index;
        }
    }
}

/// The peer has left too much unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerLost;

/// Whether two paths lead to the same address of the peer.
fn same_address(one: &Path, other: &Path) -> bool {
    one.remote.ip() == other.remote.ip()
}

/// The heartbeat interval and half to one and a half of the retransmission
/// time-out (RFC 9260 section 8.3), so that many associations do not beat as
/// one.
fn jittered(interval: Duration, rto: Duration, random: &mut Random) -> Duration {
    interval + rto / 2 + rto * (random.u32() % 1024) / 1024
}

/// The value of a HEARTBEAT.
fn info(number: u64) -> Vec<u8> {
    let mut value = Vec::with_capacity(12);
    put_parameter(&mut value, parameter::HEARTBEAT_INFO, &number.to_be_bytes());
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parameters;

    struct Peer {
        paths: Paths,
        random: Random,
        tuning: Tuning,
        now: Instant,
    }

    fn path(ip: &str) -> Path {
        Path { remote: format!("{ip}:9899").parse().unwrap(), local: None }
    }

    impl Peer {
        fn new() -> Self {
            let (now, mut random) = (Instant::now(), Random::new(&[3; 32]));
            let tuning = Tuning {
                heartbeat_interval: Duration::from_secs(5),
                retransmissions_max: 3,
                path_retransmissions_max: 2,
                ..Tuning::default()
            };
            let paths = Paths::new(now, path("192.0.2.1"), &tuning, &mut random);
            Self { paths, random, tuning, now }
        }

        /// Runs the timers up to `until`; `answers` decides which addresses do.
        fn run(&mut self, until: Duration, answers: &[&str]) -> Result<Vec<Change>, PeerLost> {
            let end = self.now + until;
            let mut changes = Vec::new();
            while let Some(at) = self.paths.next_timeout(&self.tuning).filter(|at| *at <= end) {
                self.now = self.now.max(at);
                let (sent, change) =
                    self.paths.handle_timeout(self.now, &self.tuning, &mut self.random)?;
                changes.push(change);
                let Some(heartbeat) = sent else { continue };
                if answers.iter().any(|ip| heartbeat.to.remote == path(ip).remote) {
                    let info = parameters(&heartbeat.value).next().unwrap().value.to_vec();
                    changes.push(self.acknowledge(&info));
                }
            }
            self.now = end;
            changes.retain(|change| *change != Change::None);
            Ok(changes)
        }

        fn acknowledge(&mut self, info: &[u8]) -> Change {
            self.now += Duration::from_millis(10);
            let (tuning, random) = (&self.tuning, &mut self.random);
            self.paths.heartbeat_acknowledged(self.now, info, tuning, random)
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_listed_address_is_used_only_after_it_answered() {
        let mut peer = Peer::new();
        peer.paths.list(peer.now, ip("192.0.2.2"), &peer.tuning);
        assert!(!peer.paths.is_verified(ip("192.0.2.2")));
        let changes = peer.run(Duration::from_secs(1), &["192.0.2.2"]).unwrap();
        assert_eq!(changes, [Change::Verified(ip("192.0.2.2"))]);
        assert_eq!(peer.paths.active(), path("192.0.2.1"));
    }

    #[test]
    fn a_listed_address_that_never_answers_is_forgotten_without_harm() {
        let mut peer = Peer::new();
        peer.paths.list(peer.now, ip("192.0.2.2"), &peer.tuning);
        peer.run(Duration::from_secs(60), &["192.0.2.1"]).unwrap();
        assert!(!peer.paths.knows(ip("192.0.2.2")));
        assert_eq!(peer.paths.active(), path("192.0.2.1"));
    }

    #[test]
    fn a_made_up_acknowledgement_proves_nothing() {
        let mut peer = Peer::new();
        peer.paths.list(peer.now, ip("192.0.2.2"), &peer.tuning);
        let sent = peer.paths.handle_timeout(peer.now, &peer.tuning, &mut peer.random).unwrap();
        assert_eq!(sent.0.unwrap().to, path("192.0.2.2"));
        for info in [&[0; 8][..], &[1; 8], &[], &[0; 7], &[0; 9]] {
            assert_eq!(peer.acknowledge(info), Change::None);
        }
        assert!(!peer.paths.is_verified(ip("192.0.2.2")));
    }

    #[test]
    fn an_idle_peer_that_is_dead_is_given_up() {
        let mut peer = Peer::new();
        assert!(peer.run(Duration::from_secs(100), &["192.0.2.1"]).is_ok());
        let before = peer.now;
        assert_eq!(peer.run(Duration::from_secs(100), &[]), Err(PeerLost));
        let took = peer.now - before;
        assert!(took > Duration::from_secs(20) && took < Duration::from_secs(35), "{took:?}");
    }

    #[test]
    fn a_dead_idle_peer_is_given_up_although_the_interval_is_below_the_time_out() {
        let mut peer = Peer::new();
        peer.tuning.heartbeat_interval = Duration::from_millis(100);
        peer.tuning.rto_initial = Duration::from_secs(1);
        peer.run(Duration::from_secs(10), &["192.0.2.1"]).unwrap();
        assert_eq!(peer.run(Duration::from_secs(60), &[]), Err(PeerLost));
    }

    #[test]
    fn data_goes_to_another_path_when_the_active_one_is_silent() {
        let mut peer = Peer::new();
        peer.paths.list(peer.now, ip("192.0.2.2"), &peer.tuning);
        peer.run(Duration::from_millis(50), &["192.0.2.2"]).unwrap();
        peer.paths.data_sent(peer.now, &peer.tuning);
        peer.run(Duration::from_millis(1900), &["192.0.2.2"]).unwrap();
        assert_eq!(peer.paths.active(), path("192.0.2.1"));
        peer.run(Duration::from_millis(200), &["192.0.2.2"]).unwrap();
        assert_eq!(peer.paths.active(), path("192.0.2.2"));
        peer.paths.data_acknowledged(peer.now, &peer.tuning);
        peer.run(Duration::from_secs(60), &["192.0.2.2"]).unwrap();
        assert_eq!(peer.paths.active(), path("192.0.2.2"));
    }

    #[test]
    fn data_never_goes_to_a_path_that_was_not_verified() {
        let mut peer = Peer::new();
        peer.paths.list(peer.now, ip("192.0.2.2"), &peer.tuning);
        peer.paths.data_sent(peer.now, &peer.tuning);
        while peer.run(Duration::from_millis(500), &[]).is_ok() {
            assert_eq!(peer.paths.active(), path("192.0.2.1"));
        }
    }

    #[test]
    fn a_peer_that_moved_is_followed_once_it_answers_there() {
        let mut peer = Peer::new();
        peer.paths.heard(peer.now, path("198.51.100.9"), &peer.tuning);
        assert_eq!(peer.paths.active(), path("192.0.2.1"));
        let changes = peer.run(Duration::from_secs(1), &["198.51.100.9"]).unwrap();
        assert_eq!(changes, [Change::Verified(ip("198.51.100.9"))]);
        assert_eq!(peer.paths.active(), path("198.51.100.9"));
    }

    #[test]
    fn the_port_of_a_known_address_is_the_one_last_heard_from() {
        let mut peer = Peer::new();
        let rebound = Path { remote: "192.0.2.1:40000".parse().unwrap(), local: None };
        peer.paths.heard(peer.now, rebound, &peer.tuning);
        assert_eq!(peer.paths.active(), rebound);
    }

    #[test]
    fn only_so_many_addresses_are_kept() {
        let mut peer = Peer::new();
        for last in 2..100 {
            peer.paths.list(peer.now, ip(&format!("192.0.2.{last}")), &peer.tuning);
            peer.paths.heard(peer.now, path(&format!("198.51.100.{last}")), &peer.tuning);
            assert!(peer.paths.ways.len() <= PATHS_MAX);
        }
        assert_eq!(peer.paths.active(), path("192.0.2.1"));
    }
}
