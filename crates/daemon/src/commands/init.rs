//! `donjond init`: makes a store before the first start.

use store::OpenError;
use vault::{Begin, OnLoss};

use crate::build::{Built, build};
use crate::cli;
use crate::config::Config;
use crate::config::values::KeySource;
use crate::console::print_line;
use crate::error::{Error, StoreError};
use crate::loss;
use crate::threads;

/// Makes a store, unless one exists.
pub(crate) fn run(flags: cli::Init) -> Result<(), Error> {
    let config = Config::load(flags.settings.0, flags.config.as_deref())?;
    if loss::has_content(config.general.store.path()) {
        return Err(StoreError::Exists(config.general.store.path().clone()).into());
    }
    let runtime = threads::main_runtime()?;
    let built = runtime.block_on(build(&config, Begin::Init, OnLoss::Accept));
    match built {
        // Another process made it at the same moment.
        Err(Error::Store(StoreError::Open { source: OpenError::InUse(path) })) => {
            Err(StoreError::Exists(path).into())
        }
        Err(error) => Err(error),
        Ok(Built { .. }) => {
            print_places(&config);
            Ok(())
        }
    }
}

fn print_places(config: &Config) {
    print_line(format_args!("data        {}", config.general.data_dir.display()));
    print_line(format_args!("master key  {}", config.general.master_key));
    print_line(format_args!("database    {}", config.general.store.path().display()));
    print_line(format_args!("audit trail {}", config.general.audit));
    if let KeySource::File(_) = config.general.master_key {
        print_line("\nCopy the master key to a safe place now: without it nothing in the database opens.");
    }
}
