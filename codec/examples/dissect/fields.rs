//! What tshark has to find in a message.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rserpool_codec::{Addresses, CauseCode, Causes, Element, Transport, asap, enrp, parameter};
use rserpool_engine::{Policy, PoolHandle, TransportKind};

/// A value of a field.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Number(u64),
    Signed(i32),
    Address(IpAddr),
    Bytes(Vec<u8>),
    /// Of `u32::MAX`, shown as percent or as fraction.
    Percent(u32),
    Fraction(u32),
}

/// All values of the fields in a message, in the order of the bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(BTreeMap<&'static str, Vec<Value>>);

/// The fields of both protocols that are compared. Left out is the service
/// code of DCCP, of which the dissector shows two of four bytes.
const COMMON: [&str; 36] = [
    "message_type",
    "message_flags",
    "message_length",
    "parameter_type",
    "ipv4_address",
    "ipv6_address",
    "dccp_transport_port",
    "dccp_transport_reserved",
    "sctp_transport_port",
    "tcp_transport_port",
    "udp_transport_port",
    "udp_transport_reserved",
    "udp_lite_transport_port",
    "udp_lite_transport_reserved",
    "transport_use",
    "pool_member_selection_policy_type",
    "pool_member_selection_policy_weight",
    "pool_member_selection_policy_priority",
    "pool_member_selection_policy_load",
    "pool_member_selection_policy_degradation",
    "pool_member_selection_policy_load_dpf",
    "pool_member_selection_policy_weight_dpf",
    "pool_member_selection_policy_distance",
    "pool_member_selection_policy_value",
    "pool_handle_pool_handle",
    "pool_element_pe_identifier",
    "pool_element_home_enrp_server_identifier",
    "pool_element_registration_life",
    "pe_identifier",
    "pe_checksum",
    "cookie",
    "cause_code",
    "cause_length",
    "cause_info",
    "parameter_value",
    "r_bit",
];
const ASAP: [&str; 3] = ["hropt_items", "server_identifier", "h_bit"];
const ENRP: [&str; 9] = [
    "server_information_server_identifier",
    "sender_servers_id",
    "receiver_servers_id",
    "target_servers_id",
    "update_action",
    "reserved",
    "w_bit",
    "m_bit",
    "t_bit",
];

