//! What a registrar holds, as its admin address tells it: `rsp pools`,
//! `rsp pool`, `rsp elements`, `rsp peers` and `rsp dump`.

use serde_json::{Value, json};

pub(crate) use self::server::{AdminUrl, decode_hex, pool_path};
use crate::command_line::{Admin, Line, OnePool};
use crate::outcome::Failure;
use crate::outlet;

mod server;

pub(crate) async fn pools(line: &Line, options: &Admin) -> Result<(), Failure> {
    each_pool(line, options, async |pool| {
        if line.json {
            return outlet::json(&pool);
        }
        outlet::line(format!(
            "{:<24}  {:>8} elements  {}  {}",
            text(&pool, "handle"),
            pool["elements"].as_u64().unwrap_or_default(),
            text(&pool, "policy"),
            text(&pool, "transport")
        ))
    })
    .await
}

pub(crate) async fn pool(line: &Line, options: &OnePool) -> Result<(), Failure> {
    let path = pool_path(options.handle.as_bytes());
    each_element(line, &options.admin, &path, |element| tell_element(line, "", element)).await
}

/// All elements of all pools.
pub(crate) async fn elements(line: &Line, options: &Admin) -> Result<(), Failure> {
    each_pool(line, options, async |pool| {
        let handle = text(&pool, "handle");
        let before = format!("{handle:<24}  ");
        let path = path_of(&pool);
        let all = each_element(line, options, &path, |element| {
            if line.json {
                let mut element = element.clone();
                element["pool"] = pool["handle"].clone();
                element["pool_hex"] = pool["handle_hex"].clone();
                return outlet::json(&element);
            }
            tell_element(line, &before, element)
        });
        unless_gone(all.await)
    })
    .await
}

/// The other registrars of the group.
pub(crate) async fn peers(line: &Line, options: &Admin) -> Result<(), Failure> {
    let page = options.admin.get("/v1/peers", line.timeout).await?;
    let list = page["peers"].as_array().ok_or_else(|| strange("peers"))?;
    for peer in list {
        if line.json {
            outlet::json(peer)?;
            continue;
        }
        let heard = match peer["last_heard_ms"].as_u64() {
            Some(ago) => format!("heard {ago} ms ago"),
            None => "never heard".to_owned(),
        };
        outlet::line(format!(
            "{}  {:<24}  {:<12}  {:>8} elements  {heard}",
            text(peer, "identifier"),
            text(peer, "address"),
            text(peer, "state"),
            peer["elements"].as_u64().unwrap_or_default(),
        ))?;
    }
    Ok(())
}

/// Everything, one pool with its elements a line.
pub(crate) async fn dump(line: &Line, options: &Admin) -> Result<(), Failure> {
    each_pool(line, options, async |pool| {
        let mut list = Vec::new();
        let path = path_of(&pool);
        let all = each_element(line, options, &path, |element| {
            list.push(element.clone());
            Ok(())
        });
        match all.await {
            Ok(()) => outlet::json(&json!({ "pool": pool, "elements": list })),
            gone => unless_gone(gone),
        }
    })
    .await
}

/// A pool may be gone before its elements are asked for.
fn unless_gone(listed: Result<(), Failure>) -> Result<(), Failure> {
    match listed {
        Err(failure) if failure.is_no() => Ok(()),
        listed => listed,
    }
}

/// Handles need not be text.
fn path_of(pool: &Value) -> String {
    pool_path(&pool["handle_hex"].as_str().and_then(decode_hex).unwrap_or_default())
}

/// A text of a document, safe to show.
fn text(document: &Value, name: &str) -> String {
    document[name].as_str().unwrap_or_default().escape_debug().to_string()
}

fn tell_element(line: &Line, before: &str, element: &Value) -> Result<(), Failure> {
    if line.json {
        return outlet::json(element);
    }
    let addresses: Vec<&str> =
        element["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let drained = if element["drained"] == true { "  drained" } else { "" };
    let reports = match element["reports"].as_u64() {
        Some(1..) => format!("  {} reports", element["reports"]),
        _ => String::new(),
    };
    outlet::line(format!(
        "{before}{}  {}  {}  home {}{drained}{reports}",
        text(element, "id"),
        addresses.join(" "),
        text(element, "policy"),
        text(element, "home")
    ))
}

async fn each_pool(
    line: &Line,
    options: &Admin,
    mut tell: impl AsyncFnMut(Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let path = format!("/v1/pools?after={after}");
        let mut page = options.admin.get(&path, line.timeout).await?;
        let pools = page["pools"].take();
        let Value::Array(pools) = pools else { return Err(strange("pools")) };
        for pool in pools {
            tell(pool).await?;
        }
        match page["next"].as_u64() {
            Some(next) if next > after => after = next,
            _ => return Ok(()),
        }
    }
}

async fn each_element(
    line: &Line,
    options: &Admin,
    path: &str,
    mut tell: impl FnMut(&Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let page = options.admin.get(&format!("{path}?after={after}"), line.timeout).await?;
        let list = page["list"].as_array().ok_or_else(|| strange("list"))?;
        list.iter().try_for_each(&mut tell)?;
        match page["next"].as_u64() {
            Some(next) if next > after => after = next,
            _ => return Ok(()),
        }
    }
}

fn strange(what: &str) -> Failure {
    Failure::failed(format!("the admin address answers without {what:?}"))
}
