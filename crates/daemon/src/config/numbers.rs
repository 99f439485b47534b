//! The tables of the file that hold numbers alone: `[quotas]` and `[upkeep]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use model::{Counted, Quotas, UNLIMITED};
use vault::Grace;

/// A key of such a table.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) key: &'static str,
    pub(crate) min: i64,
    pub(crate) max: i64,
}

impl Number {
    pub(crate) fn range(&self) -> RangeInclusive<i64> {
        self.min..=self.max
    }
}

const fn quota(counted: Counted) -> Number {
    Number { key: counted.as_str(), min: UNLIMITED, max: i64::MAX }
}

/// What a project may have of whose quotas nothing was said, by the names of Barbican's API.
pub(crate) static QUOTAS: [Number; Counted::ALL.len()] = {
    let [secrets, orders, containers, consumers, cas] = Counted::ALL;
    [quota(secrets), quota(orders), quota(containers), quota(consumers), quota(cas)]
};

const YEAR_SECONDS: i64 = 366 * 24 * 3600;

/// What is taken away in the background.
pub(crate) static UPKEEP: [Number; 3] = [
    Number { key: "every_seconds", min: 1, max: 24 * 3600 },
    Number { key: "expired_seconds", min: 0, max: 10 * YEAR_SECONDS },
    Number { key: "orders_seconds", min: 0, max: 10 * YEAR_SECONDS },
];

/// How often it is looked for, unless chosen.
const EVERY_DEFAULT: Duration = Duration::from_secs(60);

/// The numbers that the file sets, by their place in their table.
#[derive(Clone, Debug)]
pub(crate) struct Numbers<const N: usize>([Option<i64>; N]);

impl<const N: usize> Default for Numbers<N> {
    fn default() -> Self {
        Self([None; N])
    }
}

impl<const N: usize> Numbers<N> {
    pub(crate) fn set(&mut self, table: &[Number; N], key: &str, value: i64) {
        let slots = table.iter().zip(self.0.iter_mut());
        for (_, slot) in slots.filter(|(number, _)| number.key == key) {
            *slot = Some(value);
        }
    }
}

/// Of `[quotas]`.
pub(crate) type QuotaSettings = Numbers<{ Counted::ALL.len() }>;
/// Of `[upkeep]`.
pub(crate) type UpkeepSettings = Numbers<3>;

impl QuotaSettings {
    pub(crate) fn resolve(&self) -> Quotas {
        let chosen = Counted::ALL.into_iter().zip(self.0);
        chosen.fold(Quotas::all(UNLIMITED), |quotas, (counted, chosen)| match chosen {
            Some(quota) => quotas.with(counted, quota),
            None => quotas,
        })
    }
}

/// What is taken away in the background, and how often it is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Upkeep {
    pub(crate) every: Duration,
    pub(crate) grace: Grace,
}

impl UpkeepSettings {
    pub(crate) fn resolve(&self) -> Upkeep {
        let seconds = |chosen: Option<i64>, default| {
            chosen.and_then(|number| u64::try_from(number).ok()).map_or(default, Duration::from_secs)
        };
        let [every, expired, orders] = self.0;
        let grace = Grace::default();
        Upkeep {
            every: seconds(every, EVERY_DEFAULT),
            grace: Grace { expired: seconds(expired, grace.expired), orders: seconds(orders, grace.orders) },
        }
    }
}
