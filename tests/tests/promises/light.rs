//! The layers of a lamp's light: what rules, what comes back when it ends, and what a lamp that was away hears.

use prost::Message as _;
use proto::channels;
use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::{EffectiveLight, Message, Send, Snapshot, Subscribe, send};
use proto::messages::lighting::v1::command::Action;
use proto::messages::lighting::v1::{
    Command, ControlReason, LampSample, Override, Resume, TelemetryBatch,
};
use serde_json::{Value, json};
use tests::cli::Cli;
use tests::deadline::until;
use tests::http::{Answer, Http};
use tests::{Device, Event, Hub, PATIENCE, Person, person};

const TELEMETRY: &str = "lighting.v1.TelemetryBatch";

/// A device that obeys its `effective`, and reports what it shows.
struct Lamp {
    device: Device,
    reported: u64,
}

impl Lamp {
    async fn connect(hub: &Hub, id: &str, token: &str, boot: u32) -> Self {
        Self { device: Device::connect(hub, id, token, boot).await, reported: 0 }
    }

    async fn subscribe(&mut self, kind: &channels::DeviceChannel) {
        let pattern = self.device.channel(kind);
        let request = self.device.client.next_request();
        let wish = Subscribe { pattern, since: None, snapshot: true, ..Subscribe::default() };
        self.device.client.say(request, Kind::Subscribe(wish)).await;
        self.device.client.answer(request).await;
    }

    /// What it is told until a light is this.
    async fn shows(&mut self, level_pct: u32, reason: ControlReason) -> EffectiveLight {
        let what = format!("a light of {level_pct} % by {reason:?}");
        let is_it = |message: &Message| {
            if message.r#type != channels::EFFECTIVE.default_type() {
                return None;
            }
            let light = EffectiveLight::decode(person::payload(message)).expect("a light");
            (light.level_pct == Some(level_pct) && light.reason() == reason).then_some(light)
        };
        let light = self.device.client.find(&what, |kind| match kind {
            Kind::Message(message) => is_it(message),
            Kind::Snapshot(Snapshot { values, .. }) => values.iter().find_map(is_it),
            _ => None,
        });
        let light = light.await;
        self.report(level_pct, reason).await;
        light
    }

    async fn report(&mut self, level_pct: u32, reason: ControlReason) {
        self.reported += 1;
        let sample = LampSample {
            reason: reason.into(),
            actual_level_pct: Some(level_pct),
            ..LampSample::default()
        };
        let batch = TelemetryBatch { samples: vec![sample], ..TelemetryBatch::default() };
        let (channel, seq) = (self.device.channel(&channels::TELEMETRY), self.reported);
        self.device.report_typed(&channel, TELEMETRY, seq, batch.encode_to_vec()).await;
        self.device.durable(seq).await;
    }
}

/// 70 % all day and all night.
fn calendar() -> Value {
    let point = json!({"at": {"local_s": 43_200}, "level_pct": 70});
    let program = json!({"program_id": "night", "active_periods": [{}], "switch_points": [point]});
    json!({"calendar_id": "winter", "default_program_id": "night", "programs": [program]})
}

async fn add(http: &Http, id: &str) -> String {
    let added =
        http.post("/v1/devices", &json!({"id": id, "labels": {"street": "Queen St"}})).await;
    assert_eq!(added.status, 201, "{}", added.body);
    added.json()["devices"][0]["token"].as_str().expect("a token").to_owned()
}

async fn set_calendar(http: &Http, id: &str, calendar: &Value) {
    let path = format!("/v1/channels/devices.{id}.desired?type=lighting.v1.Calendar");
    let tag = http.get(&path).await.etag;
    let condition =
        if tag.is_empty() { ("if-none-match", "*") } else { ("if-match", tag.as_str()) };
    let set = http.call("PUT", &path, &[condition], calendar).await;
    assert_eq!(set.status, 200, "{}", set.body);
}

async fn light(http: &Http, id: &str) -> Value {
    http.get(&format!("/v1/devices/{id}/light")).await.json()
}

