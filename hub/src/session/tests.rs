//! Stories of one connection under virtual time.

use proto::envelope::Envelope;
use proto::envelope::{Kind, Ping, Publish, Ready, Subscribe};

use super::*;
use crate::access::Role;
use crate::codec::request::check;

#[test]
fn a_silent_peer_is_closed_and_may_return() {
    let mut bench = Bench::new();
    let wait = bench.limits.greeting_timeout;
    assert!(matches!(bench.after(wait - MS, Input::Timeout { drains: false }), Effect::None));
    assert_closed(bench.after(MS, Input::Timeout { drains: false }), CloseCode::AUTH_TIMEOUT);
    assert!(CloseCode::AUTH_TIMEOUT.is_temporary());
    assert_eq!(bench.session.deadline(), None, "closed means closed");
}

#[test]
fn before_hello_everything_else_is_malformed() {
    for kind in [ping(), publish("devices.lamp-1.telemetry"), Kind::Ready(Ready::default())] {
        assert_closed(Bench::new().receive(kind), CloseCode::MALFORMED);
    }
}

#[test]
fn a_second_hello_is_malformed() {
    assert_closed(Bench::device().receive(hello(1, 0)), CloseCode::MALFORMED);
}

#[test]
fn another_version_is_told_so_for_good() {
    for version in [0, 2, 999] {
        assert_closed(Bench::new().receive(hello(version, 0)), CloseCode::VERSION);
    }
}

#[test]
fn a_refused_credential_closes_with_its_code() {
    let mut bench = Bench::new();
    assert!(matches!(bench.receive(hello(1, 0)), Effect::Authenticate(_)));
    let verdict = Input::Admitted(Err(CloseCode::BAD_CREDENTIAL));
    assert_closed(bench.after(MS, verdict), CloseCode::BAD_CREDENTIAL);
}

#[test]
fn a_quiet_peer_is_pinged_and_any_sign_of_life_counts() {
    let mut bench = Bench::device();
    let interval = bench.limits.ping_interval;
    assert!(matches!(bench.after(interval, Input::Timeout { drains: false }), Effect::Ping));
    assert!(matches!(bench.after(MS, Input::Control), Effect::None));
    assert!(matches!(bench.after(interval, Input::Timeout { drains: false }), Effect::Ping));
    let wait = bench.limits.pong_timeout;
    assert_closed(bench.after(wait, Input::Timeout { drains: false }), CloseCode::NO_PONG);
}

#[test]
fn a_device_may_ask_for_a_longer_silence_within_the_range() {
    for (asked, granted) in [(0, 30), (1, 15), (900, 900), (999_999, 1200)] {
        let mut bench = Bench::new();
        bench.receive(hello(1, asked));
        assert_eq!(bench.session.ping_interval(), Duration::from_secs(granted), "{asked}");
    }
}

#[test]
fn a_device_that_publishes_for_another_is_closed_for_good() {
    let closed = Bench::device().receive(publish("devices.lamp-2.telemetry"));
    assert_closed(closed, CloseCode::NOT_PERMITTED);
    assert!(!CloseCode::NOT_PERMITTED.is_temporary());
}

#[test]
fn a_device_publishes_its_own_telemetry_without_naming_it() {
    let mut bench = Bench::device();
    assert!(matches!(bench.receive(publish("")), Effect::Publish(_)));
    assert!(matches!(bench.receive(publish("devices.lamp-1.faults")), Effect::Publish(_)));
    let refused = bench.receive(publish("devices.lamp-1.desired"));
    assert!(matches!(refused, Effect::Refuse(Refusal { code: ErrorCode::NotPermitted, .. })));
}

