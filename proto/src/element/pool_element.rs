//! The state machine.

use core::time::Duration;

use rserpool_codec::{Causes, Element};
use rserpool_engine::{PeId, Policy, PoolHandle, RegistrarId, RegistrationLife, Timestamp};

use super::Service;
use crate::LifeUnit;
use crate::endpoint::{Conversation, Event, Full, Request, TimedOut};

/// The longest T4 of RFC 5352, 7.1.
const REREGISTRATION_MAX: Duration = Duration::from_secs(600);
/// What T4 leaves of the registration life.
const REREGISTRATION_MARGIN: Duration = Duration::from_secs(20);
/// The wait after a request that found no room.
const RETRY: Duration = Duration::from_secs(1);

/// How a pool element stays registered.
#[derive(Clone, Debug)]
pub struct Config {
    /// The registration life asked for.
    pub life: RegistrationLife,
    /// Its unit on the wire.
    pub life_unit: LifeUnit,
    /// T4-reregistration, if it is to be shorter than what the life allows.
    pub reregistration_interval: Option<Duration>,
    /// A [load](PoolElement::report_load) that differs by less than this from
    /// the registered one waits for the next re-registration. `u32::MAX` is
    /// 100 %.
    pub load_change_min: u32,
    /// Time from one registration to the next because of a load.
    pub load_interval_min: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            life: RegistrationLife::For(Duration::from_secs(120)),
            life_unit: LifeUnit::Seconds,
            reregistration_interval: None,
            load_change_min: u32::MAX / 20,
            load_interval_min: Duration::from_millis(500),
        }
    }
}

impl Config {
    /// T4-reregistration: min(10 min, life - 20 s) by RFC 5352, 7.1, but not
    /// less than half the life, so that short lives are renewed in time and
    /// not all the time.
    #[must_use]
    pub fn reregistration_interval(&self) -> Duration {
        let longest = match self.life {
            RegistrationLife::Infinite => REREGISTRATION_MAX,
            RegistrationLife::For(life) => {
                let half = life / 2;
                life.saturating_sub(REREGISTRATION_MARGIN).max(half).min(REREGISTRATION_MAX)
            }
        };
        self.reregistration_interval.map_or(longest, |interval| interval.min(longest))
    }
}

