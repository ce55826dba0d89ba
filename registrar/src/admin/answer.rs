//! What the admin server answers.

use super::request::{self, Request};
use super::view::{Silent, View};
use super::{exposition, page};

/// Pools or elements in one answer, unless told otherwise.
const LIMIT: usize = 256;
/// Most of them.
const LIMIT_MAX: usize = 4096;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    status: u16,
    kind: &'static str,
    body: String,
    head_only: bool,
}

impl Answer {
    fn ok(kind: &'static str, body: String) -> Self {
        Self { status: 200, kind, body, head_only: false }
    }

    fn json(value: &impl serde::Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(body) => Self::ok("application/json", body),
            Err(error) => Self::refused(500, &error.to_string()),
        }
    }

    /// An error, and what is wrong.
    pub(super) fn refused(status: u16, why: &str) -> Self {
        let body = serde_json::json!({ "error": why }).to_string();
        Self { status, kind: "application/json", body, head_only: false }
    }

    /// Too many clients.
    pub(super) fn busy() -> Self {
        Self::refused(503, "too many clients at once")
    }

    #[cfg(test)]
    pub(super) const fn status(&self) -> u16 {
        self.status
    }

    /// The answer as it goes over the wire.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        };
        let Self { status, kind, body, head_only } = self;
        let mut bytes = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'; connect-src 'self'\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        if !head_only {
            bytes.push_str(body);
        }
        bytes.into_bytes()
    }
}

impl From<Silent> for Answer {
    fn from(Silent(shard): Silent) -> Self {
        Self::refused(503, &format!("shard {shard} does not answer"))
    }
}

/// The answer to a request.
pub(super) fn to(request: &Request, view: &View) -> Answer {
    let answer = route(request, view).unwrap_or_else(|refused| refused);
    Answer { head_only: request.head, ..answer }
}

fn route(request: &Request, view: &View) -> Result<Answer, Answer> {
    match request.path.as_str() {
        "/" => Ok(Answer::ok("text/html; charset=utf-8", page::PAGE.to_owned())),
        "/healthz" => {
            view.stats()?;
            Ok(Answer::ok("text/plain; charset=utf-8", "ok\n".to_owned()))
        }
        "/metrics" => {
            let body = exposition::of(&view.status()?);
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            Ok(Answer::ok(kind, body))
        }
        "/v1/status" => Ok(Answer::json(&view.status()?)),
        "/v1/peers" => Ok(Answer::json(&view.peers()?)),
        "/v1/pools" => {
            let after = request.number("after", 0, u64::MAX)?;
            let limit = request.number("limit", LIMIT, LIMIT_MAX)?;
            Ok(Answer::json(&view.pools(after, limit)?))
        }
        path => {
            let Some(handle) = path.strip_prefix("/v1/pools/") else {
                return Err(Answer::refused(
                    404,
                    "there is /, /healthz, /metrics, /v1/status, /v1/peers, \
                     /v1/pools and /v1/pools/HANDLE",
                ));
            };
            let handle = request::decoded(handle)
                .ok_or_else(|| Answer::refused(400, "the pool handle is not percent-encoded"))?;
            let after = request.number("after", 0, u32::MAX)?;
            let limit = request.number("limit", LIMIT, LIMIT_MAX)?;
            match view.pool(&handle, after, limit)? {
                Some(pool) => Ok(Answer::json(&pool)),
                None => Err(Answer::refused(404, "there is no such pool")),
            }
        }
    }
}