async fn set(http: &Http, id: &str, condition: (&str, &str), wish: &Value) -> Answer {
    http.call("PUT", &format!("/v1/devices/{id}/override"), &[condition], wish).await
}

#[tokio::test]
async fn a_layered_override_ends_by_itself_and_the_lamp_returns_to_its_program() {
    let hub = Hub::builder().plain().memory().start().await;
    let http = hub.http();
    let token = add(&http, "lamp-1").await;
    assert_eq!(light(&http, "lamp-1").await["source"], "no layer");
    set_calendar(&http, "lamp-1", &calendar()).await;

    let mut lamp = Lamp::connect(&hub, "lamp-1", &token, 1).await;
    lamp.subscribe(&channels::EFFECTIVE).await;
    let program = lamp.shows(70, ControlReason::Program).await;
    assert_eq!(program.source, "calendar winter, program night");
    assert_eq!(program.until_unix_ms, 0, "it never changes");

    let wish = json!({"level_pct": 20, "for_s": 2, "reason": "accident"});
    let put = set(&http, "lamp-1", ("if-none-match", "*"), &wish).await;
    assert_eq!(put.status, 201, "{}", put.body);
    let overridden = lamp.shows(20, ControlReason::Override).await;
    assert!(overridden.source.ends_with(": accident"), "{overridden:?}");
    assert_eq!(overridden.until_unix_ms, put.json()["until_unix_ms"], "{overridden:?}");
    let then = (overridden.then_level_pct, overridden.then_reason());
    assert_eq!(then, (Some(70), ControlReason::Program), "the lamp knows what comes then");
    assert_eq!(overridden.under[0].layer, "calendar");

    // Nobody does anything.
    let again = lamp.shows(70, ControlReason::Program).await;
    assert!(again.since_unix_ms >= overridden.until_unix_ms, "{again:?}");
    assert_eq!(http.get("/v1/devices/lamp-1/override").await.status, 404);
    let telemetry = http.get("/v1/channels/devices.lamp-1.telemetry").await.json();
    let sample = &telemetry["data"]["samples"][0];
    assert_eq!(sample["reason"], "CONTROL_REASON_PROGRAM", "{telemetry}");
    assert_eq!(sample["actual_level_pct"], 70, "{telemetry}");
    assert_eq!(hub.metric("lamplighter_overrides_ended_total").await, 1.0);
}

/// PROMISES.md, section 6, number 10.
#[tokio::test]
async fn fault_10_desired_changed_while_offline_is_exactly_one_update_at_reconnect() {
    let hub = Hub::builder().plain().memory().start().await;
    let http = hub.http();
    let token = add(&http, "lamp-1").await;
    set_calendar(&http, "lamp-1", &calendar()).await;
    let mut lamp = Lamp::connect(&hub, "lamp-1", &token, 1).await;
    for kind in [channels::EFFECTIVE, channels::DESIRED] {
        lamp.subscribe(&kind).await;
    }
    lamp.shows(70, ControlReason::Program).await;
    let position = Person::operator(&hub).await.watch("devices.lamp-1.>").await;
    lamp.device.client.close().await;

    let mut last = calendar();
    for level in 1..=10 {
        last["programs"][0]["switch_points"][0]["level_pct"] = json!(level);
        set_calendar(&http, "lamp-1", &last).await;
        let said = until(PATIENCE, "the hub says the light", async || {
            let said = http.get("/v1/channels/devices.lamp-1.effective").await.json();
            (said["data"]["level_pct"] == level).then_some(said)
        });
        said.await;
    }

    for (boot, since) in [(2, None), (3, Some(position))] {
        let mut lamp = Lamp::connect(&hub, "lamp-1", &token, boot).await;
        let pattern = "devices.lamp-1.>".to_owned();
        let request = lamp.device.client.next_request();
        let wish = Subscribe { pattern, since, snapshot: true, ..Subscribe::default() };
        lamp.device.client.say(request, Kind::Subscribe(wish)).await;
        let answer = lamp.device.client.answer(request).await;
        let recovered = matches!(&answer, Kind::Ack(ack) if ack.recovered);
        assert_eq!(recovered, since.is_some(), "{answer:?}");
        let mut told = Vec::new();
        let mut is_last = since.is_some();
        while !is_last {
            let page = lamp.device.client.find("a page of a snapshot", |kind| match kind {
                Kind::Snapshot(page) => Some(page.clone()),
                _ => None,
            });
            let page = page.await;
            is_last = page.last;
            told.extend(page.values);
        }
        if since.is_some() {
            let name = lamp.device.channel(&channels::EFFECTIVE);
            let recovered = lamp.device.client.find("what was missed", |kind| match kind {
                Kind::Message(message) if message.channel == name => Some(message.clone()),
                _ => None,
            });
            told.push(recovered.await);
        }
        lamp.device.client.barrier().await;
        let later = lamp.device.client.waiting().filter_map(|event| match event {
            Event::Envelope(envelope) => match &envelope.kind {
                Some(Kind::Message(message)) => Some(message.clone()),
                _ => None,
            },
            _ => None,
        });
        told.extend(later.collect::<Vec<_>>());
        let of = |kind: &channels::DeviceChannel| {
            let name = lamp.device.channel(kind);
            told.iter().filter(|message| message.channel == name).collect::<Vec<_>>()
        };
        let (desired, effective) = (of(&channels::DESIRED), of(&channels::EFFECTIVE));
        assert_eq!((desired.len(), effective.len()), (1, 1), "boot {boot}: {told:?}");
        let light = EffectiveLight::decode(person::payload(effective[0])).expect("a light");
        assert_eq!(light.level_pct, Some(10), "the newest");
        lamp.device.client.close().await;
    }
}

