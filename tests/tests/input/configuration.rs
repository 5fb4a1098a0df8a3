//! BF: configurations that a hub must not start with. Each is refused with what is wrong.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;
use tests::cli::{Cli, Ran};

#[tokio::test]
async fn bf2_keys_and_values() {
    for (id, text, wanted) in [
        ("BF2 unknown key", "[limits]\nacept_per_s = 1\n", "acept_per_s"),
        ("BF2 unknown section", "[limit]\naccept_per_s = 1\n", "limit"),
        ("BF2 duplicate key", "[limits]\nconnections = 1\nconnections = 2\n", "duplicate"),
        ("BF2 time without a unit", "[drain]\ngrace = 10\n", "grace"),
        ("BF2 wrong unit", "[drain]\ngrace = \"10 parsec\"\n", "grace"),
        ("BF2 no value", "[limits]\nconnections =\t\n", "line 2"),
        ("BF2 out of range", "[limits]\naccept_per_s = 0\n", "limits.accept_per_s"),
        ("BF2 no TOML", "limits: 3\n", "line 1"),
    ] {
        let ran = check(text).await;
        assert_eq!(ran.code, 2, "{id}: {ran:?}");
        assert!(ran.err.contains(wanted), "{id}: `{wanted}` isn't named: {}", ran.err);
    }
    for (id, text) in [
        ("BF2 CRLF", "[limits]\r\nconnections = 7\r\n"),
        ("BF2 BOM", "\u{feff}[limits]\nconnections = 7\n"),
        ("BF2 empty", ""),
    ] {
        let ran = check(text).await;
        assert_eq!(ran.code, 0, "{id}: {ran:?}");
    }
}

#[tokio::test]
async fn bf4_keys_and_certificates() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    let [a, b] = [identity(folder, "a", false), identity(folder, "b", false)];
    let old = identity(folder, "old", true);
    let open = folder.join("open.key");
    fs::copy(&a.1, &open).expect("a copy");
    fs::set_permissions(&open, Permissions::from_mode(0o644)).expect("ours");
    let secret = folder.join("encrypted.key");
    let pem = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAoGCCqGSIb3DQMH\n-----END ENCRYPTED PRIVATE KEY-----\n";
    write(&secret, pem);
    let empty = folder.join("empty.pem");
    write(&empty, "");
    for (id, certificate, key, ca, wanted) in [
        ("BF4 another's key", &a.0, &b.1, None, "b.key"),
        ("BF4 expired", &old.0, &old.1, None, "old.pem"),
        ("BF4 key 0644", &a.0, &open, None, "chmod 600"),
        ("BF4 encrypted key", &a.0, &secret, None, "encrypted.key"),
        ("BF4 CA file with no certificate", &a.0, &a.1, Some(&empty), "empty.pem"),
        ("BF4 certificate file with none", &empty, &a.1, None, "empty.pem"),
    ] {
        let mut sets = vec![
            format!("tls.certificate={:?}", certificate.display().to_string()),
            format!("tls.key={:?}", key.display().to_string()),
        ];
        sets.extend(ca.map(|ca| format!("tls.client_ca={:?}", ca.display().to_string())));
        let ran = bench.serve(&["--listen", "127.0.0.1:0"], &sets).await;
        assert!(ran.code > 0, "{id}: {ran:?}");
        assert!(ran.err.contains(wanted), "{id}: `{wanted}` isn't named: {}", ran.err);
    }
}