#[test]
fn a_device_cannot_subscribe_beyond_its_own_channels() {
    let mut bench = Bench::device();
    assert!(matches!(bench.receive(subscribe("devices.lamp-1.desired")), Effect::Subscribe(_)));
    for foreign in ["devices.lamp-2.desired", "devices.*.desired", ">"] {
        let refused = bench.receive(subscribe(foreign));
        assert!(
            matches!(refused, Effect::Refuse(Refusal { code: ErrorCode::NotPermitted, .. })),
            "{foreign}"
        );
    }
}

#[test]
fn one_subscription_too_many_is_refused_and_the_same_twice_is_one() {
    let mut bench = Bench::device();
    for n in 0..64 {
        let pattern = format!("devices.lamp-1.x{n}");
        assert!(matches!(bench.receive(subscribe(&pattern)), Effect::Subscribe(_)));
    }
    assert!(matches!(bench.receive(subscribe("devices.lamp-1.x0")), Effect::Subscribe(_)));
    let refused = bench.receive(subscribe("devices.lamp-1.x64"));
    assert!(matches!(refused, Effect::Refuse(Refusal { code: ErrorCode::Limit, .. })));
}

#[test]
fn all_subscriptions_exchanged_at_once_are_no_loop_and_one_change_more_is_cut() {
    let role = Role::built_in("viewer");
    let person = Identity::Person { role, name: "w".to_owned() };
    let device = Identity::Device(DeviceId::parse("lamp-1").expect("valid"));
    for (identity, max) in [(person, 256), (device, 64)] {
        let mut bench = Bench::admitted(identity);
        let patterns: Vec<String> = (0..max).map(|n| format!("devices.lamp-1.x{n}")).collect();
        for pattern in &patterns {
            assert!(matches!(bench.receive(subscribe(pattern)), Effect::Subscribe(_)));
        }
        for pattern in &patterns {
            let unsubscribe = proto::envelope::Unsubscribe { pattern, ..Default::default() };
            let ended = bench.receive(Kind::Unsubscribe(unsubscribe));
            assert!(matches!(ended, Effect::Unsubscribe(_)), "{ended:?}");
        }
        assert_closed(bench.receive(subscribe(&patterns[0])), CloseCode::RATE);
        assert_eq!(bench.session.limit_hit(), Some(Limit::SubscriptionChanges));
    }
}

#[test]
fn a_viewer_sends_no_commands() {
    let role = Role::built_in("viewer");
    let mut bench = Bench::admitted(Identity::Person { role, name: "w".to_owned() });
    let send =
        proto::envelope::Send { device: "lamp-1", type_name: "t", ttl_s: 60, ..Default::default() };
    let refused = bench.receive(Kind::Send(send));
    assert!(matches!(refused, Effect::Refuse(Refusal { code: ErrorCode::NotPermitted, .. })));
}

#[test]
fn bk6_a_device_that_commands_and_a_person_that_is_ready_are_cut() {
    let send =
        proto::envelope::Send { device: "lamp-1", type_name: "t", ttl_s: 60, ..Default::default() };
    assert_closed(Bench::device().receive(Kind::Send(send)), CloseCode::NOT_PERMITTED);
    let role = Role::built_in("operator");
    let mut bench = Bench::admitted(Identity::Person { role, name: "ann".to_owned() });
    assert_closed(bench.receive(Kind::Ready(Ready::default())), CloseCode::NOT_PERMITTED);
}

#[test]
fn bk10_a_credential_that_ends_takes_the_session_with_it_and_nothing_is_done_after() {
    let lamp = || {
        let mut bench = Bench::admitted(Identity::Person {
            role: Role::built_in("operator"),
            name: "ann".to_owned(),
        });
        bench.session.end_at(bench.now + 10 * MS);
        bench
    };
    let mut bench = lamp();
    assert_eq!(bench.session.deadline(), Some(bench.now + 10 * MS));
    let timeout = || Input::Timeout { drains: false };
    assert!(matches!(bench.after(9 * MS, timeout()), Effect::None));
    assert_closed(bench.after(MS, timeout()), CloseCode::CREDENTIAL_EXPIRED);

    let mut bench = lamp();
    bench.now += 10 * MS;
    let send =
        proto::envelope::Send { device: "lamp-1", type_name: "t", ttl_s: 60, ..Default::default() };
    assert_closed(bench.receive(Kind::Send(send)), CloseCode::CREDENTIAL_EXPIRED);
}

