//! What a program wants to be called for: events of secrets, and the end of a connection.
//!
//! ```text
//!  link ──there are events──▶ timer of the event loop ──▶ each callback that is registered for one, in their order
//! ```
//!
//! Callbacks run in the event loop, with no lock held, so they may call anything. The program's `opaque` is freed once,
//! after the last call with it: at once when a callback is deregistered, unless it is just running.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use libvirt_rpc::error::{Code, Domain, RemoteError};
use libvirt_rpc::messages::{EVENT_ID_LIFECYCLE, EVENT_ID_VALUE_CHANGED, EventRegister};
use libvirt_rpc::procedures::Procedure;

use super::default_loop::FreeCallback;
use super::error::{WARNING, enter, tell};
use super::events;
use super::faults::{invalid_arg, new, of};
use super::handle::{Connect, Secret};
use super::log::{self, Level, Place};
use super::raw::Opaque;
use super::registrations;
use crate::close::CloseReason;
use crate::events::{Change, Event};

/// `virConnectSecretEventGenericCallback`, which is also that of value-changed.
type Generic = registrations::Generic<Connect, Secret>;
/// The registrations of a connection of ours.
type Dispatcher = registrations::Dispatcher<Connect, Secret>;
type Callback = registrations::Callback<Connect, Secret>;
type CloseCallbacks = registrations::CloseCallbacks<Connect>;
type CloseCallback = registrations::CloseCallback<Connect>;
type CloseFunction = registrations::CloseFunction<Connect>;
/// `virConnectSecretEventLifecycleCallback`
type Lifecycle = unsafe extern "C" fn(*const Connect, *const Secret, c_int, c_int, *mut c_void);

/// `VIR_SECRET_EVENT_ID_LAST`
const EVENT_ID_LAST: c_int = 2;
const SECRET: i32 = Domain::Secret as i32;
const DOMAIN: i32 = Domain::Domain as i32;

impl Dispatcher {
    /// Has the event loop dispatch what has come.
    pub(super) fn schedule(&self) {
        let timer = self.timer.load(Ordering::SeqCst);
        if timer >= 0 {
            events::virEventUpdateTimeout(timer, 0);
        }
    }

    fn dispatch(&self) {
        let timer = self.timer.load(Ordering::SeqCst);
        if timer >= 0 {
            events::virEventUpdateTimeout(timer, -1);
        }
        if self.is_asking.load(Ordering::SeqCst) {
            return; // Whoever asks schedules it again.
        }
        let (lost, events) = self.client.link().take_events();
        if lost > 0 {
            self.tell_lost(lost);
        }
        for event in events {
            let wanted = |callback: &&Arc<Callback>| callback.registration == event.registration.0;
            let matching: Vec<_> = self.callbacks().all.iter().filter(wanted).cloned().collect();
            for callback in matching.iter().filter(|callback| !callback.is_over.load(Ordering::SeqCst)) {
                callback.run(&event);
            }
        }
    }

    /// Once for all that were lost together. It goes on with those that are there.
    fn tell_lost(&self, lost: u64) {
        let connect = self.callbacks().all.first().map(|callback| Arc::clone(&callback.connect));
        let text = format!("{lost} events were lost, because nobody took them in time");
        let error = RemoteError { level: WARNING, ..new(Code::InternalError, Domain::Remote, text) };
        let place = Place::of_client("dispatch", line!());
        tell(connect.as_deref(), &error, Some(place));
    }

    fn start_timer(self: &Arc<Self>) -> Result<(), RemoteError> {
        if self.timer.load(Ordering::SeqCst) >= 0 {
            return Ok(());
        }
        let of = Arc::downgrade(self);
        let task = Arc::new(move || of.upgrade().into_iter().for_each(|of| of.dispatch()));
        let timer = events::when_due(-1, task).ok_or_else(|| {
            new(Code::InternalError, Domain::None, "could not initialize domain event timer")
        })?;
        self.timer.store(timer, Ordering::SeqCst);
        Ok(())
    }

    fn stop_timer(&self) {
        let timer = self.timer.swap(-1, Ordering::SeqCst);
        if timer >= 0 {
            events::virEventRemoveTimeout(timer);
        }
    }

    /// Takes a registration, and asks the daemon unless it tells that anyway.
    fn add(self: &Arc<Self>, wanted: Wanted<'_>) -> Result<c_int, RemoteError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.start_timer()?;
        let of_secret = wanted.secret.map(|secret| secret.uuid);
        let alike = |callback: &&Arc<Callback>| callback.event == wanted.event && callback.of == of_secret;
        let same_function = |callback: &Arc<Callback>| ptr::fn_addr_eq(callback.function, wanted.function);
        let callbacks = self.callbacks();
        if callbacks.all.iter().filter(alike).any(same_function) {
            return Err(new(Code::InvalidArg, Domain::None, "event callback already tracked"));
        }
        let known = callbacks.all.iter().find(alike).map(|callback| callback.registration);
        let is_first = callbacks.all.is_empty();
        drop(callbacks);
        let registration = match known {
            Some(registration) => registration,
            None => {
                self.is_asking.store(true, Ordering::SeqCst);
                let asked = self.ask(&wanted);
                if asked.is_err() {
                    self.asked();
                    if is_first {
                        self.stop_timer();
                    }
                }
                asked?
            }
        };
        let mut callbacks = self.callbacks();
        let id = callbacks.next_id;
        callbacks.next_id += 1;
        callbacks.all.push(Arc::new(Callback {
            id,
            event: wanted.event,
            of: of_secret,
            function: wanted.function,
            opaque: wanted.opaque,
            free: wanted.free,
            registration,
            is_over: AtomicBool::new(false),
            connect: wanted.connect,
        }));
        drop(callbacks);
        self.asked();
        Ok(id)
    }

