//! A program without std and without an allocator that links the firmware core and drives it once:
//! connect, greet, report, ack, one command. If anything drags std or a heap in, it doesn't link.
//!
//! The hub's answers are bytes made with the same encoder. The exit status is 0 if the core did all
//! that it should, else the number of the step that failed. `sizes.sh` beside this crate measures it.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use firmware_client::proto::envelope::{Ack, Batch, Deliver, Envelope, Kind, Welcome};
use firmware_client::proto::wire::SliceSink;
use firmware_client::{
    Buffers, Client, Config, Event, MemoryJournal, Millis, Outcome, Report, Verdict,
};

// The C runtime calls `main`; nothing else of it is used.
#[link(name = "c")]
unsafe extern "C" {
    safe fn abort() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    abort()
}

/// Where the C runtime begins.
// Not mangled, so that the C runtime finds it; there is no other `main` to collide with.
#[unsafe(no_mangle)]
pub extern "C" fn main() -> i32 {
    match live() {
        Ok(()) => 0,
        Err(step) => step,
    }
}

/// One short life. The error is the number of the step.
fn live() -> Result<(), i32> {
    let (mut samples, mut events, mut commands) = ([0; 2048], [0; 512], [0; 512]);
    let buffers = Buffers { samples: &mut samples, events: &mut events, commands: &mut commands };
    let mut now = Millis(0);
    let journal = MemoryJournal::<16, 128>::new(0);
    let mut client: Client<'_, _> =
        Client::new(Config::new("lamp-0042", 7), buffers, journal, now).map_err(|_| 1)?;
    let mut out = [0; 512];

    let seq = client.report(now, &Report::telemetry(b"sample")).map_err(|_| 2)?;
    now = client.deadline().ok_or(3)?;
    client.handle_timeout(now);
    if client.poll_event(now) != Some(Event::ConnectNow) {
        return Err(4);
    }
    client.handle_connected(now);
    let length = client.poll_transmit(now, &mut out).ok_or(5)?;
    expect(&out[..length], |kind| matches!(kind, Kind::Hello(_)), 6)?;

    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let welcome = Welcome { time_unix_ms: 1_800_000_000_000, ..Welcome::default() };
    say(&mut client, now, Kind::Welcome(welcome));
    say(
        &mut client,
        now,
        Kind::Deliver(Deliver { command: id, remaining_ms: 9_000, ..Deliver::default() }),
    );
    let command = loop {
        if let Event::CommandStart { id, .. } = client.poll_event(now).ok_or(7)? {
            break id;
        }
    };
    let outcome = Outcome { verdict: Verdict::Succeeded, detail: "", result: b"proof" };
    client.command_done(command, &outcome).map_err(|_| 8)?;
    let length = client.poll_transmit(now, &mut out).ok_or(9)?;
    expect(&out[..length], |kind| matches!(kind, Kind::CommandReport(_)), 10)?;
    expect(&out[..length], |kind| matches!(kind, Kind::Publish(_)), 11)?;
    say(&mut client, now, Kind::Ack(Ack { seq, ..Ack::default() }));
    if client.reports_waiting() == 0 { Ok(()) } else { Err(12) }
}

fn say(client: &mut Client<'_, MemoryJournal<16, 128>>, now: Millis, kind: Kind<'_>) {
    let mut bytes = [0; 256];
    let mut sink = SliceSink::new(&mut bytes);
    Envelope::new(kind).encode_delimited(&mut sink);
    let length = sink.finish().unwrap_or(0);
    client.handle_message(now, &bytes[..length]);
}

fn expect(message: &[u8], wanted: impl Fn(&Kind<'_>) -> bool, step: i32) -> Result<(), i32> {
    let mut batch = Batch::parse(message).map_err(|_| step)?;
    if batch.any(|envelope| wanted(&envelope.kind)) { Ok(()) } else { Err(step) }
}
