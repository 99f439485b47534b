//! Authentication by polkit: may the process at the other end of a socket use it?
//!
//! ```text
//! client ──connects──▶ Subject: pid and uid from SO_PEERCRED, start time from /proc
//!    │                    │
//!    └──AUTH_POLKIT──▶ authorise ──system bus──▶ polkitd ──rules──▶ yes, no, or ask a person
//!                         ◀── Ok, or a Refusal with the answer that libvirtd gives
//! ```
//!
//! The actions are libvirt's own, so an administrator's rules for libvirt hold here, too. Each question has a bus
//! connection of its own: a restart of the bus does no harm, and when a question is given up its connection closes and
//! polkitd removes its password dialog.
//!
//! **Whom polkit judges.** Another process may have the pid by the time polkit looks at it, so the uid and the start time
//! are sent, too. The uid is that of the moment of connecting, so a client gains nothing by executing a set-user-ID program
//! afterwards (CVE-2013-4288). The start time is read once, when the connection is accepted, and must be the same
//! before polkit is asked and when it has answered; polkitd compares it too. What remains:
//!
//! - Between connecting and being accepted a process can end and another one get its pid. polkit then judges the other
//!   process, but under the uid that connected. So a client can gain another process's session (`subject.active` and
//!   `subject.local` in rules), but never another user's name.
//! - The kernel counts start times in hundredths of a second, and a process can delay its own (CVE-2019-6133).
//! - A process can pass its socket on, and the grant goes with the socket, as with any open file.
//!
//! A pidfd would close the first two. polkit takes one from version 124 on, and Linux 6.5 gives the peer's
//! (SO_PEERPIDFD). But Debian 12 has polkit 122, and neither std nor tokio knows the option. The weaker way to name a
//! subject would have to stay beside it.

use std::collections::HashMap;
use std::time::Duration;

use libvirt_rpc::error::{Code, Domain, RemoteError};
use zbus::Variant;

/// How long connecting to the system bus may take. It is a local socket, so only a bus that hangs takes long.
const CONNECT_SECONDS_MAX: u64 = 10;

/// How long polkit may take: a person may have to look for a password. libvirt gives up after 30 s
/// (`VIR_DBUS_METHOD_CALL_TIMEOUT_MILIS` in src/util/virgdbus.c), as if no person were asked.
const ANSWER_SECONDS_MAX: u64 = 120;

/// polkit takes this value (its -1) for "look at the process", which the uid of a subject is there to prevent. The kernel
/// has no such user.
const UID_OF_THE_PROCESS: u32 = u32::MAX;

/// `CheckAuthorizationFlags`: polkit may ask a person.
const ALLOW_USER_INTERACTION: u32 = 1;

/// The action that a client needs: it depends on the socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Anything, on the read-write socket.
    Manage,
    /// Reading, on the read-only socket.
    Monitor,
}

impl Action {
    /// Its name in polkit and in rules.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Manage => "org.libvirt.unix.manage",
            Self::Monitor => "org.libvirt.unix.monitor",
        }
    }
}

/// A client process, told apart from all others that have had or will have its pid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Subject {
    pid: u32,
    uid: u32,
    /// In ticks since the machine was started.
    start_time: u64,
}

impl Subject {
    /// The peer of a connection, by its SO_PEERCRED. Call it as soon as the connection is accepted.
    pub(crate) fn of_peer(pid: u32, uid: u32) -> Result<Self, Refusal> {
        if uid == UID_OF_THE_PROCESS {
            return Err(Refusal::Gone);
        }
        let start_time = start_time(pid).ok_or(Refusal::Gone)?;
        Ok(Self { pid, uid, start_time })
    }

    /// Whether the process still has its pid.
    fn lives(&self) -> bool {
        start_time(self.pid) == Some(self.start_time)
    }

