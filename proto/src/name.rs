//! Names of channels and patterns over them.
//!
//! A name is 1 to 8 segments of `[A-Za-z0-9_-]`, joined by dots: legal as it stands as a NATS
//! subject and as a Pusher channel. In a pattern a segment may be `*`, which stands for exactly one
//! segment, and the last may be `>`, which stands for one or more.

use core::fmt;

use crate::limits;

/// Why a text is not a channel name or pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// A byte outside the alphabet, or a wildcard in a name or inside a segment.
    Byte {
        /// Its place, from 0.
        at: usize,
    },
    /// A segment without a byte: a leading, trailing or doubled dot, or an empty text.
    EmptySegment {
        /// Where it would begin.
        at: usize,
    },
    /// A segment over [`limits::SEGMENT_BYTES_MAX`].
    SegmentTooLong {
        /// Where it begins.
        at: usize,
    },
    /// Over [`limits::CHANNEL_BYTES_MAX`] bytes.
    TooLong {
        /// Bytes that it has.
        bytes: usize,
    },
    /// Over [`limits::SEGMENTS_MAX`] segments.
    TooManySegments,
    /// A `>` that is not last.
    TailInside {
        /// Its place, from 0.
        at: usize,
    },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte { at } => {
                write!(f, "byte {at} may not stand in a channel; use A-Z a-z 0-9 _ - and dots")
            }
            Self::EmptySegment { at } => write!(f, "the segment at byte {at} is empty"),
            Self::SegmentTooLong { at } => {
                write!(f, "the segment at byte {at} is over {} bytes", limits::SEGMENT_BYTES_MAX)
            }
            Self::TooLong { bytes } => {
                write!(f, "has {bytes} bytes; at most {}", limits::CHANNEL_BYTES_MAX)
            }
            Self::TooManySegments => write!(f, "has over {} segments", limits::SEGMENTS_MAX),
            Self::TailInside { at } => write!(f, "`>` at byte {at} must be the last segment"),
        }
    }
}

impl core::error::Error for NameError {}

/// Whether `text` is a channel name.
///
/// # Errors
/// Says what is wrong and where.
pub fn check_name(text: &str) -> Result<(), NameError> {
    check(text, Wildcards::Refused)
}

/// Whether `text` is a pattern over channel names. Each name is one.
///
/// # Errors
/// Says what is wrong and where.
pub fn check_pattern(text: &str) -> Result<(), NameError> {
    check(text, Wildcards::Allowed)
}