impl Fields {
    pub(crate) fn names(protocol: &str) -> Vec<&'static str> {
        let own = if protocol == "asap" { &ASAP[..] } else { &ENRP };
        [&COMMON, own].concat()
    }

    /// Whether tshark's text, values separated by commas, says the same.
    pub(crate) fn agrees(&self, name: &str, text: &str) -> bool {
        let found: Vec<&str> = text.split(',').filter(|value| !value.is_empty()).collect();
        let expected = self.get(name);
        found.len() == expected.len()
            && found.iter().zip(expected).all(|(text, value)| value.agrees(text))
    }

    pub(crate) fn get(&self, name: &str) -> &[Value] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The numbers that a field has.
    pub(crate) fn numbers(&self, name: &str) -> impl Iterator<Item = u64> + use<'_> {
        let number = |value: &Value| if let Value::Number(it) = value { Some(*it) } else { None };
        self.get(name).iter().filter_map(number)
    }

    /// Adds a value before those that are there.
    pub(crate) fn first(&mut self, name: &'static str, value: Value) {
        self.0.entry(name).or_default().insert(0, value);
    }

    fn add(&mut self, name: &'static str, value: Value) {
        self.0.entry(name).or_default().push(value);
    }

    fn number(&mut self, name: &'static str, number: impl Into<u64>) {
        self.add(name, Value::Number(number.into()));
    }

    fn parameter(&mut self, kind: u16) {
        self.number("parameter_type", kind);
    }

    pub(crate) fn asap(message: &asap::Message<'_>) -> Self {
        use asap::Message as M;
        let mut fields = Self::default();
        fields.number("message_type", message.code());
        fields.number("message_flags", asap_flags(message));
        match message {
            M::Registration { handle, element } => {
                fields.handle(*handle);
                fields.element(element);
            }
            M::Deregistration { handle, pe }
            | M::KeepAliveAck { handle, pe }
            | M::Unreachable { handle, pe } => {
                fields.handle(*handle);
                fields.pe(pe.get());
            }
            M::RegistrationResponse { handle, pe, rejected, error } => {
                fields.number("r_bit", *rejected);
                fields.handle(*handle);
                fields.pe(pe.get());
                fields.error(*error);
            }
            M::DeregistrationResponse { handle, pe, error } => {
                fields.handle(*handle);
                fields.pe(pe.get());
                fields.error(*error);
            }
            M::HandleResolution { handle, items, .. } => {
                fields.handle(*handle);
                if let Some(items) = items {
                    fields.parameter(0x803f);
                    fields.number("hropt_items", *items);
                }
            }
            M::HandleResolutionResponse { handle, policy, elements, error, .. } => {
                fields.handle(*handle);
                if let Some(policy) = policy {
                    fields.policy(*policy);
                }
                elements.iter().for_each(|element| fields.element(&element));
                fields.error(*error);
            }
            M::KeepAlive { registrar, take_home, handle, pe } => {
                fields.number("h_bit", *take_home);
                fields.number("server_identifier", registrar.get());
                fields.handle(*handle);
                if let Some(pe) = pe {
                    fields.pe(pe.get());
                }
            }
            M::ServerAnnounce { registrar, transports } => {
                fields.number("server_identifier", registrar.get());
                transports.iter().for_each(|transport| fields.transport(&transport));
            }
            M::Cookie { cookie } | M::CookieEcho { cookie } => {
                fields.parameter(0x000d);
                fields.add("cookie", Value::Bytes(cookie.to_vec()));
            }
            M::BusinessCard { handle, elements } => {
                fields.handle(*handle);
                elements.iter().for_each(|element| fields.element(&element));
            }
            M::Error { causes } => fields.error(Some(*causes)),
        }
        fields
    }

    pub(crate) fn enrp(message: &enrp::Message<'_>) -> Self {
        use enrp::Body as B;
        let mut fields = Self::default();
        fields.number("message_type", message.code());
        fields.number("sender_servers_id", message.sender.get());
        fields.number("receiver_servers_id", message.receiver.get());
        fields.number("message_flags", enrp_flags(&message.body));
        match message.body {
            B::Presence { reply_required, checksum, server } => {
                fields.number("r_bit", reply_required);
                if let Some(checksum) = checksum {
                    fields.parameter(0x000f);
                    fields.number("pe_checksum", checksum);
                }
                server.iter().for_each(|server| fields.server(server));
            }
            B::HandleTableRequest { own_only } => fields.number("w_bit", own_only),
            B::HandleTableResponse { rejected, more, pools } => {
                fields.number("r_bit", rejected);
                fields.number("m_bit", more);
                for pool in pools.iter() {
                    fields.handle(pool.handle);
                    pool.elements.iter().for_each(|element| fields.element(&element));
                }
            }
            B::HandleUpdate { action, takeover_suggested, handle, element } => {
                fields.number("t_bit", takeover_suggested);
                fields.number("update_action", action as u16);
                fields.number("reserved", 0_u16);
                fields.handle(handle);
                fields.element(&element);
            }
            B::ListRequest => {}
            B::ListResponse { rejected, servers } => {
                fields.number("r_bit", rejected);
                servers.iter().for_each(|server| fields.server(&server));
            }
            B::InitTakeover { target }
            | B::InitTakeoverAck { target }
            | B::TakeoverServer { target } => fields.number("target_servers_id", target.get()),
            B::Error { causes } => fields.error(Some(causes)),
        }
        fields
    }

    fn handle(&mut self, handle: PoolHandle<'_>) {
        self.parameter(0x0009);
        self.add("pool_handle_pool_handle", Value::Bytes(handle.as_bytes().to_vec()));
    }

    fn pe(&mut self, pe: u32) {
        self.parameter(0x000e);
        self.number("pe_identifier", pe);
    }

    fn server(&mut self, server: &enrp::Server<'_>) {
        self.parameter(0x000b);
        self.number("server_information_server_identifier", server.registrar.get());
        self.transport(&server.transport);
    }

    fn element(&mut self, element: &Element<'_>) {
        self.parameter(0x000a);
        self.number("pool_element_pe_identifier", element.pe.get());
        self.number("pool_element_home_enrp_server_identifier", element.home.get());
        self.add("pool_element_registration_life", Value::Signed(element.life));
        self.transport(&element.user_transport);
        self.policy(element.policy);
        element.asap_transport.iter().for_each(|transport| self.transport(transport));
    }

    fn transport(&mut self, transport: &Transport<'_>) {
        let (port, used) = (transport.port, transport.channel_use as u8);
        self.parameter(u16::from(transport.kind as u8));
        match transport.kind {
            TransportKind::Dccp => {
                self.number("dccp_transport_port", port);
                self.number("dccp_transport_reserved", 0_u16);
            }
            TransportKind::Sctp => {
                self.number("sctp_transport_port", port);
                self.number("transport_use", used);
            }
            TransportKind::Tcp => {
                self.number("tcp_transport_port", port);
                self.number("transport_use", used);
            }
            TransportKind::Udp => {
                self.number("udp_transport_port", port);
                self.number("udp_transport_reserved", 0_u16);
            }
            TransportKind::UdpLite => {
                self.number("udp_lite_transport_port", port);
                self.number("udp_lite_transport_reserved", 0_u16);
            }
            TransportKind::Opaque => {
                self.add("parameter_value", Value::Bytes(transport.opaque.to_vec()));
            }
        }
        self.addresses(&transport.addresses);
    }

    fn addresses(&mut self, addresses: &Addresses<'_>) {
        for address in addresses.iter() {
            let (kind, name) = match address {
                IpAddr::V4(_) => (0x0001, "ipv4_address"),
                IpAddr::V6(_) => (0x0002, "ipv6_address"),
            };
            self.parameter(kind);
            self.add(name, Value::Address(address));
        }
    }

    /// The dissector knows some policies only; it shows the words of the others.
    fn policy(&mut self, policy: Policy) {
        const LOAD: &str = "pool_member_selection_policy_load";
        const DEGRADATION: &str = "pool_member_selection_policy_degradation";
        const WEIGHT: &str = "pool_member_selection_policy_weight";
        const DISTANCE: &str = "pool_member_selection_policy_distance";
        self.parameter(0x0008);
        self.number("pool_member_selection_policy_type", policy.kind().code());
        match policy {
            Policy::RoundRobin | Policy::Random => {}
            Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight } => {
                self.number(WEIGHT, weight);
            }
            Policy::Priority { priority } => {
                self.number("pool_member_selection_policy_priority", priority);
            }
            Policy::LeastUsed { load } | Policy::RandomizedLeastUsed { load } => {
                self.add(LOAD, Value::Percent(load));
            }
            Policy::LeastUsedDegradation { load, degradation }
            | Policy::PriorityLeastUsed { load, degradation } => {
                self.add(LOAD, Value::Percent(load));
                self.add(DEGRADATION, Value::Percent(degradation));
            }
            Policy::WeightedRandomDpf { weight, dpf, distance } => {
                self.number(WEIGHT, weight);
                self.add("pool_member_selection_policy_weight_dpf", Value::Fraction(dpf));
                self.number(DISTANCE, distance);
            }
            Policy::LeastUsedDpf { load, dpf, distance } => {
                self.add(LOAD, Value::Percent(load));
                self.add("pool_member_selection_policy_load_dpf", Value::Fraction(dpf));
                self.number(DISTANCE, distance);
            }
            // The dissector knows the name of the second, not its layout.
            Policy::RandomizedPriorityLeastUsed { load, degradation }
            | Policy::PriorityLeastUsedDegradation { load, degradation }
            | Policy::RandomizedLeastUsedDegradation { load, degradation }
            | Policy::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
                self.words(&[load, degradation]);
            }
            Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance }
            | Policy::PriorityLeastUsedDpf { load, degradation, dpf, distance }
            | Policy::PriorityLeastUsedDegradationDpf { load, degradation, dpf, distance } => {
                self.words(&[load, degradation, dpf, distance]);
            }
        }
    }

    fn words(&mut self, words: &[u32]) {
        let bytes = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        self.add("pool_member_selection_policy_value", Value::Bytes(bytes));
    }

    fn error(&mut self, causes: Option<Causes<'_>>) {
        let Some(causes) = causes else { return };
        self.parameter(0x000c);
        for cause in causes.iter() {
            self.number("cause_code", cause.code);
            self.number("cause_length", 4 + cause.data.len() as u64);
            match CauseCode::of(cause.code) {
                Some(CauseCode::UnrecognizedMessage) => {
                    self.number("message_type", cause.data[0]);
                    self.number("message_flags", cause.data[1]);
                    let length = u16::from_be_bytes([cause.data[2], cause.data[3]]);
                    self.number("message_length", length);
                }
                // The dissector does not look into it.
                Some(CauseCode::UnknownPoolHandle) => {}
                _ if cause.data.is_empty() => {}
                _ => self.inside(cause.data),
            }
        }
    }

    /// A parameter that is the data of a cause.
    fn inside(&mut self, data: &[u8]) {
        let kind = u16::from_be_bytes([data[0], data[1]]);
        if let Ok(policy) = parameter::parse_policy(data) {
            self.policy(policy);
        } else if let Ok(handle) = parameter::parse_pool_handle(data) {
            self.handle(handle);
        } else if let Ok(transport) = Transport::parse(data) {
            self.transport(&transport);
        } else {
            self.parameter(kind);
            self.add("parameter_value", Value::Bytes(data[4..].to_vec()));
        }
    }
}