    /// The subject as polkit's (sa{sv}). polkit's uid is signed, its pid is not.
    fn describe(&self) -> (&'static str, HashMap<&'static str, Variant<'static>>) {
        let details = HashMap::from([
            ("pid", Variant::U32(self.pid)),
            ("start-time", Variant::U64(self.start_time)),
            ("uid", Variant::I32(self.uid.cast_signed())),
        ]);
        ("unix-process", details)
    }
}

/// Asks polkit, which may ask a person. Dropping the future withdraws the question.
pub(crate) async fn authorise(subject: &Subject, action: Action) -> Result<(), Refusal> {
    if !subject.lives() {
        return Err(Refusal::Gone);
    }
    let bus = within(CONNECT_SECONDS_MAX, zbus::connection::Builder::system().build())
        .await?
        .map_err(Refusal::NoBus)?;
    let answer = within(ANSWER_SECONDS_MAX, check_authorization(&bus, subject, action))
        .await?
        .map_err(Refusal::NoPolkit)?;
    if !subject.lives() {
        return Err(Refusal::Gone);
    }
    answer.verdict(action)
}

/// Why a client was refused. The text is for the log; [`Refusal::wire`] is for the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// A rule denies it, or the person does not know the password.
    #[error("polkit denied it")]
    Denied,
    /// A person closed the dialog.
    #[error("the person whom polkit asked cancelled")]
    Cancelled,
    /// polkit would have to ask a person and has no agent for that.
    #[error("polkit has no agent that could ask a person")]
    NoAgent(Action),
    /// The client's process has ended, or is in an invisible pid namespace.
    #[error("the client process is gone")]
    Gone,
    /// The system bus cannot be reached.
    #[error("no system bus")]
    NoBus(#[source] zbus::Error),
    /// polkit does not run, or refuses to answer.
    #[error("no answer from polkit")]
    NoPolkit(#[source] zbus::Error),
    /// The time is over.
    #[error("neither polkit nor a person has answered in time")]
    Late,
}

impl Refusal {
    /// libvirtd's error. It has none for [`Refusal::Gone`], after which the client no longer waits.
    pub(crate) fn wire(&self) -> RemoteError {
        let (code, domain, detail) = match self {
            Self::Denied => (Code::AuthFailed, Domain::Polkit, "access denied by policy".into()),
            Self::Cancelled => {
                (Code::AuthCancelled, Domain::Polkit, "user cancelled authentication process".into())
            }
            Self::NoAgent(action) => (
                Code::AuthUnavailable,
                Domain::Polkit,
                format!("no polkit agent available to authenticate action '{}'", action.id()),
            ),
            Self::Gone => (Code::AuthFailed, Domain::Polkit, "the client process is gone".into()),
            Self::NoBus(why) => {
                (Code::InternalError, Domain::Dbus, format!("Unable to get system bus connection: {why}"))
            }
            Self::NoPolkit(why) => (Code::DbusService, Domain::Dbus, why.to_string()),
            Self::Late => (Code::DbusService, Domain::Dbus, "Timeout was reached".into()),
        };
        RemoteError::new(code, domain, detail.into_bytes())
    }
}

/// polkit's `AuthorizationResult`: (bba{ss}).
struct AuthorizationResult {
    is_authorised: bool,
    is_challenge: bool,
    details: HashMap<String, String>,
}

impl AuthorizationResult {
    /// In libvirt's order: after a dismissed dialog there is a challenge, too.
    fn verdict(&self, action: Action) -> Result<(), Refusal> {
        let is_dismissed = self.details.get("polkit.dismissed").is_some_and(|value| value == "true");
        match (self.is_authorised, is_dismissed, self.is_challenge) {
            (true, _, _) => Ok(()),
            (false, true, _) => Err(Refusal::Cancelled),
            (false, false, true) => Err(Refusal::NoAgent(action)),
            (false, false, false) => Err(Refusal::Denied),
        }
    }
}

/// The one call. It passes no details to rules and no name for cancelling: closing the bus connection cancels it.
async fn check_authorization(
    bus: &zbus::Connection,
    subject: &Subject,
    action: Action,
) -> zbus::Result<AuthorizationResult> {
    let details = HashMap::<&str, &str>::new();
    let reply = bus
        .call_method(
            Some("org.freedesktop.PolicyKit1"),
            "/org/freedesktop/PolicyKit1/Authority",
            Some("org.freedesktop.PolicyKit1.Authority"),
            "CheckAuthorization",
            &(subject.describe(), action.id(), details, ALLOW_USER_INTERACTION, ""),
        )
        .await?;
    let (is_authorised, is_challenge, details) = reply.body().deserialize()?;
    Ok(AuthorizationResult { is_authorised, is_challenge, details })
}

async fn within<T>(seconds: u64, wait: impl Future<Output = T>) -> Result<T, Refusal> {
    tokio::time::timeout(Duration::from_secs(seconds), wait).await.map_err(|_| Refusal::Late)
}

fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    start_time_in(&String::from_utf8_lossy(&stat)) // A program's name may be any bytes.
}

