//! One lamp, from power-up to a dimmed light: read this first if you write firmware.
//!
//! ```text
//! cargo run -p firmware-client --features host --example lamp -- ws://127.0.0.1:8080 lamp-0042 TOKEN
//! ```
//!
//! It does what a controller does: keeps a boot counter and a command journal (a small file here,
//! flash there), reports a sample each period, and carries out dim, on, off and identify. On a
//! controller, `firmware_client::driver` is replaced by your own loop of a socket, a timer and the four
//! calls `handle_…`, `poll_event`, `poll_transmit`, `deadline`; everything else stays as it is here.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use firmware_client::driver::{Application, Clock, HostConfig, LinkControl, Wake, run, tls_config};
use firmware_client::proto::CommandId;
use firmware_client::proto::wire::{Encode, Reader, Sink, SliceSink, Value};
use firmware_client::{
    Buffers, Client, Config, Durability, Event, Journal, Millis, Outcome, Report, Verdict,
};

/// ms between two samples; a real lamp takes 15 minutes.
const PERIOD_MS: u64 = 5_000;

/// Boot counter and journal as files of one folder. A file is replaced as a whole: written beside,
/// synced, renamed. So after a loss of power it holds the old bytes or the new ones.
struct FileJournal {
    folder: PathBuf,
}

impl FileJournal {
    /// After a failed read, the lamp must not begin as if it had done nothing yet.
    fn read(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
        match fs::read(self.folder.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let beside = self.folder.join(format!("{name}.new"));
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(beside, self.folder.join(name))?;
        File::open(&self.folder)?.sync_all()
    }
}

fn damaged() -> std::io::Error {
    ErrorKind::InvalidData.into()
}

impl Journal for FileJournal {
    type Error = std::io::Error;

    fn raise_boot(&mut self) -> std::io::Result<u32> {
        let last = match self.read("boot")? {
            None => 0,
            Some(bytes) => u32::from_le_bytes(bytes.try_into().map_err(|_| damaged())?),
        };
        let boot = last.checked_add(1).ok_or_else(damaged)?;
        self.replace("boot", &boot.to_le_bytes())?;
        Ok(boot)
    }

    fn load(&mut self, slot: usize, buffer: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.read(&format!("command-{slot}"))?.unwrap_or_default();
        buffer.get_mut(..bytes.len()).ok_or_else(damaged)?.copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn record(&mut self, slot: usize, entry: &[u8], _: Durability) -> std::io::Result<()> {
        self.replace(&format!("command-{slot}"), entry)
    }
}

/// `lighting.v1.LampSample`: the numbers are those of telemetry.proto. A level of 0 is written, too,
/// because absent means "not measured".
struct Sample {
    level: u32,
    power_w: f32,
}

impl Encode for Sample {
    fn encode<S: Sink>(&self, sink: &mut S) {
        const STATE: u32 = 3;
        const ACTUAL_LEVEL_PCT: u32 = 6;
        const ACTIVE_POWER_W: u32 = 9;
        const FIXED32: u32 = 5;
        sink.uint(STATE, if self.level > 0 { 3 } else { 1 });
        sink.varint(u64::from(ACTUAL_LEVEL_PCT << 3));
        sink.varint(u64::from(self.level));
        sink.varint(u64::from(ACTIVE_POWER_W << 3 | FIXED32));
        sink.raw(&self.power_w.to_le_bytes());
    }
}

/// `lighting.v1.RecordHeader`: the machine puts the time since 1970 into the envelope; here stands what
/// is known in any case.
struct Header {
    uptime: Millis,
}

impl Encode for Header {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.uint(3, self.uptime.0);
    }
}

/// `lighting.v1.TelemetryBatch` of one sample, or `CommandResult` with the lamp after the change.
fn encode(now: Millis, sample: &Sample, samples_field: u32, buffer: &mut [u8]) -> usize {
    let mut sink = SliceSink::new(buffer);
    sink.message(1, &Header { uptime: now });
    sink.message(samples_field, sample);
    sink.finish().unwrap_or(0)
}

/// What the lamp was told.
enum Order {
    Level(u32),
    Identify,
    Unknown,
}

/// Reads as much of `lighting.v1.Command` as this lamp understands.
fn read_order(payload: &[u8]) -> Order {
    const OVERRIDE: u32 = 3;
    const RESUME: u32 = 4;
    const IDENTIFY: u32 = 5;
    let mut reader = Reader::new(payload);
    while let Ok(Some((field, value))) = reader.field() {
        match (field, value) {
            (OVERRIDE, Value::Bytes(order)) => {
                return match Reader::new(order).field() {
                    Ok(Some((1, Value::Varint(level @ 0..=100)))) => Order::Level(level as u32),
                    Ok(_) | Err(_) => Order::Unknown,
                };
            }
            (RESUME, _) => return Order::Level(100),
            (IDENTIFY, _) => return Order::Identify,
            (_, Value::Bytes(_) | Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32(_)) => {}
        }
    }
    Order::Unknown
}

/// Setting a level twice is setting it once; so all orders of this lamp may run again.
fn idempotent(_type_name: &str, payload: &[u8]) -> bool {
    !matches!(read_order(payload), Order::Unknown)
}

struct Lamp {
    level: u32,
    next_sample: Millis,
    order: Option<(CommandId, Order)>,
}

impl Lamp {
    fn sample(&self) -> Sample {
        let power_w = if self.level == 0 { 0.4 } else { 4.0 + 0.56 * self.level as f32 };
        Sample { level: self.level, power_w }
    }

