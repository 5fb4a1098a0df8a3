//! The page `docs/api.md`: its lines do what it says they do.

use std::process::Stdio;

use tests::Hub;
use tokio::process::Command;

const PAGE: &str = include_str!("../../../docs/api.md");
/// What each line prints besides its answer: the status, on stderr.
const SHOWING: &str = "api() { curl --silent --show-error --cacert \"$CA\" \
    --header \"Authorization: Bearer $TOKEN\" --write-out '%{stderr}%{http_code}\\n' \"$@\"; }";

#[tokio::test]
async fn the_lines_of_the_page_are_answered_as_it_says() {
    let hub = Hub::start().await;
    let (script, expected) = script();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env("HUB", format!("https://{}", hub.secure_address()))
        .env("CA", hub.dev_file("ca.pem"))
        .env("TOKEN", hub.dev_token("operator"))
        .stdin(Stdio::null())
        .output()
        .await
        .expect("bash runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let statuses: Vec<&str> = said.lines().collect();
    assert_eq!(statuses, expected, "{}", String::from_utf8_lossy(&output.stdout));
}

/// All blocks that are to be run, in one script, and the statuses that they promise.
fn script() -> (String, Vec<String>) {
    let (mut script, mut expected) = (String::new(), Vec::new());
    let mut inside = false;
    for line in PAGE.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            line if line.starts_with("api()") => script.push_str(&format!("{SHOWING}\n")),
            line => {
                if let Some((_, status)) = line.split_once('→').filter(|_| line.starts_with('#'))
                {
                    expected.push(status.trim().to_owned());
                }
                // A question inside another line answers before it does.
                if line.contains("$(api ") {
                    expected.insert(expected.len() - 1, "200".to_owned());
                }
                script.push_str(&format!("{line}\n"));
            }
        }
    }
    assert!(expected.len() > 20, "the page is read: {expected:?}");
    (script, expected)
}
