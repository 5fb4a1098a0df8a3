//! What the machine tells the firmware, and the small queue in which it waits.

use proto::{CloseCode, CommandId, CommandState, ErrorCode};

use crate::light::Light;
use crate::time::Millis;

/// Something happened that the driver or the application must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'e> {
    /// Driver: open a connection now, then call `handle_connected` or `handle_closed`.
    ConnectNow,
    /// Driver: close the connection, if there is one, and call `handle_closed`.
    CloseConnection(CloseCode),
    /// The hub admitted the device.
    Welcome(Admission),
    /// The hub's time is known, for the first time or again: ms since 1970, UTC, at this moment.
    TimeLearned {
        /// ms since 1970, UTC.
        unix_ms: u64,
    },
    /// All reports up to here are durable at the hub.
    Acked {
        /// The number that [`crate::Client::report`] returned.
        seq: u64,
    },
    /// The hub refused a report for good; it is dropped.
    ReportRefused {
        /// The number that [`crate::Client::report`] returned.
        seq: u64,
        /// Why.
        code: ErrorCode,
    },
    /// What the device should show now, and what comes next; after each connection, and when it changes. Comes
    /// only if [`crate::Config::follows_light`].
    Light(Light),
    /// Application: carry out this command now, then call [`crate::Client::command_done`].
    CommandStart {
        /// Names the command.
        id: CommandId,
        /// Full name of the payload's message.
        type_name: &'e str,
        /// The encoded command.
        payload: &'e [u8],
        /// It had to start before this moment; the machine has checked that.
        deadline: Millis,
    },
    /// The hub knows how this command ended.
    CommandSettled {
        /// Names the command.
        id: CommandId,
        /// How it ended.
        state: CommandState,
    },
    /// The hub refused something that is neither a report nor a command.
    HubError {
        /// Why.
        code: ErrorCode,
        /// ms: when a retry makes sense; 0 means not without a change.
        retry_after_ms: u32,
    },
    /// The connection is gone, or none came about.
    Disconnected {
        /// The hub's close code, if it sent one.
        code: Option<CloseCode>,
        /// When the next try comes.
        retry_at: Millis,
    },
    /// The hub knows this boot number already: the journal had lost count. A higher one is in use.
    BootRaised {
        /// The number in use.
        boot: u32,
    },
    /// The journal could not be written. A command that was about to start was rejected instead.
    JournalFailed,
}

/// What `Welcome` said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// s: the hub pings after this much silence.
    pub ping_interval_s: u32,
    /// s: the window of the first try after a lost connection.
    pub reconnect_window_s: u32,
    /// All reports of this boot up to here are durable at the hub.
    pub accepted_seq: u64,
}

/// Counts since the start of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections on which the hub admitted the device.
    pub admissions: u32,
    /// Bytes of WebSocket messages handed to the driver.
    pub bytes_sent: u64,
    /// Bytes of WebSocket messages taken from the driver.
    pub bytes_received: u64,
    /// Reports that were sent, repetitions included.
    pub reports_sent: u64,
    /// Reports that the hub acknowledged.
    pub reports_acked: u64,
    /// Reports that the hub refused for good.
    pub reports_refused: u64,
    /// Reports that gave their place to newer ones before the hub acknowledged them.
    pub records_lost: u64,
    /// Deliveries that were ignored, because their id is none or all slots are taken.
    pub commands_ignored: u32,
    /// Messages of the hub that could not be read.
    pub malformed: u32,
    /// Events that were not polled in time.
    pub events_lost: u32,
}

/// Events that wait. If nobody polls, the oldest goes and is counted.
#[derive(Debug)]
pub(crate) struct Notices {
    waiting: [Option<Event<'static>>; NOTICES_MAX],
    first: usize,
    count: usize,
}

/// More than one incoming message causes in normal life.
const NOTICES_MAX: usize = 16;

impl Notices {
    pub(crate) const fn new() -> Self {
        Self { waiting: [None; NOTICES_MAX], first: 0, count: 0 }
    }

    /// Takes an event. True if an older one had to go.
    pub(crate) fn push(&mut self, event: Event<'static>) -> bool {
        let last = (self.first + self.count + NOTICES_MAX - 1) % NOTICES_MAX;
        // Acks are cumulative: the newer says all that the older said.
        if let (Event::Acked { .. }, true, Some(Event::Acked { .. })) =
            (event, self.count > 0, self.waiting[last])
        {
            self.waiting[last] = Some(event);
            return false;
        }
        let full = self.count == NOTICES_MAX;
        if full {
            self.pop();
        }
        self.waiting[(self.first + self.count) % NOTICES_MAX] = Some(event);
        self.count += 1;
        full
    }

    pub(crate) fn pop(&mut self) -> Option<Event<'static>> {
        if self.count == 0 {
            return None;
        }
        let event = self.waiting[self.first].take();
        self.first = (self.first + 1) % NOTICES_MAX;
        self.count -= 1;
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_in_a_row_become_one_and_the_oldest_event_makes_room() {
        let mut notices = Notices::new();
        for seq in 1..=3 {
            assert!(!notices.push(Event::Acked { seq }));
        }
        assert_eq!(notices.pop(), Some(Event::Acked { seq: 3 }));
        assert_eq!(notices.pop(), None);

        for boot in 0..=NOTICES_MAX as u32 {
            assert_eq!(notices.push(Event::BootRaised { boot }), boot == NOTICES_MAX as u32);
        }
        assert_eq!(notices.pop(), Some(Event::BootRaised { boot: 1 }));
    }
}