#[test]
fn a_device_over_its_rate_is_slowed_down_and_then_cut() {
    let mut bench = Bench::device();
    for _ in 0..100 {
        assert!(matches!(bench.receive(publish("")), Effect::Publish(_)));
        assert_eq!(bench.session.paused_until(), None);
    }
    bench.receive(publish(""));
    assert!(bench.session.paused_until().is_some_and(|until| until > bench.now));
    let mut last = bench.receive(publish(""));
    for _ in 0..200 {
        if matches!(last, Effect::Close(_)) {
            break;
        }
        last = bench.receive(publish(""));
    }
    assert_closed(last, CloseCode::RATE);
}

#[test]
fn a_flood_of_control_frames_is_cut() {
    let mut bench = Bench::device();
    for _ in 0..10 {
        assert!(matches!(bench.after(Duration::ZERO, Input::Control), Effect::None));
    }
    assert_closed(bench.after(Duration::ZERO, Input::Control), CloseCode::RATE);
}

#[test]
fn a_peer_that_reads_slowly_is_not_taken_for_dead() {
    let mut bench = Bench::device();
    let pong_timeout = bench.limits.pong_timeout;
    let silence = bench.session.ping_interval();
    assert!(matches!(bench.after(silence, Input::Timeout { drains: true }), Effect::Ping));
    for _ in 0..5 {
        let effect = bench.after(pong_timeout, Input::Timeout { drains: true });
        assert!(matches!(effect, Effect::None), "{effect:?}");
    }
    let effect = bench.after(pong_timeout, Input::Timeout { drains: false });
    assert_closed(effect, CloseCode::NO_PONG);
}

const MS: Duration = Duration::from_millis(1);

/// A session under virtual time.
struct Bench {
    limits: Limits,
    session: Session,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let limits = Limits::default();
        let now = crate::clock::mono();
        Self { session: Session::new(&limits, now), limits, now }
    }

    fn device() -> Self {
        Self::admitted(Identity::Device(DeviceId::parse("lamp-1").expect("valid")))
    }

    fn admitted(identity: Identity) -> Self {
        let mut bench = Self::new();
        assert!(matches!(bench.receive(hello(1, 0)), Effect::Authenticate(_)));
        let welcome = bench.after(Duration::ZERO, Input::Admitted(Ok(identity)));
        assert!(matches!(welcome, Effect::Welcome));
        bench
    }

    fn receive<'a>(&mut self, kind: Kind<'a>) -> Effect<'a> {
        let request = check(&Envelope::new(kind), None);
        self.after(Duration::ZERO, Input::Received { request, bytes: 50 })
    }

    fn after<'a>(&mut self, wait: Duration, input: Input<'a>) -> Effect<'a> {
        self.now += wait;
        self.session.handle(&self.limits, self.now, input)
    }
}

fn hello(protocol: u32, keepalive_s: u32) -> Kind<'static> {
    Kind::Hello(Hello { protocol, keepalive_s, ..Hello::default() })
}

fn ping() -> Kind<'static> {
    Kind::Ping(Ping::default())
}

fn publish(channel: &str) -> Kind<'_> {
    Kind::Publish(Publish { channel, seq: 1, payload: Some(b"x"), ..Publish::default() })
}

fn subscribe(pattern: &str) -> Kind<'_> {
    Kind::Subscribe(Subscribe { pattern, ..Subscribe::default() })
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "reads better at the many calls")]
fn assert_closed(effect: Effect<'_>, code: CloseCode) {
    assert!(matches!(effect, Effect::Close(closed) if closed == code), "{effect:?}");
}
