//! `donjond check`: checks the policy and a store, or the audit trail, and changes no stored data. A server may run on the store;
//! if none does, SQLite may leave its `-wal` and `-shm` beside the database.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;
use vault::{TrailError, check_trail};

use super::backup::{print_found, unsound, until_signal};
use crate::admin::protocol::Inspected;
use crate::cli;
use crate::config::values::AuditTarget;
use crate::config::{AuthBy, Config};
use crate::console::{print_line, print_note};
use crate::error::{Error, StoreError};
use crate::inspect::{Watch, inspect};
use crate::loss::{self, WhichDatabase};
use crate::permissions;
use crate::progress::ProgressPrinter;
use crate::stored::{self, TrailFacts};
use crate::threads;

/// Checks a store, or with `--audit` its audit trail.
pub(crate) fn run(flags: cli::Check) -> Result<(), Error> {
    let settings = flags.settings.0;
    let which = if settings.general.store.is_some() { WhichDatabase::Named } else { WhichDatabase::Served };
    let config = Config::load(settings, flags.config.as_deref())?;
    match flags.trail {
        None => check_policy(&config).and_then(|()| check_store(config, which)),
        Some(files) if files.is_empty() => check_audit(&config, which, &rotated(&config.general.audit)?),
        Some(files) => check_audit(&config, which, &files),
    }
}

fn check_policy(config: &Config) -> Result<(), Error> {
    let policy = config.load_policy(&config.derived.auth)?;
    print_line(format_args!("policy      {}", config.describe_policy(&policy)));
    policy.warnings().iter().for_each(|warning| print_note(format_args!("donjond: {warning}")));
    Ok(())
}

fn check_store(config: Config, which: WhichDatabase) -> Result<(), Error> {
    let config = Arc::new(config);
    permissions::require(&config)?
        .iter()
        .for_each(|warning| print_line(format_args!("warning     {warning}")));
    let looked_at = Arc::clone(&config);
    let found = until_signal(move |printer, runtime| look(&looked_at, &printer, runtime))?;
    print_found(&found);
    if !found.is_sound() {
        return Err(unsound(found));
    }
    loss::check_end(&config, which)?;
    if let AuthBy::Keystone(keystone) = &config.derived.auth {
        transport::Keystone::check(&keystone.config)?;
        print_line(format_args!(
            "keystone    {}: settings are whole (it was not asked)",
            keystone.config.auth_url.as_str()
        ));
        if let Some(file) = keystone.exposed() {
            print_line(format_args!(
                "warning     everybody can read the secret in {}: chmod o-r",
                file.display()
            ));
        }
    }
    Ok(())
}

/// Checks everything, or has the running server do it.
fn look(config: &Config, printer: &Arc<ProgressPrinter>, runtime: &Handle) -> Result<Inspected, Error> {
    let watch: Arc<dyn Watch> = Arc::<ProgressPrinter>::clone(printer);
    let tell_parts = || {
        print_line(format_args!("database    {}: schema known", config.general.store.path().display()));
        print_line(format_args!("master key  {}: fits", config.general.master_key));
    };
    match stored::running(config)? {
        Some(mut server) => {
            print_line(format_args!("server      process {} runs on it, and looks", server.status.pid));
            tell_parts();
            Ok(server.check(&watch)?)
        }
        None => {
            let (store, opener) = stored::unlock(config, runtime)?;
            tell_parts();
            inspect(&store, &opener, &watch, runtime)
        }
    }
}

fn check_audit(config: &Config, which: WhichDatabase, files: &[PathBuf]) -> Result<(), Error> {
    // The recorded end is read before the trail, which may grow meanwhile.
    let runtime = threads::main_runtime()?;
    let TrailFacts { master, anchor } = stored::trail_facts(config, runtime.handle())?;
    let known = anchor.map(|anchor| (anchor.number, anchor.hash));
    let trail = open_all(files).map_err(TrailError::Read);
    let checked = trail.and_then(|trail| check_trail(&master.chain_key(), trail, known));
    let names = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
    let checked = checked.map_err(|source| StoreError::Trail { files: names.clone(), source })?;
    print_line(format_args!("audit trail {names}"));
    checked.notices.iter().for_each(|notice| print_line(format_args!("notice      {notice}")));
    // Ask after reading the trail: by then the database has at least the changes that the trail shows.
    let has = stored::witnessed(config, runtime.handle())?;
    print_line(format_args!("verified    {} lines, none missing or altered", checked.lines));
    loss::compare(config, which, files, has, checked.committed)
}

/// All files as one stream. All are opened before the first is read.
pub(crate) fn open_all(files: &[PathBuf]) -> io::Result<BufReader<Box<dyn Read>>> {
    let mut all: Box<dyn Read> = Box::new(io::empty());
    for path in files {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        all = Box::new(all.chain(File::open(path).map_err(named)?));
    }
    Ok(BufReader::new(all))
}

/// The files of the trail, oldest first: those that logrotate made (`.1` is the youngest), then the current one.
pub(crate) fn rotated(target: &AuditTarget) -> Result<Vec<PathBuf>, Error> {
    let AuditTarget::File(current) = target else { return Err(StoreError::TrailElsewhere.into()) };
    let older = (1..).map(|number| numbered(current, number)).take_while(|path| path.exists());
    let mut files: Vec<_> = std::iter::once(current.clone()).chain(older).collect();
    files.reverse();
    Ok(files)
}

pub(crate) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_come_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["audit.log", "audit.log.1", "audit.log.2", "audit.log.9", "audit.log.bak"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let files = rotated(&AuditTarget::File(dir.path().join("audit.log"))).unwrap();
        let mut text = String::new();
        open_all(&files).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "audit.log.2audit.log.1audit.log");
    }
}
