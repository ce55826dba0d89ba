//! `rsp report`.

use crate::access;
use crate::command_line::{Line, Report};
use crate::outcome::Failure;

pub(crate) async fn run(line: &Line, options: &Report) -> Result<(), Failure> {
    let access = access::find(line).await?;
    access.endpoint.report_unreachable(&options.handle, options.id);
    // Nothing answers a report; what is shut down has sent it.
    access.endpoint.shutdown().await;
    Ok(())
}
