//! Quotas limit how many things a project may have.

/// The kinds of things that quotas count.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Counted {
    /// Secrets that have not expired.
    Secrets,
    /// Orders.
    Orders,
    /// Containers.
    Containers,
    /// Consumers. Those of secrets and those of containers are counted separately.
    Consumers,
    /// Certificate authorities, which do not exist here.
    Cas,
}

impl Counted {
    /// Everything, in the order in which Barbican shows it.
    pub const ALL: [Self; 5] = [Self::Secrets, Self::Orders, Self::Containers, Self::Consumers, Self::Cas];

    /// The name in requests, answers and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Orders => "orders",
            Self::Containers => "containers",
            Self::Consumers => "consumers",
            Self::Cas => "cas",
        }
    }
}

/// A number for each of [`Counted::ALL`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PerCounted<T>([T; Counted::ALL.len()]);

impl<T: Copy> PerCounted<T> {
    /// The same value for every kind.
    pub const fn all(of: T) -> Self {
        Self([of; Counted::ALL.len()])
    }

    /// The value of one kind.
    pub fn of(&self, counted: Counted) -> T {
        let Self([secrets, orders, containers, consumers, cas]) = *self;
        match counted {
            Counted::Secrets => secrets,
            Counted::Orders => orders,
            Counted::Containers => containers,
            Counted::Consumers => consumers,
            Counted::Cas => cas,
        }
    }

    /// A copy with another value for one kind.
    #[must_use]
    pub fn with(self, counted: Counted, value: T) -> Self {
        let Self([mut secrets, mut orders, mut containers, mut consumers, mut cas]) = self;
        *match counted {
            Counted::Secrets => &mut secrets,
            Counted::Orders => &mut orders,
            Counted::Containers => &mut containers,
            Counted::Consumers => &mut consumers,
            Counted::Cas => &mut cas,
        } = value;
        Self([secrets, orders, containers, consumers, cas])
    }
}

/// The limit for each kind; a negative number is no limit.
pub type Quotas = PerCounted<i64>;

/// The quotas that were set for a project; `None` means the default.
pub type ProjectQuotas = PerCounted<Option<i64>>;

/// No limit.
pub const UNLIMITED: i64 = -1;

impl ProjectQuotas {
    /// These quotas, with the defaults where none was set.
    pub fn or(self, defaults: Quotas) -> Quotas {
        let effective = |quotas: Quotas, counted| {
            quotas.with(counted, self.of(counted).unwrap_or_else(|| defaults.of(counted)))
        };
        Counted::ALL.into_iter().fold(defaults, effective)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_quota_is_the_default() {
        let said = ProjectQuotas::default().with(Counted::Orders, Some(3)).with(Counted::Cas, Some(0));
        let effective = said.or(Quotas::all(UNLIMITED).with(Counted::Secrets, 9));
        assert_eq!(Counted::ALL.map(|counted| effective.of(counted)), [9, 3, -1, -1, 0]);
    }
}
