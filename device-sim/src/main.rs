//! The program `device-sim`: reads its arguments, runs what they say, and turns the outcome into an
//! exit code.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use device_sim::args::{Action, Arguments};
use device_sim::{bench, peers, processes, run, verify};

// Thousands of small buffers come and go; glibc's allocator would keep the peak for ever.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A promise of the hub was broken, or the run as a whole failed its purpose.
const EXIT_BROKEN: u8 = 1;
/// The hub could not be reached or asked, so nothing is proved.
const EXIT_UNKNOWN: u8 = 6;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run::raise_descriptor_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no runtime: {error}")),
    };
    let outcome = runtime.block_on(act(arguments.action));
    runtime.shutdown_background();
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_BROKEN),
        Err(error) => fail(&error.to_string()),
    }
}

async fn act(action: Action) -> Result<bool, Box<dyn Error>> {
    Ok(match action {
        Action::Run(settings) if settings.processes > 1 => processes::run(&settings).await?,
        Action::Run(settings) => run::run_and_print(&settings).await?,
        Action::Verify(settings) => verify::verify_and_print(&settings).await?,
        Action::Bench(settings) => bench::run_and_print(&settings).await?,
        Action::Compare(settings) => peers::run_and_print(&settings).await?,
    })
}

fn fail(reason: &str) -> ExitCode {
    eprintln!("device-sim: {reason}");
    ExitCode::from(EXIT_UNKNOWN)
}
