//! The body of an answer, given to the socket in pieces that are small enough to see a slow reader take
//! them one by one.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;

use crate::mailbox::Pulse;
use crate::metrics::Metrics;

/// What is given at once.
const PIECE_BYTES: usize = 4 * 1024;

/// What writes an answer.
pub trait Source: Unpin {
    /// The next text, never an empty one; `None` at the end.
    fn poll_text(&mut self, context: &mut Context<'_>) -> Poll<Option<String>>;
}

/// An answer's body.
#[derive(Debug)]
pub struct Pieces<S> {
    source: S,
    pulse: Arc<Pulse>,
    metrics: Arc<Metrics>,
    /// Written and not given yet.
    rest: Bytes,
}

impl<S: Source> Pieces<S> {
    /// All that the source will write.
    pub fn new(source: S, pulse: Arc<Pulse>, metrics: Arc<Metrics>) -> Self {
        Self { source, pulse, metrics, rest: Bytes::new() }
    }
}

impl<S: Source> Stream for Pieces<S> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pulse.asked();
        if self.rest.is_empty() {
            let Some(text) = ready!(self.source.poll_text(context)) else {
                return Poll::Ready(None);
            };
            self.rest = Bytes::from(text);
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        self.metrics.bytes_sent.inc_by(length as u64);
        self.pulse.given();
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Once(Option<String>);

    impl Source for Once {
        fn poll_text(&mut self, _: &mut Context<'_>) -> Poll<Option<String>> {
            Poll::Ready(self.0.take())
        }
    }

    #[test]
    fn a_long_text_is_given_in_pieces_and_the_last_beat_is_a_question() {
        let text = "x".repeat(2 * PIECE_BYTES + 1);
        let pulse = Arc::new(Pulse::default());
        let source = Once(Some(text.clone()));
        let mut pieces = Pieces::new(source, pulse.clone(), Arc::new(Metrics::new()));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut lengths = Vec::new();
        while let Poll::Ready(Some(Ok(piece))) = Pin::new(&mut pieces).poll_next(&mut context) {
            assert!(pulse.on_its_way().is_some());
            lengths.push(piece.len());
        }
        assert_eq!(lengths, [PIECE_BYTES, PIECE_BYTES, 1]);
        assert_eq!(pulse.on_its_way(), None);
    }
}
