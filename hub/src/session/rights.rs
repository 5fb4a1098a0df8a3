//! Whether a peer may publish where it wants to, and what it is told if not.

use proto::envelope::ErrorCode;

use crate::access::Identity;
use crate::codec::request::{Change, Publication, Refusal};

/// Why a peer may not publish.
pub(super) enum Denied {
    /// A device that names another's channel: an attack or a broken build, not a slip.
    Foreign,
    Refused(Refusal),
}

/// Checks the right to publish; without a channel it is the device's own telemetry.
pub(super) fn own_channel(
    identity: &Identity,
    publication: &mut Publication<'_>,
) -> Result<(), Denied> {
    if identity.device().is_some() {
        of_a_report(publication)?;
    }
    let Some(channel) = &publication.channel else {
        if identity.device().is_none() {
            let text = "is empty; only a device has a telemetry channel of its own";
            let refusal = Refusal::new(ErrorCode::BadChannel, "publish.channel", text);
            return Err(Denied::Refused(refusal));
        }
        return Ok(());
    };
    if identity.may_publish(channel.as_str()) {
        return Ok(());
    }
    let owner = proto::channels::device_of(channel.as_str());
    match (identity.device(), owner) {
        (Some(device), Some(owner)) if device.as_str() != owner => Err(Denied::Foreign),
        _ => {
            let mut refusal =
                not_permitted("publish.channel", "this identity may not publish to the channel");
            refusal.seq = publication.seq;
            Err(Denied::Refused(refusal))
        }
    }
}

/// What a device reports is ordered by its boot and sequence, and by nothing else.
fn of_a_report(publication: &Publication<'_>) -> Result<(), Denied> {
    let field = match (&publication.change, publication.expected) {
        (_, Some(_)) => "publish.expected_revision",
        (Change::Patch(_), None) => "publish.patch",
        (Change::Whole(_), None) => return Ok(()),
    };
    let text = "is for operators and programs; a device's reports are ordered by boot and seq";
    let refusal = Refusal::new(ErrorCode::BadValue, field, text);
    Err(Denied::Refused(Refusal { seq: publication.seq, ..refusal }))
}

pub(super) fn not_permitted(field: &'static str, message: &str) -> Refusal {
    Refusal::new(ErrorCode::NotPermitted, field, message)
}
