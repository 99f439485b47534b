//! Lists of secrets, filtered, sorted and counted.

use std::cmp::Ordering;

use super::{add, plain};
use crate::support::*;

pub(crate) fn everything(project_name: &str) -> ListQuery {
    ListQuery {
        scope: Scope::Project(project(project_name)),
        filters: Filters::default(),
        sort: Vec::new(),
        offset: 0,
        limit: 100,
    }
}

/// Adds many secrets with absent values, ties, both cases, past and future expirations, in two projects. On demand every
/// fifth is ephemeral, and has a time of creation of its own, because ties between the file and memory have no order.
async fn add_many(store: &Arc<dyn Store>, some_ephemeral: bool) -> Vec<Secret> {
    let pick = |of: &[&str], n: usize| match of[n % of.len()] {
        "-" => None,
        text => Some(Text::try_from(text).unwrap()),
    };
    let mut all = Vec::new();
    for n in 0..120_usize {
        let mut secret = plain(if n % 10 == 9 { "other" } else { "p" });
        let at = |micros: usize| NOW.plus_micros(i64::try_from(micros).unwrap());
        secret.created = at(n / 3);
        secret.updated = at(n * 7 % 50);
        secret.attributes = Attributes {
            name: pick(
                &["alpha", "Alpha", "-", "beta", "al_ha", "al%a", "", "密", "al\\ha", "\\h_", "\\_x"],
                n * 7,
            ),
            algorithm: pick(&["aes", "-", "AES", "rsa", "x_"], n * 3),
            mode: pick(&["cbc", "-", "gcm", "C_c"], n),
            bit_length: [None, Some(128), Some(256)][n % 3]
                .map(|bits: i64| BitLength::try_from(bits).unwrap()),
            secret_type: SecretType::ALL[n * 11 % 6],
            expiration: [None, Some(at(40)), Some(at(5000 + n)), None][n % 4],
        };
        if some_ephemeral && n % 5 == 1 {
            secret.created = at(1000 - n);
            secret.facets.ephemeral = true;
            let define =
                Change::DefineSecret { secret: Box::new(secret.clone()), reseal: None, limit: Limit::NONE };
            store.apply(define, unwitnessed()).await.unwrap();
        } else {
            add(store, secret.clone(), None).await;
        }
        all.push(secret);
    }
    all
}

fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.to_ascii_lowercase().chars().collect(), text.to_ascii_lowercase().chars().collect());
    fn matches(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('%', rest)), _) => {
                matches(rest, text) || text.split_first().is_some_and(|(_, t)| matches(pattern, t))
            }
            (Some((p, rest)), Some((t, more))) => p == t && matches(rest, more),
            _ => false,
        }
    }
    matches(&pattern, &text)
}

fn expected(all: &[Secret], query: &ListQuery, now: Timestamp) -> Vec<SecretId> {
    let Scope::Project(project) = &query.scope else { panic!() };
    let filters = &query.filters;
    let text = |pattern: &Option<Pattern>, text: &Option<Text>| match (pattern, text) {
        (None, _) => true,
        (Some(pattern), Some(text)) => like(pattern.as_str(), text.as_str()),
        (Some(_), None) => false,
    };
    let date = |filters: &[DateFilter], moment: Option<Timestamp>| {
        filters.iter().all(|DateFilter { comparison, with }| {
            moment.is_some_and(|moment| match comparison {
                Comparison::Equal => moment == *with,
                Comparison::Greater => moment > *with,
                Comparison::GreaterOrEqual => moment >= *with,
                Comparison::Less => moment < *with,
                Comparison::LessOrEqual => moment <= *with,
            })
        })
    };
    let mut found: Vec<(usize, &Secret)> = all
        .iter()
        .enumerate()
        .filter(|(_, secret)| {
            let attributes = &secret.attributes;
            secret.project == *project
                && !secret.is_expired(now)
                && text(&filters.name, &attributes.name)
                && text(&filters.algorithm, &attributes.algorithm)
                && text(&filters.mode, &attributes.mode)
                && filters
                    .bit_length
                    .is_none_or(|bits| attributes.bit_length.is_some_and(|b| u32::from(b.bits()) == bits))
                && filters.secret_type.is_none_or(|t| t == TypeFilter::Is(attributes.secret_type))
                && date(&filters.created, Some(secret.created))
                && date(&filters.updated, Some(secret.updated))
                && date(&filters.expiration, attributes.expiration)
        })
        .collect();
    let by = |key: SortKey, a: &Secret, b: &Secret| {
        let (x, y) = (&a.attributes, &b.attributes);
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
        match key {
            SortKey::Algorithm => text(&x.algorithm).cmp(&text(&y.algorithm)),
            SortKey::BitLength => x.bit_length.map(|b| b.bits()).cmp(&y.bit_length.map(|b| b.bits())),
            SortKey::Created => a.created.cmp(&b.created),
            SortKey::Expiration => x.expiration.cmp(&y.expiration),
            SortKey::Mode => text(&x.mode).cmp(&text(&y.mode)),
            SortKey::Name => text(&x.name).cmp(&text(&y.name)),
            SortKey::SecretType => x.secret_type.as_str().cmp(y.secret_type.as_str()),
            SortKey::Status => Ordering::Equal,
            SortKey::Updated => a.updated.cmp(&b.updated),
        }
    };
    found.sort_by(|(m, a), (n, b)| {
        let mut order = Ordering::Equal;
        let turn = |order: Ordering, direction| {
            if direction == Direction::Descending { order.reverse() } else { order }
        };
        for sort in &query.sort {
            order = order.then(turn(by(sort.key, a, b), sort.direction));
        }
        let ties = query.sort.last().map_or(Direction::Ascending, |sort| sort.direction);
        order.then(turn(a.created.cmp(&b.created).then(m.cmp(n)), ties))
    });
    found.into_iter().map(|(_, secret)| secret.id).collect()
}

