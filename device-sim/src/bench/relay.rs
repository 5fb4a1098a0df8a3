//! A relay in front of the hub that counts what passes, as a cable would see it above TCP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::metrics::Counter;

const CHUNK_BYTES: usize = 16 * 1024;

/// What went one way.
#[derive(Debug, Default)]
pub(super) struct Way {
    pub(super) bytes: Counter,
    /// Reads that brought something: on a quiet connection one a WebSocket frame.
    pub(super) pieces: Counter,
}

/// Both ways, of all connections.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) up: Way,
    pub(super) down: Way,
}

impl Passed {
    /// Bytes of both ways.
    pub(super) fn bytes(&self) -> u64 {
        self.up.bytes.count() + self.down.bytes.count()
    }
}

/// A relay that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    pub(super) passed: Arc<Passed>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Listens on a free port of loopback.
    pub(super) async fn start(hub: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let passed = Arc::new(Passed::default());
        let counted = passed.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(hub).await else { return };
                join(near, far, &counted);
            }
        });
        Ok(Self { address, passed, accepting })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Each way has a task that ends with its connection.
fn join(near: TcpStream, far: TcpStream, passed: &Arc<Passed>) {
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let (up, down) = (passed.clone(), passed.clone());
    tokio::spawn(async move { pass(near_read, far_write, &up.up).await });
    tokio::spawn(async move { pass(far_read, near_write, &down.down).await });
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: &Way) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        way.bytes.add_many(length as u64);
        way.pieces.add();
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}
