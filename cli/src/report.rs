//! `rsp report`.

use crate::command_line::{Line, Report};
use crate::outcome::Failure;
use crate::resolve::endpoint;

pub(crate) async fn run(line: &Line, options: &Report) -> Result<(), Failure> {
    let endpoint = endpoint(line).await?;
    endpoint.report_unreachable(&options.handle, options.id);
    // Nothing answers a report; what is shut down has sent it.
    endpoint.shutdown().await;
    Ok(())
}
