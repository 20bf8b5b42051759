//! A stretch of wire between a hub and an engine, which can be held or cut: an engine's trouble as its clients see it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// An address where nothing ever listens: the port that IANA keeps for tcpmux.
pub(crate) const NOWHERE: &str = "127.0.0.1:1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Bytes pass.
    Whole,
    /// Bytes wait, and pass later: the engine is paused.
    Held,
    /// Connections end, and new ones at once: the engine is down.
    Cut,
}

/// The wire. It ends with the world's runtime.
#[derive(Debug)]
pub(crate) struct Wire {
    address: String,
    state: watch::Sender<State>,
}

impl Wire {
    /// A whole wire to `host:port`.
    pub(crate) async fn to(engine: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (state, watched) = watch::channel(State::Whole);
        tokio::spawn(accept(listener, engine.to_owned(), watched));
        Self { address, state }
    }

    /// A URL that leads over the wire instead of straight to the engine.
    pub(crate) async fn over(url: &str) -> (Self, String) {
        let parsed = reqwest::Url::parse(url).expect("a URL");
        let engine = format!("{}:{}", parsed.host_str().expect("a host"), parsed.port_or_known_default().expect("a port"));
        let wire = Self::to(&engine).await;
        let over = url.replacen(&engine, &wire.address, 1);
        assert_ne!(over, url, "the URL names host and port");
        (wire, over)
    }

    pub(crate) fn hold(&self) {
        self.state.send_replace(State::Held);
    }

    pub(crate) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    pub(crate) fn mend(&self) {
        self.state.send_replace(State::Whole);
    }
}

async fn accept(listener: TcpListener, engine: String, watched: watch::Receiver<State>) {
    while let Ok((near, _)) = listener.accept().await {
        if *watched.borrow() == State::Cut {
            continue;
        }
        let (engine, watched) = (engine.clone(), watched.clone());
        tokio::spawn(async move {
            let Ok(far) = TcpStream::connect(&engine).await else { return };
            let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
            tokio::join!(pump(near_read, far_write, watched.clone()), pump(far_read, near_write, watched));
        });
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut watched: watch::Receiver<State>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = watched.wait_for(|state| *state == State::Cut) => return,
        };
        let Ok(length @ 1..) = read else { return };
        match watched.wait_for(|state| *state != State::Held).await.map(|state| *state) {
            Ok(State::Whole) => {}
            _ => return,
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
