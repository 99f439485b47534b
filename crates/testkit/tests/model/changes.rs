//! Changes made of small numbers, so that they meet: few ids, usages and projects, and times that expire.

use model::{
    AclChange, Attributes, BitLength, Consumer, ConsumerId, Container, ContainerId, ContainerSecret,
    ContainerType, ContentType, Counted, Encoding, Expect, Facet, Facets, Guard, Guarded, KeyVersion,
    Metadatum, Order, OrderFailure, OrderFailureKind, OrderId, OrderOutcome, OrderType, ProjectId,
    ProjectQuotas, Secret, SecretId, SecretType, Status, Text, Timestamp, TransportKey, TransportKeyId,
    UsageType, UserId, Uses,
};
use proptest::prelude::*;
use store::{AuditAnchor, Change, Guarding, Limit, NodeName, Reseal};

/// Which change a step is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    SetKeyCheck,
    ReplaceKeyCheck,
    PutGuards,
    AddProjectKey,
    CreateSecret,
    DefineSecret,
    FillPayload,
    SetPayload,
    DeleteSecret,
    ReplaceMetadata,
    AddMetadatum,
    SetMetadatum,
    RemoveMetadatum,
    SetFacet,
    SetAcl,
    AddConsumer,
    RemoveConsumer,
    CreateContainer,
    AddContainerSecret,
    RemoveContainerSecret,
    DeleteContainer,
    CreateOrder,
    DeleteOrder,
    SetProjectQuotas,
    DeleteProjectQuotas,
    AddTransportKey,
    DeleteTransportKey,
    ReapSecret,
    ReapOrders,
    AnchorAudit,
}

/// Each kind as often as it is worth trying.
fn any_kind() -> impl Strategy<Value = Kind> {
    use Kind::*;
    let often =
        [CreateSecret, DefineSecret, DefineSecret, SetPayload, SetFacet, SetAcl, ReapSecret, CreateContainer];
    let all = [
        SetKeyCheck,
        ReplaceKeyCheck,
        PutGuards,
        AddProjectKey,
        CreateSecret,
        DefineSecret,
        FillPayload,
        SetPayload,
        DeleteSecret,
        ReplaceMetadata,
        AddMetadatum,
        SetMetadatum,
        RemoveMetadatum,
        SetFacet,
        SetAcl,
        AddConsumer,
        RemoveConsumer,
        CreateContainer,
        AddContainerSecret,
        RemoveContainerSecret,
        DeleteContainer,
        CreateOrder,
        DeleteOrder,
        SetProjectQuotas,
        DeleteProjectQuotas,
        AddTransportKey,
        DeleteTransportKey,
        ReapSecret,
        ReapOrders,
        AnchorAudit,
    ];
    prop::sample::select([often.as_slice(), &all].concat())
}

/// One change, as the numbers that it is made of.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    kind: Kind,
    /// The secret or the container, and another secret.
    id: u8,
    other: u8,
    project: u8,
    /// The usage, and any other choice of a few.
    usage: u8,
    choice: u8,
    time: u8,
    /// When the secret expires after its creation, unless that is never.
    expires_in: Option<u8>,
    private: bool,
    ephemeral: bool,
    flag: bool,
    pub(crate) agrees: bool,
}

/// Any change. Most of those of one secret say the same project and usage, so that it is often there and seldom refused.
pub(crate) fn any_step() -> impl Strategy<Value = Step> {
    let numbers = (any_kind(), 0..IDS, 0..IDS, 0..8_u8, 0..8_u8, 0..6_u8, 0..30_u8);
    let flags = (
        prop::option::weighted(0.4, 0..12_u8),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.4),
        any::<bool>(),
        prop::bool::weighted(0.9),
    );
    (numbers, flags).prop_map(|(numbers, flags)| {
        let (kind, id, other, project, usage, choice, time) = numbers;
        let (expires_in, private, ephemeral, flag, agrees) = flags;
        let project = if project > 1 { id % 2 } else { project };
        let usage = if usage > 3 { id % 4 } else { usage };
        Step { kind, id, other, project, usage, choice, time, expires_in, private, ephemeral, flag, agrees }
    })
}

