//! The vault itself: how it is opened, and the steps that every request goes through.

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

/// How often a change is prepared again because what it was prepared from changed meanwhile. A payload is filled once
/// and a secret made private once, so twice is already more than can happen at this door.
pub(crate) const TRIES: u32 = 5;
/// An audit trail that cannot be written is told to the log once in so long: requests go on being refused.
const UNWRITTEN_LOG_EVERY: Duration = Duration::from_secs(10);

/// All secrets, behind one policy and one audit trail.
pub struct Vault {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: Keys,
    audit: Arc<dyn AuditSink>,
    /// Changes that the trail has as committed and the store has not, and whoever opened the vault accepted that.
    lost: Option<Lost>,
    /// What a project may have of whose quotas nothing was said.
    pub(crate) quotas: Quotas,
    pub(crate) workshop: Workshop,
    /// Held only while a verdict is found, which waits for nothing.
    policy: RwLock<Policy>,
    /// How often somebody asked for something stored that did not open, or was not as it was stored.
    pub(crate) unopened: AtomicU64,
}

/// What a vault is made of.
pub struct Parts<'a, A> {
    /// Where rows are.
    pub store: Arc<dyn Store>,
    /// Where the master key comes from.
    pub keys: &'a dyn KeyProvider,
    /// Opens the audit trail, which goes on from the chain it is given.
    pub audit: A,
    /// What a project may have of whose quotas nothing was said.
    pub quotas: Quotas,
    /// Who may do what.
    pub policy: Policy,
    /// What to do if the trail has changes as committed that the store has not.
    pub on_loss: OnLoss,
}

/// What to do about changes that are gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnLoss {
    /// Not open: [`OpenError::Lost`].
    Refuse,
    /// Go on: the operator knows. [`Vault::begin`] writes it down.
    Accept,
}

/// Changes that the audit trail has as committed, and the store has not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lost {
    /// The newest change that the store has.
    pub after: u64,
    /// The newest that was committed.
    pub through: u64,
}

impl Lost {
    /// What is lost of a store whose newest change is `has`, if a trail says that `committed` was there.
    pub fn between(has: u64, committed: u64) -> Option<Self> {
        (committed > has).then_some(Self { after: has, through: committed })
    }
}

/// Why a vault begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Begin {
    /// A store was made.
    Init,
    /// It is served.
    Start,
}

/// Gets the master key of an existing store, checked against it. For looking at what the store and its audit trail
/// hold; a new store, which has none yet, gives nothing.
pub async fn unlock(
    store: &dyn Store,
    keys: &dyn KeyProvider,
) -> Result<Option<(MasterKey, Option<AuditAnchor>)>, OpenError> {
    let Some(check) = store.key_check().await? else { return Ok(None) };
    let master = unlock_by(&store.id(), &check, keys)?;
    Ok(Some((master, store.audit_anchor(&NodeName::ONLY).await?)))
}

/// Gets the master key of a store that another process has: of which only its id and its check value are known here.
pub fn unlock_by(store: &StoreId, check: &[u8], keys: &dyn KeyProvider) -> Result<MasterKey, OpenError> {
    let master = keys.master_key(StoreAge::Existing)?;
    verify(store, keys, &master, check)?;
    Ok(master)
}

impl Vault {
    /// Opens a vault. A new store gets its master key now; for an existing one a missing or wrong key is an error.
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
        numbers.go_on_after(found.given.max(found.committed)); // No number means two changes.
        let keys = Keys::new(Arc::new(master));
        guard_all(&*store, &keys).await?;
        let (workshop, policy) = (Workshop::default(), RwLock::new(policy));
        let unopened = AtomicU64::new(0);
        Ok(Self { store, keys, audit, lost, quotas, workshop, policy, unopened })
    }

    /// Writes down that the service begins: what was accepted to be gone, and what was found at the end of the trail, so that
    /// a crash can be told from a hand.
    pub fn begin(&self, why: Begin, now: Timestamp) -> io::Result<()> {
        if let Some(Lost { after, through }) = self.lost {
            tracing::warn!(
                after,
                through,
                "changes are not in the database that were committed: this was accepted"
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

    /// Writes down which change is on disk, unless the trail's last line says it. To be called now and then: where no
    /// request follows a change, nothing else tells that it was committed.
    pub fn tell_committed(&self, now: Timestamp) -> io::Result<()> {
        match self.store.numbers().committed() > self.audit.committed() {
            true => self.note(now, Event::Committed),
            false => Ok(()),
        }
    }

    fn note(&self, time: Timestamp, event: Event) -> io::Result<()> {
        self.audit.note(&Note { time, request: RequestId::random(), event })
    }

    /// Tells the store where the audit trail stands, so that lines cut off its end are missed. To be called now and
    /// then, and when the vault is closed.
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

    /// Opens what the store holds, for who looks at all of it, with keys unwrapped anew.
    pub fn opener(&self) -> Opener {
        Opener::with(self.keys.afresh())
    }

    /// How often, since the start, somebody asked for something stored that did not open, or was not as it was stored.
    pub fn unopened(&self) -> u64 {
        self.unopened.load(Ordering::Relaxed)
    }

    /// From now on this is who may do what.
    pub fn set_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// Counts an error of what is stored.
    pub(crate) fn counted<T>(&self, done: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::Failed(failure)) = &done
            && failure.is_of_what_is_stored()
        {
            self.unopened.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    /// Opens the audit trail's file again, after its keeper has moved it away.
    pub fn reopen_audit(&self, now: Timestamp) -> io::Result<()> {
        match self.audit.reopen()? {
            true => self.note(now, Event::Reopen), // So that each file says at its end which changes there are.
            false => Ok(()),
        }
    }

    /// Writes a request down. Only then may anything leave. The line waits a moment, in which other requests that
    /// are ready on this thread add theirs; then whoever comes first hands all of them over.
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

    /// Reads: what comes of the work leaves once a line says so, or why it does not.
    pub(crate) async fn read<T>(
        &self,
        call: &Call,
        action: Action,
        of: impl Into<Subjects>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.settle(call, action, of, Some(Outcome::Done), work.await).await
    }

    /// Refuses what a front-end found wrong in itself: a caller who might have made the request is written down as refused.
    pub(crate) async fn refuse_if_allowed<T>(
        &self,
        call: &Call,
        action: Action,
        of: impl Into<Subjects>,
        check: impl Future<Output = Result<T, Error>>,
    ) -> Result<(), Error> {
        self.settle(call, action, of, Some(Outcome::Refused), check.await.map(drop)).await
    }

    /// Changes something: [`Vault::change`] writes down what is done, and this what is not.
    pub(crate) async fn attempt<T>(
        &self,
        call: &Call,
        action: Action,
        of: impl Into<Subjects>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.settle(call, action, of, None, work.await).await
    }

    /// Writes down how a request ended: as `done` if it succeeded, or why not in one word. An error stays what it was,
    /// unless even that cannot be written.
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

    /// Something that is there for this caller, decided on as it was read.
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

    /// Prepares a change of a secret and does it; again if what it was prepared from changed meanwhile.
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

    /// Whether the policy allows what is asked of nothing that is there. Of what is: [`Vault::decide`].
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

/// What a line of the audit trail is about.
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

/// Lets what is ready on this thread go first. tokio's own way to yield asks the system for more before it comes back,
/// which costs a call of it for each request where there is only one.
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

/// Whether something with this expiration is as if it were not there.
pub(crate) fn expired(expiration: Option<Timestamp>, call: &Call) -> bool {
    expiration.is_some_and(|expiration| expiration <= call.time)
}