async fn check_list(store: &Arc<dyn Store>, all: &[Secret], query: ListQuery, now: Timestamp) {
    let want = expected(all, &query, now);
    for (offset, limit) in [(0, 100), (3, 4), (want.len().saturating_sub(1), 10), (want.len(), 10), (2000, 1)]
    {
        let query = ListQuery { offset: offset as u64, limit, ..query.clone() };
        let page = store.list(&query, now).await.unwrap();
        let got: Vec<_> = page.secrets.iter().map(|secret| secret.id).collect();
        let want_page: Vec<_> = want.iter().copied().skip(offset).take(limit as usize).collect();
        assert_eq!(page.total, want.len() as u64, "total of {query:?}");
        assert_eq!(got, want_page, "{query:?}");
        for secret in page.secrets {
            assert_eq!(Some(&secret), all.iter().find(|known| known.id == secret.id));
        }
    }
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_counted_as_a_plain_search_would() {
    check_lists(false).await;
}

#[tokio::test]
async fn secrets_in_memory_are_in_every_list_at_their_place() {
    check_lists(true).await;
}

async fn check_lists(some_ephemeral: bool) {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        let all = add_many(&store, some_ephemeral).await;
        let dates = |list: &[(Comparison, i64)]| {
            list.iter()
                .map(|(comparison, at)| DateFilter { comparison: *comparison, with: NOW.plus_micros(*at) })
                .collect::<Vec<_>>()
        };
        let pattern = |text: &str| Some(Pattern::new(text));
        let filters = [
            Filters::default(),
            Filters { name: pattern("ALPHA"), ..Filters::default() },
            Filters { name: pattern("al%"), ..Filters::default() },
            Filters { name: pattern("al_ha"), ..Filters::default() },
            Filters { name: pattern("%a%"), mode: pattern("cbc"), ..Filters::default() },
            Filters { name: pattern("al\\%a"), ..Filters::default() },
            Filters { name: pattern("%l_h%"), ..Filters::default() },
            Filters { name: pattern("al_h%"), ..Filters::default() },
            Filters { name: pattern("\\_%"), ..Filters::default() },
            Filters { name: pattern("%\\h_"), ..Filters::default() },
            Filters { algorithm: pattern("a_s"), ..Filters::default() },
            Filters { algorithm: pattern("%_"), mode: pattern("c_%"), ..Filters::default() },
            Filters { algorithm: pattern("aes"), bit_length: Some(256), ..Filters::default() },
            Filters { secret_type: Some(TypeFilter::Is(SecretType::Public)), ..Filters::default() },
            Filters { secret_type: Some(TypeFilter::Unknown), ..Filters::default() },
            Filters {
                secret_type: Some(TypeFilter::Is(SecretType::Opaque)),
                name: pattern("beta"),
                ..Filters::default()
            },
            Filters {
                created: dates(&[(Comparison::Greater, 5), (Comparison::LessOrEqual, 30)]),
                ..Filters::default()
            },
            Filters { updated: dates(&[(Comparison::Equal, 14)]), ..Filters::default() },
            Filters {
                expiration: dates(&[(Comparison::GreaterOrEqual, 5010), (Comparison::Less, 5100)]),
                created: dates(&[(Comparison::Less, 25)]),
                ..Filters::default()
            },
        ];
        let sort = |list: &[(SortKey, Direction)]| -> Vec<SortOrder> {
            list.iter().map(|(key, direction)| SortOrder { key: *key, direction: *direction }).collect()
        };
        let mut sorts = vec![
            Vec::new(),
            sort(&[(SortKey::Name, Direction::Descending), (SortKey::Created, Direction::Ascending)]),
            sort(&[(SortKey::SecretType, Direction::Ascending), (SortKey::Updated, Direction::Descending)]),
        ];
        for key in SortKey::ALL {
            sorts.push(sort(&[(key, Direction::Ascending)]));
            sorts.push(sort(&[(key, Direction::Descending)]));
        }
        for filters in &filters {
            for sort in &sorts {
                for now in [NOW, NOW.plus_micros(40), NOW.plus_micros(5050)] {
                    let query = ListQuery { filters: filters.clone(), sort: sort.clone(), ..everything("p") };
                    check_list(&store, &all, query, now).await;
                }
            }
        }
        assert_eq!(store.list(&everything("nobody"), NOW).await.unwrap().total, 0);
    }
}