/// R, S, A and H are the lowest bit.
fn asap_flags(message: &asap::Message<'_>) -> u8 {
    use asap::Message as M;
    match *message {
        M::RegistrationResponse { rejected: flag, .. }
        | M::HandleResolution { subscribe: flag, .. }
        | M::HandleResolutionResponse { subscribed: flag, .. }
        | M::KeepAlive { take_home: flag, .. } => u8::from(flag),
        M::Registration { .. }
        | M::Deregistration { .. }
        | M::DeregistrationResponse { .. }
        | M::KeepAliveAck { .. }
        | M::Unreachable { .. }
        | M::ServerAnnounce { .. }
        | M::Cookie { .. }
        | M::CookieEcho { .. }
        | M::BusinessCard { .. }
        | M::Error { .. } => 0,
    }
}

/// R, W and T are the lowest bit, M is the next.
fn enrp_flags(body: &enrp::Body<'_>) -> u8 {
    use enrp::Body as B;
    match *body {
        B::Presence { reply_required: flag, .. }
        | B::HandleTableRequest { own_only: flag }
        | B::HandleUpdate { takeover_suggested: flag, .. }
        | B::ListResponse { rejected: flag, .. } => u8::from(flag),
        B::HandleTableResponse { rejected, more, .. } => u8::from(rejected) | u8::from(more) << 1,
        B::ListRequest
        | B::InitTakeover { .. }
        | B::InitTakeoverAck { .. }
        | B::TakeoverServer { .. }
        | B::Error { .. } => 0,
    }
}

impl Value {
    /// Whether tshark's text for it says the same.
    fn agrees(&self, text: &str) -> bool {
        match self {
            Self::Number(number) => {
                let found = match text.strip_prefix("0x") {
                    Some(digits) => u64::from_str_radix(digits, 16),
                    None => text.parse(),
                };
                found == Ok(*number)
            }
            Self::Signed(number) => text.parse() == Ok(*number),
            Self::Address(address) => text.parse() == Ok(*address),
            Self::Bytes(bytes) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                text.replace(':', "") == hex
            }
            Self::Percent(value) => is_near(text, 100.0 * f64::from(*value) / f64::from(u32::MAX)),
            Self::Fraction(value) => is_near(text, f64::from(*value) / f64::from(u32::MAX)),
        }
    }
}

fn is_near(text: &str, value: f64) -> bool {
    text.parse::<f64>().is_ok_and(|found| (found - value).abs() < 1e-6)
}
