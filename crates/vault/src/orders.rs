//! Orders: keys that are made here, stored, and never seen by whoever gave the order until they read them.
//!
//! An order is done before it is acknowledged, and it and what came of it are one change: none is ever half done, so
//! there are no leftovers of one that was given up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use model::{
    Absent, Attributes, Call, Conflict, Container, ContainerId, ContainerSecret, ContainerType, ContentType,
    Counted, Facets, Order, OrderId, OrderOutcome, OrderQuery, OrderType, Secret, SecretId, SecretType,
    Status, Text,
};
use seal::Bound;
use seal::generate::{KeyPair, PairBits, PairKind, Passphrase, SymmetricBits, key_pair, symmetric};
use store::{Change, Sliced};
use tokio::sync::Semaphore;

use crate::audit::Object;
use crate::authorise::{Subject, Verdict};
use crate::{Action, Denied, Error, Failure, Payload, Vault};

/// Key pairs that may wait to be made, for each that is being made; one more is an error of the store that is busy. Each takes as long as
/// its primes, which is a second at most, nearly always.
const WAITING_A_THREAD: usize = 16;

/// An order to be given.
#[derive(Debug)]
pub struct NewOrder {
    /// Whether it is of a key or a pair.
    pub order_type: OrderType,
    /// What it says of what was ordered, as the front-end shows it. Never a passphrase.
    pub meta: String,
    /// What is to be made.
    pub wanted: Wanted,
    /// What is said of it if making it fails: a status of the front-end's protocol, and words.
    pub failure: (u16, String),
}

/// What an order is of.
#[derive(Debug)]
pub enum Wanted {
    /// A symmetric key.
    Key {
        /// What is said of the secret.
        attributes: Attributes,
        /// What its payload is said to be.
        content_type: ContentType,
        /// How long it is.
        bits: SymmetricBits,
    },
    /// A key pair, in a container.
    Pair {
        /// What is said of each secret, but its type; its name is the container's too.
        attributes: Attributes,
        /// What their payloads are said to be.
        content_type: ContentType,
        /// What the pair is for.
        kind: PairKind,
        /// How long it is.
        bits: PairBits,
        /// What the private key is encrypted with; it is stored as well.
        passphrase: Option<Passphrase>,
    },
    /// Something that is not made here: the order fails, and says so.
    Nothing,
}

/// How many key pairs are made at once, and how many wait.
#[derive(Debug)]
pub(crate) struct Workshop {
    places: Semaphore,
    /// Those that are being made, and those that wait.
    under_way: AtomicUsize,
    under_way_max: usize,
}

impl Default for Workshop {
    fn default() -> Self {
        // Half of the machine: requests are served beside it.
        let places = available_parallelism().map_or(1, |threads| threads.get().div_ceil(2));
        Self {
            places: Semaphore::new(places),
            under_way: AtomicUsize::new(0),
            under_way_max: places.saturating_mul(1 + WAITING_A_THREAD),
        }
    }
}

impl Workshop {
    async fn pair(
        &self,
        kind: PairKind,
        bits: PairBits,
        passphrase: Option<Passphrase>,
    ) -> Result<Made, Error> {
        let _under_way = UnderWay::begin(self)?;
        let _place = self.places.acquire().await.map_err(|_| Error::BUSY)?;
        let make = move || {
            let KeyPair { private, public } = key_pair(kind, bits, passphrase.as_ref())?;
            Ok(Made { private, public, passphrase: passphrase.map(Passphrase::into_payload) })
        };
        Ok(tokio::task::spawn_blocking(make).await.map_err(|_| Error::BUSY)?.map_err(Failure::Keys)?)
    }
}

struct UnderWay<'a>(&'a Workshop);

