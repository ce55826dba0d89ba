//! `rsp watch`: pools and their elements as they come, go and change. It looks,
//! as a client or at the admin address; it is no peer of a registrar.

use std::io::IsTerminal as _;

use crate::command_line::{Line, Watch};
use crate::outcome::Failure;

mod full_screen;
mod lines;
mod screen;
mod snapshot;
mod terminal;

pub(crate) async fn run(line: &Line, options: &Watch) -> Result<(), Failure> {
    let people = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if people && !options.lines && !line.json {
        return full_screen::run(line, options).await;
    }
    match &options.handle {
        Some(handle) => lines::pool(line, options, handle).await,
        None => lines::pools(line, options).await,
    }
}