/// The names and ids that changes are made of.
pub(crate) const IDS: u8 = 4;
pub(crate) const PROJECTS: [&str; 2] = ["p", "q"];
pub(crate) const NODES: [&str; 2] = ["a", "b"];
const TEXTS: [&str; 6] = ["alpha", "ALPHA", "beta", "al_ha", "", "b\0\\%"];

pub(crate) fn secret_id(number: u8) -> SecretId {
    SecretId::from_bytes([number; 16])
}

pub(crate) fn container_id(number: u8) -> ContainerId {
    ContainerId::from_bytes([number; 16])
}

pub(crate) fn order_id(number: u8) -> OrderId {
    OrderId::from_bytes([number; 16])
}

pub(crate) fn transport_key_id(number: u8) -> TransportKeyId {
    TransportKeyId::from_bytes([number; 16])
}

pub(crate) fn consumer_id(number: u8) -> ConsumerId {
    ConsumerId::from_bytes([number; 16])
}

pub(crate) fn project(number: u8) -> ProjectId {
    ProjectId::try_from(PROJECTS[usize::from(number)]).unwrap()
}

/// The usage of a number: none, half of one, and two whole ones.
pub(crate) fn usage(number: u8) -> (Option<UsageType>, Option<String>) {
    match number {
        0 => (None, None),
        1 => (Some(UsageType::Ceph), None),
        2 => (Some(UsageType::Ceph), Some("c".to_owned())),
        _ => (Some(UsageType::Iscsi), Some("c".repeat(1500))),
    }
}

pub(crate) fn moment(number: u8) -> Timestamp {
    Timestamp::from_micros(1_000_000 + i64::from(number))
}

fn text(number: u8) -> Text {
    Text::try_from(TEXTS[usize::from(number)]).unwrap()
}

fn guard(number: u8) -> Guard {
    vec![number; 3].into()
}

impl Step {
    /// The secrets that the change creates under ids which nobody chose.
    pub(crate) fn creates(&self) -> impl Iterator<Item = SecretId> + use<> {
        let creates = matches!(self.kind, Kind::CreateSecret)
            || matches!(self.kind, Kind::CreateOrder) && self.choice < 4;
        creates.then_some(secret_id(self.id)).into_iter()
    }

    fn of(&self) -> Guarded {
        match self.flag {
            true => Guarded::Secret(secret_id(self.id)),
            false => Guarded::Container(container_id(self.id)),
        }
    }

    fn envelope(&self) -> Vec<u8> {
        vec![self.choice % 2; 4]
    }

    fn time(&self) -> Timestamp {
        moment(self.time)
    }

    fn limit(&self) -> Limit {
        [Limit::NONE, Limit::NONE, Limit::NONE, Limit(1), Limit(2), Limit(0)][usize::from(self.choice)]
    }

    fn encoding(&self) -> Encoding {
        [Encoding::Raw, Encoding::Hex, Encoding::Base64][usize::from(self.choice % 3)]
    }

    fn facets(&self, ephemeral: bool) -> Facets {
        let (usage_type, usage_id) = usage(self.usage);
        Facets {
            description: self.flag.then(|| "d".to_owned()),
            usage_type,
            usage_id,
            private: self.private,
            ephemeral,
            encoding: Encoding::Raw,
        }
    }

    fn secret(&self, facets: Facets, filled: bool) -> Secret {
        Secret {
            id: secret_id(self.id),
            project: project(self.project),
            attributes: Attributes {
                name: self.flag.then(|| text(self.choice)),
                algorithm: (!self.flag).then(|| text(self.choice)),
                bit_length: BitLength::try_from(i64::from(self.other)).ok(),
                mode: None,
                secret_type: SecretType::ALL[usize::from(self.choice)],
                expiration: self.expires_in.map(|after| moment(self.time + after)),
            },
            creator: self.private.then(|| UserId::try_from("someone").unwrap()),
            created: self.time(),
            updated: self.time(),
            status: Status::Active,
            content_type: filled.then_some(ContentType::OctetStream),
            project_access: true,
            facets,
            guard: (self.other > 0).then(|| guard(self.other)),
        }
    }

    /// The envelope that was opened is often the one that is there.
    fn reseal(&self) -> Option<Reseal> {
        let number = self.other;
        self.private.then(|| Reseal {
            from: (self.choice < 4).then(|| self.envelope()),
            to: (self.choice < 4).then(|| vec![9; 4]),
            guarding: Guarding::by(move |_| Ok(Some(guard(10 + number)))),
        })
    }

