//! Reading a command line so that a wrong one is told what is allowed.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error, Parser};

/// Reads the command line of this process. What is wrong with it goes to
/// stderr, with what is allowed, and ends the process with status 2; `--help`
/// and `--version` go to stdout and end it with 0.
#[must_use]
pub fn parse_or_exit<P: Parser>() -> P {
    parse_from(std::env::args_os().collect()).unwrap_or_else(|error: Error| error.exit())
}

fn parse_from<P: Parser>(arguments: Vec<OsString>) -> Result<P, Error> {
    P::try_parse_from(&arguments).map_err(|mut error| {
        if error.kind() == ErrorKind::UnknownArgument {
            let allowed = allowed(&P::command(), &arguments);
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![allowed.into()]));
        }
        error
    })
}

/// The options of the program, or of the subcommand that was called.
fn allowed(program: &Command, arguments: &[OsString]) -> String {
    let called = arguments.iter().skip(1).find_map(|one| program.find_subcommand(one));
    let command = called.unwrap_or(program);
    let options = command.get_arguments().filter(|option| !option.is_hide_set());
    let names = options.filter_map(|option| option.get_long());
    let names: Vec<String> = names.chain(["help"]).map(|name| format!("--{name}")).collect();
    format!("allowed: {}", names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "program")]
    struct Line {
        #[arg(long)]
        known: bool,
        #[arg(long, hide = true)]
        internal: bool,
    }

    fn error(arguments: &[&str]) -> Error {
        parse_from::<Line>(arguments.iter().map(OsString::from).collect()).unwrap_err()
    }

    #[test]
    fn an_unknown_option_is_told_which_there_are() {
        let error = error(&["program", "--unknown"]);
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("'--unknown'"), "{text}");
        assert!(text.contains("allowed: --known --help"), "{text}");
        assert!(!text.contains("internal"), "{text}");
    }

    #[test]
    fn help_is_no_error() {
        assert_eq!(error(&["program", "--help"]).exit_code(), 0);
    }
}
