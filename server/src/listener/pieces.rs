//! Answers that go on for long, such as a tail or an export: who waits for their next piece is at work for the connection, and none of
//! them keeps the server from stopping.

use std::io;

use axum::body::{Body, HttpBody};
use futures::StreamExt;
use futures::stream;
use tokio::sync::watch;

use super::seats::Worker;
use super::told;

/// The same body. One whose length is known is there already; of another each piece is work, and the server's stop breaks it off, so that no
/// client takes it for complete.
pub(super) fn attended(body: Body, worker: Worker, stop: watch::Receiver<bool>) -> Body {
    if body.size_hint().exact().is_some() {
        return body;
    }
    let pieces = stream::unfold(Some((body.into_data_stream(), worker, stop)), |state| async {
        let (mut pieces, worker, mut stop) = state?;
        let at_work = worker.begin();
        let piece = tokio::select! {
            piece = pieces.next() => piece?.map_err(io::Error::other),
            () = told(&mut stop) => Err(io::Error::other("the server stops")),
        };
        drop(at_work);
        let rest = piece.is_ok().then_some((pieces, worker, stop));
        Some((piece, rest))
    });
    Body::from_stream(pieces)
}