#[tokio::test]
async fn bf5_policies_that_allow_nothing_or_go_in_circles() {
    let grant = "[[role.grant]]\nverbs = [\"subscribe\"]\npattern = \"city.>\"\n";
    for (id, text, wanted) in [
        ("BF5 empty role", "[[role]]\nname = \"a\"\n".to_owned(), "has no grants"),
        ("BF5 no verbs", "[[role]]\nname = \"a\"\n".to_owned() + &grant.replace("\"subscribe\"", ""), "without verbs"),
        ("BF5 unknown verb", "[[role]]\nname = \"a\"\n".to_owned() + &grant.replace("subscribe", "fly"), "fly"),
        ("BF5 unknown role", "[[role]]\nname = \"a\"\ninclude = [\"b\"]\n".to_owned(), "`b`, which is no role"),
        ("BF5 itself", format!("[[role]]\nname = \"a\"\ninclude = [\"a\"]\n{grant}"), "includes itself"),
        (
            "BF5 circle",
            format!("[[role]]\nname = \"a\"\ninclude = [\"b\"]\n[[role]]\nname = \"b\"\ninclude = [\"a\"]\n{grant}"),
            "includes itself",
        ),
        ("BF5 built in", format!("[[role]]\nname = \"viewer\"\n{grant}"), "built in"),
        ("BF5 empty labels", format!("[[role]]\nname = \"a\"\n{grant}labels = \"\"\n"), "labels"),
        ("BF5 issuer without keys", "[[issuer]]\nissuer = \"a\"\naudience = \"b\"\nkeys = \"/nowhere\"\n".to_owned(), "/nowhere"),
        ("BF5 issuer of an unknown role", "[[issuer]]\nissuer = \"a\"\naudience = \"b\"\nkeys = \"/nowhere\"\nroles = { x = \"king\" }\n".to_owned(), "king"),
    ] {
        let ran = check(&text).await;
        assert_eq!(ran.code, 2, "{id}: {ran:?}");
        assert!(ran.err.contains(wanted), "{id}: `{wanted}` isn't named: {}", ran.err);
        let bench = Bench::new();
        let file = bench.folder.path().join("hub.toml");
        write(&file, &text);
        let file = file.display().to_string();
        let ran = bench.serve(&["--dev", "--listen", "127.0.0.1:0", "--config", &file], &[]).await;
        assert_eq!(ran.code, 2, "{id}: the hub starts: {ran:?}");
    }
}

#[tokio::test]
async fn bf6_listeners() {
    let bench = Bench::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().map(|address| (taken, address)).expect("bound");
    let in_use = taken.1.to_string();
    for (id, words, wanted) in [
        (
            "BF6 plain beyond loopback",
            &["--listen-plain", "0.0.0.0:0", "--dev"][..],
            "listen.plain",
        ),
        ("BF6 no TLS", &["--listen", "0.0.0.0:0"], "tls.certificate"),
        ("BF6 dev beyond loopback", &["--listen", "0.0.0.0:0", "--dev"], "--dev"),
        ("BF6 port in use", &["--listen", &in_use, "--dev"], &in_use),
        ("BF6 no address", &["--listen", "localhost", "--dev"], "listen.address"),
    ] {
        let ran = bench.serve(words, &[]).await;
        assert!(ran.code > 0, "{id}: {ran:?}");
        assert!(ran.err.contains(wanted), "{id}: `{wanted}` isn't named: {}", ran.err);
        assert!(!ran.out.contains("ready"), "{id}: {ran:?}");
    }
}

#[tokio::test]
async fn bf9_environment_and_flags() {
    const NAME: &str = "LAMPLIGHTER__LIMITS__CONNECTIONS";
    let words = ["config", "check", "--dev"];
    for (id, value) in
        [("BF9 empty", ""), ("BF9 with a newline", "1\n2"), ("BF9 no number", "many")]
    {
        let ran = Cli::default().var(NAME, value).run(&words).await;
        assert_eq!(ran.code, 2, "{id}: {ran:?}");
        assert!(ran.err.to_lowercase().contains("connections"), "{id}: {}", ran.err);
    }
    let twice = ["--set", "limits.connections=1", "--set", "limits.connections=2"];
    let ran = Cli::default().run(&[&words[..], &twice].concat()).await;
    assert_eq!(ran.code, 2, "BF9 twice: {ran:?}");
    assert!(ran.err.contains("twice"), "BF9 twice: {}", ran.err);
    let ran = Cli::default().var(NAME, "7").run(&["config", "show", "--dev"]).await;
    assert!(ran.out.contains("connections = 7"), "{ran:?}");
}

async fn check(text: &str) -> Ran {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), text).expect("writable");
    let path = file.path().display().to_string();
    Cli::default().run(&["config", "check", "--dev", "--config", &path]).await
}

/// A data folder, and hubs that won't start on it.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    async fn serve(&self, words: &[&str], sets: &[String]) -> Ran {
        let data = self.folder.path().join("data").display().to_string();
        let mut all = vec!["serve", "--store", "memory", "--data-dir", &data];
        all.extend(words);
        for set in sets {
            all.extend(["--set", set]);
        }
        Cli::default().run(&all).await
    }
}

/// A certificate and its key as files, `expired` long ago or good for years.
fn identity(folder: &Path, name: &str, expired: bool) -> (std::path::PathBuf, std::path::PathBuf) {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    if expired {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    }
    let key = rcgen::KeyPair::generate().expect("randomness");
    let certificate = params.self_signed(&key).expect("valid parameters");
    let files = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    write(&files.0, &certificate.pem());
    write(&files.1, &key.serialize_pem());
    files
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("writable");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("ours");
}