#[tokio::test]
async fn a_list_by_acl_has_the_secrets_of_all_projects_that_name_the_user() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        let all = add_many(&store, false).await;
        for secret in all.iter().skip(2).step_by(3) {
            let users = vec![Text::try_from("friend").unwrap(), Text::try_from("other").unwrap()];
            let change = AclChange::Replace { project_access: true, users };
            let of = Guarded::Secret(secret.id);
            let change = Change::SetAcl { of, change, guarding: Guarding::none(), time: NOW };
            store.apply(change, unwitnessed()).await.unwrap();
        }
        let user = |name| UserId::try_from(name).unwrap();
        let named: Vec<_> = all.iter().skip(2).step_by(3).collect();
        let query = |filters, sort| ListQuery {
            scope: Scope::AclOf(user("friend")),
            filters,
            sort,
            ..everything("p")
        };
        assert_eq!(
            store.list(&query(Filters::default(), vec![]), NOW).await.unwrap().total,
            named.len() as u64
        );
        let opaque = Filters { secret_type: Some(TypeFilter::Is(SecretType::Opaque)), ..Filters::default() };
        let alpha = Filters { name: Some(Pattern::new("al%")), ..Filters::default() };
        let late = Filters {
            expiration: vec![DateFilter { comparison: Comparison::Greater, with: NOW.plus_micros(50) }],
            ..Filters::default()
        };
        for filters in [Filters::default(), opaque, alpha, late] {
            for key in SortKey::ALL {
                let sort = vec![SortOrder { key, direction: Direction::Descending }];
                let page = store.list(&query(filters.clone(), sort), NOW).await.unwrap();
                assert_eq!(page.secrets.len() as u64, page.total);
                assert!(page.secrets.iter().all(|secret| named.iter().any(|known| known.id == secret.id)));
            }
        }
        let stranger = ListQuery { scope: Scope::AclOf(user("stranger")), ..everything("p") };
        assert_eq!(store.list(&stranger, NOW).await.unwrap().total, 0);
        let acl = async |id| store.acl(Guarded::Secret(id)).await.unwrap().unwrap().acl;
        assert!(acl(named[0].id).await.unwrap().users.iter().any(|user| user.as_str() == "friend"));
        assert_eq!(acl(all[0].id).await, None);
    }
}

#[tokio::test]
async fn odd_patterns_do_no_harm() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        add_many(&store, true).await;
        for name in
            ["%".repeat(60_000), "%a".repeat(3000), "_%".repeat(5000), "\0".into(), "%\u{10ffff}".into()]
        {
            let filters = Filters { name: Some(Pattern::new(&name)), ..Filters::default() };
            assert!(store.list(&ListQuery { filters, ..everything("p") }, NOW).await.is_ok());
        }
    }
}
