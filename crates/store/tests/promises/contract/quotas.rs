//! Quotas, and the rows that count against them.

use super::belongings::*;
use crate::support::*;

#[tokio::test]
async fn creations_at_once_do_not_exceed_the_quota() {
    for fixture in each_store() {
        let quotas =
            ProjectQuotas::default().with(Counted::Secrets, Some(10)).with(Counted::Consumers, Some(3));
        fixture.apply(Change::SetProjectQuotas { project: project("p"), quotas }).await.unwrap();
        let shared = Guarded::Secret(fixture.add(filled("other")).await);
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..200_u32 {
            let store = Arc::clone(&fixture.store);
            // One in three is ephemeral, and counts like the others.
            let new = if n.is_multiple_of(3) { unwritten("p") } else { filled("p") };
            let sealed = new.content_type.map(|_| b"x".to_vec());
            let create = Change::CreateSecret { secret: Box::new(new), sealed, limit: Limit::NONE };
            let who = consumer("p", uses_secret(&n.to_string()));
            let register = Change::AddConsumer { of: shared, consumer: who, limit: Limit::NONE };
            tasks.spawn(async move {
                let created = store.apply(create, unwitnessed()).await;
                (created, store.apply(register, unwitnessed()).await)
            });
        }
        let (mut created, mut registered) = (0, 0);
        for (create, register) in tasks.join_all().await {
            assert!(matches!(create, Ok(()) | Err(Error::Conflict(Conflict::Quota(Counted::Secrets)))));
            assert!(matches!(register, Ok(()) | Err(Error::Conflict(Conflict::Quota(Counted::Consumers)))));
            created += u32::from(create.is_ok());
            registered += u32::from(register.is_ok());
        }
        assert_eq!((created, registered), (10, 3));
        // Expired secrets and removed consumers do not count.
        let mut late = filled("p");
        late.created = LATER;
        let create = |secret: &Secret| Change::CreateSecret {
            secret: Box::new(secret.clone()),
            sealed: Some(b"x".to_vec()),
            limit: Limit::NONE,
        };
        assert!(matches!(fixture.apply(create(&late)).await, Err(Error::Conflict(Conflict::Quota(_)))));
        let who = fixture.used_by(shared).await[0].who.clone();
        fixture.apply(Change::RemoveConsumer { of: shared, who, only_of: None }).await.unwrap();
        fixture.register(shared, &consumer("p", uses_secret("again"))).await.unwrap();
    }
}

#[tokio::test]
async fn a_quota_does_not_count_expired_secrets() {
    for limit in [1, 2, 6, 20] {
        for fixture in each_store() {
            for n in 0..12 {
                let mut gone = if n % 4 == 0 { unwritten("p") } else { filled("p") };
                gone.attributes.expiration = Some(NOW);
                fixture.add(gone).await;
            }
            let mut lasting = 0;
            for n in 0..limit + 3 {
                let mut new = if n % 3 == 0 { unwritten("p") } else { filled("p") };
                new.created = LATER;
                new.attributes.expiration = (n % 2 == 0).then_some(Timestamp::from_micros(9_000_000));
                let sealed = new.content_type.map(|_| b"x".to_vec());
                let create = Change::CreateSecret { secret: Box::new(new), sealed, limit: Limit(limit) };
                match fixture.apply(create).await {
                    Ok(()) => lasting += 1,
                    refused => {
                        assert!(matches!(refused, Err(Error::Conflict(Conflict::Quota(Counted::Secrets)))))
                    }
                }
            }
            assert_eq!(lasting, limit);
        }
    }
}

#[tokio::test]
async fn quotas_are_merged_listed_and_forgotten() {
    for fixture in each_store() {
        let set = |of: &str, quotas| Change::SetProjectQuotas { project: project(of), quotas };
        let first = ProjectQuotas::default().with(Counted::Secrets, Some(2)).with(Counted::Cas, Some(-5));
        fixture.apply(set("p", first)).await.unwrap();
        fixture.apply(set("p", ProjectQuotas::default().with(Counted::Orders, Some(0)))).await.unwrap();
        fixture.apply(set("q", ProjectQuotas::default())).await.unwrap();
        let fixture = fixture.restart();
        let merged = first.with(Counted::Orders, Some(0));
        assert_eq!(fixture.store.project_quotas(&project("p")).await.unwrap(), Some(merged));
        let all = fixture.store.all_project_quotas(Slice { offset: 0, limit: 1 }).await.unwrap();
        assert_eq!((all.items, all.total), (vec![(project("p"), merged)], 2));
        let refused = fixture.order(&order("p", failed_for("")), Vec::new()).await;
        assert!(matches!(refused, Err(Error::Conflict(Conflict::Quota(Counted::Orders)))));
        fixture.apply(Change::DeleteProjectQuotas(project("p"))).await.unwrap();
        assert_eq!(fixture.store.project_quotas(&project("p")).await.unwrap(), None);
        let again = fixture.apply(Change::DeleteProjectQuotas(project("p"))).await;
        assert!(matches!(again, Err(Error::Absent(_))));
    }
}
