//! `donjond policy`: prints who may do what, as `serve` would have it. No store is needed.

use crate::cli;
use crate::config::Config;
use crate::console::{say, tell};
use crate::error::Error;

/// Prints the policy as a policy file, and beside it what is odd about the file it is from.
pub(crate) fn run(flags: cli::Policy) -> Result<(), Error> {
    // Nothing is looked for in the data directory, so that nobody needs one to print rules.
    let mut settings = flags.settings.0;
    settings.general.data_dir = Some("/".into());
    let config = Config::load(settings, flags.config.as_deref())?;
    let policy = config.load_policy(&config.derived.auth)?;
    policy.warnings().iter().for_each(|warning| tell(format_args!("donjond: {warning}")));
    say(format_args!("# {}", config.describe_policy(&policy)));
    say(policy.to_string().trim_end());
    Ok(())
}