    fn facet(&self) -> Facet {
        let (usage_type, usage_id) = usage(self.usage);
        match self.choice {
            0 => Facet::Description(self.flag.then(|| "e".to_owned())),
            1 => Facet::UsageType(usage_type),
            2 => Facet::UsageId(usage_id),
            3 => Facet::Private(self.private),
            4 => Facet::Ephemeral(self.ephemeral),
            _ => Facet::Encoding(if self.flag { Encoding::Hex } else { Encoding::Raw }),
        }
    }

    fn datum(&self) -> Metadatum {
        Metadatum {
            key: TEXTS[usize::from(self.other)].to_owned(),
            value: TEXTS[usize::from(self.choice)].to_owned(),
        }
    }

    fn acl_change(&self) -> AclChange {
        let users: Vec<_> = [self.other, self.usage, self.other].map(text).into_iter().collect();
        match self.choice {
            0 | 1 => AclChange::Replace { project_access: self.private, users },
            2 => AclChange::Amend { project_access: None, users: None },
            3 => AclChange::Amend { project_access: Some(self.private), users: None },
            4 => AclChange::Amend { project_access: None, users: Some(users) },
            _ => AclChange::Remove,
        }
    }

    /// A use that belongs to what it is of, but for one in six.
    fn uses(&self) -> Uses {
        match self.flag != (self.choice == 5) {
            true => Uses::Secret {
                service: text(self.usage),
                resource_type: text(0),
                resource_id: text(self.other),
            },
            false => Uses::Container { name: text(self.usage), url: text(self.other) },
        }
    }

    fn container_secret(&self) -> ContainerSecret {
        ContainerSecret { name: self.flag.then(|| text(self.usage)), secret: secret_id(self.other) }
    }

    fn container(&self) -> Container {
        Container {
            id: container_id(self.id),
            project: project(self.project),
            creator: None,
            created: self.time(),
            updated: self.time(),
            name: self.flag.then(|| text(self.usage)),
            container_type: ContainerType::ALL[usize::from(self.other)],
            project_access: true,
            guard: (self.other > 0).then(|| guard(self.other)),
        }
    }

