//! `hub send`: from words to an order, and on to one device or many.
//!
//! Every order has a request id, chosen here if the caller didn't, so that a lost answer is never
//! the end of knowledge: the same line with the same id asks again without doing twice.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::action::{self, Order};
use super::args::{self, Format, SendArgs};
use super::connect::{Connection, Target};
use super::exit::Failure;
use super::fleet;
use super::interrupt::{Story, unless_interrupted};
use super::one;
use super::out::Out;
use super::rerun::Rerun;
use crate::clock::Now;

/// A command ends by its deadline and a minute; then there is something wrong with the hub.
const AFTER_DEADLINE: Duration = Duration::from_secs(70);

/// What `send` does, ready to be done.
#[derive(Debug)]
pub(crate) struct Job {
    /// Which hub.
    pub(crate) target: Target,
    /// What to do.
    pub(crate) order: Order,
    /// Names it.
    pub(crate) request_id: String,
    /// The same again.
    pub(crate) rerun: Rerun,
    /// How long to stay for the end; `None` leaves once it is accepted.
    pub(crate) patience: Option<Duration>,
    /// For whom.
    pub(crate) format: Format,
}

/// Runs `hub send`. `words` are those of the process, for the line that does it again.
pub(crate) async fn run(
    args: &SendArgs,
    connection: &Connection,
    words: Vec<String>,
    out: &mut Out,
) -> Result<(), Failure> {
    let (device, order) = check_words(args, Now::read().unix_ms)?;
    let request_id = args.request_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let job = Job {
        target: connection.target()?,
        rerun: Rerun::new(words, &request_id, order.ends_unix_ms),
        patience: args.wait.then(|| args.timeout.unwrap_or(args.ttl + AFTER_DEADLINE)),
        format: args.output,
        order,
        request_id,
    };
    let story = Story::default();
    match (device, &args.selector) {
        (Some(device), _) => unless_interrupted(&story, one::run(&job, &device, &story, out)).await,
        (None, Some(selector)) => {
            unless_interrupted(&story, fleet::send(&job, args, selector, &story, out)).await
        }
        (None, None) => Err(Failure::Usage("no device; see hub send --help".to_owned())),
    }
}

/// What the words ask for: a device unless a selector picks many, and the order.
pub(crate) fn check_words(
    args: &SendArgs,
    now_unix_ms: u64,
) -> Result<(Option<String>, Order), Failure> {
    let (device, action_words) = split(args)?;
    Ok((device, action::order(args, action_words, now_unix_ms)?))
}

/// The device, and what follows it.
fn split(args: &SendArgs) -> Result<(Option<String>, &[String]), Failure> {
    if args.selector.is_some() {
        return Ok((None, &args.words));
    }
    let (device, rest) = args.words.split_first().ok_or_else(|| {
        Failure::Usage(
            "no device: give its id, or --where SELECTOR; see hub send --help".to_owned(),
        )
    })?;
    let device =
        args::device_id(device).map_err(|why| Failure::Usage(format!("`{device}`: {why}")))?;
    Ok((Some(device), rest))
}

impl Job {
    /// The body of `Send` for one device.
    pub(crate) fn envelope(&self, device: &str, request_id: &str) -> Value {
        json!({
            "device": device,
            "type": self.order.type_name,
            "data": self.order.data,
            "ttl_s": self.order.ttl_s,
            "request_id": request_id,
            "supersede_key": self.order.supersede_key,
        })
    }
}
