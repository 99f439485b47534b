//! A client that sends many calls at once does not hold up others: connections share their thread by turns.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use libvirt::{ClientAuth, Door, DoorConfig, Metrics, Reach, Socket};
use libvirt_rpc::frame::{self, Header, LENGTH_BYTES};
use libvirt_rpc::messages::{DefineXml, ListAll, Open};
use libvirt_rpc::procedures::Procedure;
use libvirt_rpc::xdr::{EncodeError, Encoder};
use model::ProjectId;
use prometheus_client::registry::Registry;
use testkit::Fixture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

/// Calls that each greedy connection sends at once.
const MANY: usize = 400;
/// Greedy connections.
const GREEDY: usize = 10;
/// Room for everything that is sent, so that no writer waits for a reader.
const PIPE_BYTES: usize = 1 << 20;

fn message(procedure: Procedure, write: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>) -> Vec<u8> {
    frame::message(Header::call(procedure as i32, 1), 64, write).unwrap()
}

async fn answer(stream: &mut DuplexStream) -> usize {
    let mut head = [0; LENGTH_BYTES];
    stream.read_exact(&mut head).await.unwrap();
    let mut rest = vec![0; frame::length(head).unwrap() - LENGTH_BYTES];
    stream.read_exact(&mut rest).await.unwrap();
    assert_eq!(rest[20..24], [0; 4], "an error");
    rest.len()
}

async fn connect(door: &Arc<Door>) -> DuplexStream {
    let (mut client, server) = duplex(PIPE_BYTES);
    tokio::spawn(Arc::clone(door).serve_connection(server, Socket::ReadWrite, None, pending()));
    let open = |to: &mut Encoder| Open { uri: Some(b"secret:///system"), flags: 0 }.encode(to);
    client.write_all(&message(Procedure::ConnectOpen, open)).await.unwrap();
    answer(&mut client).await;
    client
}

async fn door(fixture: &Fixture) -> Arc<Door> {
    let config = DoorConfig {
        project: ProjectId::try_from("p").unwrap(),
        auth: ClientAuth::None,
        reach: Reach::System,
        token: None,
        drain_time_max: Duration::from_secs(1),
    };
    let metrics = Metrics::register(&mut Registry::default());
    Arc::new(Door::new(Arc::clone(&fixture.vault), config, metrics))
}

/// Ten connections send so many calls at once, and another one calls five times after them. Returns how many of their calls
/// were answered before.
async fn answered_before_the_last(door: &Arc<Door>, call: &[u8], many: usize) -> usize {
    let answered = Arc::new(AtomicUsize::new(0));
    let mut last = connect(door).await;
    let mut all = Vec::new();
    for _ in 0..GREEDY {
        all.push(connect(door).await);
    }
    for mut greedy in all {
        greedy.write_all(&call.repeat(many)).await.unwrap();
        let answered = Arc::clone(&answered);
        tokio::spawn(async move {
            for _ in 0..many {
                answer(&mut greedy).await;
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for _ in 0..5 {
        last.write_all(&message(Procedure::ConnectNumOfSecrets, |_| Ok(()))).await.unwrap();
        answer(&mut last).await;
    }
    let meanwhile = answered.load(Ordering::Relaxed);
    while answered.load(Ordering::Relaxed) < GREEDY * many {
        tokio::task::yield_now().await; // The others are answered, too.
    }
    meanwhile
}

#[tokio::test]
async fn a_call_waits_for_one_or_two_turns_of_busy_connections() {
    let fixture = Fixture::new().await;
    let door = door(&fixture).await;
    let count = message(Procedure::ConnectNumOfSecrets, |_| Ok(()));
    let meanwhile = answered_before_the_last(&door, &count, MANY).await;
    assert!(meanwhile <= 1000, "{meanwhile} calls of others were answered meanwhile");
}

#[tokio::test]
async fn a_call_waits_for_few_lists_of_other_connections() {
    let fixture = Fixture::new().await;
    let door = door(&fixture).await;
    let mut client = connect(&door).await;
    let define = |to: &mut Encoder| DefineXml { xml: b"<secret/>", flags: 0 }.encode(to);
    client.write_all(&message(Procedure::SecretDefineXml, define).repeat(300)).await.unwrap();
    for _ in 0..300 {
        answer(&mut client).await;
    }
    let list = |to: &mut Encoder| ListAll { need_results: 1, flags: 0 }.encode(to);
    let list = message(Procedure::ConnectListAllSecrets, list);
    let meanwhile = answered_before_the_last(&door, &list, 50).await;
    assert!(meanwhile <= 100, "{meanwhile} lists of others were made meanwhile");
}