    /// An order that made a secret, or a container with one, or failed.
    fn order(&self) -> Change {
        let made = self.secret(Facets::default(), true);
        let held = ContainerSecret { name: None, secret: made.id };
        let (outcome, secrets, container) = match self.choice {
            0 | 1 => (OrderOutcome::Secret(made.id), vec![(made, self.envelope())], None),
            2 | 3 => {
                let container = (Box::new(self.container()), vec![held]);
                (
                    OrderOutcome::Container(container_id(self.id)),
                    vec![(made, self.envelope())],
                    Some(container),
                )
            }
            _ => (
                OrderOutcome::Failed(OrderFailure {
                    kind: OrderFailureKind::Unsupported,
                    reason: "no".to_owned(),
                }),
                Vec::new(),
                None,
            ),
        };
        let order = Order {
            id: order_id(self.other),
            project: project(self.project),
            creator: None,
            created: self.time(),
            updated: self.time(),
            order_type: if self.flag { OrderType::Key } else { OrderType::Asymmetric },
            meta: format!(r#"{{"name": "{}"}}"#, self.usage),
            outcome,
        };
        let limit = if self.usage == 0 { Limit(1) } else { Limit::NONE };
        Change::CreateOrder { order: Box::new(order), secrets, container, limit }
    }

    /// The change, made anew: it cannot be copied.
    pub(crate) fn change(&self) -> Change {
        let (id, time) = (secret_id(self.id), self.time());
        match self.kind {
            Kind::SetKeyCheck => Change::SetKeyCheck(vec![self.choice]),
            Kind::ReplaceKeyCheck => {
                Change::ReplaceKeyCheck { from: vec![self.other], to: vec![self.choice] }
            }
            Kind::PutGuards => Change::PutGuards(vec![
                (Guarded::Secret(id), guard(self.choice)),
                (Guarded::Container(container_id(self.other)), guard(self.choice)),
            ]),
            Kind::AddProjectKey => Change::AddProjectKey {
                project: project(self.project),
                version: KeyVersion(u32::from(self.other)),
                wrapped: vec![self.choice],
            },
            Kind::CreateSecret => {
                let filled = self.other > 1;
                let secret = Box::new(self.secret(self.facets(self.ephemeral), filled));
                Change::CreateSecret { secret, sealed: filled.then(|| self.envelope()), limit: self.limit() }
            }
            Kind::DefineSecret => Change::DefineSecret {
                secret: Box::new(self.secret(self.facets(self.ephemeral), false)),
                reseal: self.reseal(),
                limit: self.limit(),
            },
            Kind::FillPayload => Change::FillPayload {
                id,
                private: self.private,
                content_type: ContentType::Text,
                sealed: self.envelope(),
                time,
            },
            Kind::SetPayload => Change::SetPayload {
                id,
                private: self.private,
                rendered: if self.other > 0 { Encoding::Raw } else { Encoding::Hex },
                encoding: self.encoding(),
                content_type: ContentType::OctetStream,
                sealed: self.envelope(),
                time,
            },
            Kind::DeleteSecret => Change::DeleteSecret { id, unless_used: self.flag, time },
            Kind::ReplaceMetadata => Change::ReplaceMetadata {
                id,
                user: vec![self.datum(), Metadatum { value: "second".to_owned(), ..self.datum() }],
                facets: if self.flag { vec![self.facet()] } else { Vec::new() },
                reseal: self.reseal(),
                time,
            },
            Kind::AddMetadatum => Change::AddMetadatum { id, datum: self.datum() },
            Kind::SetMetadatum => Change::SetMetadatum { id, datum: self.datum() },
            Kind::RemoveMetadatum => Change::RemoveMetadatum { id, key: self.datum().key },
            Kind::SetFacet => {
                let expect = [Expect::Any, Expect::Default, Expect::Set][usize::from(self.other % 3)];
                Change::SetFacet { id, facet: self.facet(), expect, reseal: self.reseal(), time }
            }
            Kind::SetAcl => {
                let number = self.other;
                let guarding = Guarding::by(move |_| Ok(Some(guard(20 + number))));
                Change::SetAcl { of: self.of(), change: self.acl_change(), guarding, time }
            }
            Kind::AddConsumer => {
                let (id, project) = (consumer_id(self.other), project(self.project));
                let consumer = Consumer { id, project, created: time, updated: time, who: self.uses() };
                Change::AddConsumer { of: self.of(), consumer, limit: self.limit() }
            }
            Kind::RemoveConsumer => {
                let only_of = self.private.then(|| project(self.project));
                Change::RemoveConsumer { of: self.of(), who: self.uses(), only_of }
            }
            Kind::CreateContainer => Change::CreateContainer {
                container: Box::new(self.container()),
                secrets: if self.private { Vec::new() } else { vec![self.container_secret()] },
                limit: self.limit(),
            },
            Kind::AddContainerSecret => Change::AddContainerSecret {
                id: container_id(self.id),
                secret: self.container_secret(),
                time,
            },
            Kind::RemoveContainerSecret => Change::RemoveContainerSecret {
                id: container_id(self.id),
                secret: self.container_secret(),
                time,
            },
            Kind::DeleteContainer => Change::DeleteContainer(container_id(self.id)),
            Kind::CreateOrder => self.order(),
            Kind::DeleteOrder => Change::DeleteOrder(order_id(self.other)),
            Kind::SetProjectQuotas => {
                let counted = Counted::ALL[usize::from(self.choice % 5)];
                let quotas = ProjectQuotas::default().with(counted, Some(i64::from(self.other) - 1));
                Change::SetProjectQuotas { project: project(self.project), quotas }
            }
            Kind::DeleteProjectQuotas => Change::DeleteProjectQuotas(project(self.project)),
            Kind::AddTransportKey => Change::AddTransportKey(TransportKey {
                id: transport_key_id(self.id),
                created: time,
                updated: time,
                plugin: text(self.other),
                key: "public".to_owned(),
            }),
            Kind::DeleteTransportKey => Change::DeleteTransportKey(transport_key_id(self.id)),
            Kind::ReapSecret => Change::ReapSecret { id, by: time, time },
            Kind::ReapOrders => Change::ReapOrders { before: time },
            Kind::AnchorAudit => Change::AnchorAudit {
                node: NodeName::from(NODES[usize::from(self.project)].to_owned()),
                anchor: AuditAnchor { number: u64::from(self.choice), hash: [self.other; 32] },
            },
        }
    }
}
