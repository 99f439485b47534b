//! Lists of durable secrets and of those in memory as one list.
//!
//! Memory has few secrets, so all that match there are merged with the durable rows that could be on the page: with `m` in
//! memory, position `p` of the merged list is between `p - m` and `p` in the durable one.

use std::cmp::Ordering;

use model::{Direction, ListQuery, Page, Secret, SortKey, SortOrder};

/// The part of the durable list that has all its rows of the page of `query`.
pub(crate) fn durable_part(query: &ListQuery, in_memory: u32) -> ListQuery {
    ListQuery {
        offset: query.offset.saturating_sub(u64::from(in_memory)),
        limit: query.limit.saturating_add(in_memory),
        ..query.clone()
    }
}

/// The page of `query`, merged from the rows of [`durable_part`] and all that match in memory, both in order.
pub(crate) fn merged_page(query: &ListQuery, file: Page, memory: Page) -> Page {
    let in_memory = u64::try_from(memory.secrets.len()).unwrap_or(u64::MAX);
    let first = query.offset.saturating_sub(in_memory);
    let total = file.total + memory.total;
    let (mut file, mut memory) = (file.secrets.into_iter().peekable(), memory.secrets.into_iter().peekable());
    let mut position = first;
    let mut secrets = Vec::new();
    while let Some(next) = match (file.peek(), memory.peek()) {
        (Some(stored), Some(kept)) if in_order(query, stored, kept).is_le() => file.next(),
        (_, Some(_)) => memory.next(),
        (_, None) => file.next(),
    } {
        if position >= query.offset {
            secrets.push(next);
        }
        position += 1;
        if u32::try_from(secrets.len()).is_ok_and(|found| found >= query.limit) {
            break;
        }
    }
    Page { secrets, total }
}

/// The order that SQL gives: absent before present, bytes compared, ties by creation in the last key's direction.
fn in_order(query: &ListQuery, a: &Secret, b: &Secret) -> Ordering {
    let last = query.sort.last().map_or(Direction::Ascending, |sort| sort.direction);
    let ties = SortOrder { key: SortKey::Created, direction: last };
    query.sort.iter().chain([&ties]).fold(Ordering::Equal, |so_far, sort| {
        so_far.then_with(|| {
            let order = by_key(sort.key, a, b);
            if sort.direction == Direction::Ascending { order } else { order.reverse() }
        })
    })
}

fn by_key(key: SortKey, a: &Secret, b: &Secret) -> Ordering {
    let (x, y) = (&a.attributes, &b.attributes);
    match key {
        SortKey::Algorithm => text(&x.algorithm).cmp(&text(&y.algorithm)),
        SortKey::BitLength => x.bit_length.map(|n| n.bits()).cmp(&y.bit_length.map(|n| n.bits())),
        SortKey::Created => a.created.cmp(&b.created),
        SortKey::Expiration => x.expiration.cmp(&y.expiration),
        SortKey::Mode => text(&x.mode).cmp(&text(&y.mode)),
        SortKey::Name => text(&x.name).cmp(&text(&y.name)),
        SortKey::SecretType => x.secret_type.as_str().cmp(y.secret_type.as_str()),
        SortKey::Status => a.status.as_str().cmp(b.status.as_str()),
        SortKey::Updated => a.updated.cmp(&b.updated),
    }
}

fn text(text: &Option<model::Text>) -> Option<&str> {
    text.as_ref().map(model::Text::as_str)
}