#[tokio::test]
async fn an_override_by_command_and_a_resume_are_the_same_layer() {
    let hub = Hub::builder().plain().memory().start().await;
    let http = hub.http();
    let token = add(&http, "lamp-1").await;
    set_calendar(&http, "lamp-1", &calendar()).await;
    let mut lamp = Lamp::connect(&hub, "lamp-1", &token, 1).await;
    lamp.subscribe(&channels::EFFECTIVE).await;
    lamp.shows(70, ControlReason::Program).await;

    let mut operator = Person::operator(&hub).await;
    let dim = Override { level_pct: Some(30), ..Override::default() };
    let id = operator.send(command(Action::Override(dim))).await;
    let delivered = lamp.device.command().await.command;
    lamp.device.obey(&delivered).await;
    let light = lamp.shows(30, ControlReason::Override).await;
    assert!(light.source.contains(&id), "{light:?}");
    let stands = http.get("/v1/devices/lamp-1/override").await;
    assert_eq!(stands.json()["command"], id, "{}", stands.body);

    operator.send(command(Action::Resume(Resume::default()))).await;
    let delivered = lamp.device.command().await.command;
    lamp.device.obey(&delivered).await;
    lamp.shows(70, ControlReason::Program).await;
    assert_eq!(http.get("/v1/devices/lamp-1/override").await.status, 404);
}

fn command(action: Action) -> Send {
    let command = Command { action: Some(action), ..Command::default() };
    let content = Some(send::Content::Payload(command.encode_to_vec()));
    Send { content, ..person::command("lamp-1", "") }
}

#[tokio::test]
async fn a_switch_in_the_street_comes_before_all_until_the_lamp_says_that_it_is_over() {
    let hub = Hub::builder().plain().memory().start().await;
    let http = hub.http();
    let token = add(&http, "lamp-1").await;
    set_calendar(&http, "lamp-1", &calendar()).await;
    let mut lamp = Lamp::connect(&hub, "lamp-1", &token, 1).await;
    lamp.subscribe(&channels::EFFECTIVE).await;
    lamp.shows(70, ControlReason::Program).await;

    lamp.report(0, ControlReason::LocalOverride).await;
    let by_hand = lamp.shows(0, ControlReason::LocalOverride).await;
    assert_eq!(by_hand.under[0].level_pct, Some(70), "what it will return to");
    lamp.report(70, ControlReason::Program).await;
    lamp.shows(70, ControlReason::Program).await;
}