/// Whether the channel `name` is among those that `pattern` stands for. Both must be valid.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (mut wanted, mut rest) = (pattern.as_bytes(), name.as_bytes());
    loop {
        // In a valid pattern a wildcard is a whole segment.
        match (wanted, rest) {
            ([b'>', ..], [_, ..]) | ([], []) => return true,
            ([b'*', after @ ..], [_, ..]) => {
                let end = rest.iter().position(|byte| *byte == b'.').unwrap_or(rest.len());
                (wanted, rest) = (after, &rest[end..]);
            }
            ([one, after @ ..], [other, left @ ..]) if one == other => {
                (wanted, rest) = (after, left);
            }
            _ => return false,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Wildcards {
    Allowed,
    Refused,
}

fn check(text: &str, wildcards: Wildcards) -> Result<(), NameError> {
    if text.len() > limits::CHANNEL_BYTES_MAX {
        return Err(NameError::TooLong { bytes: text.len() });
    }
    let mut start = 0;
    for (count, segment) in text.split('.').enumerate() {
        if count == limits::SEGMENTS_MAX {
            return Err(NameError::TooManySegments);
        }
        check_segment(segment, start, wildcards)?;
        if segment == ">" && start + 1 < text.len() {
            return Err(NameError::TailInside { at: start });
        }
        start += segment.len() + 1;
    }
    Ok(())
}

fn check_segment(segment: &str, start: usize, wildcards: Wildcards) -> Result<(), NameError> {
    if segment.is_empty() {
        return Err(NameError::EmptySegment { at: start });
    }
    if segment.len() > limits::SEGMENT_BYTES_MAX {
        return Err(NameError::SegmentTooLong { at: start });
    }
    if wildcards == Wildcards::Allowed && matches!(segment, "*" | ">") {
        return Ok(());
    }
    match segment
        .bytes()
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')))
    {
        Some(offset) => Err(NameError::Byte { at: start + offset }),
        None => Ok(()),
    }
}

#[cfg(feature = "alloc")]
pub use owned::{ChannelName, ChannelPattern};

#[cfg(feature = "alloc")]
mod owned {
    use alloc::sync::Arc;
    use core::borrow::Borrow;
    use core::fmt;

    use super::{NameError, check_name, check_pattern, matches};

    macro_rules! text_type {
        ($(#[$doc:meta])* $name:ident, $check:ident) => {
            $(#[$doc])*
            #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(Arc<str>);

            impl $name {
                /// Takes a valid text.
                ///
                /// # Errors
                /// Says what is wrong and where.
                pub fn parse(text: &str) -> Result<Self, NameError> {
                    $check(text)?;
                    Ok(Self(text.into()))
                }

                /// The text.
                pub fn as_str(&self) -> &str {
                    &self.0
                }

                /// Its segments, in order.
                pub fn segments(&self) -> impl Iterator<Item = &str> {
                    self.0.split('.')
                }
            }

            impl Borrow<str> for $name {
                fn borrow(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.pad(&self.0)
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, concat!(stringify!($name), "({})"), self.0)
                }
            }
        };
    }

    text_type! {
        /// The name of a channel, valid and cheap to clone.
        ChannelName, check_name
    }

    text_type! {
        /// A pattern over channel names, valid and cheap to clone.
        ChannelPattern, check_pattern
    }

    impl ChannelPattern {
        /// Whether the pattern stands for this channel.
        pub fn matches(&self, name: &str) -> bool {
            matches(&self.0, name)
        }

        /// Whether the pattern stands for one channel only.
        pub fn is_exact(&self) -> bool {
            check_name(&self.0).is_ok()
        }

        /// The text before the first wildcard; all matching names begin with it.
        pub fn literal_prefix(&self) -> &str {
            let end = self.0.find(['*', '>']).unwrap_or(self.0.len());
            &self.0[..end]
        }

        /// Whether every channel that `other` stands for is also one of this pattern's.
        pub fn covers(&self, other: &Self) -> bool {
            let mut theirs = other.segments();
            for ours in self.segments() {
                match (ours, theirs.next()) {
                    (_, None) => return false,
                    (">", Some(_)) => return true,
                    (_, Some(">")) => return false,
                    ("*", Some(_)) => {}
                    (ours, Some(segment)) if ours == segment => {}
                    (_, Some(_)) => return false,
                }
            }
            theirs.next().is_none()
        }
    }

    impl From<ChannelName> for ChannelPattern {
        fn from(name: ChannelName) -> Self {
            Self(name.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_to_eight_segments_of_the_alphabet() {
        let long = "a.b.c.d.e.f.g.h";
        for good in ["a", "devices.lamp-0042.telemetry", "A_b-9", long, &"x".repeat(64)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn names_outside_the_rules_are_refused_with_the_place() {
        for (bad, error) in [
            ("", NameError::EmptySegment { at: 0 }),
            (".", NameError::EmptySegment { at: 0 }),
            ("a..b", NameError::EmptySegment { at: 2 }),
            ("a.", NameError::EmptySegment { at: 2 }),
            ("a.*", NameError::Byte { at: 2 }),
            ("a.>", NameError::Byte { at: 2 }),
            ("#", NameError::Byte { at: 0 }),
            ("+", NameError::Byte { at: 0 }),
            ("$SYS.x", NameError::Byte { at: 0 }),
            ("a b", NameError::Byte { at: 1 }),
            ("a\r\n", NameError::Byte { at: 1 }),
            ("a\0", NameError::Byte { at: 1 }),
            ("💡", NameError::Byte { at: 0 }),
            ("a\u{202e}", NameError::Byte { at: 1 }),
            ("e\u{301}", NameError::Byte { at: 1 }),
            ("a.b.c.d.e.f.g.h.i", NameError::TooManySegments),
        ] {
            assert_eq!(check_name(bad), Err(error), "{bad:?}");
        }
        assert_eq!(check_name(&"x".repeat(65)), Err(NameError::SegmentTooLong { at: 0 }));
        assert_eq!(check_name(&"x".repeat(129)), Err(NameError::TooLong { bytes: 129 }));
    }

    #[test]
    fn a_star_stands_for_exactly_one_segment() {
        check_matches(
            "site.*.temp",
            &["site.1.temp", "site.x.temp"],
            &["site.temp", "site.1.2.temp"],
        );
    }

    #[test]
    fn a_tail_stands_for_one_or_more_segments() {
        check_matches("site.1.>", &["site.1.temp", "site.1.a.b"], &["site.1", "site.2.temp"]);
        check_matches(">", &["a", "a.b"], &[]);
    }

    #[test]
    fn matching_agrees_with_what_is_said_segment_by_segment() {
        let said = |pattern: &[&str], name: &[&str]| {
            let (body, is_open) = match pattern {
                [body @ .., ">"] => (body, true),
                body => (body, false),
            };
            let is_long = if is_open { name.len() > body.len() } else { name.len() == body.len() };
            is_long && body.iter().zip(name).all(|(wanted, held)| *wanted == "*" || wanted == held)
        };
        let mut hits = 0;
        for pattern in
            texts(&["a", "ab", "*", ">"]).iter().filter(|text| check_pattern(text).is_ok())
        {
            for name in texts(&["a", "ab", "b"]) {
                let parts = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
                let (wanted, held) = (parts(pattern), parts(&name));
                let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
                let held: Vec<&str> = held.iter().map(String::as_str).collect();
                let does = matches(pattern, &name);
                assert_eq!(does, said(&wanted, &held), "`{pattern}` and `{name}`");
                hits += usize::from(does);
            }
        }
        assert!(hits > 100, "{hits}");
    }

    /// All texts of one to three of these segments.
    fn texts(segments: &[&str]) -> Vec<String> {
        let mut texts: Vec<String> = segments.iter().map(|&segment| segment.to_owned()).collect();
        let mut longest = texts.clone();
        for _ in 0..2 {
            let longer =
                longest.iter().flat_map(|text| segments.iter().map(move |s| format!("{text}.{s}")));
            longest = longer.collect();
            texts.extend(longest.iter().cloned());
        }
        texts
    }

    #[test]
    fn a_wildcard_is_a_whole_segment_and_a_tail_is_last() {
        assert_eq!(check_pattern("a*"), Err(NameError::Byte { at: 1 }));
        assert_eq!(check_pattern("a.>.b"), Err(NameError::TailInside { at: 2 }));
        assert_eq!(check_pattern("*.>"), Ok(()));
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn one_pattern_covers_another_if_it_stands_for_all_of_its_channels() {
        let pattern = |text| ChannelPattern::parse(text).expect("valid");
        assert!(pattern("a.>").covers(&pattern("a.*.c")));
        assert!(pattern("a.*").covers(&pattern("a.b")));
        assert!(pattern("a.*").covers(&pattern("a.*")));
        assert!(!pattern("a.*").covers(&pattern("a.>")));
        assert!(!pattern("a.b").covers(&pattern("a.*")));
        assert!(!pattern("a.*.c").covers(&pattern("a.b")));
    }

    #[track_caller]
    fn check_matches(pattern: &str, hits: &[&str], misses: &[&str]) {
        assert_eq!(check_pattern(pattern), Ok(()));
        for name in hits {
            assert!(matches(pattern, name), "`{pattern}` should match `{name}`");
        }
        for name in misses {
            assert!(!matches(pattern, name), "`{pattern}` should not match `{name}`");
        }
    }
}
