//! The registrar group of a registrar: from its options to sockets.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::net::TcpListener;

use rserpool_engine::TransportKind;
use rserpool_proto::enrp::{self, Arbitration, ChecksumForm, Target};

use crate::announce::{Interface, interfaces};
use crate::options::ENRP_PORT;
use crate::patience::Patience;
use crate::sctp::{self, Endpoint};
use crate::{AsapAddress, Compat, Options, StartError, listener};

/// Associations with other registrars at once.
const ASSOCIATIONS_MAX: u32 = 256;
/// The group rsplib's registrars send presences to.
const RSPLIB_GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 0, 0, 51)), 9901);
/// The registered group (RFC 5353, 5.3).
const RFC_GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(224, 0, 1, 185)), 9901);

/// Where a registrar takes ENRP.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bound {
    pub(crate) tcp: Vec<SocketAddr>,
    pub(crate) sctp: Vec<SocketAddr>,
    pub(crate) sctp_udp: Vec<SocketAddr>,
    /// What is not there although it is there by default, and why.
    pub(crate) without: Vec<(AsapAddress, String)>,
}

/// What the thread of the group carries, and what the group is told.
pub(crate) struct GroupPlan {
    pub(crate) bound: Bound,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) endpoints: Vec<Endpoint>,
    /// The port of ENRP over SCTP, which associations are opened from.
    pub(crate) sctp_port: Option<u16>,
    /// The group presences are multicast to.
    pub(crate) multicast: Option<SocketAddr>,
    /// By name; all if empty.
    pub(crate) interfaces: Vec<String>,
    pub(crate) protocol: enrp::Config,
    /// Registrations are taken only when the group is in service.
    pub(crate) waits: bool,
}

impl GroupPlan {
    /// Binds what the options say; `None`: no group.
    pub(crate) fn bind(
        options: &Options,
        seed: u64,
        patience: &Patience,
    ) -> Result<Option<Self>, StartError> {
        let Some((places, by_name)) = options.group.places(options.listen) else {
            return Ok(None);
        };
        let mut plan = Self {
            bound: Bound::default(),
            listeners: Vec::new(),
            endpoints: Vec::new(),
            sctp_port: None,
            multicast: options.announces().then_some(match options.compat {
                Compat::Rsplib => RSPLIB_GROUP,
                Compat::Rfc => RFC_GROUP,
            }),
            interfaces: options.announce_interface.clone(),
            protocol: enrp::Config::default(),
            waits: !options.group.peer.is_empty(),
        };
        for place in places.iter().filter(|place| place.scheme() == "tcp") {
            let bound = patience.bind(|| plan.bind_tcp(place.address()));
            plan.or_without(bound, *place, by_name)?;
        }
        for scheme in ["sctp", "sctp-udp"] {
            let of_scheme = places.iter().filter(|place| place.scheme() == scheme);
            for endpoint in sctp::by_port(of_scheme.map(AsapAddress::address)) {
                let bound = patience.bind(|| plan.bind_sctp(&endpoint, scheme, options));
                let place = match scheme {
                    "sctp" => AsapAddress::Sctp(endpoint[0]),
                    _ => AsapAddress::SctpUdp(endpoint[0]),
                };
                plan.or_without(bound, place, by_name)?;
            }
        }
        if plan.listeners.is_empty() && plan.endpoints.is_empty() && !plan.waits {
            // By default, and nothing of it is to be had.
            return Ok(None);
        }
        plan.protocol = plan.protocol(options, seed);
        Ok(Some(plan))
    }

    fn or_without(
        &mut self,
        bound: Result<(), StartError>,
        place: AsapAddress,
        by_name: bool,
    ) -> Result<(), StartError> {
        match bound {
            Err(StartError::Bind { source, .. }) if !by_name => {
                self.bound.without.push((place, source.to_string()));
                Ok(())
            }
            Err(StartError::Sctp(error)) if !by_name => {
                self.bound.without.push((place, format!("no SCTP in this kernel: {error}")));
                Ok(())
            }
            other => other,
        }
    }

    fn bind_tcp(&mut self, address: SocketAddr) -> Result<(), StartError> {
        let mut result = listener::bind(address, 1);
        if address.ip().is_unspecified() && result.as_ref().is_err_and(listener::lacks_ipv6) {
            let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
            result = listener::bind(any, 1);
        }
        let (bound, listeners) = result?;
        self.bound.tcp.push(bound);
        self.listeners.extend(listeners);
        Ok(())
    }

    fn bind_sctp(
        &mut self,
        endpoint: &[SocketAddr],
        scheme: &str,
        options: &Options,
    ) -> Result<(), StartError> {
        let tuning = options.sctp.tuning(ASSOCIATIONS_MAX);
        if scheme == "sctp" {
            if let Some(error) = sctp::kernel_lacks() {
                return Err(StartError::Sctp(error));
            }
            let bound = sctp::bind_kernel(endpoint, 1, &tuning)?;
            self.sctp_port =
                self.sctp_port.or_else(|| bound.addresses.first().map(SocketAddr::port));
            self.bound.sctp.extend(bound.addresses);
            self.endpoints.extend(bound.shards);
        } else {
            let bound = sctp::bind_udp_for(endpoint, 1, &tuning, ENRP_PORT)?;
            self.sctp_port = self.sctp_port.or(Some(ENRP_PORT));
            self.bound.sctp_udp.extend(bound.addresses);
            self.endpoints.extend(bound.shards);
        }
        Ok(())
    }

