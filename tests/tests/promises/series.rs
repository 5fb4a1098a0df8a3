//! The recent past of lamps: what slots hold, who may see them, and what a kill leaves of them.

use prost::Message as _;
use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::{Publish, publish::Content};
use proto::messages::lighting::v1::{LampSample, TelemetryBatch};
use serde_json::Value;
use tests::deadline::until;
use tests::http::Http;
use tests::{Device, Hub, HubBuilder, PATIENCE};

const LAMP: &str = "lamp-1";

/// Slots of a second, so that one is over soon.
fn builder() -> HubBuilder {
    Hub::builder().plain().set("series.interval", "1s").set("series.span", "1h")
}

/// Reports level, power and counter, and waits until that is durable.
async fn report(lamp: &mut Device, seq: u64, level_pct: u32, energy_wh: u64) {
    let sample = LampSample {
        actual_level_pct: Some(level_pct),
        active_power_w: (level_pct > 0).then_some(43.21),
        active_energy_wh: Some(energy_wh),
        ..LampSample::default()
    };
    let batch = TelemetryBatch { samples: vec![sample], ..TelemetryBatch::default() };
    let content = Some(Content::Payload(batch.encode_to_vec()));
    let publish = Publish { seq, content, ..Publish::default() };
    lamp.client.say(0, Kind::Publish(publish)).await;
    lamp.durable(seq).await;
}

/// Values of a field that are there, oldest first.
async fn values(http: &Http, field: &str) -> Vec<f64> {
    let document = http.get(&format!("/v1/devices/{LAMP}/series?fields={field}")).await;
    assert_eq!(document.status, 200, "{}", document.body);
    let document = document.json();
    assert_eq!(document["fields"][0]["field"], field);
    let values = document["fields"][0]["values"].as_array().expect("values").clone();
    values.iter().filter_map(Value::as_f64).collect()
}