    fn asked(&self) {
        if self.is_asking.swap(false, Ordering::SeqCst) {
            self.schedule();
        }
    }

    fn ask(&self, wanted: &Wanted<'_>) -> Result<i32, RemoteError> {
        let ask = EventRegister { event: wanted.event, secret: wanted.secret.map(Secret::wire) };
        let register = Procedure::ConnectSecretEventRegisterAny;
        self.client.call(register, |to| ask.encode(to), |from| from.i32()).map_err(of)
    }

    fn remove(&self, id: c_int) -> Result<(), RemoteError> {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut callbacks = self.callbacks();
        let place = callbacks.all.iter().position(|callback| callback.id == id).ok_or_else(|| {
            new(Code::InvalidArg, Domain::None, format!("event callback id {id} not registered"))
        })?;
        let callback = callbacks.all.remove(place);
        callback.is_over.store(true, Ordering::SeqCst);
        let registration = callback.registration;
        let is_last = !callbacks.all.iter().any(|other| other.registration == registration);
        let is_idle = callbacks.all.is_empty();
        drop(callbacks);
        if is_idle {
            self.stop_timer();
        }
        let told = if is_last {
            let deregister = Procedure::ConnectSecretEventDeregisterAny;
            let write = |to: &mut libvirt_rpc::xdr::Encoder| {
                to.i32(registration);
                Ok(())
            };
            self.client.call(deregister, write, |_| Ok(())).map_err(of)
        } else {
            Ok(())
        };
        drop(changing);
        drop(callback); // With no lock held: it calls the program.
        told
    }
}

impl Callback {
    fn run(&self, event: &Event) {
        let place = Place::of_client("dispatch", line!());
        log::say(Level::Debug, place, || {
            format!("callback {} is told of secret {}: {:?}", self.id, event.secret.uuid, event.change)
        });
        let secret = Secret::new(Arc::clone(&self.connect), &event.secret.to_wire());
        let (connect, secret) = (Arc::as_ptr(&self.connect), Arc::as_ptr(&secret));
        let lifecycle = match event.change {
            Change::Defined => Some(0),
            Change::Undefined => Some(1),
            Change::Other(number) => Some(number),
            Change::ValueChanged => None,
        };
        // SAFETY: the program registered the function for this event, and so with this event's arguments; both handles
        // live until it returns.
        unsafe {
            match lifecycle {
                Some(what) if self.event == EVENT_ID_LIFECYCLE => {
                    let function = std::mem::transmute::<Generic, Lifecycle>(self.function);
                    function(connect, secret, what, 0, self.opaque.0);
                }
                None if self.event == EVENT_ID_VALUE_CHANGED => {
                    (self.function)(connect, secret, self.opaque.0);
                }
                _ => {}
            }
        }
    }
}

/// What a program asks for.
struct Wanted<'a> {
    event: c_int,
    secret: Option<&'a Secret>,
    function: Generic,
    opaque: Opaque,
    free: FreeCallback,
    connect: Arc<Connect>,
}

/// `virConnectSecretEventRegisterAny`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectSecretEventRegisterAny(
    connect: *const Connect,
    secret: *const Secret,
    event: c_int,
    function: Option<Generic>,
    opaque: *mut c_void,
    free: FreeCallback,
) -> c_int {
    const NAME: &str = "virConnectSecretEventRegisterAny";
    enter(-1, |scope| {
        // SAFETY: it is a connection or NULL, as the header asks.
        let found = unsafe { Connect::enter(scope, connect, NAME, SECRET) }?;
        let refuse = |argument, what: &str| {
            Err(invalid_arg(SECRET, NAME, argument, format!("{argument} in {NAME} must {what}")))
        };
        let secret = match secret.is_null() {
            true => None,
            // SAFETY: it is a secret, as the header asks.
            false => Some(unsafe { Secret::find(secret, NAME) }?),
        };
        if let Some(secret) = secret.filter(|secret| !ptr::eq(Arc::as_ptr(&secret.connect), connect)) {
            let uuid = uuid::Uuid::from_bytes(secret.uuid);
            let text = format!("secret '{uuid}' in {NAME} must match connection");
            return Err(invalid_arg(SECRET, NAME, "secret", text));
        }
        let Some(function) = function else { return refuse("cb", "not be NULL") };
        if event < 0 {
            return refuse("eventID", "be zero or greater");
        }
        if event >= EVENT_ID_LAST {
            return refuse("eventID", &format!("be less than {EVENT_ID_LAST}"));
        }
        // SAFETY: it was found to be a connection, which the program holds.
        let connect = unsafe { Connect::hold(connect) };
        found.watch.start(&found.client);
        found.dispatcher.add(Wanted { event, secret, function, opaque: Opaque(opaque), free, connect })
    })
}

