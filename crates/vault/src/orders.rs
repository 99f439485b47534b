//! Orders: the vault makes a key and stores it; the caller sees the key only by reading its secret.
//!
//! An order is done before it is acknowledged. One change stores the order together with its secrets and container,
//! so an order is never half done and leaves nothing behind when it fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use model::{
    Absent, Attributes, Call, Conflict, Container, ContainerId, ContainerSecret, ContainerType, ContentType,
    Counted, Facets, Order, OrderFailure, OrderId, OrderOutcome, OrderQuery, OrderType, Secret, SecretId,
    SecretType, Text,
};
use seal::generate::{KeyPair, PairBits, PairKind, Passphrase, SymmetricBits, key_pair, symmetric};
use store::{Change, Sliced};
use tokio::sync::Semaphore;

use crate::audit::Object;
use crate::authorise::{Subject, Verdict};
use crate::secrets::seal_payload;
use crate::{Action, Denied, Error, Failure, Payload, Vault};

/// How many key pairs may wait for each one that is being made; a further order fails with [`Error::BUSY`]. The search
/// for primes decides how long a pair takes, nearly always less than a second.
const WAITING_PER_THREAD: usize = 16;

/// An order to create.
#[derive(Debug)]
pub struct NewOrder {
    /// A key or a key pair.
    pub order_type: OrderType,
    /// The description of the ordered key, as the front-end shows it. Never a passphrase.
    pub meta: String,
    /// The key to make. An order without one fails.
    pub key: Option<OrderedKey>,
    /// The outcome of the order if it has no key or making the key fails.
    pub failure: OrderFailure,
}

/// A key, or a pair of keys, to be made for an order.
#[derive(Debug)]
pub enum OrderedKey {
    /// A symmetric key.
    Symmetric {
        /// The attributes of the secret.
        attributes: Attributes,
        /// The content type of its payload.
        content_type: ContentType,
        /// The length of the key.
        bits: SymmetricBits,
    },
    /// A key pair, in a container.
    Pair {
        /// The attributes of each secret, except its type; the container gets their name too.
        attributes: Attributes,
        /// The content type of their payloads.
        content_type: ContentType,
        /// The algorithm of the pair.
        kind: PairKind,
        /// The length of the keys.
        bits: PairBits,
        /// Encrypts the private key; it is stored as well.
        passphrase: Option<Passphrase>,
    },
}

/// Limits how many key pairs are made at once and how many wait.
#[derive(Debug)]
pub(crate) struct Workshop {
    /// One permit for each pair that may be made at once.
    makers: Semaphore,
    /// Pairs that are being made, and pairs that wait.
    under_way: AtomicUsize,
    under_way_max: usize,
}

impl Default for Workshop {
    fn default() -> Self {
        // Half of the threads: the others serve requests.
        let makers = available_parallelism().map_or(1, |threads| threads.get().div_ceil(2));
        Self {
            makers: Semaphore::new(makers),
            under_way: AtomicUsize::new(0),
            under_way_max: makers.saturating_mul(1 + WAITING_PER_THREAD),
        }
    }
}

impl Workshop {
    async fn make_pair(
        &self,
        kind: PairKind,
        bits: PairBits,
        passphrase: Option<Passphrase>,
    ) -> Result<MadePair, Error> {
        let _under_way = UnderWay::begin(self)?;
        let _permit = self.makers.acquire().await.map_err(|_| Error::BUSY)?;
        let make = move || {
            let KeyPair { private, public } = key_pair(kind, bits, passphrase.as_ref())?;
            Ok(MadePair { private, public, passphrase: passphrase.map(Passphrase::into_payload) })
        };
        Ok(tokio::task::spawn_blocking(make).await.map_err(|_| Error::BUSY)?.map_err(Failure::Keys)?)
    }
}

/// One pair that is counted as under way, until this is dropped.
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

struct MadePair {
    private: Payload,
    public: Payload,
    passphrase: Option<Payload>,
}

/// A secret that an order made, with its envelope.
type Sealed = (Secret, Vec<u8>);

/// The outcome of an order, and the rows to store with it.
struct OrderResult {
    secrets: Vec<Sealed>,
    container: Option<(Box<Container>, Vec<ContainerSecret>)>,
    outcome: OrderOutcome,
}

impl OrderResult {
    fn failed(failure: OrderFailure) -> Self {
        Self { secrets: Vec::new(), container: None, outcome: OrderOutcome::Failed(failure) }
    }
}

impl Vault {
    /// Does an order. The order and its keys are on disk when this returns.
    pub async fn create_order(&self, call: &Call, new: NewOrder) -> Result<OrderId, Error> {
        let action = Action::CreateOrder;
        let may = async {
            self.may(call, action)?;
            self.require_room_for_order(call).await
        };
        self.attempt(call, action, None, may).await?;
        let id = OrderId::random();
        self.attempt(call, action, Object::Order(id), self.do_order(call, id, new)).await?;
        Ok(id)
    }

    /// Refuses an order over quota before its key is made; the transaction that stores the order checks again.
    async fn require_room_for_order(&self, call: &Call) -> Result<(), Error> {
        let project = &call.caller.project;
        let own = self.store.project_quotas(project).await?.unwrap_or_default();
        let Ok(limit) = u64::try_from(own.or(self.quotas).of(Counted::Orders)) else { return Ok(()) };
        let query = OrderQuery { project: project.clone(), meta: None, offset: 0, limit: 0 };
        let total = self.store.orders(&query).await?.total;
        if total < limit { Ok(()) } else { Err(Conflict::Quota(Counted::Orders).into()) }
    }

