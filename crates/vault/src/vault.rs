//! The vault itself: how it opens, and the steps of every request.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use model::{Absent, Call, Guard, Quotas, RequestId, SecretId, Standing, Timestamp};
use seal::{ChainKey, KeyProvider, MasterKey, StoreAge};
use store::{AuditAnchor, Change, NodeName, Store, StoreId, Unwitnessed, Witness, unwitnessed};

use crate::audit::{AuditSink, Chain, Entry, Event, Note, Object, Outcome};
use crate::authorise::{Policy, Subject, Verdict};
use crate::guards::{Decided, guard_all};
use crate::keys::Keys;
use crate::opener::Opener;
use crate::orders::Workshop;
use crate::{Action, Denied, Error, Failure, OpenError};

/// How often the vault prepares a change again because another change came first. A payload is filled once and a secret
/// made private once, so at Barbican's front-end two are more than can happen.
pub(crate) const TRIES: u32 = 5;
/// How often the log says that the audit trail cannot be written. Every request is refused meanwhile.
const UNWRITTEN_LOG_EVERY: Duration = Duration::from_secs(10);

/// All secrets, behind one policy and one audit trail.
pub struct Vault {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: Keys,
    audit: Arc<dyn AuditSink>,
    /// Changes that the trail calls committed and the store does not have. The operator has accepted their loss.
    lost: Option<Lost>,
    /// The quotas of a project that has none of its own.
    pub(crate) quotas: Quotas,
    pub(crate) workshop: Workshop,
    /// Locked only while the vault finds a verdict, which waits for nothing.
    policy: RwLock<Policy>,
    /// How often a request found stored data that did not open or had been altered.
    pub(crate) unopened: AtomicU64,
}

/// The parts of a vault.
pub struct Parts<'a, A> {
    /// Holds the rows.
    pub store: Arc<dyn Store>,
    /// Provides the master key.
    pub keys: &'a dyn KeyProvider,
    /// Opens the audit trail, which continues the given chain.
    pub audit: A,
    /// The quotas of a project that has none of its own.
    pub quotas: Quotas,
    /// The access rules.
    pub policy: Policy,
    /// The reaction to committed changes that the store does not have.
    pub on_loss: OnLoss,
}

/// The reaction to committed changes that the store does not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnLoss {
    /// The vault does not open: [`OpenError::Lost`].
    Refuse,
    /// The vault opens: the operator accepts the loss, and [`Vault::begin`] writes that down.
    Accept,
}

/// Changes that the audit trail calls committed and the store does not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lost {
    /// The newest change that the store has.
    pub after: u64,
    /// The newest change that was committed.
    pub through: u64,
}

impl Lost {
    /// The loss of a store whose newest change is `has`, if the trail says that `committed` was committed.
    pub fn between(has: u64, committed: u64) -> Option<Self> {
        (committed > has).then_some(Self { after: has, through: committed })
    }
}

/// Why a vault begins to work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Begin {
    /// The operator created the store.
    Init,
    /// The service starts.
    Start,
}

/// Gets the master key of an existing store and checks it against the store. Used to inspect a store and its audit
/// trail. Returns `None` for a new store, which has no key yet.
pub async fn unlock(
    store: &dyn Store,
    keys: &dyn KeyProvider,
) -> Result<Option<(MasterKey, Option<AuditAnchor>)>, OpenError> {
    let Some(check) = store.key_check().await? else { return Ok(None) };
    let master = unlock_by(&store.id(), &check, keys)?;
    Ok(Some((master, store.audit_anchor(&NodeName::ONLY).await?)))
}

/// Gets the master key of a store that another process has open, and of which only the id and check value are known.
pub fn unlock_by(store: &StoreId, check: &[u8], keys: &dyn KeyProvider) -> Result<MasterKey, OpenError> {
    let master = keys.master_key(StoreAge::Existing)?;
    verify(store, keys, &master, check)?;
    Ok(master)
}

