//! BK: tokens of an issuer, forged and stale, over both doors; and what ends a session that came by one.

use std::time::Duration;

use proto::messages::lamplighter::v1::Hello;
use proto::messages::lamplighter::v1::envelope::Kind;
use serde_json::{Value, json};
use tests::http::Http;
use tests::issuer::{AUDIENCE, Issuer, KEY_ID, NAME, part, unix_s};
use tests::{Client, Hub, Person, Via, person, within};

use crate::hostile;

#[tokio::test]
async fn bk1_to_bk8_forged_and_stale_tokens_open_no_door() {
    let issuer = Issuer::default();
    let hub = trusting(&issuer).await;
    let good = issuer.token(|_, _| {});
    assert_eq!(Http::new(&hub, &good).get("/v1/devices").await.status, 200, "the good one");
    let welcome = Person::with(&Via::of(&hub), &good).await.welcome;
    assert_eq!(welcome.identity, "operator ann@login.city.example");

    let tokens = forged(&issuer);
    assert!(tokens.len() >= 25);
    for (id, token) in tokens {
        assert_eq!(greeting(&hub, &token).await, 4501, "{id}");
        assert_eq!(Http::new(&hub, &token).get("/v1/devices").await.status, 401, "{id}");
    }
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bk4_an_audience_of_many_counts_if_one_is_exactly_ours() {
    let issuer = Issuer::default();
    let hub = trusting(&issuer).await;
    let mut many: Vec<String> = (0..100).map(|at| format!("service-{at}")).collect();
    let status = async |audience: Value| {
        let token = issuer.token(|_, claims| claims["aud"] = audience);
        Http::new(&hub, &token).get("/v1/devices").await.status
    };
    assert_eq!(status(json!(many)).await, 401);
    many.insert(50, AUDIENCE.to_owned());
    assert_eq!(status(json!(many)).await, 200);
}

#[tokio::test]
async fn bk9_a_subject_that_is_disabled_is_revoked_whatever_its_token_says() {
    let issuer = Issuer::default();
    let config = format!("{}disabled = [\"ann\"]\n", issuer.section());
    let hub = Hub::builder().plain().memory().config_text(&config).start().await;
    assert_eq!(greeting(&hub, &issuer.token(|_, _| {})).await, 4502);
    let bob = issuer.token(|_, claims| claims["sub"] = json!("bob"));
    assert_eq!(
        Person::with(&Via::of(&hub), &bob).await.welcome.identity,
        "operator bob@login.city.example"
    );
}

#[tokio::test]
async fn bk10_a_token_that_expires_takes_its_session_with_it() {
    let issuer = Issuer::default();
    let hub = trusting(&issuer).await;
    hub.register("lamp-1").await;
    let token = issuer.token(|_, claims| claims["exp"] = json!(unix_s() + 2));
    let mut ann = Person::with(&Via::of(&hub), &token).await;
    ann.send(person::command("lamp-1", "before")).await;
    let code = within(Duration::from_secs(60), "the end of the session", ann.client.close_code());
    assert_eq!(code.await, 4005);
}

/// Tokens that look like the good one but for one thing.
fn forged(issuer: &Issuer) -> Vec<(String, String)> {
    let mut tokens = Vec::new();
    let mut add = |id: &str, token: String| tokens.push((id.to_owned(), token));
    let header =
        |name: &'static str, value: Value| issuer.token(move |header, _| header[name] = value);
    let claim =
        |name: &'static str, value: Value| issuer.token(move |_, claims| claims[name] = value);
    for name in ["none", "None", "HS256", "RS256"] {
        add(&format!("BK1 alg {name}"), header("alg", json!(name)));
    }
    add("BK1 no alg", header("alg", Value::Null));
    let unsigned = issuer.token(|header, _| header["alg"] = json!("none"));
    let unsigned = unsigned.rsplit_once('.').expect("three parts").0;
    add("BK1 none, unsigned", format!("{unsigned}."));
    for id in ["other", "../../etc/passwd", "' OR 1=1"] {
        add(&format!("BK2 kid {id}"), header("kid", json!(id)));
    }
    add("BK2 kid of 2 KiB", header("kid", json!("k".repeat(2048))));
    add(
        "BK2 jku",
        Issuer::default().token(|header, _| header["jku"] = json!("http://127.0.0.1:9/")),
    );
    for (name, value) in [
        ("aud", json!("other")),
        ("aud", json!([])),
        ("aud", json!(["Lamplighter"])),
        ("aud", Value::Null),
        ("iss", json!("https://evil.example")),
        ("iss", json!(format!("{NAME}/"))),
        ("iss", Value::Null),
        ("sub", json!("")),
        ("sub", Value::Null),
        ("role", json!("king")),
        ("role", Value::Null),
    ] {
        add(&format!("BK4 {name} {value}"), claim(name, value));
    }
    add("BK4 typ", header("typ", json!("at+jwt")));
    add("BK4 no typ", header("typ", Value::Null));
    let now = unix_s();
    for (name, value) in [
        ("exp", json!(now - 120)),
        ("exp", Value::Null),
        ("exp", json!(now + 10 * 365 * 86_400)),
        ("exp", json!(now as f64 + 600.5)),
        ("exp", json!((now + 600).to_string())),
        ("nbf", json!(now + 600)),
        ("iat", json!(now + 600)),
    ] {
        add(&format!("BK5 {name} {value}"), claim(name, value));
    }
    let deep = format!("{{\"alg\":\"EdDSA\",\"x\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    add("BK8 nested", issuer.signed(&deep, "{}"));
    let many: String = (0..200).map(|at| format!("\"c{at}\":1,")).collect();
    let typical = format!("{{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"{KEY_ID}\"}}");
    add("BK8 many claims", issuer.signed(&typical, &format!("{{{many}\"z\":1}}")));
    let good = issuer.token(|_, _| {});
    let parts: Vec<&str> = good.split('.').collect();
    let eve = issuer.token(|_, claims| claims["sub"] = json!("eve"));
    let signature = eve.rsplit('.').next().expect("three parts");
    add("another's signature", format!("{}.{}.{signature}", parts[0], parts[1]));
    add("no signature", format!("{}.{}.", parts[0], parts[1]));
    add("zeros", format!("{}.{}.{}", parts[0], parts[1], part(&[0; 64])));
    add("another key", Issuer::default().token(|_, _| {}));
    tokens
}

async fn trusting(issuer: &Issuer) -> Hub {
    Hub::builder().plain().memory().config_text(&issuer.section()).start().await
}

async fn greeting(hub: &Hub, token: &str) -> u16 {
    let mut client = Client::dial(&Via::of(hub)).await;
    client.say(1, Kind::Hello(Hello { token: token.to_owned(), ..person::hello("") })).await;
    client.close_code().await
}