    /// The effect. The machine has made STARTED durable, and calls this once.
    fn obey(&mut self, order: &Order) -> Verdict {
        match order {
            Order::Level(level) => {
                self.level = *level;
                Verdict::Succeeded
            }
            Order::Identify => Verdict::Succeeded,
            Order::Unknown => Verdict::Rejected,
        }
    }
}

impl Application<FileJournal, 16, 128> for Lamp {
    fn event(&mut self, now: Millis, event: &Event<'_>) {
        say(&format!("{:>8} ms  {event:?}", now.0));
        if let Event::CommandStart { id, payload, .. } = event {
            self.order = Some((*id, read_order(payload)));
        }
    }

    fn poll(&mut self, now: Millis, client: &mut Client<'_, FileJournal, 16, 128>) -> Wake {
        let mut buffer = [0; 64];
        if let Some((id, order)) = self.order.take() {
            let verdict = self.obey(&order);
            const AFTER: u32 = 3;
            let length = encode(now, &self.sample(), AFTER, &mut buffer);
            let outcome = Outcome { verdict, detail: "", result: &buffer[..length] };
            if let Err(error) = client.command_done(id, &outcome) {
                say(&format!("the outcome was not taken: {error:?}"));
            }
            // The map shall show the change at once.
            self.next_sample = now;
        }
        if now >= self.next_sample {
            const SAMPLES: u32 = 2;
            let length = encode(now, &self.sample(), SAMPLES, &mut buffer);
            if let Err(error) = client.report(now, &Report::telemetry(&buffer[..length])) {
                say(&format!("the sample was not taken: {error:?}"));
            }
            self.next_sample = now.after(PERIOD_MS);
        }
        Wake::At(self.next_sample)
    }
}

#[expect(clippy::print_stdout, reason = "the example's output")]
fn say(text: &str) {
    println!("{text}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: lamp URL DEVICE TOKEN [ROOTS.pem]";
    let url = arguments.next().ok_or(usage)?;
    let device = arguments.next().ok_or(usage)?;
    let token = arguments.next().ok_or(usage)?;
    let tls = match arguments.next() {
        Some(path) => Some(tls_config(&fs::read(path)?, None)?),
        None => None,
    };
    let host = HostConfig::new(&url, tls)?;

    let folder = std::env::temp_dir().join(format!("lamplighter-{device}"));
    fs::create_dir_all(&folder)?;
    let journal = FileJournal { folder };

    // All the memory that the machine will ever have; on a controller these are statics.
    let (mut samples, mut events, mut commands) = ([0; 16 * 1024], [0; 4 * 1024], [0; 1024]);
    let buffers = Buffers { samples: &mut samples, events: &mut events, commands: &mut commands };
    // Differs between devices and boots; a controller has a random number generator.
    let seed = device.bytes().fold(u64::from(std::process::id()), |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let config =
        Config { token: &token, agent: "example-lamp/1", idempotent, ..Config::new(&device, seed) };

    let clock = Clock::start();
    let mut client = Client::new(config, buffers, journal, clock.now())?;
    let mut lamp = Lamp { level: 100, next_sample: clock.now(), order: None };
    run(&host, clock, &LinkControl::new(), &mut client, &mut lamp).await;
    Ok(())
}
