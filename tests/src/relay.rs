//! A fixed address in front of a hub that comes back at another port after each restart.
//!
//! Programs of their own, such as the simulator, are told one address at their start. The relay takes
//! their connections there and passes the bytes on, TLS and all; when the hub dies the connections
//! die with it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Passes connections on for as long as it lives.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    task: JoinHandle<()>,
}

impl Relay {
    /// A relay to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let target = Arc::new(Mutex::new(target));
        let current = target.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let to = *current.lock().expect("nobody panics with the lock");
                tokio::spawn(pass(client, to));
            }
        });
        Self { address, target, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on connections go there.
    pub fn turn(&self, target: SocketAddr) {
        *self.target.lock().expect("nobody panics with the lock") = target;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, to: SocketAddr) {
    // Nobody there: the client sees a closed connection, as from a dead hub.
    let Ok(mut hub) = TcpStream::connect(to).await else { return };
    let ended = tokio::io::copy_bidirectional(&mut client, &mut hub).await;
    drop(ended);
}
