//! What is seen of a registrar at one look.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rserpool_client::{Endpoint, ResolvedElement};
use serde_json::Value;

use crate::access::Access;
use crate::admin::{AdminUrl, decode_hex, pool_path};
use crate::outcome::Failure;
use crate::resolve::services;

/// Most elements that a client asks for.
pub(super) const ITEMS: u32 = 1024;
/// Most pools, and elements of a pool, that are shown.
const SHOWN_MAX: usize = 4096;

/// Where is looked.
#[derive(Debug)]
pub(super) enum Source {
    /// At the admin address of a registrar.
    Admin(AdminUrl),
    /// As a client, at one pool.
    Client(Access, String),
}

/// A pool in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PoolRow {
    pub(super) handle: Vec<u8>,
    /// Safe to show.
    pub(super) name: String,
    pub(super) policy: String,
    pub(super) elements: u64,
}

/// An element of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ElementRow {
    pub(super) id: String,
    pub(super) services: String,
    pub(super) policy: String,
    pub(super) home: String,
    pub(super) state: String,
}

/// A registrar at a glance.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Registrar {
    pub(super) id: String,
    pub(super) uptime: f64,
    pub(super) pools: u64,
    pub(super) elements: u64,
    pub(super) connections: u64,
    /// What was counted since its start.
    pub(super) counts: BTreeMap<String, u64>,
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) at: Instant,
    pub(super) registrar: Option<Registrar>,
    pub(super) pools: Vec<PoolRow>,
    /// The elements of the pool that was asked for.
    pub(super) opened: Option<(Vec<u8>, Vec<ElementRow>)>,
}

impl Source {
    /// What people call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Admin(url) => url.to_string(),
            Self::Client(_, handle) => format!("pool {} as clients see it", handle.escape_debug()),
        }
    }

    /// Looks, and at the elements of a pool.
    pub(super) async fn look(
        &self,
        open: Option<&[u8]>,
        patience: Duration,
    ) -> Result<Snapshot, Failure> {
        match self {
            Self::Admin(url) => by_admin(url, open, patience).await,
            Self::Client(access, handle) => as_client(&access.endpoint, handle).await,
        }
    }
}

async fn by_admin(
    url: &AdminUrl,
    open: Option<&[u8]>,
    patience: Duration,
) -> Result<Snapshot, Failure> {
    let at = Instant::now();
    let status = url.get("/v1/status", patience).await?;
    let pools = pools(url, patience).await?;
    let opened = match open {
        Some(handle) => {
            let path = format!("{}?limit={SHOWN_MAX}", pool_path(handle));
            match url.get(&path, patience).await {
                Ok(page) => Some((handle.to_vec(), element_rows(&page))),
                // It is gone.
                Err(failure) if failure.is_no() => Some((handle.to_vec(), Vec::new())),
                Err(failure) => return Err(failure),
            }
        }
        None => None,
    };
    Ok(Snapshot { at, registrar: Some(registrar(&status)), pools, opened })
}

/// The pools that a registrar has, by their handles; the first of them, if there
/// are very many.
pub(super) async fn pools(url: &AdminUrl, patience: Duration) -> Result<Vec<PoolRow>, Failure> {
    let page = url.get(&format!("/v1/pools?limit={SHOWN_MAX}"), patience).await?;
    let each = page["pools"].as_array().into_iter().flatten().map(|pool| {
        let handle = pool["handle_hex"].as_str().and_then(decode_hex).unwrap_or_default();
        PoolRow {
            handle,
            name: text(pool, "handle"),
            policy: text(pool, "policy"),
            elements: pool["elements"].as_u64().unwrap_or_default(),
        }
    });
    let mut pools: Vec<PoolRow> = each.collect();
    pools.sort_by(|one, other| one.handle.cmp(&other.handle));
    Ok(pools)
}

fn registrar(status: &Value) -> Registrar {
    let mut seen = Registrar {
        id: text(status, "id"),
        uptime: status["uptime_seconds"].as_f64().unwrap_or_default(),
        pools: status["pools"].as_u64().unwrap_or_default(),
        elements: status["elements"].as_u64().unwrap_or_default(),
        ..Registrar::default()
    };
    for shard in status["shards"].as_array().into_iter().flatten() {
        seen.connections += shard["connections"].as_u64().unwrap_or_default();
        for count in shard["counts"].as_array().into_iter().flatten() {
            let counted = count["count"].as_u64().unwrap_or_default();
            *seen.counts.entry(text(count, "name")).or_default() += counted;
        }
    }
    seen
}

fn element_rows(page: &Value) -> Vec<ElementRow> {
    let each = page["list"].as_array().into_iter().flatten().map(|element| {
        let addresses = element["addresses"].as_array().into_iter().flatten();
        let addresses: Vec<&str> = addresses.filter_map(Value::as_str).collect();
        ElementRow {
            id: text(element, "id"),
            services: addresses.join(" ").escape_debug().to_string(),
            policy: text(element, "policy"),
            home: text(element, "home"),
            state: state(element),
        }
    });
    let mut rows: Vec<ElementRow> = each.collect();
    rows.sort_by(|one, other| one.id.cmp(&other.id));
    rows
}

fn state(element: &Value) -> String {
    let reports = element["reports"].as_u64().unwrap_or_default();
    if element["drained"] == true {
        "drained".to_owned()
    } else if element["awaited"] == true {
        "not answering".to_owned()
    } else if reports > 0 {
        format!("{reports} reports")
    } else {
        "up".to_owned()
    }
}

fn text(document: &Value, name: &str) -> String {
    document[name].as_str().unwrap_or_default().escape_debug().to_string()
}

async fn as_client(endpoint: &Endpoint, handle: &str) -> Result<Snapshot, Failure> {
    let at = Instant::now();
    let (policy, elements) = match endpoint.resolve(handle, ITEMS).await {
        Ok(pool) => (format!("{:?}", pool.policy.kind()), pool.elements),
        Err(error) if error.is_unknown_pool() || error.is_drained_pool() => {
            (String::new(), Vec::new())
        }
        Err(error) => return Err(error.into()),
    };
    let mut rows: Vec<ElementRow> = elements.iter().map(row_as_client).collect();
    rows.sort_by(|one, other| one.id.cmp(&other.id));
    let bytes = handle.as_bytes().to_vec();
    let (name, count) = (handle.escape_debug().to_string(), rows.len() as u64);
    let pool = PoolRow { handle: bytes.clone(), name, policy, elements: count };
    Ok(Snapshot { at, registrar: None, pools: vec![pool], opened: Some((bytes, rows)) })
}

fn row_as_client(element: &ResolvedElement) -> ElementRow {
    ElementRow {
        id: element.pe.to_string(),
        services: services(element).join(" "),
        policy: element.policy.to_string(),
        home: element.home.to_string(),
        state: "selected".to_owned(),
    }
}
