//! A registrar in small: one loop around the engine. Elements of a pool
//! register, users resolve it, one element falls silent, one does not register
//! again, and the elements of another registrar that has died are taken over.
//!
//! The engine does no I/O and reads no clock: a real registrar does what is
//! printed here over its transports, and takes `now` from its clock.

use std::time::Duration;

use rserpool_engine::{
    AssociationId, ChannelUse, Config, Due, Handlespace, PeId, Policy, PoolHandle, RegisterError,
    RegistrarId, Registration, RegistrationLife, Resolution, Timestamp, TransportKind,
};

const SELF: RegistrarId = RegistrarId::new(1);
const PEER: RegistrarId = RegistrarId::new(2);
const POOL: PoolHandle<'static> = PoolHandle::new(b"echo");

/// As it would come in a REGISTRATION, or from the peer in a HANDLE_UPDATE.
fn registration(pe: u32, home: RegistrarId, life: u64) -> Registration<'static> {
    Registration {
        handle: POOL,
        pe: PeId::new(pe),
        home,
        association: (home == SELF).then_some(AssociationId(pe.into())),
        life: RegistrationLife::For(Duration::from_secs(life)),
        policy: Policy::LeastUsed { load: 0 },
        transport: TransportKind::Tcp,
        channel_use: ChannelUse::Data,
        record: b"what a resolution copies: the encoded transport address",
    }
}

#[expect(clippy::print_stdout, reason = "an example says what it does")]
pub(crate) fn main() -> Result<(), RegisterError> {
    let mut space = Handlespace::new(Config { registrar: SELF, seed: 42, ..Config::default() });
    let mut now = Timestamp::ZERO;
    for (pe, home, life) in [(1, SELF, 60), (2, SELF, 60), (3, SELF, 8), (4, PEER, 60)] {
        let registered = space.register(now, &registration(pe, home, life))?;
        println!("{:?} element {pe} at home on {home:?}", registered.outcome);
    }
    let mut answer = Resolution::default();
    let mut has_peer = true;
    while let Some(due) = space.next_deadline().filter(|due| due.as_micros() < 20_000_000) {
        now = now.max(due);
        while let Some(due) = space.poll_due(now) {
            let (Due::KeepAlive(key) | Due::Silent(key) | Due::Expired(key)) = due;
            let pe = space.get(key).map(|element| element.pe().get());
            println!("{:5.1} s: {due:?} is element {pe:?}", now.as_micros() as f64 / 1e6);
            match due {
                // Element 2 has crashed; the others answer at once.
                Due::KeepAlive(_) if pe == Some(2) => {}
                Due::KeepAlive(_) => assert!(space.keep_alive_acked(now, key)),
                Due::Silent(_) | Due::Expired(_) => assert!(space.remove(key)),
            }
        }
        // No peer's keep-alive for ten seconds: its elements become ours.
        if has_peer && now > Timestamp::from_micros(10_000_000) {
            has_peer = space.take_over(now, PEER, 100) == 0;
        }
        if space.resolve(now, POOL, 2, &mut answer).is_ok() {
            let pes = answer.elements.iter().filter_map(|&key| space.get(key));
            println!("        a user gets {:?}", pes.map(|it| it.pe().get()).collect::<Vec<_>>());
        }
    }
    println!("{:?}", space.stats());
    assert_eq!((space.stats().elements, space.stats().own_elements), (2, 2));
    Ok(())
}
