//! How a registrar starts (RFC 5353, 3.2): it finds a mentor, takes its list
//! of registrars and its handlespace, and serves then.

use core::time::Duration;

use rserpool_codec::enrp::Body;
use rserpool_engine::{RegistrarId, Timestamp};

use super::config::{Config, Target};
use super::group::{Group, Output};
use super::link::LinkId;

/// A registrar this one was told of. It is called for as long as it is not
/// there.
#[derive(Debug)]
pub(super) struct Mentor {
    pub(super) target: Target,
    pub(super) link: Option<LinkId>,
    /// The next call.
    pub(super) at: Timestamp,
    failures: u32,
    /// It is this registrar itself.
    pub(super) is_self: bool,
    /// It was not configured, but was taken over: it may come back, or may
    /// have been there all the time behind a partition. It is called until then.
    pub(super) until: Option<Timestamp>,
}

/// How long a registrar that was taken over is called.
const CALLED: Duration = Duration::from_secs(3600);
/// Those called at once.
const CALLED_MAX: usize = 64;

impl Mentor {
    pub(super) const fn new(now: Timestamp, target: Target) -> Self {
        Self { target, link: None, at: now, failures: 0, is_self: false, until: None }
    }

    /// When to call it.
    pub(super) fn next(&self) -> Option<Timestamp> {
        (self.link.is_none() && !self.is_self).then_some(self.at)
    }

