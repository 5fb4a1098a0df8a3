//! How a connection ends: what explains it, a close frame, the peer's answer, and the end of the bytes
//! (RFC 6455, sections 5.5.1 and 7.1.1).

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::buffers::Scratch;
use super::connection::End;
use super::line::{Line, Outlet};
use super::websocket::{self, Received};

/// How long a peer may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Ends the bytes of a connection as its end demands. False: the peer didn't answer in time.
pub(super) async fn say(outlet: Arc<Outlet>, end: End) -> bool {
    let code = match end {
        End::Close(code) => Some(code),
        End::Left => None,
        End::Lost | End::Stalled => return true,
    };
    if let Some(code) = code {
        let mut line = outlet.line();
        // What explains the close goes before it. A peer that is gone needs no explanation.
        let explained = line.send_batch(&outlet.shared.broker);
        let said =
            explained.and_then(|_| Ok(line.wire.send(&websocket::close(code.0, code.reason()))?));
        if said.is_err() {
            return true;
        }
    }
    let part = async {
        poll_fn(|context| outlet.attend(context.waker()).wire.poll_flush(context)).await?;
        if code.is_some() {
            poll_fn(|context| poll_answer(&mut outlet.attend(context.waker()), context)).await?;
        }
        outlet.line().wire.end()?;
        poll_fn(|context| outlet.attend(context.waker()).wire.poll_flush(context)).await
    };
    tokio::time::timeout(CLOSE_TIMEOUT, part).await.is_ok()
}

/// Waits for a close frame, or for anything that can't come before one.
fn poll_answer(line: &mut Line, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
    let mut scratch = Scratch::borrow();
    loop {
        let mut unread = std::mem::take(&mut line.unread);
        loop {
            match line.assembler.next(&mut unread) {
                Ok((Some(Received::Close(_)), _)) | Err(_) => return Poll::Ready(Ok(())),
                Ok((None, 0)) => break,
                Ok((_, used)) => drop(unread.drain(..used)),
            }
        }
        line.unread = unread;
        let count = ready!(line.wire.poll_receive(context, &mut scratch))?;
        if count == 0 {
            return Poll::Ready(Ok(()));
        }
        line.unread.extend_from_slice(&scratch[..count]);
    }
}
