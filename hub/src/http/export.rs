//! The whole state as a stream of lines: `/v1/export`.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::mpsc;

use super::Api;
use super::audit::By;
use super::auth::Operator;
use super::problem::Problem;
use crate::audit::{Record, Verb};
use crate::clock::Now;

/// Pieces of 64 KiB that wait for the reader.
const PIECES_MAX: usize = 4;
/// A reader that takes no piece for so long is cut.
const PIECE_TIME_MAX: Duration = Duration::from_secs(30);

/// Export everything that the hub keeps, as of one moment, one JSON document a line; for operators. Tokens
/// are in it as hashes. Without its last line it is not whole.
#[utoipa::path(get, path = "/v1/export", tag = "hub",
    responses((status = 200, description = "the lines", body = String,
        content_type = "application/x-ndjson")))]
pub async fn all(_: Operator, By(by): By, State(api): State<Api>) -> Result<Response, Problem> {
    let now = Now::read();
    api.broker.audit_durably(now, Record::done(by, Verb::Export, "")).await?;
    let (sender, mut receiver) = mpsc::channel::<io::Result<Bytes>>(PIECES_MAX);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let send = |piece: io::Result<Bytes>| {
            let sent = tokio::time::timeout(PIECE_TIME_MAX, sender.send(piece));
            runtime.block_on(sent).is_ok_and(|sent| sent.is_ok())
        };
        if let Err(refusal) = api.broker.export(now, |piece| send(Ok(piece.into()))) {
            tracing::warn!(reason = %refusal.message, "an export ended early");
            // Cuts the answer, so that nobody takes it for whole.
            if !send(Err(io::Error::other(refusal.message))) {
                tracing::debug!("the reader of the export had gone");
            }
        }
    });
    // What keeps an export from beginning is told with a status.
    let first = match receiver.recv().await {
        Some(Ok(first)) => first,
        Some(Err(error)) => return Err(unavailable(error.to_string())),
        None => return Err(unavailable("the store has failed".to_owned())),
    };
    let rest = stream::poll_fn(move |context| receiver.poll_recv(context));
    let body = futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest);
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"lamplighter.jsonl\""),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn unavailable(detail: String) -> Problem {
    Problem::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", detail)
}