/// Field 22 of proc_pid_stat(5). The name, field 2, is in parentheses and may hold parentheses, spaces and digits itself,
/// so the third field begins after the last parenthesis.
fn start_time_in(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_name_can_forge_a_start_time() {
        let until = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18";
        let forged = format!("x) {until} 666 20 (y");
        for name in ["virsh", "a b", ")", "", "\u{fffd}", &forged] {
            assert_eq!(start_time_in(&format!("12 ({name}) {until} 4711 20\n")), Some(4711), "{name}");
        }
        let not_a_number = format!("12 (virsh) {until} x 20");
        for cut in ["", "12 (virsh", "12 (virsh) S 1 2", &not_a_number] {
            assert_eq!(start_time_in(cut), None, "{cut}");
        }
    }

    #[tokio::test]
    async fn polkit_is_not_asked_about_a_pid_of_another_process() {
        let us = Subject::of_peer(std::process::id(), 0).unwrap();
        assert!(us.lives());
        let predecessor = Subject { start_time: us.start_time - 1, ..us };
        assert!(matches!(authorise(&predecessor, Action::Manage).await, Err(Refusal::Gone)));
        // An invisible pid, and a uid that polkit would replace by that of the process.
        for (pid, uid) in [(0, 0), (us.pid, u32::MAX)] {
            assert!(matches!(Subject::of_peer(pid, uid), Err(Refusal::Gone)), "{pid} {uid}");
        }
    }

    #[test]
    fn verdicts_are_libvirts() {
        let verdict = |is_authorised, is_challenge, details: &[(&str, &str)]| {
            let details = details.iter().map(|&(key, value)| (key.into(), value.into())).collect();
            match (AuthorizationResult { is_authorised, is_challenge, details }).verdict(Action::Monitor) {
                Ok(()) => "authorised".into(),
                Err(refusal) => {
                    let error = refusal.wire();
                    format!("{}/{} {}", error.code, error.domain, error.text())
                }
            }
        };
        let no_agent = "94/60 authentication unavailable: no polkit agent available to authenticate action \
                        'org.libvirt.unix.monitor'";
        let denied = "45/60 authentication failed: access denied by policy";
        let cancelled = "79/60 authentication cancelled: user cancelled authentication process";
        assert_eq!(verdict(true, false, &[]), "authorised");
        assert_eq!(verdict(true, true, &[("polkit.dismissed", "true")]), "authorised");
        assert_eq!(verdict(false, true, &[]), no_agent);
        assert_eq!(verdict(false, true, &[("polkit.dismissed", "false")]), no_agent);
        assert_eq!(verdict(false, true, &[("polkit.dismissed", "true")]), cancelled);
        assert_eq!(verdict(false, false, &[("polkit.dismissed", "true")]), cancelled);
        assert_eq!(verdict(false, false, &[]), denied);
        assert_eq!(verdict(false, false, &[("polkit.result", "no")]), denied);
    }
}
