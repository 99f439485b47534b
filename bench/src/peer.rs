//! The peer: an axum server that only answers 32 bytes.

use axum::Router;
use axum::routing::get;

use crate::Result;

/// Serves on the address in `PEER_LISTEN` until it is killed.
#[tokio::main]
pub(crate) async fn run() -> Result<()> {
    let listener = tokio::net::TcpListener::bind(std::env::var("PEER_LISTEN")?).await?;
    let answer = || async { "0123456789abcdef0123456789abcdef" };
    let router = Router::new().route("/", get(answer)).route("/v1/secrets/{id}/payload", get(answer));
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}
