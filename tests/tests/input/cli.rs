//! BL: words that make no sense, tokens that may not be used, names that are text.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use tests::cli::Cli;
use tests::{Hub, Via};

use crate::hostile;

#[tokio::test]
async fn bl1_words_that_make_no_sense_send_nothing() {
    let shell = Cli::default().var("LAMPLIGHTER_HUB", "ws://127.0.0.1:1");
    for words in [
        &["send", "lamp-1", "dim", "40", "--brightness"][..],
        &["send", "lamp-1", "dim", "40", "--ttl"],
        &["send", "lamp-1", "dim", "40", "--ttl=-1"],
        &["send", "lamp-1", "dim", "40", "--ttl", "1e9"],
        &["send", "lamp-1", "dim", "40", "--ttl", "5x"],
        &["send", "lamp-1", "dim", "40", "--ttl", "8d"],
        &["send", "lamp-1", "dim", "101"],
        &["send", "lamp-1", "explode"],
        &["send", "lamp-1", "reboot"],
        &["send"],
        &["fly"],
        &[],
        &["command", "no-uuid"],
        &["watch", "a..b"],
        &["watch", "a.b", "--count", "0"],
        &["device", "add", "UPPER"],
        &["token", "issue", "--role", "King!"],
        &["devices", "--where", "street"],
        &["status", "--hub", "ftp://hub"],
        &["status", "--hub", "ws://10.0.0.1:1"],
    ] {
        let ran = shell.run(words).await;
        assert_eq!(ran.code, 2, "BL1 {words:?}: {ran:?}");
        assert_eq!(ran.out, "", "BL1 {words:?}");
        assert_eq!(ran.err.lines().count(), 1, "BL1 {words:?}: one line: {}", ran.err);
    }
}

#[tokio::test]
async fn bl2_names_are_text_and_escaped() {
    let hub = hostile::hub().await;
    let shell = Cli::of(&hub);
    for name in ["--help", "-rf", "$(id)", "lamp\n1", "lamp\x1b[31m", "\u{202e}lamp"] {
        let ran = shell.run(&["send", "--", name, "off"]).await;
        assert!([2, 4, 5].contains(&ran.code), "BL2 {name:?}: {ran:?}");
        let said = ran.out + &ran.err;
        assert!(!said.contains('\x1b'), "BL2 {name:?}: a raw ESC: {said:?}");
        assert!(!said.contains("uid="), "BL2 {name:?}: {said:?}");
        assert!(!said.contains("Usage"), "BL2 {name:?}: taken for an option: {said}");
    }
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bl5_token_files_that_may_not_be_used() {
    let hub = hostile::hub().await;
    let folder = tempfile::tempdir().expect("a folder");
    let open = folder.path().join("open.token");
    fs::write(&open, hub.dev_token("operator")).expect("writable");
    fs::set_permissions(&open, Permissions::from_mode(0o644)).expect("ours");
    let pipe = folder.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).expect("a pipe");
    let empty = folder.path().join("empty");
    fs::write(&empty, "").expect("writable");
    fs::set_permissions(&empty, Permissions::from_mode(0o600)).expect("ours");
    for (id, path, fix) in [
        ("BL5 0644", open, "chmod 600"),
        ("BL5 missing", folder.path().join("none"), "--token-file"),
        ("BL5 folder", folder.path().to_owned(), "--token-file"),
        ("BL5 FIFO", pipe, "--token-file"),
        ("BL5 empty", empty, "token"),
    ] {
        let shell = Cli::of(&hub).var("LAMPLIGHTER_TOKEN_FILE", &path.to_string_lossy());
        let ran = shell.run(&["devices"]).await;
        assert_eq!(ran.code, 3, "{id}: {ran:?}");
        assert!(ran.err.contains(fix), "{id}: names no fix: {}", ran.err);
    }
    let ran = Cli::default().var("LAMPLIGHTER_HUB", &hub.url()).run(&["devices"]).await;
    assert_eq!(ran.code, 3, "no token: {ran:?}");
}

