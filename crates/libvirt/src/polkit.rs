//! Authentication by polkit: may the process at the other end of a socket use it?
//!
//! ```text
//! client ──connects──▶ Subject: pid and uid from SO_PEERCRED, start time from /proc
//!    │                    │
//!    └──AUTH_POLKIT──▶ authorise ──system bus──▶ polkitd ──rules──▶ yes, no, or ask a person
//!                         ◀── Ok, or a Refusal with the answer that libvirtd gives
//! ```
//!
//! The actions are libvirt's own, so the rules that an administrator has written for it hold here too. Every question
//! goes over a bus connection of its own: a bus that was restarted does no harm, and giving a question up closes its
//! connection, on which polkitd takes its password dialog away.
//!
//! **Whom polkit judges.** A pid alone may have passed to another process by the time polkit looks at it, hence the
//! other two. The uid is that of the moment of connecting, so a client gains nothing by executing a set-user-ID program
//! afterwards (CVE-2013-4288). The start time is read once, when the connection is accepted, and must be the same
//! before polkit is asked and when it has answered; polkitd compares it too. What remains:
//!
//! - Between connecting and being accepted a process can end and its pid pass on. The successor is then judged in its
//!   place, but under the uid that connected. So what a client can gain by that is another process's session, which is
//!   what rules see as `subject.active` and `subject.local`, and never another user's name.
//! - The kernel counts start times in hundredths of a second, and a process can delay its own (CVE-2019-6133).
//! - A socket can be handed on: what is granted is granted to whoever holds it, as with any open file.
//!
//! A pidfd would close the first two. polkit takes one from version 124 on, and the peer's is to be had from Linux 6.5
//! on (SO_PEERPIDFD); Debian 12 has polkit 122, and neither std nor tokio knows the option. Until they do there would
//! be two ways to name a subject, of which the weaker one had to stay.

use std::collections::HashMap;
use std::time::Duration;

use libvirt_rpc::error::{Code, Domain, RemoteError};
use zbus::Variant;

/// How long the system bus may take to let us in. It is a local socket, so this is for a bus that hangs.
const CONNECT_SECONDS_MAX: u64 = 10;

/// How long polkit may take, which is how long a person may look for a password. libvirt gives up after 30 s
/// (`VIR_DBUS_METHOD_CALL_TIMEOUT_MILIS` in src/util/virgdbus.c), as if no person were asked.
const ANSWER_SECONDS_MAX: u64 = 120;

/// polkit takes this, its -1, for "look at the process", which is what a subject's uid is there to prevent. The kernel
/// has no such user.
const UID_OF_THE_PROCESS: u32 = u32::MAX;

/// `CheckAuthorizationFlags`: polkit may ask a person.
const ALLOW_USER_INTERACTION: u32 = 1;

/// What a client wants to do: it depends on the socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Anything, on the read-write socket.
    Manage,
    /// To look on, on the read-only socket.
    Monitor,
}

impl Action {
    /// The name that polkit and its rules know it by.
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
    /// The peer of a connection, by its SO_PEERCRED. To be called as soon as the connection is accepted.
    pub(crate) fn of_peer(pid: u32, uid: u32) -> Result<Self, Refusal> {
        if uid == UID_OF_THE_PROCESS {
            return Err(Refusal::Gone);
        }
        let start_time = start_time(pid).ok_or(Refusal::Gone)?;
        Ok(Self { pid, uid, start_time })
    }

    /// Whether its pid is still its own.
    fn lives(&self) -> bool {
        start_time(self.pid) == Some(self.start_time)
    }

    /// As polkit knows subjects: (sa{sv}). Its uid is signed, its pid is not.
    fn describe(&self) -> (&'static str, HashMap<&'static str, Variant<'static>>) {
        let details = HashMap::from([
            ("pid", Variant::U32(self.pid)),
            ("start-time", Variant::U64(self.start_time)),
            ("uid", Variant::I32(self.uid.cast_signed())),
        ]);
        ("unix-process", details)
    }
}

/// Asks polkit, and through it perhaps a person. Dropping the future takes the question back.
pub(crate) async fn authorise(subject: &Subject, action: Action) -> Result<(), Refusal> {
    if !subject.lives() {
        return Err(Refusal::Gone);
    }
    let bus = within(CONNECT_SECONDS_MAX, zbus::connection::Builder::system().build())
        .await?
        .map_err(Refusal::NoBus)?;
    let answer = within(ANSWER_SECONDS_MAX, ask(&bus, subject, action)).await?.map_err(Refusal::NoPolkit)?;
    if !subject.lives() {
        return Err(Refusal::Gone);
    }
    answer.verdict(action)
}

/// Why a client was not let in. For the log; [`Refusal::wire`] is for the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// By a rule, or by a person who does not know the password.
    #[error("polkit denied it")]
    Denied,
    /// A person closed the dialog.
    #[error("the person whom polkit asked cancelled")]
    Cancelled,
    /// Somebody would have to be asked, and nothing is there that could ask.
    #[error("polkit has no agent to ask a person by")]
    NoAgent(Action),
    /// The client's process has ended, or is in a pid namespace that cannot be seen from here.
    #[error("the client process is gone")]
    Gone,
    /// The system bus cannot be reached.
    #[error("no system bus")]
    NoBus(#[source] zbus::Error),
    /// polkit is not there, or it refuses to answer.
    #[error("no answer from polkit")]
    NoPolkit(#[source] zbus::Error),
    /// A limit on a wait is over.
    #[error("neither polkit nor a person has answered in time")]
    Late,
}

impl Refusal {
    /// What libvirtd answers. It knows nothing of [`Refusal::Gone`], which is the rare client that nobody waits for.
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
struct Answer {
    is_authorised: bool,
    is_challenge: bool,
    details: HashMap<String, String>,
}

impl Answer {
    /// In libvirt's order: who dismisses a dialog leaves a challenge behind as well.
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

/// The one call. No details that a rule could look at, and no name to cancel it by: closing the bus does that.
async fn ask(bus: &zbus::Connection, subject: &Subject, action: Action) -> zbus::Result<Answer> {
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
    Ok(Answer { is_authorised, is_challenge, details })
}

async fn within<T>(seconds: u64, wait: impl Future<Output = T>) -> Result<T, Refusal> {
    tokio::time::timeout(Duration::from_secs(seconds), wait).await.map_err(|_| Refusal::Late)
}

fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    start_time_in(&String::from_utf8_lossy(&stat)) // A program's name may be any bytes.
}

/// Field 22 of proc_pid_stat(5). The name, field 2, is in parentheses and may itself hold those, spaces and digits:
/// what follows the last one are the fields from the third on.
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
    async fn a_pid_that_passed_on_is_not_asked_about() {
        let us = Subject::of_peer(std::process::id(), 0).unwrap();
        assert!(us.lives());
        let predecessor = Subject { start_time: us.start_time - 1, ..us };
        assert!(matches!(authorise(&predecessor, Action::Manage).await, Err(Refusal::Gone)));
        // A pid that the kernel cannot name here, and a uid that polkit would replace by the process's own.
        for (pid, uid) in [(0, 0), (us.pid, u32::MAX)] {
            assert!(matches!(Subject::of_peer(pid, uid), Err(Refusal::Gone)), "{pid} {uid}");
        }
    }

    #[test]
    fn verdicts_are_libvirts() {
        let verdict = |is_authorised, is_challenge, details: &[(&str, &str)]| {
            let details = details.iter().map(|&(key, value)| (key.into(), value.into())).collect();
            match (Answer { is_authorised, is_challenge, details }).verdict(Action::Monitor) {
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