    /// A link is gone. `up`: it was connected.
    pub(super) fn gone(&mut self, now: Timestamp, link: LinkId, up: bool) {
        if self.link == Some(link) {
            self.link = None;
            self.failures = if up { 0 } else { self.failures.saturating_add(1) };
            self.at = now.after(Duration::from_millis(125) * (1 << self.failures.min(4)));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It looks for a mentor.
    Seeking,
    /// It waits for the mentor's list of registrars.
    Listing,
    /// It takes the mentor's handlespace.
    Loading,
}

/// A start under way.
#[derive(Debug)]
pub(super) struct Startup {
    step: Step,
    mentor: Option<RegistrarId>,
    /// The mentor has to answer until then.
    until: Timestamp,
    /// It serves alone from then on, unless it is loading.
    alone: Timestamp,
    /// Those that refused or did not answer, and when they may be asked again.
    failed: Vec<(RegistrarId, Timestamp)>,
    /// Those of them that are starting themselves.
    starting: Vec<RegistrarId>,
}

/// A mentor that refused is asked again after that.
const RETRY: Duration = Duration::from_millis(500);

impl Startup {
    pub(super) fn new(now: Timestamp, config: &Config) -> Self {
        Self {
            step: Step::Seeking,
            mentor: None,
            until: Timestamp::MAX,
            alone: now.after(config.startup),
            failed: Vec::new(),
            starting: Vec::new(),
        }
    }

    /// When something is due.
    pub(super) fn next(&self, group: &Group) -> Timestamp {
        match self.step {
            Step::Seeking => {
                let retry = self.failed.iter().filter(|(id, _)| group.is_mentor(*id));
                retry.map(|(_, at)| *at).min().map_or(self.alone, |at| at.min(self.alone))
            }
            Step::Listing => self.until,
            Step::Loading => self.until,
        }
    }
}

impl Group {
    /// A registrar was taken over: it is called nevertheless, for a while.
    pub(super) fn call_on(&mut self, now: Timestamp, target: Target) {
        let temporary = self.mentors.iter().filter(|mentor| mentor.until.is_some()).count();
        if temporary < CALLED_MAX && self.mentors.iter().all(|mentor| mentor.target != target) {
            let until = Some(now.after(CALLED));
            self.mentors.push(Mentor { until, ..Mentor::new(now, target) });
        }
    }

    /// Whether a registrar may be asked for its handlespace.
    fn is_mentor(&self, id: RegistrarId) -> bool {
        self.peer(id).is_some_and(|peer| peer.is_established() && peer.link.is_some())
    }

    /// Takes the next step of the start, if it is due.
    pub(super) fn run_startup(&mut self, now: Timestamp) {
        let Some(startup) = &mut self.startup else { return };
        match startup.step {
            Step::Seeking => {}
            Step::Listing | Step::Loading if startup.until <= now => {
                let mentor = startup.mentor.unwrap_or_default();
                if startup.step == Step::Loading
                    && let Some(peer) = self.peer_mut(mentor)
                {
                    peer.audit.reset();
                }
                self.mentor_failed(now, mentor, false);
                return;
            }
            Step::Listing | Step::Loading => return,
        }
        let startup = self.startup.as_ref();
        let may = |id: RegistrarId| {
            startup.is_some_and(|it| it.failed.iter().all(|(who, at)| *who != id || *at <= now))
        };
        // The configured ones first, in their order; then whoever is there.
        let configured = self
            .mentors
            .iter()
            .filter_map(|mentor| self.links.get(mentor.link?).and_then(|link| link.registrar));
        let others = self.peers.iter().map(|peer| peer.id);
        let mentor = configured.chain(others).find(|id| self.is_mentor(*id) && may(*id));
        let alone = startup.is_some_and(|it| it.alone <= now);
        match mentor {
            Some(mentor) => self.ask_mentor(now, mentor),
            None if alone => self.serve(now),
            None => {}
        }
    }

    fn ask_mentor(&mut self, now: Timestamp, mentor: RegistrarId) {
        let until = now.after(self.config.no_response);
        let Some(startup) = &mut self.startup else { return };
        startup.step = Step::Listing;
        startup.mentor = Some(mentor);
        startup.until = until;
        let Some(link) = self.peer(mentor).and_then(|peer| peer.link) else { return };
        if let Some(peer) = self.peer_mut(mentor) {
            peer.listed = true;
        }
        self.say(link, mentor, Body::ListRequest);
    }

    /// A registrar gave its list.
    pub(super) fn list_received(&mut self, now: Timestamp, from: RegistrarId) {
        let Some(startup) = &mut self.startup else { return };
        if startup.step == Step::Listing && startup.mentor == Some(from) {
            startup.step = Step::Loading;
            startup.until = now.after(self.config.no_response * 5);
            self.fetch(now, from, false, None);
        }
    }

    /// A registrar refused its list: it is starting itself.
    pub(super) fn list_rejected(&mut self, now: Timestamp, from: RegistrarId) {
        let Some(startup) = &self.startup else { return };
        if startup.step == Step::Listing && startup.mentor == Some(from) {
            self.mentor_failed(now, from, true);
        }
    }

    /// A part of a table came during the start.
    pub(super) fn table_progress(&mut self, now: Timestamp) {
        let patience = self.config.no_response * 5;
        if let Some(startup) = &mut self.startup {
            startup.until = now.after(patience);
        }
    }

    /// The mentor's table is through, or refused.
    pub(super) fn table_ended(&mut self, now: Timestamp, from: RegistrarId, whole: bool) {
        let Some(startup) = &self.startup else { return };
        if startup.step != Step::Loading || startup.mentor != Some(from) {
            return;
        }
        if whole {
            self.serve(now);
        } else {
            self.mentor_failed(now, from, true);
        }
    }

    /// The mentor is no help; another may be.
    fn mentor_failed(&mut self, now: Timestamp, mentor: RegistrarId, refused: bool) {
        let id = self.id;
        let Some(startup) = &mut self.startup else { return };
        startup.step = Step::Seeking;
        startup.mentor = None;
        startup.failed.retain(|(who, _)| *who != mentor);
        startup.failed.push((mentor, now.after(RETRY)));
        if refused && !startup.starting.contains(&mentor) {
            startup.starting.push(mentor);
        }
        // Registrars that start at the same time wait for each other, but the
        // one with the smallest identifier does not.
        let starting = &startup.starting;
        let all_wait = self
            .peers
            .iter()
            .all(|peer| !peer.is_established() || starting.contains(&peer.id) && id < peer.id);
        if refused && all_wait {
            self.serve(now);
            return;
        }
        self.run_startup(now);
    }

    /// The registrar goes into service.
    fn serve(&mut self, now: Timestamp) {
        if self.startup.take().is_none() {
            return;
        }
        self.outputs.push_back(Output::InService);
        for peer in &mut self.peers {
            peer.audit.want(now);
            peer.heard = peer.heard.max(now);
        }
        self.heartbeat_at = now;
        self.heartbeat(now);
        let unlisted: Vec<_> = self
            .peers
            .iter()
            .filter(|it| !it.listed)
            .filter_map(|it| Some((it.link?, it.id)))
            .collect();
        for (link, id) in unlisted {
            self.say(link, id, Body::ListRequest);
        }
        self.run_audits(now);
    }
}