    fn protocol(&self, options: &Options, seed: u64) -> enrp::Config {
        let rfc = options.compat == Compat::Rfc;
        let or = |given: Option<Duration>, rsplib: u64, letter: u64| {
            given.unwrap_or_else(|| Duration::from_millis(if rfc { letter } else { rsplib }))
        };
        let group = &options.group;
        let mentors = group.peer.iter().map(|peer| Target {
            transport: match peer.0 {
                AsapAddress::Tcp(_) => TransportKind::Tcp,
                AsapAddress::Sctp(_) | AsapAddress::SctpUdp(_) => TransportKind::Sctp,
            },
            addresses: vec![match peer.0 {
                // The port of the URL is that of UDP.
                AsapAddress::SctpUdp(address) => SocketAddr::new(address.ip(), ENRP_PORT),
                AsapAddress::Tcp(address) | AsapAddress::Sctp(address) => address,
            }],
        });
        let heartbeat = or(group.peer_heartbeat, 2400, 30_000);
        enrp::Config {
            seed,
            addresses: if group.enrp_address.is_empty() {
                self.addresses()
            } else {
                group.enrp_address.clone()
            },
            sctp_port: self.sctp_port,
            tcp_port: self.bound.tcp.first().map(SocketAddr::port),
            mentors: mentors.collect(),
            arbitration: if rfc { Arbitration::LargerId } else { Arbitration::SmallerId },
            checksum_form: if rfc { ChecksumForm::Exact } else { ChecksumForm::Wrapped },
            // Others of a group are heard within a heartbeat and an eighth.
            startup: Duration::from_secs(5).min(heartbeat * 5 / 4),
            heartbeat,
            last_heard: or(group.peer_silence, 5000, 61_000),
            no_response: or(group.peer_patience, 2000, 5000),
            ..enrp::Config::default()
        }
    }

    /// The addresses at which others reach this registrar.
    fn addresses(&self) -> Vec<IpAddr> {
        let all = self.bound.tcp.iter().chain(&self.bound.sctp).chain(&self.bound.sctp_udp);
        let mut addresses = Vec::new();
        let here = interfaces(&self.interfaces).unwrap_or_default();
        let of_host: Vec<IpAddr> = here.iter().flat_map(Interface::addresses).collect();
        for bound in all {
            let ip = bound.ip();
            if !ip.is_unspecified() {
                addresses.push(ip);
                continue;
            }
            addresses.extend(of_host.iter().filter(|one| one.is_ipv4() || ip.is_ipv6()));
        }
        let mut seen = Vec::new();
        addresses.retain(|ip| {
            !seen.contains(ip) && {
                seen.push(*ip);
                true
            }
        });
        addresses.truncate(16);
        addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EnrpAddress, GroupOptions};

    fn plan(compat: Compat, group: GroupOptions) -> GroupPlan {
        let at = EnrpAddress::At(AsapAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into()));
        let group = GroupOptions { enrp: vec![at], ..group };
        let options = Options { compat, group, ..Options::default() };
        GroupPlan::bind(&options, 1, &Patience::new()).unwrap().unwrap()
    }

    /// Start-up, heartbeat, silence, patience, in milliseconds.
    fn timers(plan: &GroupPlan) -> [u128; 4] {
        let enrp::Config { startup, heartbeat, last_heard, no_response, .. } = &plan.protocol;
        [startup, heartbeat, last_heard, no_response].map(Duration::as_millis)
    }

    #[test]
    fn compat_says_how_often_registrars_are_heard_of_and_when_one_is_dead() {
        let by = |compat| timers(&plan(compat, GroupOptions::default()));
        assert_eq!(by(Compat::Rsplib), [3000, 2400, 5000, 2000]);
        assert_eq!(by(Compat::Rfc), [5000, 30_000, 61_000, 5000]);
        // What is said by name counts in both.
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let named = GroupOptions {
            peer_heartbeat: seconds(1),
            peer_silence: seconds(2),
            peer_patience: seconds(3),
            ..GroupOptions::default()
        };
        for compat in [Compat::Rsplib, Compat::Rfc] {
            assert_eq!(timers(&plan(compat, named.clone())), [1250, 1000, 2000, 3000]);
        }
    }

    #[test]
    fn compat_says_where_presences_go() {
        let by = |compat| plan(compat, GroupOptions::default()).multicast.unwrap().to_string();
        assert_eq!(by(Compat::Rsplib), "239.0.0.51:9901");
        assert_eq!(by(Compat::Rfc), "224.0.1.185:9901");
    }
}
