//! What can be done to a store, as values: each is one transaction, checked and done inside it.

use model::{
    ContentType, Encoding, Expect, Facet, KeyVersion, Metadatum, ProjectId, Secret, SecretId, Timestamp,
};

use crate::AuditAnchor;

/// One change.
#[derive(Debug)]
pub enum Change {
    /// Completes a new store. [`crate::Error::Changed`] if that was done before.
    SetKeyCheck(Vec<u8>),
    /// Gives a project a key. If that version is there already, it stays, and this is no error: read what is there.
    AddProjectKey {
        /// Whose.
        project: ProjectId,
        /// Which.
        version: KeyVersion,
        /// The key, wrapped.
        wrapped: Vec<u8>,
    },
    /// Adds a secret. Its `content_type` is there exactly if `sealed` is.
    CreateSecret {
        /// The record.
        secret: Box<Secret>,
        /// Its payload's envelope.
        sealed: Option<Vec<u8>>,
    },
    /// Adds a secret under the id it says, with no payload; or, if its project has it already, changes its facets to
    /// these by the rules of [`model::Facets::redefined`]. [`crate::Error::IdTaken`] if another project has it.
    DefineSecret {
        /// The record, as it is if it is new.
        secret: Box<Secret>,
        /// The payload, bound to the new facets.
        reseal: Option<Reseal>,
    },
    /// Gives a secret its payload, once.
    FillPayload {
        /// Which.
        id: SecretId,
        /// The flag that the envelope is bound to: [`crate::Error::Changed`] if the secret's is another.
        private: bool,
        /// What the payload is.
        content_type: ContentType,
        /// Its envelope.
        sealed: Vec<u8>,
        /// When.
        time: Timestamp,
    },
    /// Gives a secret a payload, whether or not it has one. A replaced envelope is in no file of the store any more
    /// soon after this is acknowledged.
    SetPayload {
        /// Which.
        id: SecretId,
        /// The flag that the envelope is bound to: [`crate::Error::Changed`] if the secret's is another.
        private: bool,
        /// How the one before is rendered, from which the payload was made: [`crate::Error::Changed`] if it is another.
        rendered: Encoding,
        /// How it is rendered from now on.
        encoding: Encoding,
        /// What the payload is.
        content_type: ContentType,
        /// Its envelope.
        sealed: Vec<u8>,
        /// When.
        time: Timestamp,
    },
    /// Deletes a secret. When this is acknowledged its ciphertext is in no file of the store any more.
    DeleteSecret {
        /// Which.
        id: SecretId,
        /// When.
        time: Timestamp,
    },
    /// Replaces all user metadata and changes the facets named.
    ReplaceMetadata {
        /// Which.
        id: SecretId,
        /// The new pairs; of two with one key the first holds.
        user: Vec<Metadatum>,
        /// The facets to change.
        facets: Vec<Facet>,
        /// The payload, bound to the new facets.
        reseal: Option<Reseal>,
        /// When.
        time: Timestamp,
    },
    /// Adds one pair.
    AddMetadatum {
        /// Which.
        id: SecretId,
        /// The pair.
        datum: Metadatum,
    },
    /// Changes the value of one pair.
    SetMetadatum {
        /// Which.
        id: SecretId,
        /// The pair.
        datum: Metadatum,
    },
    /// Removes one pair, if it is there.
    RemoveMetadatum {
        /// Which.
        id: SecretId,
        /// The key.
        key: String,
    },
    /// Changes one facet.
    SetFacet {
        /// Which.
        id: SecretId,
        /// The change.
        facet: Facet,
        /// What it must be before.
        expect: Expect,
        /// The payload, bound to the new facets.
        reseal: Option<Reseal>,
        /// When.
        time: Timestamp,
    },
    /// Writes down where the audit trail stands.
    AnchorAudit(AuditAnchor),
}

/// A payload sealed anew, because something it is bound to changes. Done only if the old envelope is still there;
/// [`crate::Error::Changed`] else.
#[derive(Debug)]
pub struct Reseal {
    /// The envelope that was opened; absent if there was no payload.
    pub from: Option<Vec<u8>>,
    /// The new one.
    pub to: Option<Vec<u8>>,
}

/// Whoever has to have written a change down before it is done would not, so it is not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unwitnessed;

/// Called inside the transaction of a change, once it is known to succeed.
pub type Witness = Box<dyn FnMut() -> Result<(), Unwitnessed> + Send>;

/// A witness for what needs none: upkeep of the store itself.
pub fn unwitnessed() -> Witness {
    Box::new(|| Ok(()))
}
