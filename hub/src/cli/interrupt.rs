//! Ctrl-C while something is on its way.
//!
//! A command that was handed over goes on without us. So the first Ctrl-C says what it is called
//! and how to follow it, and the second leaves.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;

use tokio::signal::unix::{SignalKind, signal};

use super::exit::Failure;
use super::out::note;

/// What the first Ctrl-C says; nothing while leaving costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Story(RefCell<Option<String>>);

impl Story {
    /// From now on, leaving leaves something behind: this is how to find it again.
    pub(crate) fn tell(&self, text: String) {
        *self.0.borrow_mut() = Some(text);
    }
}

/// Runs `work` until it ends or the keyboard ends it.
pub(crate) async fn unless_interrupted<T>(
    story: &Story,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut pressed = signal(SignalKind::interrupt())
        .map_err(|error| Failure::Refused(format!("signals can't be handled: {error}")))?;
    let mut work = pin!(work);
    let mut was_told = false;
    loop {
        tokio::select! {
            outcome = &mut work => return outcome,
            _ = pressed.recv() => match story.0.borrow().as_deref() {
                Some(text) if !was_told => note(text),
                Some(_) | None => return Err(Failure::Interrupted),
            },
        }
        was_told = true;
    }
}
