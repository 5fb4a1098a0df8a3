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
    /// Whether what was written may not be given any more: the reader's access ended.
    fn is_cut(&self) -> bool;
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
        if !self.rest.is_empty() && self.source.is_cut() {
            return Poll::Ready(None);
        }
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

    #[derive(Default)]
    struct Once {
        text: Option<String>,
        is_cut: bool,
    }

    impl Source for Once {
        fn is_cut(&self) -> bool {
            self.is_cut
        }

        fn poll_text(&mut self, _: &mut Context<'_>) -> Poll<Option<String>> {
            Poll::Ready(self.text.take())
        }
    }

    #[test]
    fn a_long_text_is_given_in_pieces_and_the_last_beat_is_a_question() {
        let text = "x".repeat(2 * PIECE_BYTES + 1);
        let pulse = Arc::new(Pulse::default());
        let source = Once { text: Some(text.clone()), is_cut: false };
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

    #[test]
    fn who_lost_access_gets_not_even_the_rest_of_a_text() {
        let source = Once { text: Some("x".repeat(2 * PIECE_BYTES)), is_cut: false };
        let mut pieces = Pieces::new(source, Arc::default(), Arc::new(Metrics::new()));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut next = |pieces: &mut Pieces<Once>| Pin::new(pieces).poll_next(&mut context);
        assert!(matches!(next(&mut pieces), Poll::Ready(Some(_))));
        pieces.source.is_cut = true;
        assert!(matches!(next(&mut pieces), Poll::Ready(None)));
    }
}
