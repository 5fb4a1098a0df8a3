//! Why a connection was closed, in a form that old firmware can act on.
//!
//! The range of a code answers the only question that a peer has: may I come back? So a peer also
//! understands codes that are younger than itself.

/// A close code of this protocol, or one of RFC 6455.
///
/// 4000 to 4499: come back, with back-off. 4500 to 4999: stay away until something changed; a device
/// waits at least [`crate::limits::STAY_AWAY_S_MIN`] seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(pub u16);

const PERMANENT_MIN: u16 = 4500;
const PERMANENT_MAX: u16 = 4999;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        impl CloseCode {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// The constant text of the close frame; it echoes no input.
            pub const fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $text,)*
                    _ => "unknown",
                }
            }

            /// Its name in the documentation and in `Presence.reason`; `UNKNOWN` for others.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($code => stringify!($name),)*
                    _ => "UNKNOWN",
                }
            }

            /// All that this version knows, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

codes! {
    /// The connection did what it was for (RFC 6455).
    NORMAL = 1000, "bye";
    /// The hub is going away (RFC 6455).
    AWAY = 1001, "going away";
    /// The peer does not keep to RFC 6455.
    PROTOCOL = 1002, "websocket protocol error";
    /// A text message that is not UTF-8 (RFC 6455).
    NOT_UTF8 = 1007, "text is not utf-8";
    /// A message over the limit (RFC 6455).
    TOO_BIG = 1009, "message too big";
    /// The hub drains: come back within the window of `GoAway`.
    DRAIN = 4000, "draining";
    /// The peer reads too slowly, or not at all.
    SLOW = 4001, "slow reader";
    /// No sign of life after a ping.
    NO_PONG = 4002, "no answer to ping";
    /// More messages, control frames or sessions than the limit.
    RATE = 4003, "rate limit";
    /// The hub has no room now.
    OVERLOAD = 4004, "overload";
    /// The credential's life ended; get a new one.
    CREDENTIAL_EXPIRED = 4005, "credential expired";
    /// The hub can't continue the stream; take a snapshot.
    POSITION_LOST = 4006, "position lost";
    /// No valid HELLO in time.
    AUTH_TIMEOUT = 4008, "no hello in time";
    /// A newer session of the same device took over.
    REPLACED = 4500, "replaced by a newer session";
    /// The credential is not accepted.
    BAD_CREDENTIAL = 4501, "bad credential";
    /// The credential or the device was revoked.
    REVOKED = 4502, "revoked";
    /// The version of the protocol is not spoken here.
    VERSION = 4503, "protocol version not supported";
    /// An envelope that can't be read, or doesn't belong here.
    MALFORMED = 4504, "malformed";
    /// The peer tried what it may not do.
    NOT_PERMITTED = 4505, "not permitted";
}

impl CloseCode {
    /// Whether the peer may come back without a change on its side.
    pub const fn is_temporary(self) -> bool {
        !(self.0 >= PERMANENT_MIN && self.0 <= PERMANENT_MAX)
    }
}

const _: () = assert!(CloseCode::SLOW.is_temporary());
const _: () = assert!(!CloseCode::MALFORMED.is_temporary());
const _: () = assert!(CloseCode(4499).is_temporary() && !CloseCode(4999).is_temporary());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_fits_and_is_known() {
        for code in CloseCode::ALL {
            let reason = code.reason();
            assert!(reason.len() <= crate::limits::CLOSE_REASON_BYTES_MAX, "{code:?}");
            assert_ne!(reason, "unknown", "{code:?}");
        }
    }
}
