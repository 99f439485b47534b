//! `donjond policy`: prints the rules that `serve` would use. It needs no store.

use crate::cli;
use crate::config::Config;
use crate::console::{print_line, print_note};
use crate::error::Error;

/// Prints the policy as a policy file, and warnings about the file that it was read from.
pub(crate) fn run(flags: cli::Policy) -> Result<(), Error> {
    // The data directory is not used, so no default is needed for it.
    let mut settings = flags.settings.0;
    settings.general.data_dir = Some("/".into());
    let config = Config::load(settings, flags.config.as_deref())?;
    let policy = config.load_policy(&config.derived.auth)?;
    policy.warnings().iter().for_each(|warning| print_note(format_args!("donjond: {warning}")));
    print_line(format_args!("# {}", config.describe_policy(&policy)));
    print_line(policy.to_string().trim_end());
    Ok(())
}
