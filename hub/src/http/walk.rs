//! Walks over all devices, on threads of their own: whoever else uses the hub must not wait for them.

use axum::http::StatusCode;
use tokio::sync::Semaphore;

use super::Api;
use super::problem::Problem;
use crate::broker::Broker;

/// Walks at once; more wait for their turn. Each takes a core for tens of milliseconds with 100,000 devices.
const WALKS_MAX: usize = 2;

/// Of the whole process, since it is the machine's cores that they share.
static WALKS: Semaphore = Semaphore::const_new(WALKS_MAX);

/// Runs `look` beside the runtime, in its turn.
///
/// # Errors
/// It panicked.
pub(super) async fn walk<T: Send + 'static>(
    api: &Api,
    look: impl FnOnce(&Broker) -> T + Send + 'static,
) -> Result<T, Problem> {
    // It is never closed.
    let turn = WALKS.acquire().await.ok();
    let broker = api.broker.clone();
    // Who asked may be gone before the walk is over; its turn lasts as long as the walk.
    let walking = tokio::task::spawn_blocking(move || {
        let looked = look(&broker);
        drop(turn);
        looked
    });
    walking.await.map_err(|_| {
        let text = "the devices could not be looked through; see the hub's log";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "UNSPECIFIED", text)
    })
}
