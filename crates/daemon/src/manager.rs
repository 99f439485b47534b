//! Messages to the service manager (sd_notify(3)). Without a manager nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;

/// Time for the end after draining: the last transaction, the last line of the audit trail.
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// The server answers requests.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The configuration is being read again; [`ready`] must follow.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]),
        Err(error) => tracing::warn!(%error, "the service manager was not told of the reload"),
    }
}

/// The server accepts nothing more, and may need this time to end.
pub(crate) fn stopping(drain: Duration) {
    let micros = u32::try_from((drain + CLOSING_TIME).as_micros()).unwrap_or(u32::MAX);
    notify(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(micros),
        NotifyState::Status("draining: requests in flight may finish"),
    ]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