/// What happened to the registration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'m> {
    /// It is registered, again or for the first time.
    Registered,
    /// The registrar refuses it. It is not tried again by itself: change what
    /// the causes name (RFC 5352, 3.1). If it was registered, it still is, with
    /// the policy of before.
    Rejected(Option<Causes<'m>>),
    /// It is deregistered.
    Deregistered,
    /// The registrar refuses to deregister it.
    NotDeregistered(Causes<'m>),
    /// The registration life was over. It registers again.
    Expired,
    /// This registrar is its home now.
    NewHome(RegistrarId),
    /// The registrar did not answer (T2, T3). Find another and call
    /// [`PoolElement::register`] (RFC 5352, 3.1 and 3.6).
    Unanswered(Request),
}

/// One pool element and its registration. The embedder gives it the events of
/// its conversation, which other elements may share.
#[derive(Debug)]
pub struct PoolElement {
    config: Config,
    token: u64,
    handle: Box<[u8]>,
    pe: PeId,
    service: Service,
    policy: Policy,
    /// The policy of the last registration asked for, and when.
    asked_policy: Policy,
    asked_at: Timestamp,
    /// The policy the registrar confirmed last.
    confirmed: Option<Policy>,
    home: RegistrarId,
    /// It was asked to register, and not to deregister since.
    wanted: bool,
    /// The registrar confirmed it.
    registered: bool,
    /// What is unanswered.
    asked: Option<Request>,
    /// Something changed since a registration was asked for.
    again: bool,
    /// When to register again.
    next: Option<Timestamp>,
}

impl PoolElement {
    /// A pool element that is not registered. `token` names it in the
    /// conversation: all its elements have different ones. `pe` is a random
    /// number, not 0, and stays the same for its whole life.
    #[must_use]
    pub fn new(
        config: Config,
        token: u64,
        handle: PoolHandle<'_>,
        pe: PeId,
        service: Service,
        policy: Policy,
    ) -> Self {
        Self {
            config,
            token,
            handle: handle.as_bytes().into(),
            pe,
            service,
            policy,
            asked_policy: policy,
            asked_at: Timestamp::ZERO,
            confirmed: None,
            home: RegistrarId::new(0),
            wanted: false,
            registered: false,
            asked: None,
            again: false,
            next: None,
        }
    }

    /// Its pool.
    #[must_use]
    pub const fn handle(&self) -> PoolHandle<'_> {
        PoolHandle::new(&self.handle)
    }

    /// Its PE identifier.
    #[must_use]
    pub const fn pe(&self) -> PeId {
        self.pe
    }

    /// Its policy with its parameters.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// Its home registrar; 0 until a registrar told its identifier.
    #[must_use]
    pub const fn home(&self) -> RegistrarId {
        self.home
    }

    /// Whether the registrar confirmed the registration.
    #[must_use]
    pub const fn is_registered(&self) -> bool {
        self.registered
    }

    /// Whether an answer of the registrar is awaited.
    #[must_use]
    pub const fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Has another policy, or other parameters of it, from the next
    /// registration on.
    pub const fn reconfigure(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// The registration life has this unit on the wire from now on: that of the
    /// next conversation's registrar.
    pub const fn speak(&mut self, life_unit: LifeUnit) {
        self.config.life_unit = life_unit;
    }

    /// Registers at once: with a new conversation after the last was
    /// [over](PoolElement::disconnected), with a [new home](Progress::NewHome),
    /// or when what was [rejected](Progress::Rejected) has been mended.
    ///
    /// # Errors
    /// The request was not made. If there was no room, it is made later.
    pub fn register(
        &mut self,
        now: Timestamp,
        conversation: &mut Conversation,
    ) -> Result<(), Full> {
        let element = Element {
            pe: self.pe,
            home: RegistrarId::new(0),
            life: self.config.life_unit.to_wire(self.config.life),
            user_transport: self.service.transport(),
            policy: self.policy,
            asap_transport: None,
        };
        let handle = PoolHandle::new(&self.handle);
        let asked = conversation.register(now, self.token, handle, &element);
        self.wanted = true;
        self.next = None;
        match asked {
            Ok(()) => {
                self.asked = Some(Request::Registration);
                self.asked_policy = self.policy;
                self.asked_at = now;
                self.again = false;
            }
            Err(Full::InFlight) => self.next = Some(now.after(RETRY)),
            Err(Full::Emit(_)) => {}
        }
        asked
    }

    /// The conversation is over. Nothing is asked until
    /// [`PoolElement::register`].
    pub const fn disconnected(&mut self) {
        self.home = RegistrarId::new(0);
        self.registered = false;
        self.asked = None;
        self.next = None;
    }

    /// Registers again with other policy parameters, such as a new load. While
    /// a registration is unanswered, this waits for the answer.
    ///
    /// # Errors
    /// The request was not made. If there was no room, it is made later.
    pub fn update(
        &mut self,
        now: Timestamp,
        conversation: &mut Conversation,
        policy: Policy,
    ) -> Result<(), Full> {
        self.policy = policy;
        match self.asked {
            Some(Request::Registration) => self.again = true,
            None if self.registered => return self.register(now, conversation),
            None | Some(Request::Deregistration | Request::Resolution) => {}
        }
        Ok(())
    }

    /// Tells the element's load, for a policy that has one: `u32::MAX` is
    /// 100 %. It is registered at once if it differs enough from what is
    /// registered and the last registration is not too recent
    /// ([`Config::load_change_min`], [`Config::load_interval_min`]); else, and
    /// without a conversation, later.
    ///
    /// # Errors
    /// The request was not made. If there was no room, it is made later.
    pub fn report_load(
        &mut self,
        now: Timestamp,
        conversation: Option<&mut Conversation>,
        load: u32,
    ) -> Result<(), Full> {
        let Some(policy) = self.policy.with_load(load) else { return Ok(()) };
        self.policy = policy;
        let matters = self.asked_policy.load().is_none_or(|registered| {
            let extreme = load == 0 || load == u32::MAX;
            let least = if extreme { 1 } else { self.config.load_change_min };
            registered.abs_diff(load) >= least
        });
        let Some(conversation) = conversation.filter(|_| matters && self.registered) else {
            return Ok(());
        };
        let earliest = self.asked_at.after(self.config.load_interval_min);
        match self.asked {
            Some(Request::Registration) => self.again = true,
            None if earliest <= now => return self.register(now, conversation),
            None => self.next = Some(self.next.map_or(earliest, |next| next.min(earliest))),
            Some(Request::Deregistration | Request::Resolution) => {}
        }
        Ok(())
    }

    /// Deregisters (RFC 5352, 3.2).
    ///
    /// # Errors
    /// The request was not made.
    pub fn deregister(
        &mut self,
        now: Timestamp,
        conversation: &mut Conversation,
    ) -> Result<(), Full> {
        let handle = PoolHandle::new(&self.handle);
        conversation.deregister(now, self.token, handle, self.pe)?;
        self.asked = Some(Request::Deregistration);
        self.wanted = false;
        self.again = false;
        self.next = None;
        Ok(())
    }

    /// Takes an event of the conversation. Gives what it meant for this
    /// element; `None` if it was for another one or changed nothing.
    pub fn receive<'m>(
        &mut self,
        now: Timestamp,
        conversation: &mut Conversation,
        event: &Event<'m>,
    ) -> Option<Progress<'m>> {
        match *event {
            Event::Registered { token, rejected, causes, .. } if token == self.token => {
                self.answered(now, conversation, rejected, causes)
            }
            Event::Deregistered { token, causes, .. } if token == self.token => {
                if self.asked != Some(Request::Deregistration) {
                    return None;
                }
                self.asked = None;
                self.registered = causes.is_some();
                Some(causes.map_or(Progress::Deregistered, Progress::NotDeregistered))
            }
            Event::Expired { handle, pe } if self.is(handle, Some(pe)) => {
                if !self.registered || self.asked.is_some() {
                    return None;
                }
                self.registered = false;
                if !self.wanted {
                    // An earlier one was taken for the answer to the
                    // deregistration; this is the answer.
                    return None;
                }
                // If there is no room, it is made later.
                let _ = self.register(now, conversation);
                Some(Progress::Expired)
            }
            Event::KeepAlive { handle, pe, registrar, take_home } if self.is(handle, pe) => {
                self.keep_alive(conversation, registrar, take_home)
            }
            Event::Registered { .. }
            | Event::Deregistered { .. }
            | Event::Expired { .. }
            | Event::Resolved { .. }
            | Event::PoolChanged { .. }
            | Event::KeepAlive { .. }
            | Event::Announce { .. }
            | Event::Error { .. }
            | Event::Unexpected(_) => None,
        }
    }

    fn is(&self, handle: PoolHandle<'_>, pe: Option<PeId>) -> bool {
        handle == self.handle() && pe.is_none_or(|pe| pe == self.pe)
    }

    fn answered<'m>(
        &mut self,
        now: Timestamp,
        conversation: &mut Conversation,
        rejected: bool,
        causes: Option<Causes<'m>>,
    ) -> Option<Progress<'m>> {
        self.registered |= !rejected;
        if self.asked != Some(Request::Registration) {
            return None;
        }
        self.asked = None;
        if rejected {
            // What was registered before stays so, and is to be renewed.
            if self.registered
                && let Some(confirmed) = self.confirmed
                && self.policy == self.asked_policy
            {
                self.policy = confirmed;
            }
        } else {
            self.confirmed = Some(self.asked_policy);
        }
        if self.again {
            // If there is no room, it is made later.
            let _ = self.register(now, conversation);
        } else if self.registered {
            self.next = Some(now.after(self.config.reregistration_interval()));
        }
        Some(if rejected { Progress::Rejected(causes) } else { Progress::Registered })
    }

    /// RFC 5352, 3.4: acknowledged if the registration is this element's own.
    fn keep_alive<'m>(
        &mut self,
        conversation: &mut Conversation,
        registrar: RegistrarId,
        take_home: bool,
    ) -> Option<Progress<'m>> {
        if !self.registered && self.asked.is_none() {
            return None;
        }
        // It is as long as the registration was.
        let _ = conversation.ack_keep_alive(PoolHandle::new(&self.handle), self.pe);
        let adopt = registrar != self.home && (take_home || self.home.is_none());
        if adopt {
            self.home = registrar;
        }
        adopt.then_some(Progress::NewHome(registrar))
    }

    /// A request of this conversation was not answered in time. Gives what
    /// that means for this element, if the request was its own.
    pub fn timed_out(&mut self, timed_out: TimedOut) -> Option<Progress<'static>> {
        if timed_out.token != self.token || self.asked != Some(timed_out.request) {
            return None;
        }
        self.disconnected();
        Some(Progress::Unanswered(timed_out.request))
    }

    /// When [`PoolElement::handle_timeout`] has something to do.
    #[must_use]
    pub const fn next_timeout(&self) -> Option<Timestamp> {
        self.next
    }

    /// Registers again if it is time (T4).
    ///
    /// # Errors
    /// The request was not made. If there was no room, it is made later.
    pub fn handle_timeout(
        &mut self,
        now: Timestamp,
        conversation: &mut Conversation,
    ) -> Result<(), Full> {
        if self.next.is_some_and(|next| next <= now) {
            return self.register(now, conversation);
        }
        Ok(())
    }
}
