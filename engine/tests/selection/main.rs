//! Every policy and every selection mode: who is selected, in which order, and
//! how often.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::wildcard_enum_match_arm, reason = "tests name the policies that differ")]

mod chance;
mod golden;
mod modes;

use rserpool_engine::{
    Caller, ChannelUse, Config, ElementKey, Handlespace, PeId, Policy, PoolHandle, RegistrarId,
    Registration, RegistrationLife, Resolution, Timestamp, TransportKind,
};

const POOL: PoolHandle<'static> = PoolHandle::new(b"pool");

/// This many hundredths of 100 %.
const fn percent(hundredths: u32) -> u32 {
    u32::MAX / 100 * hundredths
}

/// One pool.
struct Pool {
    space: Handlespace,
    now: Timestamp,
    resolution: Resolution,
}

impl Pool {
    /// A pool of elements 1, 2, 3...
    fn of(policies: &[Policy]) -> Self {
        Self::with(Config::default(), policies)
    }

    fn with(config: Config, policies: &[Policy]) -> Self {
        let space = Handlespace::new(config);
        let mut pool = Self { space, now: Timestamp::ZERO, resolution: Resolution::default() };
        for (pe, &policy) in (1..).zip(policies) {
            pool.register(pe, policy);
        }
        pool
    }

    /// Registers an element, or registers it again.
    fn register(&mut self, pe: u32, policy: Policy) -> ElementKey {
        let registration = Registration {
            handle: POOL,
            pe: PeId::new(pe),
            home: RegistrarId::new(1),
            association: None,
            life: RegistrationLife::Infinite,
            policy,
            transport: TransportKind::Sctp,
            channel_use: ChannelUse::Data,
            record: &[],
        };
        self.space.register(self.now, &registration).unwrap().key
    }

    fn remove(&mut self, pe: u32) {
        let key = self.space.find(POOL, PeId::new(pe)).unwrap();
        assert!(self.space.remove(key));
    }

    /// The numbers of the elements that a selection gives.
    fn select(&mut self, items: u32) -> Vec<u32> {
        self.select_for(items, Caller::default())
    }

    fn select_for(&mut self, items: u32, caller: Caller) -> Vec<u32> {
        self.space.resolve_for(self.now, POOL, items, caller, &mut self.resolution).unwrap();
        let elements = self.resolution.elements.iter();
        elements.map(|&key| self.space.get(key).unwrap().pe().get()).collect()
    }

    /// The answers of so many selections, elements as letters.
    fn answers(&mut self, count: usize, items: u32) -> String {
        let answers: Vec<String> = (0..count).map(|_| letters(&self.select(items))).collect();
        answers.join(" ")
    }
}

/// A for element 1 and so on.
fn letters(pes: &[u32]) -> String {
    pes.iter().map(|&pe| char::from(b'@' + u8::try_from(pe).unwrap())).collect()
}
