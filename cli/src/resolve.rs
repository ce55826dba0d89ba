//! `rsp resolve`, and how elements are shown.

use rserpool_client::{Resolution, ResolvedElement};
use serde::Serialize;

use crate::access;
use crate::command_line::{Line, Resolve};
use crate::outcome::Failure;
use crate::outlet;

pub(crate) async fn run(line: &Line, options: &Resolve) -> Result<(), Failure> {
    let access = access::find(line).await?;
    let resolution = access.endpoint.resolve(&options.handle, options.items).await?;
    if line.json {
        return outlet::json(&ShownPool::new(&options.handle, &resolution));
    }
    outlet::line(table(&resolution))
}

/// A pool as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ShownPool {
    pool: String,
    policy: String,
    elements: Vec<ShownElement>,
}

impl ShownPool {
    pub(crate) fn new(handle: &str, resolution: &Resolution) -> Self {
        Self {
            pool: handle.to_owned(),
            policy: format!("{:?}", resolution.policy.kind()),
            elements: resolution.elements.iter().map(ShownElement::from).collect(),
        }
    }
}

/// An element as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ShownElement {
    id: String,
    services: Vec<String>,
    policy: String,
    home: String,
}

impl From<&ResolvedElement> for ShownElement {
    fn from(element: &ResolvedElement) -> Self {
        Self {
            id: element.pe.to_string(),
            services: services(element),
            policy: element.policy.to_string(),
            home: element.home.to_string(),
        }
    }
}

pub(crate) fn services(element: &ResolvedElement) -> Vec<String> {
    let scheme = element.transport;
    element.addresses.iter().map(|address| format!("{scheme}://{address}")).collect()
}

/// One line of people's text.
pub(crate) fn row(element: &ResolvedElement) -> String {
    let (at, policy) = (services(element).join(" "), element.policy);
    format!("{}  {at:<28}  {policy}  home {}", element.pe, element.home)
}

fn table(resolution: &Resolution) -> String {
    resolution.elements.iter().map(row).collect::<Vec<String>>().join("\n")
}
