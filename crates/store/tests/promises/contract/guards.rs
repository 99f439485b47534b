//! Guards: a store keeps these bytes with the facts that they vouch for, and asks for new ones when it changes a fact.

use std::sync::Mutex;

use crate::support::*;

fn guard(text: &str) -> Option<Guard> {
    Some(text.as_bytes().to_vec().into())
}

fn guarded(ephemeral: bool) -> Secret {
    Secret {
        attributes: Attributes { expiration: Some(NOW.plus_micros(1)), ..Attributes::default() },
        creator: UserId::try_from("someone").ok(),
        facets: Facets { ephemeral, ..Facets::default() },
        guard: guard("first"),
        ..record("p")
    }
}

fn container() -> Container {
    Container {
        id: ContainerId::random(),
        project: project("p"),
        creator: None,
        created: NOW,
        updated: NOW,
        name: None,
        container_type: ContainerType::Generic,
        project_access: true,
        guard: guard("first"),
    }
}

async fn contain(store: &Arc<dyn Store>, container: &Container) {
    let container = Box::new(container.clone());
    let change = Change::CreateContainer { container, secrets: Vec::new(), limit: Limit::NONE };
    store.apply(change, unwitnessed()).await.unwrap();
}

/// Makes a guard, and tells the facts that it was asked about.
fn told() -> (Guarding, Arc<Mutex<String>>) {
    let told = Arc::new(Mutex::new(String::new()));
    let tell = Arc::clone(&told);
    let guarding = Guarding::by(move |regard| {
        let users = |users: Option<&[Text]>| {
            users.map_or("none".into(), |users| users.iter().map(Text::as_str).collect::<Vec<_>>().join("+"))
        };
        let acl =
            regard.acl.map_or("same".into(), |acl| format!("{}>{}", users(acl.before), users(acl.after)));
        let (before, after) = (regard.before, regard.after);
        *tell.lock().unwrap() = format!(
            "{} {}>{} {}>{} {acl}",
            String::from_utf8_lossy(regard.guard.map_or(&[][..], Guard::as_bytes)),
            before.project_access,
            after.project_access,
            before.private,
            after.private
        );
        Ok(guard("second"))
    });
    (guarding, told)
}

#[tokio::test]
async fn a_guard_is_read_with_its_facts_and_they_are_the_same_in_every_read() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        for secret in [guarded(false), guarded(true)] {
            fixture.define(&secret).await.unwrap();
            let found = store.secret(secret.id).await.unwrap().unwrap();
            assert_eq!((found.standing(), &found.guard), (secret.standing(), &guard("first")));
            let access = store.access(Guarded::Secret(secret.id)).await.unwrap().unwrap();
            assert_eq!(
                (access.standing(Guarded::Secret(secret.id)), &access.guard),
                (secret.standing(), &guard("first"))
            );
            let found = store.sealed(secret.id).await.unwrap().unwrap();
            assert_eq!(found.access, access);
            let found = store.handle(secret.id).await.unwrap().unwrap();
            assert_eq!(found.access, access);
            let found = store.acl(Guarded::Secret(secret.id)).await.unwrap().unwrap();
            assert_eq!((found.acl, found.guard), (None, guard("first")));
        }
        let held = container();
        contain(&store, &held).await;
        let found = store.container(held.id).await.unwrap().unwrap();
        assert_eq!((found.standing(), &found.guard), (held.standing(), &guard("first")));
        let access = store.access(Guarded::Container(held.id)).await.unwrap().unwrap();
        assert_eq!(
            (access.standing(Guarded::Container(held.id)), access.guard.clone()),
            (held.standing(), guard("first"))
        );
        assert_eq!(store.access(Guarded::Secret(SecretId::random())).await.unwrap(), None);
        assert_eq!(store.acl(Guarded::Secret(SecretId::random())).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_change_of_guarded_facts_asks_for_a_new_guard_before_it_is_witnessed() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        for secret in [guarded(false), guarded(true)] {
            fixture.define(&secret).await.unwrap();
            let (of, id) = (Guarded::Secret(secret.id), secret.id);
            let users = vec![Text::try_from("b").unwrap()];
            let change = AclChange::Replace { project_access: false, users };
            let (guarding, asked) = told();
            let change = Change::SetAcl { of, change, guarding, time: NOW };
            store.apply(change, unwitnessed()).await.unwrap();
            assert_eq!(*asked.lock().unwrap(), "first true>false false>false none>b");
            assert_eq!(store.acl(of).await.unwrap().unwrap().guard, guard("second"));

            let (guarding, asked) = told();
            let reseal = Some(Reseal { from: None, to: None, guarding });
            let facet = Facet::Private(true);
            let change = Change::SetFacet { id, facet, expect: Expect::Any, reseal, time: NOW };
            store.apply(change, unwitnessed()).await.unwrap();
            assert_eq!(*asked.lock().unwrap(), "second false>false false>true same");

            let refusing = Guarding::by(|_| Err(Failure::Unguarded(Guarded::Secret(SecretId::NIL)).into()));
            let change = Change::SetAcl { of, change: AclChange::Remove, guarding: refusing, time: NOW };
            let witness =
                Box::new(|_| -> Result<(), Unwitnessed> { panic!("it is not to be written down as done") });
            assert!(matches!(store.apply(change, witness).await, Err(Error::Failed(Failure::Unguarded(_)))));
            assert!(store.acl(of).await.unwrap().unwrap().acl.is_some(), "nothing was done");
        }
    }
}