#[tokio::test]
async fn bl6_a_hub_that_is_not_there_or_not_the_one() {
    let hub = Hub::builder().memory().start().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("bound");
    drop(free);
    let nobody = Cli::of(&hub).var("LAMPLIGHTER_HUB", &format!("wss://{address}"));
    let other = Hub::builder().memory().start().await;
    let ca = other.dev_file("ca.pem");
    let stranger = Cli::of(&hub).var("LAMPLIGHTER_CA_FILE", &ca.to_string_lossy());
    for (id, shell) in [("BL6 unreachable", nobody), ("BL6 wrong certificate", stranger)] {
        for words in [&["send", "lamp-1", "off"][..], &["devices"], &["status"], &["watch", "a.>"]]
        {
            let ran = shell.run(words).await;
            assert_eq!(ran.code, 6, "{id} {words:?}: {ran:?}");
        }
    }
    hostile::serves(&hub).await;
}

/// A hub that takes the order and dies before it says so: nobody knows, and the way to know is told.
#[tokio::test]
async fn bl6_an_answer_that_never_comes_is_an_unknown_outcome() {
    let hub = Hub::builder().plain().memory().start().await;
    hub.register("lamp-gone").await;
    let between = cutting_proxy(Via::of(&hub).address()).await;
    let shell = Cli::of(&hub).var("LAMPLIGHTER_HUB", &format!("ws://{between}"));
    let ran = shell.run(&["send", "lamp-gone", "off", "--request-id", "order-1"]).await;
    assert_eq!(ran.code, 6, "BL6: {ran:?}");
    assert!(ran.err.contains("unknown"), "BL6: {}", ran.err);
    assert!(ran.err.contains("--request-id order-1"), "BL6: {}", ran.err);
}

/// Lets a connection's first answers through, and cuts when the client's third message is on its way.
async fn cutting_proxy(hub: std::net::SocketAddr) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let Ok(mut server) = tokio::net::TcpStream::connect(hub).await else { return };
            let (mut up, mut down, mut sent) = ([0; 4096], [0; 4096], Vec::new());
            loop {
                tokio::select! {
                    read = client.read(&mut up) => {
                        let Ok(count @ 1..) = read else { break };
                        sent.extend_from_slice(&up[..count]);
                        if server.write_all(&up[..count]).await.is_err() { break }
                        // The request of the upgrade, the greeting, then the order.
                        let frames = sent.windows(4).position(|end| end == b"\r\n\r\n");
                        if frames.is_some_and(|at| count_frames(&sent[at + 4..]) >= 2) { break }
                    }
                    read = server.read(&mut down) => {
                        let Ok(count @ 1..) = read else { break };
                        if client.write_all(&down[..count]).await.is_err() { break }
                    }
                }
            }
        }
    });
    address
}

/// Whole frames of a client, each masked.
fn count_frames(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let [_, second, rest @ ..] = bytes {
        let (head, length) = match second & 0x7f {
            126 if rest.len() >= 2 => (2, usize::from(u16::from_be_bytes([rest[0], rest[1]]))),
            126 | 127 => break,
            length => (0, usize::from(length)),
        };
        let Some(next) = rest.get(head + 4 + length..) else { break };
        count += 1;
        bytes = next;
    }
    count
}

#[tokio::test]
async fn bl9_plain_terminals() {
    let hub = hostile::hub().await;
    hub.register("lamp-wide-enough-to-be-cut-by-a-narrow-terminal").await;
    for (name, value) in [("LC_ALL", "C"), ("COLUMNS", "20"), ("NO_COLOR", "1"), ("TERM", "dumb")] {
        let shell = Cli::of(&hub).var(name, value);
        let out = shell.ok(&["devices"]).await;
        assert!(out.contains("lamp-wide"), "BL9 {name}={value}: {out}");
        assert!(!out.contains('\x1b'), "BL9 {name}={value}: colours without a terminal: {out:?}");
    }
}
