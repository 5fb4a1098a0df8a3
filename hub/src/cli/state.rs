//! `hub state`: a device's last values, each with its age, and whether it is there.
//!
//! Unknown, old and never seen are three things, and are told apart.

use serde_json::Value;

use super::args::StateArgs;
use super::connect::Connection;
use super::exit::Failure;
use super::fields::{items, moment, number, word};
use super::http::Http;
use super::out::Out;
use super::summary;
use super::table::table;

/// Runs `hub state`.
pub(crate) async fn run(
    args: &StateArgs,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    let http = Http::new(&connection.target()?)?;
    let twin = http.get(&format!("/v1/devices/{}/twin", args.device)).await?;
    if args.json {
        return out.json(&twin);
    }
    out.line(&format!("{}  {}", args.device, presence(&twin, number(&twin, "now_unix_ms"))))?;
    let values = items(&twin, "values");
    if values.is_empty() {
        return out.line("no values yet");
    }
    let rows: Vec<_> = values.iter().map(|value| row(value, &args.device)).collect();
    out.block(&table(&["channel", "value", "age", "revision"], &rows, out.width()))
}

/// `online for …`, `offline since …`, `never seen`: of a twin or of a device in a list.
pub(crate) fn presence(of: &Value, now_unix_ms: u64) -> String {
    let since = moment(of, "since_unix_ms");
    let ago = since.map(|since| summary::age_at(now_unix_ms, since));
    let ago = |word: &str| match &ago {
        Some(ago) => format!("{word} since {ago}"),
        None => format!("{word}, since when isn't known"),
    };
    match of.get("online").and_then(Value::as_bool) {
        Some(true) => ago("online"),
        Some(false) => match word(of, "reason") {
            "" => ago("offline"),
            reason => format!("{} ({reason})", ago("offline")),
        },
        None if since.is_some() => ago("presence unknown"),
        None => "never seen".to_owned(),
    }
}

/// The channel is shown without the device's name in front, which stands above the table.
fn row(value: &Value, device: &str) -> Vec<String> {
    let channel = word(value, "channel");
    let own = channel.strip_prefix("devices.").and_then(|rest| rest.strip_prefix(device));
    let short = own.and_then(|rest| rest.strip_prefix('.')).unwrap_or(channel);
    let age = match value.get("age_ms") {
        Some(_) => summary::age(number(value, "age_ms")),
        None => "age unknown".to_owned(),
    };
    vec![short.to_owned(), summary::value(value), age, number(value, "revision").to_string()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn online_offline_unknown_and_never_seen_are_told_apart() {
        let words = |value: Value| presence(&value, 100_000);
        assert_eq!(
            words(json!({"online": true, "since_unix_ms": 88_000})),
            "online since 12 s ago"
        );
        assert_eq!(
            words(json!({"online": false, "since_unix_ms": 88_000, "reason": "lost"})),
            "offline since 12 s ago (lost)"
        );
        assert_eq!(
            words(json!({"online": null, "since_unix_ms": 88_000})),
            "presence unknown since 12 s ago"
        );
        assert_eq!(words(json!({"online": null})), "never seen");
    }

    #[test]
    fn a_value_is_never_shown_without_its_age() {
        let value = json!({
            "channel": "devices.lamp-1.x", "type": "a.B", "data": 1,
            "age_ms": 12_000, "revision": "7",
        });
        assert_eq!(row(&value, "lamp-1"), ["x", "1", "12 s ago", "7"]);
        let value = json!({"channel": "devices.lamp-1.x", "payload": "AAAA"});
        assert_eq!(row(&value, "lamp-1")[2], "age unknown");
    }
}
