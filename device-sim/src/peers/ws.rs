//! The client's side of a WebSocket, as thin as it gets: one request, masked frames out, frames in.
//!
//! A library would do, but then much of what the generator spends would be the library's, and a
//! generator that is slower than the server measures itself. Nothing here allocates for a message.
//! Replies of the server to the upgrade are taken on trust: these are programs that we started.

/// Data frames and what servers send beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
    Other,
}

/// A fixed mask hides nothing, and need not: the server has to undo it all the same.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x88];
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
/// Two bytes, and the mask.
const SHORT_HEAD: usize = 6;
/// Two bytes, a length of 16 bits, and the mask.
const LONG_HEAD: usize = 8;
const SHORT_MAX: usize = 125;

impl Opcode {
    const fn from_bits(bits: u8) -> Self {
        match bits & 0x0f {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => Self::Other,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
            Self::Other => 15,
        }
    }
}

/// The HTTP request that opens a WebSocket.
pub(super) fn upgrade_request(host: &str, path: &str, protocol: Option<&str>) -> Vec<u8> {
    let protocol =
        protocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    // The key is the example of RFC 6455; nobody checks what is made of it.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{protocol}\r\n"
    );
    request.into_bytes()
}

/// Where the server's answer to the upgrade ends; nothing if it isn't whole yet.
///
/// # Errors
/// The server refused; its first line.
pub(super) fn upgrade_answer_end(bytes: &[u8]) -> Result<Option<usize>, String> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(end) = bytes.windows(END.len()).position(|window| window == END) else {
        return Ok(None);
    };
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    if line.starts_with(b"HTTP/1.1 101") {
        return Ok(Some(end + END.len()));
    }
    Err(String::from_utf8_lossy(line).into_owned())
}

/// Appends one masked frame with what `write` appends as its content.
pub(super) fn frame(out: &mut Vec<u8>, opcode: Opcode, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.resize(start + LONG_HEAD, 0);
    write(out);
    let length = out.len() - start - LONG_HEAD;
    out[start] = FIN | opcode.bits();
    let head = match u16::try_from(length) {
        Ok(length) if usize::from(length) > SHORT_MAX => {
            out[start + 1] = MASKED | 126;
            out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
            LONG_HEAD
        }
        _ => {
            // Nothing that a generator says is longer than 64 KiB.
            out[start + 1] = MASKED | (length.min(SHORT_MAX) as u8);
            out.copy_within(start + LONG_HEAD.., start + SHORT_HEAD);
            out.truncate(start + SHORT_HEAD + length);
            SHORT_HEAD
        }
    };
    out[start + head - 4..start + head].copy_from_slice(&MASK);
    for (byte, mask) in out[start + head..].iter_mut().zip(MASK.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The first frame of what a server sent: what it is, its content, and what comes after it. Nothing if
/// it isn't whole yet.
pub(super) fn split_frame(bytes: &[u8]) -> Option<(Opcode, &[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&second, rest) = rest.split_first()?;
    let (length, rest) = match second & 0x7f {
        126 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
        }
        short => (usize::from(short), rest),
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((Opcode::from_bits(first), content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server would make of our frame.
    fn unmasked(frame: &[u8]) -> (u8, Vec<u8>) {
        let head = if frame[1] & 0x7f == 126 { LONG_HEAD } else { SHORT_HEAD };
        let mask = &frame[head - 4..head];
        let content = frame[head..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        (frame[1] & 0x7f, content.collect())
    }

    #[test]
    fn a_frame_has_the_shortest_length_that_holds_its_content() {
        for (length, code) in [(0, 0), (125, 125), (126, 126), (4000, 126)] {
            let content = vec![7; length];
            let mut out = b"before".to_vec();
            frame(&mut out, Opcode::Binary, |out| out.extend_from_slice(&content));
            assert_eq!(out[6], 0x82, "{length}");
            assert_eq!(unmasked(&out[6..]), (code, content), "{length}");
        }
    }

    #[test]
    fn frames_of_all_lengths_are_split_and_a_part_of_one_is_not() {
        let mut bytes = vec![0x81, 2, b'h', b'i', 0x82, 126, 1, 0];
        bytes.extend([1; 256]);
        bytes.extend([0x89, 127, 0, 0, 0, 0, 0, 0, 0, 1, 9]);

        let (opcode, content, rest) = split_frame(&bytes).expect("whole");
        assert_eq!((opcode, content), (Opcode::Text, &b"hi"[..]));
        let (opcode, content, rest) = split_frame(rest).expect("whole");
        assert_eq!((opcode, content.len()), (Opcode::Binary, 256));
        assert_eq!(split_frame(rest), Some((Opcode::Ping, &[9][..], &[][..])));
        for length in 0..rest.len() {
            assert_eq!(split_frame(&rest[..length]), None, "{length}");
        }
    }

    #[test]
    fn an_upgrade_is_awaited_to_its_end_and_a_refusal_is_told() {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00";
        assert_eq!(upgrade_answer_end(answer), Ok(Some(answer.len() - 2)));
        assert_eq!(upgrade_answer_end(&answer[..40]), Ok(None));
        let refusal = b"HTTP/1.1 503 Busy\r\n\r\n";
        assert_eq!(upgrade_answer_end(refusal), Err("HTTP/1.1 503 Busy".to_owned()));
    }
}