impl Vault {
    /// Opens a vault. A new store gets its master key now. For an existing store, a missing or wrong key is an error.
    pub async fn open<A>(parts: Parts<'_, A>) -> Result<Self, OpenError>
    where
        A: FnOnce(Chain) -> io::Result<Arc<dyn AuditSink>>,
    {
        let Parts { store, keys, audit, quotas, policy, on_loss } = parts;
        let (master, anchor) = match unlock(&*store, keys).await? {
            Some(unlocked) => unlocked,
            None => {
                let master = keys.master_key(StoreAge::New)?;
                let check = master.check_value(&store.id());
                verify(&store.id(), keys, &master, &check)?;
                store.apply(Change::SetKeyCheck(check), unwitnessed()).await?;
                (master, None)
            }
        };
        let AuditAnchor { number, hash } = anchor.unwrap_or(AuditAnchor { number: 0, hash: [0; 32] });
        let chain_key: ChainKey = master.chain_key();
        let numbers = store.numbers();
        let chain = Chain::new(chain_key, number, hash, Arc::clone(&numbers));
        let audit = audit(chain).map_err(OpenError::Audit)?;
        let found = audit.found();
        let lost = Lost::between(numbers.committed(), found.committed);
        if let (Some(lost), OnLoss::Refuse) = (lost, on_loss) {
            return Err(OpenError::Lost(lost));
        }
        numbers.go_on_after(found.given.max(found.committed)); // Two changes never share a number.
        let keys = Keys::new(Arc::new(master));
        guard_all(&*store, &keys).await?;
        let (workshop, policy) = (Workshop::default(), RwLock::new(policy));
        let unopened = AtomicU64::new(0);
        Ok(Self { store, keys, audit, lost, quotas, workshop, policy, unopened })
    }

    /// Writes down that the service begins, which loss the operator accepted, and what the end of the trail looked
    /// like. The last tells a crash from somebody who edited the trail.
    pub fn begin(&self, why: Begin, now: Timestamp) -> io::Result<()> {
        if let Some(Lost { after, through }) = self.lost {
            tracing::warn!(
                after,
                through,
                "committed changes are not in the database: the operator accepted this loss"
            );
            self.note(now, Event::AcceptRollback { lost_after: after, lost_through: through })?;
        }
        let found = self.audit.found();
        if why == Begin::Init {
            self.note(now, Event::Init)?;
        }
        self.note(now, Event::Start { cut: found.cut, damaged_after: found.damaged_after })
    }

    /// Writes down that the service ends.
    pub fn end(&self, now: Timestamp) -> io::Result<()> {
        self.note(now, Event::Stop)
    }

    /// Writes down which change is on disk, unless the last line of the trail says it. The service calls this now and
    /// then: if no request follows a change, no other line says that the change was committed.
    pub fn tell_committed(&self, now: Timestamp) -> io::Result<()> {
        match self.store.numbers().committed() > self.audit.committed() {
            true => self.note(now, Event::Committed),
            false => Ok(()),
        }
    }

    fn note(&self, time: Timestamp, event: Event) -> io::Result<()> {
        self.audit.note(&Note { time, request: RequestId::random(), event })
    }

    /// Tells the store the last line of the audit trail, so that a check notices lines that were cut off its end. The
    /// service calls this now and then, and when the vault closes.
    pub async fn anchor_audit(&self) -> Result<(), Error> {
        let (number, hash) = self.audit.synced_head().map_err(|error| {
            tracing::error!(%error, "the audit trail is not on disk");
            Error::Failed(Failure::Unwritten)
        })?;
        let known = self.store.audit_anchor(&NodeName::ONLY).await?.map_or(0, |anchor| anchor.number);
        if number > known {
            let (node, anchor) = (NodeName::ONLY, AuditAnchor { number, hash });
            self.store.apply(Change::AnchorAudit { node, anchor }, unwitnessed()).await?;
        }
        Ok(())
    }

    /// An opener for an inspection of the whole store. It unwraps every key anew.
    pub fn opener(&self) -> Opener {
        Opener::with(self.keys.without_project_keys())
    }

    /// How many requests since the start found stored data that did not open or had been altered.
    pub fn unopened(&self) -> u64 {
        self.unopened.load(Ordering::Relaxed)
    }

    /// Replaces the access rules from now on.
    pub fn set_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// Counts an error that damaged or altered data causes.
    pub(crate) fn counted<T>(&self, done: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::Failed(failure)) = &done
            && failure.is_of_damaged_data()
        {
            self.unopened.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    /// Opens the file of the audit trail again, after log rotation has moved it away.
    pub fn reopen_audit(&self, now: Timestamp) -> io::Result<()> {
        match self.audit.reopen()? {
            true => self.note(now, Event::Reopen), // So each file ends with the newest change.
            false => Ok(()),
        }
    }

    /// Writes a request into the audit trail; its result may leave only after that. The line waits a moment, in which
    /// other requests that are ready on this thread add their lines. Then the first request writes all of them.
    pub(crate) async fn record(
        &self,
        call: &Call,
        action: Action,
        of: impl Into<Subjects>,
        outcome: Outcome,
    ) -> Result<(), Error> {
        let of = of.into().0;
        let ticket = self.audit.queue(&Entry { call, action, of: of.as_ref(), outcome, change: None });
        others_first().await;
        let settled = match self.audit.settle(&ticket) {
            Some(settled) => settled,
            None => self.audit.wait(&ticket).await,
        };
        settled.map_err(|error| {
            unwritten(call, &error);
            Failure::Unwritten.into()
        })
    }

    /// Does a read. The result leaves once a line of the audit trail says that it was done, or why not.
    pub(crate) async fn read<T>(
        &self,
        call: &Call,
        action: Action,
        of: impl Into<Subjects>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.settle(call, action, of, Some(Outcome::Done), work.await).await
    }

    /// Writes down a request that a front-end found malformed: as refused if the caller was allowed to make it.
    pub(crate) async fn refuse_if_allowed<T>(
        &self,
        call: &Call,
        action: Action,
        of: impl Into<Subjects>,
        check: impl Future<Output = Result<T, Error>>,
    ) -> Result<(), Error> {
        self.settle(call, action, of, Some(Outcome::Refused), check.await.map(drop)).await
    }

    /// Does a change. [`Vault::change`] writes down changes that are done, and this those that are not.
    pub(crate) async fn attempt<T>(
        &self,
        call: &Call,
        action: Action,
        of: impl Into<Subjects>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.settle(call, action, of, None, work.await).await
    }

    /// Writes down how a request ended: as `done` if it succeeded, otherwise with the reason in one word. An error stays
    /// as it is, unless the line cannot be written.
    async fn settle<T>(
        &self,
        call: &Call,
        action: Action,
        of: impl Into<Subjects>,
        done: Option<Outcome>,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        let outcome = result.as_ref().map_or_else(Error::outcome, |_| done);
        if let Some(outcome) = outcome {
            self.record(call, action, of, outcome).await?;
        }
        result
    }

    /// Finds something that this caller may use. The decision rests on the row that is returned.
    pub(crate) async fn find<F, Looking>(
        &self,
        call: &Call,
        action: Action,
        absent: Absent,
        look: impl Fn() -> Looking,
        standing: impl for<'f> Fn(&'f F) -> (Standing<'f>, Option<&'f Guard>),
    ) -> Result<F, Error>
    where
        Looking: Future<Output = Result<Option<F>, store::Error>>,
    {
        for _ in 0..TRIES {
            let found = look().await?.ok_or(absent)?;
            let (standing, guard) = standing(&found);
            if self.decide(call, action, &standing, guard).await? == Decided::Allowed {
                return Ok(found);
            }
        }
        Err(Error::BUSY)
    }

    /// Prepares a change of a secret and does it. If another change came first, it prepares the change again.
    pub(crate) async fn change_with_retry<Preparing>(
        &self,
        call: &Call,
        id: SecretId,
        prepare: impl Fn() -> Preparing,
    ) -> Result<(), Error>
    where
        Preparing: Future<Output = Result<(Action, Change), Error>>,
    {
        let mut tries = 0;
        loop {
            let (action, change) = prepare().await?;
            tries += 1;
            match self.change(call, action, id, change).await {
                Err(Error::Failed(Failure::Changed)) if tries < TRIES => {}
                done => return done,
            }
        }
    }

    /// Does a change. It is written down inside the change's transaction, before the commit; if the commit then
    /// fails, a second line says so.
    pub(crate) async fn change(
        &self,
        call: &Call,
        action: Action,
        of: impl Into<Object>,
        change: Change,
    ) -> Result<(), Error> {
        let of = of.into();
        let (audit, call) = (Arc::clone(&self.audit), call.clone());
        let witness: Witness = Box::new(move |change| {
            let entry = Entry { call: &call, action, of: Some(&of), outcome: Outcome::Done, change };
            audit.record(&entry).map_err(|error| {
                unwritten(&call, &error);
                Unwitnessed
            })
        });
        Ok(self.store.apply(change, witness).await?)
    }

    /// Checks that the policy allows an action that has no subject. [`Vault::decide`] checks an action on a subject.
    pub(crate) fn may(&self, call: &Call, action: Action) -> Result<(), Error> {
        match self.verdict(action, call, None) {
            Verdict::Allowed | Verdict::AskAclNot => Ok(()),
            Verdict::Denied | Verdict::AskAcl => Err(Denied::Action(action).into()),
        }
    }

    pub(crate) fn verdict(&self, action: Action, call: &Call, subject: Option<Subject<'_>>) -> Verdict {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).verdict(action, call, subject)
    }
}

/// The object of a line of the audit trail.
pub(crate) struct Subjects(Option<Object>);

impl From<Option<SecretId>> for Subjects {
    fn from(id: Option<SecretId>) -> Self {
        Self(id.map(Object::Secret))
    }
}

impl From<Object> for Subjects {
    fn from(of: Object) -> Self {
        Self(Some(of))
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

fn verify(
    store: &StoreId,
    keys: &dyn KeyProvider,
    master: &MasterKey,
    check: &[u8],
) -> Result<(), OpenError> {
    master.verify(store, check).map(drop).map_err(|error| match error {
        seal::Error::WrongMasterKey => OpenError::WrongMasterKey { from: keys.describe() },
        other => OpenError::Keys(other),
    })
}

/// Lets the other tasks that are ready on this thread run first. `tokio::task::yield_now` polls the operating system
/// before it comes back, which costs one system call per request when there is only one request.
async fn others_first() {
    let mut is_first = true;
    std::future::poll_fn(|context| {
        if std::mem::take(&mut is_first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

fn unwritten(call: &Call, error: &io::Error) {
    static TOLD: Mutex<Option<Instant>> = Mutex::new(None);
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.is_none_or(|told| told.elapsed() >= UNWRITTEN_LOG_EVERY) {
        *told = Some(Instant::now());
        tracing::error!(%error, request = %call.request, "the audit trail cannot be written: requests are refused");
    }
}

/// Whether something with this expiration counts as absent.
pub(crate) fn is_expired(expiration: Option<Timestamp>, call: &Call) -> bool {
    expiration.is_some_and(|expiration| expiration <= call.time)
}
