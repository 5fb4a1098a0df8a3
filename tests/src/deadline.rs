//! Waiting for facts: everything that a test waits for has a name and an end.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

/// How long a test waits for a fact that comes at once on an idle machine. It bounds failing tests
/// only, so it is generous.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The outcome of `future`, or a panic that names what did not happen.
#[track_caller]
pub fn within<F: Future>(
    limit: Duration,
    what: &str,
    future: F,
) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match tokio::time::timeout(limit, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: not within {limit:?}: {what}"),
        }
    }
}

/// Asks again and again, until there is an answer. The pause only spares the processor: what is
/// waited for is the fact.
#[track_caller]
pub fn until<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> impl Future<Output = T> {
    const PAUSE: Duration = Duration::from_millis(10);
    within(limit, what, async move {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}