#[tokio::test]
async fn a_secret_takes_its_guard_from_the_file_to_memory_and_back() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        let mut secret = guarded(false);
        secret.attributes.expiration = None;
        fixture.define(&secret).await.unwrap();
        secret.guard = guard("of a new one"); // Not taken: the secret is not new.
        for ephemeral in [true, false] {
            secret.facets.ephemeral = ephemeral;
            fixture.define(&secret).await.unwrap();
            assert_eq!(store.handle(secret.id).await.unwrap().unwrap().access.guard, guard("first"));
        }
    }
}

#[tokio::test]
async fn rows_without_a_guard_are_given_one_and_the_others_keep_theirs() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        let (old, new, held) = (
            Secret { guard: None, ..guarded(false) },
            guarded(false),
            Container { guard: None, ..container() },
        );
        fixture.define(&old).await.unwrap();
        fixture.define(&new).await.unwrap();
        contain(&store, &held).await;
        let of = |rows: Vec<RegardedRow>| {
            rows.into_iter().map(|row| (row.row, row.read.unwrap().of)).collect::<Vec<_>>()
        };
        let first = of(store.regarded(Kind::Secrets, i64::MIN, 1).await.unwrap());
        assert_eq!(first[0].1, Guarded::Secret(old.id));
        let second = of(store.regarded(Kind::Secrets, first[0].0, 9).await.unwrap());
        assert_eq!((second[0].1, second.len()), (Guarded::Secret(new.id), 1));
        let containers = of(store.regarded(Kind::Containers, i64::MIN, 9).await.unwrap());
        assert_eq!((containers[0].1, containers.len()), (Guarded::Container(held.id), 1));
        let late = guard("late").unwrap();
        let ids = [Guarded::Secret(old.id), Guarded::Secret(new.id), Guarded::Container(held.id)];
        let change = Change::PutGuards(ids.map(|of| (of, late.clone())).to_vec());
        store.apply(change, unwitnessed()).await.unwrap();
        assert_eq!(store.handle(old.id).await.unwrap().unwrap().access.guard, guard("late"));
        assert_eq!(store.handle(new.id).await.unwrap().unwrap().access.guard, guard("first"));
        assert_eq!(store.container(held.id).await.unwrap().unwrap().guard, guard("late"));
    }
}

#[tokio::test]
async fn a_key_check_is_replaced_only_by_callers_that_know_it() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        let replace = |from: &[u8]| Change::ReplaceKeyCheck { from: from.to_vec(), to: b"second".to_vec() };
        store.apply(Change::SetKeyCheck(b"first".to_vec()), unwitnessed()).await.unwrap();
        assert!(matches!(store.apply(replace(b"other"), unwitnessed()).await, Err(Error::Changed)));
        store.apply(replace(b"first"), unwitnessed()).await.unwrap();
        assert_eq!(store.key_check().await.unwrap(), Some(b"second".to_vec()));
    }
}
