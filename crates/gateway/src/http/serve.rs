//! The listener of a service: bounded connections, header timeouts, an orderly end.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

/// The headers of a request must have come whole within this time.
const HEADER_PATIENCE: Duration = Duration::from_secs(5);
/// What hyper may hold of one request's head; larger ones are answered 431 by hyper itself.
const HEAD_BYTES_MAX: usize = 256 * 1024;
/// The wait after a failed `accept`, which happens when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a service can't listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody listens there already.
    #[error("port {port} is taken; stop what listens there, or choose others with --port-base")]
    Taken {
        /// The port.
        port: u16,
    },
    /// The system refuses.
    #[error("can't listen on {address}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Binds a service's port.
///
/// # Errors
/// The port is taken, or the system refuses.
pub async fn bind(address: IpAddr, port: u16) -> Result<TcpListener, BindError> {
    let address = SocketAddr::new(address, port);
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => BindError::Taken { port },
        _ => BindError::Refused { address, source },
    })
}

/// Serves until `stop`, then lets open requests end for at most `drain`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    stop: CancellationToken,
    drain: Duration,
) {
    let places = Arc::new(Semaphore::new(connections_max));
    let graceful = GracefulShutdown::new();
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .max_buf_size(HEAD_BYTES_MAX)
        .pipeline_flush(true);
    loop {
        // Beyond the bound a connection waits in the kernel's backlog instead of being refused.
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small answers must not wait for more to come.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open after the drain and are closed");
    }
}
