//! Who may do what over the REST API: which built-in rules, and the file that says otherwise.

use std::path::{Path, PathBuf};

use vault::{Policy, PolicyError};

use super::AuthBy;
use super::values::PolicySet;

/// What was chosen. The default set is that of the way callers are known by, which a reload cannot change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PolicyChoice {
    pub(super) set: Option<PolicySet>,
    pub(super) file: Option<PathBuf>,
}

impl PolicyChoice {
    /// The policy itself.
    pub(crate) fn load(&self, auth: &AuthBy) -> Result<Policy, PolicyFileError> {
        let set = match (self.set, auth) {
            (Some(PolicySet::SecureRbac), _) => Policy::secure_rbac(),
            (Some(PolicySet::Legacy), _) => Policy::legacy(),
            // What was recorded of Barbican in that mode.
            (None, AuthBy::ProjectHeader) => Policy::legacy(),
            (None, AuthBy::Keystone(_)) => Policy::secure_rbac(),
        };
        let Some(path) = &self.file else { return Ok(set) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| PolicyFileError::Unreadable { path: path.clone(), source })?;
        Ok(set.overridden_by(&text, &path.display().to_string())?)
    }

    /// What there is to say about a policy that was loaded, on one line.
    pub(crate) fn describe(&self, policy: &Policy) -> String {
        let file = self.file.as_deref().map(Path::display);
        let file = file.map_or(String::new(), |file| format!(", and {file} (rules: {})", policy.overrides()));
        format!("{}{file}", policy.set().as_str())
    }
}

/// Why a policy file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyFileError {
    /// It cannot be read.
    #[error(
        "cannot read the policy file {}: {source}\n\
         Let the user that runs donjond read it, or name another with --policy-file.",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// These lines of it are wrong.
    #[error("{0}\nSee the rules there are, and what they say, with: donjond policy")]
    Wrong(#[from] PolicyError),
}