#[tokio::test]
async fn a_profile_rules_the_devices_that_its_selector_means_as_long_as_it_does() {
    let hub = Hub::builder().plain().memory().start().await;
    let http = hub.http();
    let token = add(&http, "lamp-1").await;
    let put = async |name: &str, profile: Value| {
        http.call("PUT", &format!("/v1/profiles/{name}"), &[], &profile).await
    };
    let reported = put("bad", json!({"selector": "power>40"})).await;
    assert_eq!((reported.status, &reported.json()["field"]), (400, &json!("selector")));
    assert_eq!(put("all", json!({"level_pct": 90})).await.status, 201);

    let mut lamp = Lamp::connect(&hub, "lamp-1", &token, 1).await;
    lamp.subscribe(&channels::EFFECTIVE).await;
    let light = lamp.shows(90, ControlReason::Default).await;
    assert_eq!(light.source, "profile all");

    let queen = json!({"selector": "street='Queen St'", "priority": 5, "level_pct": 80});
    let made = put("queen", queen.clone()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    lamp.shows(80, ControlReason::Default).await;
    let patch =
        [("content-type", "application/merge-patch+json"), ("if-match", made.etag.as_str())];
    let path = "/v1/profiles/queen";
    let calendar = json!({"calendar": calendar()});
    let patched = http.call("PATCH", path, &patch, &calendar).await;
    assert_eq!(patched.status, 200, "{}", patched.body);
    let stale = http.call("PATCH", path, &patch, &calendar).await;
    assert_eq!((stale.status, stale.etag), (412, patched.etag), "{}", stale.body);
    let light = lamp.shows(70, ControlReason::Program).await;
    assert_eq!(light.source, "calendar of profile queen winter, program night");

    // It moves to another street.
    let patch = [("content-type", "application/merge-patch+json")];
    let moved = json!({"labels": {"street": "King St"}});
    assert_eq!(http.call("PATCH", "/v1/devices/lamp-1", &patch, &moved).await.status, 200);
    lamp.shows(90, ControlReason::Default).await;
    assert_eq!(http.delete("/v1/profiles/all").await.status, 204);
    let gone = lamp.device.client.find("no layer", |kind| match kind {
        Kind::Message(message) => EffectiveLight::decode(person::payload(message)).ok(),
        _ => None,
    });
    assert_eq!(gone.await.level_pct, None, "the lamp is on its own");
    let profiles = http.get("/v1/profiles").await.json();
    assert_eq!(profiles["profiles"][0]["name"], "queen", "{profiles}");
}

#[tokio::test]
async fn overrides_and_profiles_outlive_the_hub_and_a_restart_repeats_nothing() {
    let mut hub = Hub::builder().plain().start().await;
    let http = hub.http();
    add(&http, "lamp-1").await;
    let made = http.call("PUT", "/v1/profiles/all", &[], &json!({"level_pct": 90})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let wish = json!({"level_pct": 20, "for_s": 3600});
    let put = set(&http, "lamp-1", ("if-none-match", "*"), &wish).await;
    assert_eq!(put.status, 201, "{}", put.body);
    let stale = set(&http, "lamp-1", ("if-match", "\"1\""), &wish).await;
    assert_eq!((stale.status, &stale.etag), (412, &put.etag), "{}", stale.body);
    let path = "/v1/channels/devices.lamp-1.effective";
    let said = until(PATIENCE, "the override is said", async || {
        let said = http.get(path).await;
        (said.status == 200 && said.json()["data"]["level_pct"] == 20).then_some(said)
    });
    let before = said.await;

    hub.terminate().await;
    hub.restart().await;
    let http = hub.http();
    let stands = http.get("/v1/devices/lamp-1/override").await;
    assert_eq!((stands.status, &stands.etag), (200, &put.etag), "{}", stands.body);
    assert_eq!(http.get("/v1/profiles/all").await.etag, made.etag);
    until(PATIENCE, "the hub has looked", async || {
        (hub.metric("lamplighter_lights_evaluated_total").await > 0.0).then_some(())
    })
    .await;
    assert_eq!(http.get(path).await.etag, before.etag, "it was said once");

    let unconditional = http.delete("/v1/devices/lamp-1/override").await;
    assert_eq!(unconditional.status, 428, "{}", unconditional.body);
    let tag = [("if-match", put.etag.as_str())];
    let ended = http.call("DELETE", "/v1/devices/lamp-1/override", &tag, &Value::Null).await;
    assert_eq!(ended.status, 204, "{}", ended.body);
    assert_eq!(light(&http, "lamp-1").await["source"], "profile all");
    let audit = http.get("/v1/audit?what=override").await.body;
    assert!(audit.contains("set-override") && audit.contains("end-override"), "{audit}");
}

#[tokio::test]
async fn an_override_that_makes_no_sense_is_refused_by_its_field() {
    let hub = Hub::builder().plain().memory().start().await;
    let http = hub.http();
    add(&http, "lamp-1").await;
    for (wish, field) in [
        (json!({"level_pct": 101}), "level_pct"),
        (json!({"level_pct": 1, "for_s": 0}), "for_s"),
        (json!({"level_pct": 1, "for_s": 5, "until": "2026-11-21T23:30:00Z"}), "for_s"),
        (json!({"level_pct": 1, "until": "yesterday"}), "until"),
        (json!({"level_pct": 1, "until": "2020-01-01T00:00:00Z"}), "until"),
        (json!({"level_pct": 1, "until": "2090-01-01T00:00:00Z"}), "until"),
        (json!({"level_pct": 1, "reason": "x".repeat(129)}), "reason"),
    ] {
        let refused = set(&http, "lamp-1", ("if-none-match", "*"), &wish).await;
        assert_eq!((refused.status, &refused.json()["field"]), (400, &json!(field)), "{wish}");
    }
    let nowhere = set(&http, "lamp-9", ("if-none-match", "*"), &json!({"level_pct": 1})).await;
    assert_eq!(nowhere.status, 404, "{}", nowhere.body);
    let viewer = Http::new(&hub, &hub.dev_token("viewer"));
    let refused = set(&viewer, "lamp-1", ("if-none-match", "*"), &json!({"level_pct": 1})).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert_eq!(viewer.call("PUT", "/v1/profiles/a", &[], &json!({})).await.status, 403);
}

#[tokio::test]
async fn the_shell_sets_shows_and_ends_an_override_and_keeps_profiles() {
    let hub = Hub::builder().plain().memory().start().await;
    let http = hub.http();
    add(&http, "lamp-1").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("winter.json");
    std::fs::write(&file, calendar().to_string()).expect("written");
    let file = file.to_str().expect("a path of text");

    let shell = Cli::of(&hub);
    let put = ["profile", "put", "queen", "--where", "street='Queen St'", "--calendar", file];
    let place = ["--place", "52.52,13.405", "--zone", "Europe/Berlin"];
    shell.ok(&[&put[..], &place].concat()).await;
    let profiles = shell.ok(&["profile", "list"]).await;
    assert!(profiles.contains("queen") && profiles.contains("winter"), "{profiles}");
    for (level, reason) in [("30", "film crew"), ("40", "second thoughts")] {
        let set = ["override", "lamp-1", level, "--for", "1h", "--reason", reason];
        shell.ok(&set).await;
        let said = shell.ok(&["override", "lamp-1"]).await;
        assert!(said.contains(reason) && said.contains("should show"), "{said}");
        assert!(said.contains("calendar of profile queen"), "{said}");
    }
    let explained = shell.ok(&["explain", "lamp-1"]).await;
    assert!(explained.contains("now it should show 40 %"), "{explained}");
    shell.ok(&["override", "lamp-1", "--end"]).await;
    assert_eq!(light(&http, "lamp-1").await["level_pct"], 70);
    let again = shell.run(&["override", "lamp-1", "--end"]).await;
    assert_eq!(again.code, 4, "{again:?}");
    shell.ok(&["profile", "delete", "queen"]).await;
    assert_eq!(light(&http, "lamp-1").await["source"], "no layer");
}
