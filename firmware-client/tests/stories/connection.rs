//! Connections: when they come, when they are given up, and bytes that make no sense.

use firmware_client::{Config, Report};
use proto::CloseCode;
use proto::envelope::{Deliver, Envelope, Error, GoAway, Kind, Message, Welcome};
use proto::wire::Encode;

use crate::support::{Dice, NOON, World};

#[test]
fn a_thousand_reconnects_leave_no_trace() {
    let mut world = World::new(1);
    for round in 0..1_000_u32 {
        world.machine.report(world.now, &Report::telemetry(&round.to_le_bytes())).expect("it fits");
        world.command((round % 256) as u8, b"dim", 3_600_000);
        world.run(400_000);
        assert!(world.machine.is_open(), "round {round}");
        assert_eq!(world.machine.reports_waiting(), 0, "round {round}");
        world.hub.commands.clear();
        world.cut(None);
        world.run(0);
    }
    let stats = *world.machine.stats();
    assert_eq!(stats.admissions, 1_000);
    assert_eq!((stats.records_lost, stats.events_lost, stats.commands_ignored), (0, 0, 0));
    assert_eq!(world.hub.stored.len(), 1_000);
    assert_eq!(world.hub.hellos.len(), 1_000, "one hello a connection");
}

#[test]
fn the_first_try_after_a_loss_comes_inside_the_hubs_window() {
    let mut latest = 0;
    for seed in 0..200 {
        let mut world = World::new(seed);
        world.hub.window_s = 60;
        world.run(100_000);
        let lost = world.now;
        world.cut(None);
        world.run(61_000);
        assert_eq!(world.connects.len(), 2, "seed {seed}");
        latest = latest.max(world.connects[1].since(lost));
    }
    assert!((50_000..=60_000).contains(&latest), "spread over the window: {latest}");
}

#[test]
fn a_hub_that_is_gone_is_tried_for_ever_at_most_every_two_minutes() {
    let mut world = World::new(2);
    world.hub_up = false;
    world.run(24 * 3_600_000);
    let pauses: Vec<u64> = world.connects.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(pauses.len() > 1_000, "{}", pauses.len());
    assert!(pauses.iter().all(|pause| *pause <= 121_000), "{pauses:?}");
    world.hub_up = true;
    world.run(122_000);
    assert!(world.machine.is_open());
}

#[test]
fn close_codes_decide_by_their_range() {
    for (code, away_ms_min) in [(4000, 0), (4499, 0), (1001, 0), (4500, 600_000), (4777, 600_000)] {
        let mut world = World::new(u64::from(code));
        world.run(100_000);
        let closed = world.now;
        world.cut(Some(CloseCode(code)));
        world.run(1_300_000);
        let back = world.connects[1].since(closed);
        let fits = back >= away_ms_min && back <= away_ms_min * 2 + 5_000;
        assert!(fits, "{code}: back after {back} ms");
    }
}

#[test]
fn a_hub_that_goes_away_or_asks_for_time_is_heard() {
    let mut world = World::new(3);
    world.run(100_000);
    world.hub_says(Kind::GoAway(GoAway {
        code: 4000,
        reconnect_window_s: 300,
        ..GoAway::default()
    }));
    world.run(100);
    let mut slowest = 0;
    for _ in 0..20 {
        let lost = world.now;
        world.cut(Some(CloseCode::DRAIN));
        world.hub.window_s = 300;
        world.run(400_000);
        slowest = slowest.max(world.connects.last().expect("it came back").since(lost));
    }
    assert!((200_000..=300_000).contains(&slowest), "{slowest}");

    world.hub_says(Kind::Error(Error { retry_after_ms: 500_000, ..Error::default() }));
    world.run(100);
    let lost = world.now;
    world.cut(Some(CloseCode::RATE));
    world.run(600_000);
    let wait = world.connects.last().expect("it came back").since(lost);
    assert!((499_000..=505_000).contains(&wait), "{wait}");
}

#[test]
fn a_dead_hub_is_noticed_within_ninety_seconds() {
    let mut world = World::new(4);
    world.run(10_000);
    world.silent = true;
    world.run(90_000);
    assert_eq!(world.closes.first(), Some(&CloseCode::NO_PONG));
    world.silent = false;
    world.run(60_000);
    assert!(world.machine.is_open());
}

