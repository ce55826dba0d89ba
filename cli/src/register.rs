//! `rsp register`.

use rserpool_client::{PoolElement, Standing};
use serde_json::json;

use crate::access;
use crate::command_line::{Line, Register};
use crate::outcome::Failure;
use crate::outlet;
use crate::policy;
use crate::signals::Signals;

pub(crate) async fn run(line: &Line, options: &Register) -> Result<(), Failure> {
    let policy = policy::chosen(options.policy, options.load.is_some());
    let policy = match options.load {
        None => policy,
        Some(load) => {
            policy.with_load(load).ok_or_else(|| Failure::usage(policy::no_load(policy)))?
        }
    };
    let mut signals = Signals::new()?;
    let access = access::find(line).await?;
    let service = options.service.service(&options.handle, &options.identity, policy);
    let mut element = access.endpoint.register(service).await?;
    let mut teller = Teller::new(line);
    teller.tell(&element, &element.standing())?;
    loop {
        tokio::select! {
            standing = element.changed() => teller.tell(&element, &standing)?,
            () = signals.end() => break,
        }
    }
    Ok(element.deregister().await?)
}

/// Says how it is with a registration, each thing once.
pub(crate) struct Teller<'a> {
    line: &'a Line,
    told: String,
}

impl<'a> Teller<'a> {
    pub(crate) const fn new(line: &'a Line) -> Self {
        Self { line, told: String::new() }
    }

    pub(crate) fn tell(
        &mut self,
        element: &PoolElement,
        standing: &Standing,
    ) -> Result<(), Failure> {
        let (id, service) = (element.pe(), element.service());
        let what = match standing {
            Standing::Registered { registrar, .. } => format!("registered at {registrar}"),
            Standing::Searching => "no registrar has it: looking for one".to_owned(),
            Standing::Refused(cause) => format!("refused with cause {cause:#06x}"),
            Standing::Over => "deregistered".to_owned(),
            _ => format!("{standing:?}"),
        };
        if what == self.told {
            return Ok(());
        }
        self.told.clone_from(&what);
        if self.line.json {
            let pool = String::from_utf8_lossy(&service.handle);
            let id = id.to_string();
            return outlet::json(&json!({ "pool": pool, "id": id, "standing": what }));
        }
        outlet::line(format!("{id}  {}  {what}", service.address))
    }
}
