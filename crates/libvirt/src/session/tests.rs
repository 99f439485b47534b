//! Each row of the table passes the checks in libvirtd's order and is dispatched.

use libvirt_rpc::xdr::Decoder;
use model::ProjectId;
use prometheus_client::registry::Registry;
use testkit::Fixture;

use super::*;
use crate::auth::ClientAuth;
use crate::{DoorConfig, Metrics, Reach};

/// Zeros that decode as the arguments of every procedure.
const ZEROS: [u8; 64] = [0; 64];

fn door(fixture: &Fixture, auth: ClientAuth, registry: &mut Registry) -> Arc<Door> {
    let config = DoorConfig {
        project: ProjectId::try_from("p").unwrap(),
        auth,
        reach: Reach::System,
        token: None,
        drain_time_max: std::time::Duration::ZERO,
    };
    let metrics = Metrics::register(registry);
    Arc::new(Door::new(Arc::clone(&fixture.vault), config, metrics))
}

/// The text of the error, if a call is answered by one at once.
fn immediate_error(session: &mut Session, procedure: Procedure, arguments: &[u8]) -> Option<String> {
    let header = Header::call(procedure as i32, 7);
    let mut message = frame::empty(header).split_off(frame::LENGTH_BYTES);
    message.extend_from_slice(arguments);
    let Step::Reply(reply) = session.handle(&message) else { return None };
    let mut from = Decoder::new(&reply.bytes()[frame::LENGTH_BYTES..]);
    let answered = Header::decode(&mut from).unwrap();
    assert_eq!((answered.procedure, answered.serial), (procedure as i32, 7));
    (answered.status == frame::ERROR).then(|| RemoteError::decode(&mut from).unwrap().text().into_owned())
}

#[tokio::test]
async fn every_row_is_checked_in_libvirtds_order() {
    let fixture = Fixture::new().await;
    let peer = Some(Peer { uid: 1000, pid: 0 });
    let asked = door(&fixture, ClientAuth::Polkit, &mut Registry::default());
    let free = door(&fixture, ClientAuth::None, &mut Registry::default());
    for procedure in Procedure::ALL.iter().copied() {
        let (access, name) = (procedure.access(), procedure.name());
        let stranger = &mut Session::new(Arc::clone(&asked), Socket::ReadWrite, peer);
        let needs_authentication =
            immediate_error(stranger, procedure, &[]) == Some("authentication required".to_owned());
        assert_eq!(needs_authentication, access != Access::Anybody, "{name}");

        let new = || Session::new(Arc::clone(&free), Socket::ReadOnly, peer);
        let is_undecodable = immediate_error(&mut new(), procedure, &[])
            == Some("Unable to decode message payload".to_owned());
        assert_eq!(is_undecodable, procedure.decode(&mut Decoder::new(&[])).is_err(), "{name}");

        let not_open = match access {
            Access::Anybody | Access::Authenticated => None,
            Access::Connection => Some("internal error: hypervisor connection not open"),
            Access::Secrets | Access::Write(_) => Some("internal error: connection not open"),
        };
        if not_open.is_some() {
            assert_eq!(immediate_error(&mut new(), procedure, &ZEROS).as_deref(), not_open, "{name}");
        }

        let open = &mut new();
        open.uri = Some(b"secret:///system".to_vec());
        let forbidden = match access {
            Access::Write(function) => {
                Some(format!("operation forbidden: read only access prevents {function}"))
            }
            Access::Anybody | Access::Authenticated | Access::Connection | Access::Secrets => None,
        };
        let found = immediate_error(open, procedure, &ZEROS);
        assert!(
            found == forbidden || (forbidden.is_none() && found != not_open.map(str::to_owned)),
            "{name}: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_pending_call_that_fails_is_counted_as_an_error() {
    let (fixture, mut registry) = (Fixture::new().await, Registry::default());
    let session = &mut Session::new(door(&fixture, ClientAuth::None, &mut registry), Socket::ReadWrite, None);
    session.uri = Some(b"secret:///system".to_vec());
    let header = Header::call(Procedure::SecretUndefine as i32, 7);
    let mut message = frame::empty(header).split_off(frame::LENGTH_BYTES);
    message.extend_from_slice(&ZEROS);
    let Step::Pending(mut call) = session.handle(&message) else { panic!("answered at once") };
    let reply = std::future::poll_fn(|context| call.poll(context)).await;
    let text = reply.as_ref().map(|_| ()).unwrap_err().text().into_owned();
    assert!(text.contains("no secret with matching uuid"), "{text}");
    let frame = session.finish(&call, reply);
    assert_eq!(frame.bytes()[24..28], frame::ERROR.to_be_bytes());
    let mut counts = String::new();
    prometheus_client::encoding::text::encode(&mut counts, &registry).unwrap();
    assert!(counts.contains("procedure=\"SECRET_UNDEFINE\",outcome=\"error\"} 1"), "{counts}");
}
