//! The whole state while the hub runs, as of one moment.
//!
//! The store is read piece by piece while it goes on changing; a tap at the writer keeps what is
//! submitted meanwhile. Both together are the state at the moment when the tap is closed, which is a
//! position in the order of messages.

use std::collections::BTreeMap;

use proto::envelope::ErrorCode;

use super::{Broker, Ticket};
use crate::clock::Now;
use crate::codec::Refusal;
use crate::store::export::{Export, Header, Position, VERSION};
use crate::store::{FORMAT_VERSION, Tap, Writer};

/// Bytes that may change while an export runs: two minutes of 20,000 lamps.
const TAP_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Closes the tap, however the export ends.
struct Tapped<'b>(&'b Writer<Ticket>);

impl Drop for Tapped<'_> {
    fn drop(&mut self) {
        drop(self.0.close_tap());
    }
}

impl Broker {
    /// Writes the whole state; `full` gets it in pieces of about 64 KiB and says whether to go on.
    /// Waits for the disk and for `full`: for a thread of its own.
    ///
    /// # Errors
    /// Another export runs, the store can't be read, or too much changed meanwhile. What was written
    /// has no last line then, and no reader takes it for whole.
    pub fn export(&self, now: Now, mut full: impl FnMut(Vec<u8>) -> bool) -> Result<(), Refusal> {
        let records = self.audit.records().ok_or_else(|| unavailable("the hub is stopping"))?;
        let tapped = self.tap()?;
        let mut export = Export::begin(&self.header(now));
        let mut goes_on = true;
        let read = export.stored(&*records, |piece| {
            goes_on = full(piece);
            goes_on
        });
        read.map_err(|error| unavailable(&format!("the store can't be read: {error}")))?;
        if !goes_on {
            return Err(unavailable("the export is not taken"));
        }
        let (tap, position) = {
            let sequence = self.sequence.lock();
            (tapped.0.close_tap(), sequence.position())
        };
        let changed = tap.and_then(Tap::into_operations).ok_or_else(|| {
            unavailable("more changed during the export than the hub keeps; read it faster")
        })?;
        for operation in changed.filter(|changed| changed.table().is_exported()) {
            let value = operation.value().map(|value| &value[..]);
            export.record(operation.table(), operation.key(), value);
        }
        let (epoch, offset) = (position.epoch.to_string(), position.offset.to_string());
        if full(export.end(Some(Position { epoch, offset }))) {
            Ok(())
        } else {
            Err(unavailable("the export is not taken"))
        }
    }

    /// Opens the tap. When this returns, all that was submitted before can be read from the store.
    fn tap(&self) -> Result<Tapped<'_>, Refusal> {
        let writer = self.writer();
        if !writer.open_tap(Tap::new(TAP_BYTES_MAX)) {
            return Err(unavailable("another export runs"));
        }
        let tapped = Tapped(writer);
        let (done, wait) = tokio::sync::oneshot::channel();
        let barrier = writer.submit(Vec::new(), Some(Ticket::Waiter(done)));
        barrier.map_err(|refusal| unavailable(&refusal.to_string()))?;
        wait.blocking_recv().map_err(|_| unavailable("the store has stopped"))?;
        Ok(tapped)
    }

    fn header(&self, now: Now) -> Header {
        let about = [
            ("device", self.devices.lock().len()),
            ("token", self.directory.read().len()),
            ("channel", self.channels.read().len()),
        ];
        let about = about.map(|(name, count)| (name.to_owned(), count as u64));
        Header {
            lamplighter_export: VERSION,
            hub: env!("CARGO_PKG_VERSION").to_owned(),
            format: FORMAT_VERSION,
            unix_ms: now.unix_ms,
            about: BTreeMap::from(about),
        }
    }
}

fn unavailable(reason: &str) -> Refusal {
    Refusal::retry(ErrorCode::Unavailable, "", format!("no export: {reason}"), 5_000)
}
