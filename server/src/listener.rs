//! The listener: takes connections, and never more than there is room for.
//!
//! A client may dawdle, fall silent, or open thousands of connections. So each connection has a seat; when all are taken, the one
//! that has been quiet the longest makes room for the next, and one that is quiet for too long goes by itself. Quiet is who has no
//! request at work: idle between two requests, still at the head of one, or slow to read an answer. An answer that goes on for long
//! breaks off when the server stops.

mod pieces;
mod seats;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use shared::http::ClientAddress;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

use self::seats::{Seat, Seats};
use crate::proxies::Proxies;

/// Most bytes that are read ahead of one connection: the longest head of a request, and the pieces in which bodies arrive.
const READ_AHEAD: usize = 64 * 1024;
/// A connection goes that has been quiet for so long. Longer than the 60 s for which load balancers keep theirs open (AWS: "Application
/// Load Balancers", "Connection idle timeout"), so that they are the first to close one.
const QUIET_FOR: Duration = Duration::from_secs(75);
/// How often to look for those.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long one that must go may take to say so.
const GO_WITHIN: Duration = Duration::from_millis(100);
/// How long a client may take to read its answer once the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(3);
/// How long to wait where no connection can be accepted, as when there are no file descriptors left.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Serves until told to stop, and then until the requests under way are answered. At most `most` connections are open at once.
pub(crate) async fn serve(router: Router, listener: TcpListener, most: usize, proxies: Proxies, mut stop: watch::Receiver<bool>) {
    let seats = Arc::new(Seats::new(most));
    let mut connections = JoinSet::new();
    let mut look = tokio::time::interval(LOOK_EVERY);
    let stops = stop.clone();
    loop {
        tokio::select! {
            () = told(&mut stop) => break,
            _ = look.tick() => seats.dismiss_quiet(QUIET_FOR),
            Some(_) = connections.join_next() => {}
            (stream, peer) = next(&listener, &seats) => {
                // Somebody may have begun to work since there was room: then the newcomer goes.
                if let Some(seat) = seats.take() {
                    connections.spawn(attend(stream, (peer, proxies.clone()), router.clone(), seat, stops.clone()));
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is room for it.
async fn next(listener: &TcpListener, seats: &Seats) -> (TcpStream, SocketAddr) {
    loop {
        seats.room().await;
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// Answers the requests of one connection until it ends, or must.
async fn attend(stream: TcpStream, (peer, proxies): (SocketAddr, Proxies), router: Router, seat: Seat, mut stop: watch::Receiver<bool>) {
    // Answers are small and written whole: to wait for more would only delay them.
    let _ = stream.set_nodelay(true);
    // A client that is gone without a word takes nothing in: what is sent to it is not waited for longer than for a quiet one.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(QUIET_FOR));
    let stopped = stop.clone();
    let service = service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
        let address = proxies.client(peer.ip(), request.headers());
        request.extensions_mut().insert(ClientAddress(address.to_string()));
        let (at_work, worker, stop) = (seat.begin(), seat.worker(), stopped.clone());
        let answer = router.clone().oneshot(request.map(Body::new));
        async move {
            let answer = answer.await.map(|answer| answer.map(|body| pieces::attended(body, worker, stop)));
            drop(at_work);
            answer
        }
    });
    let mut connection = std::pin::pin!(http1::Builder::new().max_buf_size(READ_AHEAD).serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
        }
        () = seat.dismissed() => {
            connection.as_mut().graceful_shutdown();
            // Unless a request came in just now: that is answered.
            while tokio::time::timeout(GO_WITHIN, connection.as_mut()).await.is_err() && seat.is_at_work() {}
        }
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            // Who is still being worked for is waited for, and who does not read an answer is not.
            while tokio::time::timeout(STOP_WITHIN, connection.as_mut()).await.is_err() && seat.is_at_work() {}
        }
    }
}

async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|told| *told).await;
}
