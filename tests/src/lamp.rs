//! Payloads of lamps: small ones that carry a number, by which a test knows them again.

use prost::Message as _;
use proto::messages::lighting::v1::command::Action;
use proto::messages::lighting::v1::{Command, CommandResult, Identify, TelemetryBatch};

/// A telemetry report that carries `number`.
pub fn telemetry(number: u32) -> Vec<u8> {
    TelemetryBatch { logger_id: number, ..TelemetryBatch::default() }.encode_to_vec()
}

/// The number of such a report.
pub fn number(payload: &[u8]) -> u32 {
    TelemetryBatch::decode(payload).expect("a telemetry report").logger_id
}

/// A command that does no harm and carries `reference`.
pub fn command(reference: &str) -> Vec<u8> {
    let action = Some(Action::Identify(Identify { duration_s: 3 }));
    Command { cms_ref_id: reference.to_owned(), lamp_mask: 0, action }.encode_to_vec()
}

/// The reference of such a command.
pub fn reference(payload: &[u8]) -> String {
    Command::decode(payload).expect("a command").cms_ref_id
}

/// The proof of having done something.
pub fn result(detail: &str) -> Vec<u8> {
    CommandResult { detail: detail.to_owned(), ..CommandResult::default() }.encode_to_vec()
}
