//! The audit log: who changed what, from where, when, with what result; and who was refused.
//!
//! Each record has the SHA-256 of the record before it, so that one can't be changed or taken out
//! without a trace. Nothing here writes: the broker puts what [`Chain`] makes into the batch of the
//! effect that it tells of, and reads it back for [`Verifier`].
//!
//! ```text
//!   Record ─▶ Chain::append ─▶ Write ─▶ the store, in one batch with the effect
//!             Allowance            records ─▶ Verifier ─▶ intact up to n, or the first broken one
//! ```
//!
//! Read [`record`] for what is told, [`chain`] for how it hangs together, [`verify`] for the proof,
//! [`allowance`] for how refusals are kept from flooding it.
//!
//! # Guarantees
//!
//! - A record has no secret and no payload, and at most [`record::ENTRY_BYTES_MAX`] bytes.
//! - The bytes that are stored are those that are hashed: one line of JSON.
//!
//! # Cost
//!
//! A record is about 250 bytes, one SHA-256 and a few allocations. The chain keeps 48 bytes in memory
//! for each thousand records.

pub mod allowance;
pub mod chain;
pub mod record;
pub mod verify;

pub use allowance::Allowance;
pub use chain::{Chain, Hash, Head, Limits, Mark, Write};
pub use record::{Actor, Door, Entry, Record, Verb};
pub use verify::{Broken, Intact, Verifier};
