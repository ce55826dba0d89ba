//! What is in a message, for people and programs.

use rserpool_codec::asap::Message as Asap;
use rserpool_codec::enrp::{Body, Message as Enrp, UpdateAction};
use rserpool_codec::{CauseCode, Causes, Element, Elements, Transport, Transports};
use rserpool_engine::{PeId, Policy, PoolHandle, RegistrarId};

use crate::fields::{Fields, Value};

/// The name of an ASAP message and what is in it.
pub(crate) fn asap(message: &Asap<'_>) -> (&'static str, Fields) {
    let fields = Fields::default();
    match *message {
        Asap::Registration { handle, element: registered } => {
            ("Registration", pool(handle).with("element", Value::Group(element(&registered))))
        }
        Asap::Deregistration { handle, pe } => ("Deregistration", identity(handle, pe)),
        Asap::RegistrationResponse { handle, pe, rejected, error } => {
            let fields = identity(handle, pe).with("rejected", Value::Flag(rejected));
            ("Registration Response", fields.and(causes(error)))
        }
        Asap::DeregistrationResponse { handle, pe, error } => {
            ("Deregistration Response", identity(handle, pe).and(causes(error)))
        }
        Asap::HandleResolution { handle, subscribe, items } => {
            let fields = pool(handle)
                .with("subscribe", Value::Flag(subscribe))
                .with_some("items", items.map(|items| Value::Number(items.into())));
            ("Handle Resolution", fields)
        }
        Asap::HandleResolutionResponse { handle, subscribed, policy, elements: all, error } => {
            let fields = pool(handle)
                .with("subscribed", Value::Flag(subscribed))
                .with_some("policy", policy.map(shown_policy))
                .with("elements", elements(all));
            ("Handle Resolution Response", fields.and(causes(error)))
        }
        Asap::KeepAlive { registrar: from, take_home, handle, pe } => {
            let fields = registrar("registrar", from)
                .and(pool(handle))
                .with_some("id", pe.map(|pe| Value::Text(pe.to_string())))
                .with("take_home", Value::Flag(take_home));
            ("Endpoint Keep-Alive", fields)
        }
        Asap::KeepAliveAck { handle, pe } => ("Endpoint Keep-Alive Ack", identity(handle, pe)),
        Asap::Unreachable { handle, pe } => ("Endpoint Unreachable", identity(handle, pe)),
        Asap::ServerAnnounce { registrar: from, transports: all } => {
            let fields = registrar("registrar", from).with("transports", transports(all));
            ("Server Announce", fields)
        }
        Asap::Cookie { cookie } => ("Cookie", fields.with("cookie", bytes(cookie))),
        Asap::CookieEcho { cookie } => ("Cookie Echo", fields.with("cookie", bytes(cookie))),
        Asap::BusinessCard { handle, elements: all } => {
            ("Business Card", pool(handle).with("elements", elements(all)))
        }
        Asap::Error { causes: all } => ("Error", causes(Some(all))),
    }
}

/// The name of an ENRP message and what is in it.
pub(crate) fn enrp(message: &Enrp<'_>) -> (&'static str, Fields) {
    let fields = registrar("sender", message.sender).and(registrar("receiver", message.receiver));
    let (name, body) = body(&message.body);
    (name, fields.and(body))
}