    async fn do_order(&self, call: &Call, id: OrderId, new: NewOrder) -> Result<(), Error> {
        let NewOrder { order_type, meta, key, failure } = new;
        let result = match key {
            None => OrderResult::failed(failure),
            Some(key) => match self.make_key(call, key).await {
                Ok(result) => result,
                Err(Error::Failed(Failure::Keys(error))) => {
                    tracing::error!(request = %call.request, %error, "the key of an order could not be made");
                    OrderResult::failed(failure)
                }
                Err(error) => return Err(error),
            },
        };
        let order = Order {
            id,
            project: call.caller.project.clone(),
            creator: call.caller.user.clone(),
            created: call.time,
            updated: call.time,
            order_type,
            meta,
            outcome: result.outcome,
        };
        let change = Change::CreateOrder {
            order: Box::new(order),
            secrets: result.secrets,
            container: result.container,
            limit: self.limit(Counted::Orders),
        };
        self.change(call, Action::CreateOrder, Object::Order(id), change).await
    }

    async fn make_key(&self, call: &Call, key: OrderedKey) -> Result<OrderResult, Error> {
        match key {
            OrderedKey::Symmetric { attributes, content_type, bits } => {
                let key = symmetric(bits).map_err(Failure::from)?;
                let attributes = Attributes { secret_type: SecretType::Symmetric, ..attributes };
                let secret = self.seal_new_secret(call, attributes, content_type, &key).await?;
                let outcome = OrderOutcome::Secret(secret.0.id);
                Ok(OrderResult { secrets: vec![secret], container: None, outcome })
            }
            OrderedKey::Pair { attributes, content_type, kind, bits, passphrase } => {
                let pair = self.workshop.make_pair(kind, bits, passphrase).await?;
                self.seal_pair(call, &attributes, content_type, kind, &pair).await
            }
        }
    }

    async fn seal_pair(
        &self,
        call: &Call,
        attributes: &Attributes,
        content_type: ContentType,
        kind: PairKind,
        MadePair { private, public, passphrase }: &MadePair,
    ) -> Result<OrderResult, Error> {
        let halves = [
            ("private_key", SecretType::Private, Some(private)),
            ("public_key", SecretType::Public, Some(public)),
            ("private_key_passphrase", SecretType::Passphrase, passphrase.as_ref()),
        ];
        let (mut secrets, mut parts) = (Vec::new(), Vec::new());
        for (name, secret_type, payload) in halves {
            let Some(payload) = payload else { continue };
            let attributes = Attributes { secret_type, ..attributes.clone() };
            let sealed = self.seal_new_secret(call, attributes, content_type, payload).await?;
            parts.push(ContainerSecret { name: Text::try_from(name).ok(), secret: sealed.0.id });
            secrets.push(sealed);
        }
        let (id, name) = (ContainerId::random(), attributes.name.clone());
        let container_type = match kind {
            PairKind::Rsa => ContainerType::Rsa,
            PairKind::Dsa => ContainerType::Dsa,
        };
        let container = self.new_container(call, id, name, container_type).await?;
        Ok(OrderResult { secrets, container: Some((container, parts)), outcome: OrderOutcome::Container(id) })
    }

    async fn seal_new_secret(
        &self,
        call: &Call,
        attributes: Attributes,
        content_type: ContentType,
        payload: &Payload,
    ) -> Result<Sealed, Error> {
        let (id, content_type) = (SecretId::random(), Some(content_type));
        let (secret, key) = self.new_record(call, id, attributes, content_type, Facets::default()).await?;
        Ok((*secret, seal_payload(&key, id, false, payload)?))
    }

    /// Reads an order.
    pub async fn order(&self, call: &Call, id: OrderId) -> Result<Order, Error> {
        let action = Action::ReadOrder;
        self.read(call, action, Object::Order(id), self.accessible_order(call, id, action)).await
    }

    /// Lists the orders of the caller's project. A query for another project is denied.
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

    /// Deletes an order; its secrets and container stay.
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

    /// Finds an order that this caller may use. An order of another project counts as absent.
    async fn accessible_order(&self, call: &Call, id: OrderId, action: Action) -> Result<Order, Error> {
        let order = self.store.order(id).await?.filter(|order| order.project == call.caller.project);
        let order = order.ok_or(Absent::Order)?;
        let subject =
            Subject { project: &order.project, creator: order.creator.as_ref(), project_access: true };
        match self.verdict(action, call, Some(subject)) {
            Verdict::Allowed | Verdict::AskAclNot => Ok(order), // Orders have no ACL.
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
    fn sixteen_pairs_wait_for_each_pair_that_is_being_made() {
        let workshop = Workshop::default();
        let room = workshop.makers.available_permits() * (1 + 16);
        let mut under_way: Vec<_> = (0..room).map(|_| UnderWay::begin(&workshop).unwrap()).collect();
        assert!(is_busy(&workshop));
        under_way.pop();
        let _last = UnderWay::begin(&workshop).unwrap();
        assert!(is_busy(&workshop), "a pair that was turned away is not counted");
    }
}