#[test]
fn an_idle_link_is_kept_alive_and_a_hub_that_never_admits_is_left() {
    let mut world = World::new(5);
    world.run(600_000);
    assert!((18..=20).contains(&world.hub.pings), "{}", world.hub.pings);
    assert_eq!(world.connects.len(), 1);

    let mut world = World::new(6);
    world.silent = true;
    world.run(60_000);
    assert_eq!(world.closes.first(), Some(&CloseCode::AUTH_TIMEOUT));
}

#[test]
fn a_device_that_is_ready_late_says_so_once_per_connection() {
    let mut world =
        World::with(7, 512, |seed| Config { ready: false, ..Config::new("lamp-0042", seed) });
    world.run(10_000);
    let before = world.machine.stats().bytes_sent;
    world.machine.set_ready();
    world.machine.set_ready();
    world.run(1_000);
    assert_eq!(world.machine.stats().bytes_sent - before, 4, "one empty envelope");
}

#[test]
fn the_token_is_sent_to_the_hub_and_nowhere_else() {
    let config = |seed| Config { token: "s3cr3t", ..Config::new("lamp-0042", seed) };
    let mut world = World::with(8, 512, config);
    world.run(10_000);
    assert_eq!(world.hub.hellos, [(1, "s3cr3t".to_owned())]);
    assert!(!format!("{:?}", world.machine).contains("s3cr3t"));
    assert!(world.events.iter().all(|event| !event.contains("s3cr3t")));
}

#[test]
fn no_bytes_from_the_network_make_the_machine_panic_or_stop() {
    let mut valid = Vec::new();
    for kind in [
        Kind::Welcome(Welcome { time_unix_ms: NOON, accepted_seq: 3, ..Welcome::default() }),
        Kind::Deliver(Deliver {
            command: "01890a5d-ac96-774b-bcce-b302099a8057",
            type_name: "lighting.v1.Command",
            payload: b"payload",
            remaining_ms: 5_000,
            ..Deliver::default()
        }),
        Kind::Error(Error { retry_after_ms: u32::MAX, seq: 2, ..Error::default() }),
        Kind::GoAway(GoAway { reconnect_window_s: u32::MAX, ..GoAway::default() }),
    ] {
        let envelope = Envelope { request: 1, kind };
        assert!(envelope.encoded_len() > 0);
        envelope.encode_delimited(&mut valid);
    }
    for seed in 0..150 {
        let mut world = World::new(seed);
        let mut dice = Dice(seed);
        for _ in 0..60 {
            let mut message = valid.clone();
            for _ in 0..dice.up_to(6) {
                let at = usize::try_from(dice.up_to(message.len() as u64 - 1)).expect("small");
                message[at] = dice.up_to(255) as u8;
            }
            if dice.one_in(4) {
                message = (0..dice.up_to(200)).map(|_| dice.up_to(255) as u8).collect();
            }
            world.machine.handle_message(world.now, &message);
            let pause = dice.up_to(9_000);
            world.run(pause);
            world.machine.report(world.now, &Report::telemetry(&message)).expect("it fits");
        }
        world.run(4_000_000);
        assert!(world.machine.is_open(), "seed {seed}: {:?}", world.machine.stats());
    }
}

#[test]
fn a_device_that_follows_the_light_asks_for_it_once_a_connection_and_hears_what_comes_next() {
    let config = |seed| Config { follows_light: true, ..Config::new("lamp-0042", seed) };
    let mut world = World::with(5, 4096, config);
    world.run(100_000);
    assert_eq!(world.hub.wishes, ["devices.lamp-0042.effective"]);
    world.cut(None);
    world.run(100_000);
    assert_eq!(world.hub.wishes.len(), 2);

    // level_pct 20, reason OVERRIDE, until_unix_ms 1000, then_level_pct 70
    let payload = [0x08, 20, 0x10, 3, 0x28, 0xe8, 0x07, 0x30, 70];
    let message = |channel| Message { channel, payload: Some(&payload), ..Message::default() };
    world.hub_says(Kind::Message(message("devices.lamp-0042.desired")));
    world.hub_says(Kind::Message(message("devices.lamp-0042.effective")));
    world.run(100);
    let [light] = world.lights[..] else { panic!("one light: {:?}", world.lights) };
    assert_eq!((light.level_pct, light.reason, light.until_unix_ms), (Some(20), 3, 1_000));
    assert_eq!(light.then_level_pct, Some(70));
}