fn body(body: &Body<'_>) -> (&'static str, Fields) {
    let fields = Fields::default();
    match *body {
        Body::Presence { reply_required, checksum, server } => {
            let checksum = checksum.map(|checksum| Value::Text(format!("{checksum:#06x}")));
            let server = server.map(|server| {
                let it = registrar("id", server.registrar);
                Value::Group(it.with("transport", Value::Texts(services(&server.transport))))
            });
            let fields = fields
                .with("reply_required", Value::Flag(reply_required))
                .with_some("checksum", checksum)
                .with_some("server", server);
            ("Presence", fields)
        }
        Body::HandleTableRequest { own_only } => {
            ("Handle Table Request", fields.with("own_only", Value::Flag(own_only)))
        }
        Body::HandleTableResponse { rejected, more, pools } => {
            let pools = pools
                .iter()
                .map(|one| pool(one.handle).with("elements", elements(one.elements)))
                .collect();
            let fields = fields
                .with("rejected", Value::Flag(rejected))
                .with("more", Value::Flag(more))
                .with("pools", Value::Groups(pools));
            ("Handle Table Response", fields)
        }
        Body::HandleUpdate { action, takeover_suggested, handle, element: updated } => {
            let action = match action {
                UpdateAction::Add => "add",
                UpdateAction::Delete => "delete",
            };
            let fields = fields
                .with("action", Value::Text(action.to_owned()))
                .with("takeover_suggested", Value::Flag(takeover_suggested))
                .and(pool(handle))
                .with("element", Value::Group(element(&updated)));
            ("Handle Update", fields)
        }
        Body::ListRequest => ("List Request", fields),
        Body::ListResponse { rejected, servers } => {
            let servers = servers
                .iter()
                .map(|server| {
                    let it = registrar("id", server.registrar);
                    it.with("transport", Value::Texts(services(&server.transport)))
                })
                .collect();
            let fields = fields
                .with("rejected", Value::Flag(rejected))
                .with("servers", Value::Groups(servers));
            ("List Response", fields)
        }
        Body::InitTakeover { target } => ("Init Takeover", registrar("target", target)),
        Body::InitTakeoverAck { target } => ("Init Takeover Ack", registrar("target", target)),
        Body::TakeoverServer { target } => ("Takeover Server", registrar("target", target)),
        Body::Error { causes: all } => ("Error", causes(Some(all))),
    }
}

/// A pool handle as text, and its bytes where it is none.
fn pool(handle: PoolHandle<'_>) -> Fields {
    let all = handle.as_bytes();
    let text = String::from_utf8_lossy(all).into_owned();
    let is_text = std::str::from_utf8(all).is_ok_and(|text| !text.contains(char::is_control));
    let fields = Fields::default().with("pool", Value::Text(text));
    fields.with_some("pool_hex", (!is_text).then(|| bytes(all)))
}

fn identity(handle: PoolHandle<'_>, pe: PeId) -> Fields {
    pool(handle).with("id", Value::Text(pe.to_string()))
}

fn registrar(name: &'static str, id: RegistrarId) -> Fields {
    Fields::default().with(name, Value::Text(id.to_string()))
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(bytes.to_vec())
}

fn shown_policy(policy: Policy) -> Value {
    Value::Text(policy.to_string())
}

fn element(element: &Element<'_>) -> Fields {
    let channel = format!("{:?}", element.user_transport.channel_use);
    let asap = element.asap_transport.as_ref().map(|it| Value::Texts(services(it)));
    Fields::default()
        .with("id", Value::Text(element.pe.to_string()))
        .with("home", Value::Text(element.home.to_string()))
        // Seconds by the RFC, milliseconds with rsplib: not said in it.
        .with("life", Value::Signed(element.life.into()))
        .with("services", Value::Texts(services(&element.user_transport)))
        .with("use", Value::Text(channel))
        .with("policy", shown_policy(element.policy))
        .with_some("asap", asap)
}

fn elements(elements: Elements<'_>) -> Value {
    Value::Groups(elements.iter().map(|one| element(&one)).collect())
}

fn transports(all: Transports<'_>) -> Value {
    Value::Texts(all.iter().flat_map(|one| services(&one)).collect())
}

/// A transport as URLs, one for each address.
fn services(transport: &Transport<'_>) -> Vec<String> {
    let scheme = transport.kind;
    if !transport.opaque.is_empty() {
        return vec![format!("{scheme}:{}", String::from_utf8_lossy(transport.opaque))];
    }
    let urls = transport.addresses.iter().map(|address| {
        format!("{scheme}://{}", std::net::SocketAddr::new(address, transport.port))
    });
    urls.collect()
}

fn causes(causes: Option<Causes<'_>>) -> Fields {
    let list = causes.map(|causes| {
        let each = causes.iter().map(|cause| {
            let meaning = CauseCode::of(cause.code)
                .map_or_else(|| "unknown".to_owned(), |known| known.to_string());
            Fields::default()
                .with("code", Value::Number(cause.code.into()))
                .with("meaning", Value::Text(meaning))
                .with_some("data", (!cause.data.is_empty()).then(|| bytes(cause.data)))
        });
        Value::Groups(each.collect())
    });
    Fields::default().with_some("causes", list)
}