impl<'a> UnderWay<'a> {
    fn begin(workshop: &'a Workshop) -> Result<Self, Error> {
        let before = workshop.under_way.fetch_add(1, Ordering::Relaxed);
        let begun = Self(workshop);
        if before < workshop.under_way_max { Ok(begun) } else { Err(Error::BUSY) }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Made {
    private: Payload,
    public: Payload,
    passphrase: Option<Payload>,
}

/// A secret that an order made, with its envelope.
type Sealed = (Secret, Vec<u8>);

/// What came of an order, to be stored with it.
struct Work {
    secrets: Vec<Sealed>,
    container: Option<(Box<Container>, Vec<ContainerSecret>)>,
    outcome: OrderOutcome,
}

impl Work {
    fn failed((code, reason): (u16, String)) -> Self {
        Self { secrets: Vec::new(), container: None, outcome: OrderOutcome::Failed { code, reason } }
    }
}

impl Vault {
    /// Does an order; it and what came of it are on disk when this returns.
    pub async fn create_order(&self, call: &Call, new: NewOrder) -> Result<OrderId, Error> {
        let action = Action::CreateOrder;
        let may = async {
            self.may(call, action)?;
            self.require_room_for_order(call).await
        };
        self.attempt(call, action, None, may).await?;
        let id = OrderId::random();
        self.attempt(call, action, Object::Order(id), self.order_anew(call, id, new)).await?;
        Ok(id)
    }

    /// Refuses an order before its key is made; the transaction that stores it asks again.
    async fn require_room_for_order(&self, call: &Call) -> Result<(), Error> {
        let project = &call.caller.project;
        let own = self.store.project_quotas(project).await?.unwrap_or_default();
        let Ok(limit) = u64::try_from(own.or(self.quotas).of(Counted::Orders)) else { return Ok(()) };
        let query = OrderQuery { project: project.clone(), meta: None, offset: 0, limit: 0 };
        let known = self.store.orders(&query).await?.total;
        if known < limit { Ok(()) } else { Err(Conflict::Quota(Counted::Orders).into()) }
    }

    async fn order_anew(&self, call: &Call, id: OrderId, new: NewOrder) -> Result<(), Error> {
        let NewOrder { order_type, meta, wanted, failure } = new;
        let work = match self.make(call, wanted).await {
            Ok(Some(work)) => work,
            Ok(None) => Work::failed(failure),
            Err(Error::Failed(Failure::Keys(error))) => {
                tracing::error!(request = %call.request, %error, "a key that was ordered could not be made");
                Work::failed(failure)
            }
            Err(error) => return Err(error),
        };
        let order = Order {
            id,
            project: call.caller.project.clone(),
            creator: call.caller.user.clone(),
            created: call.time,
            updated: call.time,
            order_type,
            meta,
            outcome: work.outcome,
        };
        let change = Change::CreateOrder {
            order: Box::new(order),
            secrets: work.secrets,
            container: work.container,
            limit: self.limit(Counted::Orders),
        };
        self.change(call, Action::CreateOrder, Object::Order(id), change).await
    }

    /// Nothing, if that is what is wanted.
    async fn make(&self, call: &Call, wanted: Wanted) -> Result<Option<Work>, Error> {
        match wanted {
            Wanted::Nothing => Ok(None),
            Wanted::Key { attributes, content_type, bits } => {
                let key = symmetric(bits).map_err(Failure::from)?;
                let attributes = Attributes { secret_type: SecretType::Symmetric, ..attributes };
                let secret = self.made_secret(call, attributes, content_type, &key).await?;
                let outcome = OrderOutcome::Secret(secret.0.id);
                Ok(Some(Work { secrets: vec![secret], container: None, outcome }))
            }
            Wanted::Pair { attributes, content_type, kind, bits, passphrase } => {
                let made = self.workshop.pair(kind, bits, passphrase).await?;
                self.made_pair(call, &attributes, content_type, kind, &made).await.map(Some)
            }
        }
    }

    async fn made_pair(
        &self,
        call: &Call,
        attributes: &Attributes,
        content_type: ContentType,
        kind: PairKind,
        Made { private, public, passphrase }: &Made,
    ) -> Result<Work, Error> {
        let halves = [
            ("private_key", SecretType::Private, Some(private)),
            ("public_key", SecretType::Public, Some(public)),
            ("private_key_passphrase", SecretType::Passphrase, passphrase.as_ref()),
        ];
        let (mut secrets, mut parts) = (Vec::new(), Vec::new());
        for (name, secret_type, payload) in halves {
            let Some(payload) = payload else { continue };
            let attributes = Attributes { secret_type, ..attributes.clone() };
            let made = self.made_secret(call, attributes, content_type, payload).await?;
            parts.push(ContainerSecret { name: Text::try_from(name).ok(), secret: made.0.id });
            secrets.push(made);
        }
        let mut container = Container {
            id: ContainerId::random(),
            project: call.caller.project.clone(),
            creator: call.caller.user.clone(),
            created: call.time,
            updated: call.time,
            name: attributes.name.clone(),
            container_type: match kind {
                PairKind::Rsa => ContainerType::Rsa,
                PairKind::Dsa => ContainerType::Dsa,
            },
            project_access: true,
            guard: None,
        };
        let key = self.keys.newest(&*self.store, &container.project).await?;
        container.guard = Some(key.guard(&container.standing(), None));
        let outcome = OrderOutcome::Container(container.id);
        Ok(Work { secrets, container: Some((Box::new(container), parts)), outcome })
    }

    async fn made_secret(
        &self,
        call: &Call,
        attributes: Attributes,
        content_type: ContentType,
        payload: &Payload,
    ) -> Result<Sealed, Error> {
        let mut secret = Secret {
            id: SecretId::random(),
            project: call.caller.project.clone(),
            attributes,
            creator: call.caller.user.clone(),
            created: call.time,
            updated: call.time,
            status: Status::Active,
            content_type: Some(content_type),
            project_access: true,
            facets: Facets::default(),
            guard: None,
        };
        let key = self.keys.newest(&*self.store, &secret.project).await?;
        secret.guard = Some(key.guard(&secret.standing(), None));
        let sealed =
            key.seal(&Bound { secret: secret.id, private: false }, payload).map_err(Failure::from)?;
        Ok((secret, sealed.into_vec()))
    }

    /// Reads an order.
    pub async fn order(&self, call: &Call, id: OrderId) -> Result<Order, Error> {
        let action = Action::ReadOrder;
        self.read(call, action, Object::Order(id), self.accessible_order(call, id, action)).await
    }

    /// The orders of the caller's project; of any other it is denied.
    pub async fn list_orders(&self, call: &Call, query: &OrderQuery) -> Result<Sliced<Order>, Error> {
        let action = Action::ListOrders;
        let listed = async {
            self.may(call, action)?;
            if query.project != call.caller.project {
                return Err(Denied::Action(action).into());
            }
            Ok(self.store.orders(query).await?)
        };
        self.read(call, action, None, listed).await
    }

    /// Deletes an order; what came of it stays.
    pub async fn delete_order(&self, call: &Call, id: OrderId) -> Result<(), Error> {
        let action = Action::DeleteOrder;
        let deleted = async {
            self.accessible_order(call, id, action).await?;
            let change = Change::DeleteOrder(id);
            self.change(call, action, Object::Order(id), change).await
        };
        self.attempt(call, action, Object::Order(id), deleted).await
    }

    /// As [`Vault::refuse`], for an order.
    pub async fn refuse_order(&self, call: &Call, action: Action, id: OrderId) -> Result<(), Error> {
        let check = self.accessible_order(call, id, action);
        self.refuse_if_allowed(call, action, Object::Order(id), check).await
    }

    /// An order that is there for this caller: one of another project is not.
    async fn accessible_order(&self, call: &Call, id: OrderId, action: Action) -> Result<Order, Error> {
        let order = self.store.order(id).await?.filter(|order| order.project == call.caller.project);
        let order = order.ok_or(Absent::Order)?;
        let subject =
            Subject { project: &order.project, creator: order.creator.as_ref(), project_access: true };
        match self.verdict(action, call, Some(subject)) {
            Verdict::Allowed | Verdict::AskAclNot => Ok(order), // It has no ACL, which names nobody.
            Verdict::Denied | Verdict::AskAcl => Err(Denied::Action(action).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_busy(workshop: &Workshop) -> bool {
        matches!(UnderWay::begin(workshop), Err(Error::Failed(Failure::Store(store::Failure::Busy))))
    }

    #[test]
    fn sixteen_wait_for_each_that_is_being_made() {
        let workshop = Workshop::default();
        let room = workshop.places.available_permits() * (1 + 16);
        let mut under_way: Vec<_> = (0..room).map(|_| UnderWay::begin(&workshop).unwrap()).collect();
        assert!(is_busy(&workshop));
        under_way.pop();
        let _one = UnderWay::begin(&workshop).unwrap();
        assert!(is_busy(&workshop), "who was turned away is not counted");
    }
}