/// `virConnectSecretEventDeregisterAny`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectSecretEventDeregisterAny(connect: *const Connect, id: c_int) -> c_int {
    const NAME: &str = "virConnectSecretEventDeregisterAny";
    enter(-1, |scope| {
        // SAFETY: it is a connection or NULL, as the header asks.
        let found = unsafe { Connect::enter(scope, connect, NAME, SECRET) }?;
        if id < 0 {
            let message = format!("callbackID in {NAME} must be zero or greater");
            return Err(invalid_arg(SECRET, NAME, "callbackID", message));
        }
        found.dispatcher.remove(id).map(|()| 0)
    })
}

impl CloseCallbacks {
    /// Keeps a callback, unless another thread was faster, or the connection has ended meanwhile: then it is the
    /// program's still.
    fn keep(&self, callback: CloseCallback) -> Result<(), RemoteError> {
        let connect = Arc::clone(&callback.connect);
        let mut slot = self.slot();
        let (refused, error) = if slot.is_some() {
            (Some(callback), close_callback_error("A close callback is already registered"))
        } else {
            *slot = Some(callback);
            let refused = if connect.client.is_alive() { None } else { slot.take() };
            (refused, of(crate::Error::Closed))
        };
        drop(slot);
        let Some(mut refused) = refused else { return Ok(()) };
        refused.free = None;
        Err(error)
    }

    pub(super) fn is_set(&self) -> bool {
        self.slot().is_some()
    }

    pub(super) fn run(&self, reason: CloseReason) {
        let callback = self.slot().take();
        if let Some(callback) = callback {
            // SAFETY: the program registered the function for this; the connection lives until it returns.
            unsafe { (callback.function)(Arc::as_ptr(&callback.connect), reason as c_int, callback.opaque.0) }
        }
    }
}

fn close_callback_error(text: &'static str) -> RemoteError {
    let message = format!("Requested operation is not valid: {text}").into_bytes();
    let format = "Requested operation is not valid: %1$s";
    RemoteError::from_parts(55, Domain::Remote as i32, message.into(), format, text.as_bytes().into())
}

/// `virConnectRegisterCloseCallback`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectRegisterCloseCallback(
    connect: *const Connect,
    function: Option<CloseFunction>,
    opaque: *mut c_void,
    free: FreeCallback,
) -> c_int {
    const NAME: &str = "virConnectRegisterCloseCallback";
    enter(-1, |scope| {
        // SAFETY: it is a connection or NULL, as the header asks.
        let found = unsafe { Connect::enter(scope, connect, NAME, DOMAIN) }?;
        let Some(function) = function else {
            return Err(invalid_arg(DOMAIN, NAME, "cb", format!("cb in {NAME} must not be NULL")));
        };
        if found.close_callbacks.slot().is_some() {
            return Err(close_callback_error("A close callback is already registered"));
        }
        let register = Procedure::ConnectRegisterCloseCallback;
        found.client.call(register, |_| Ok(()), |_| Ok(())).map_err(of)?;
        // SAFETY: it was found to be a connection, which the program holds.
        let connect = unsafe { Connect::hold(connect) };
        let callback = CloseCallback { function, opaque: Opaque(opaque), free, connect };
        found.close_callbacks.keep(callback)?;
        Ok(0)
    })
}

/// `virConnectUnregisterCloseCallback`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectUnregisterCloseCallback(
    connect: *const Connect,
    function: Option<CloseFunction>,
) -> c_int {
    const NAME: &str = "virConnectUnregisterCloseCallback";
    enter(-1, |scope| {
        // SAFETY: it is a connection or NULL, as the header asks.
        let found = unsafe { Connect::enter(scope, connect, NAME, DOMAIN) }?;
        let Some(function) = function else {
            return Err(invalid_arg(DOMAIN, NAME, "cb", format!("cb in {NAME} must not be NULL")));
        };
        let is_it = |callback: &CloseCallback| ptr::fn_addr_eq(callback.function, function);
        if !found.close_callbacks.slot().as_ref().is_some_and(is_it) {
            return Err(close_callback_error("A different callback was requested"));
        }
        let unregister = Procedure::ConnectUnregisterCloseCallback;
        found.client.call(unregister, |_| Ok(()), |_| Ok(())).map_err(of)?;
        let callback = found.close_callbacks.slot().take_if(|callback| is_it(callback));
        drop(callback); // With no lock held: it calls the program.
        Ok(0)
    })
}