async fn recorded(hub: &Hub) -> f64 {
    hub.metric("lamplighter_series_records_total").await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_slots_that_were_over_are_back() {
    let mut hub = builder().start().await;
    let token = hub.register(LAMP).await;
    let mut lamp = Device::connect(&hub, LAMP, &token, 1).await;
    report(&mut lamp, 1, 70, 5_000).await;
    report(&mut lamp, 2, 70, 5_030).await;
    let over = "the slot of the reports is stored";
    until(PATIENCE, over, || async { (recorded(&hub).await > 0.0).then_some(()) }).await;

    hub.kill().await;
    hub.restart().await;
    let http = hub.http();
    let loaded = || async {
        let path = format!("/v1/devices/{LAMP}/series");
        (http.get(&path).await.json()["loading"] == false).then_some(())
    };
    until(PATIENCE, "all pasts are in memory", loaded).await;
    assert!(values(&http, "level").await.contains(&70.0));
    assert!(values(&http, "power").await.contains(&43.2));
    let told: f64 = values(&http, "energy").await.iter().sum();
    assert_eq!(told, 30.0, "what the counter showed before its first report is not counted");

    let mut lamp = Device::connect(&hub, LAMP, &token, 1).await;
    report(&mut lamp, 3, 20, 5_040).await;
    let told: f64 = values(&http, "energy").await.iter().sum();
    assert_eq!(told, 40.0, "the counter goes on from the report before the kill");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_loses_nothing_of_the_past_and_a_hub_without_disk_has_one_too() {
    let mut hub = builder().set("series.interval", "1h").set("series.span", "48h").start().await;
    let token = hub.register(LAMP).await;
    let mut lamp = Device::connect(&hub, LAMP, &token, 1).await;
    report(&mut lamp, 1, 70, 0).await;
    assert!(hub.terminate().await.success());
    hub.restart().await;
    let http = hub.http();
    let back = || async { values(&http, "level").await.contains(&70.0).then_some(()) };
    until(PATIENCE, "the open slot is back", back).await;

    let hub = Hub::builder().plain().memory().start().await;
    let token = hub.register(LAMP).await;
    let mut lamp = Device::connect(&hub, LAMP, &token, 1).await;
    report(&mut lamp, 1, 30, 0).await;
    assert_eq!(values(&hub.http(), "level").await, [30.0]);
}

#[tokio::test]
async fn what_was_not_measured_is_a_gap_and_what_is_not_kept_is_said() {
    let hub = builder().memory().start().await;
    let token = hub.register(LAMP).await;
    let http = hub.http();
    assert!(values(&http, "level").await.is_empty(), "nothing is made up");
    let mut lamp = Device::connect(&hub, LAMP, &token, 1).await;
    report(&mut lamp, 1, 0, 100).await;
    assert_eq!(values(&http, "level").await, [0.0], "off is not unknown");
    assert!(values(&http, "power").await.is_empty());
    assert!(values(&http, "energy").await.is_empty());

    for (path, status, part) in [
        (format!("/v1/devices/{LAMP}/series?fields=colour"), 400, "there are level, power, energy"),
        (format!("/v1/devices/{LAMP}/series?since=2&until=1"), 400, "until"),
        ("/v1/devices/lamp-9/series".to_owned(), 404, "lamp-9"),
        ("/v1/series/colour".to_owned(), 404, "there are level, power, energy"),
        ("/v1/series/energy?since=-1".to_owned(), 400, "since"),
    ] {
        let answer = http.get(&path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body.contains(part), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn sums_are_of_whom_the_caller_may_see_and_a_known_version_is_not_sent_again() {
    let config = "[[role]]\nname = \"north\"\n[[role.grant]]\nverbs = [\"subscribe\"]\n\
                  pattern = \"devices.*.telemetry\"\nlabels = \"district=North\"\n\
                  [[role]]\nname = \"faults\"\n[[role.grant]]\nverbs = [\"subscribe\"]\n\
                  pattern = \"devices.*.faults\"\n";
    let hub = builder().memory().set("series.interval", "1h").set("series.span", "48h");
    let hub = hub.config_text(config).start().await;
    let http = hub.http();
    for (id, district) in [(LAMP, "North"), ("lamp-2", "South")] {
        let device = serde_json::json!({"id": id, "labels": {"district": district}});
        let added = http.post("/v1/devices", &device).await.json();
        let token = added["devices"][0]["token"].as_str().expect("a token").to_owned();
        let mut lamp = Device::connect(&hub, id, &token, 1).await;
        report(&mut lamp, 1, 70, 1_000).await;
        report(&mut lamp, 2, 70, 1_025).await;
    }
    let as_role = async |role: &str| {
        let wish = serde_json::json!({"name": role, "role": role});
        let issued = http.post("/v1/tokens", &wish).await.json();
        Http::new(&hub, issued["token"].as_str().unwrap_or_else(|| panic!("{issued}")))
    };
    for (caller, devices, sum) in [(&http, 2, 50.0), (&as_role("north").await, 1, 25.0)] {
        let totals = caller.get("/v1/series/energy").await;
        assert_eq!(totals.status, 200, "{}", totals.body);
        let document = totals.json();
        assert_eq!(document["devices"], devices);
        let sums = document["sums"].as_array().expect("sums");
        assert_eq!(sums.iter().filter_map(Value::as_f64).sum::<f64>(), sum);
        let known = [("if-none-match", totals.etag.as_str())];
        assert_eq!(caller.call("GET", "/v1/series/energy", &known, &Value::Null).await.status, 304);
    }
    let faults = as_role("faults").await;
    for path in
        ["/v1/series/energy", "/v1/devices/lamp-1/series", "/v1/devices/lamp-1/series?fields=level"]
    {
        assert_eq!(faults.get(path).await.status, 403, "{path}");
    }
    let north = as_role("north").await;
    assert_eq!(north.get("/v1/devices/lamp-1/series").await.status, 200);
    assert_eq!(north.get("/v1/devices/lamp-2/series").await.status, 403);
}
