//! HTTP for the server's interfaces: everything between an accepted socket and a request that a service answers.
//!
//! ```text
//! socket ─▶ Timeout ─▶ Heads ─▶ hyper ─▶ Service::answer ─┬▶ Target, Browsers   is it for this server?
//!           write time   strict            one a connection ├▶ Authenticator      who calls?
//!                        framing                            └▶ Arriving           its body, within Limits
//! ```
//!
//! A front-end implements [`Service`] and hands connections to [`serve_connection`]. What it answers, in which words, and
//! who may do what is its own: failures here are typed values, which the front-end puts into the words of its API.
//!
//! Nothing here knows secrets, the vault or rows. TLS is not ended here either: a proxy does that.
#![forbid(unsafe_code)]

mod authenticator;
mod body;
mod browsers;
mod clock;
mod connection;
pub mod dates;
#[doc(hidden)]
pub mod fuzzing;
mod heads;
mod host;
mod identity;
pub mod keystone;
mod limits;
mod metrics;
mod origin;
mod request_id;
mod scrape;

pub use authenticator::Authenticator;
pub use body::{Arriving, BodyError, RequestBody};
pub use browsers::{Browsers, Cors, Foreign, NoWebOrigin, WebOrigin};
pub use connection::{Service, serve_connection};
pub use host::{BadTarget, Host, HostName, Names, NoHostName, Target, host_of_url};
pub use identity::{ROLE_CHARS_MAX, ROLES_MAX, Unidentified};
pub use keystone::{Keystone, KeystoneConfig, KeystoneError};
pub use limits::Limits;
pub use metrics::{Metrics, Operation};
pub use origin::Origin;
pub use request_id::set_request_id;
pub use scrape::Scrapes;
