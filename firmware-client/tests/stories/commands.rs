//! Commands: at most once, in order, in time, and always with an end.

use std::collections::HashSet;

use firmware_client::Config;
use proto::envelope::{Deliver, Kind};
use proto::{CommandId, CommandState};

use crate::support::{Weather, World};

fn idempotent_by_payload(_: &str, payload: &[u8]) -> bool {
    payload == b"again"
}

fn world(seed: u64) -> World {
    World::with(seed, 1024, |seed| Config {
        idempotent: idempotent_by_payload,
        ..Config::new("lamp-0042", seed)
    })
}

#[test]
fn a_command_is_delivered_runs_and_is_proved() {
    let mut world = world(1);
    world.run(10_000);
    let id = world.command(1, b"dim", 60_000);
    world.run(1_000);

    let command = &world.hub.commands[0];
    let life = [CommandState::Delivered, CommandState::Running, CommandState::Succeeded];
    assert_eq!(command.states, life);
    assert_eq!(command.result, b"proof");
    assert_eq!(world.begun(id), 1);
}

#[test]
fn commands_start_in_the_order_of_their_delivery_one_at_a_time() {
    let mut world = world(2);
    world.run(10_000);
    let ids: Vec<CommandId> = (1..=8).map(|number| world.command(number, b"dim", 60_000)).collect();
    world.run(5_000);
    let begun: Vec<CommandId> = world.effects.iter().map(|(id, _)| *id).collect();
    assert_eq!(begun, ids);
    let apart = world.effects.windows(2).all(|pair| pair[1].1.since(pair[0].1) >= world.work_ms);
    assert!(apart, "one at a time");
}

#[test]
fn over_a_bad_link_every_effect_begins_once_and_every_command_ends() {
    for seed in 0..40 {
        let mut world = world(seed);
        world.weather = Weather { delay_ms_max: 1_500, doubled: 4, broken: 9 };
        for number in 0..30 {
            world.command(number, b"dim", 3_600_000);
            let pause = world.dice.up_to(8_000);
            world.run(pause);
        }
        world.weather = Weather { delay_ms_max: 100, ..Weather::default() };
        world.run(900_000);
        for command in &world.hub.commands {
            let ended = command.ended();
            assert_eq!(ended, Some(CommandState::Succeeded), "seed {seed}: {:?}", command.states);
            let begun = world.effects.iter().filter(|(id, _)| *id == command.id).count();
            assert_eq!(begun, 1, "seed {seed}");
        }
    }
}

#[test]
fn power_may_fail_in_any_write_and_nothing_runs_twice() {
    let mut ends = HashSet::new();
    for write in 0..12 {
        for safe in [false, true] {
            let mut world = world(write as u64);
            world.flash.0.borrow_mut().cut_at = Some((write, safe));
            for number in 1..=3 {
                world.command(number, b"relay", 3_600_000);
            }
            world.run(600_000);
            for command in &world.hub.commands {
                let begun = world.begun(command.id);
                let ended = command.ended().expect("every command ends");
                ends.insert(ended);
                assert!(begun <= 1, "write {write}: begun {begun} times");
                if ended == CommandState::Succeeded {
                    assert_eq!(begun, 1, "write {write}: succeeded without an effect");
                }
            }
        }
    }
    assert_eq!(ends, HashSet::from([CommandState::Succeeded, CommandState::Unknown]));
}

#[test]
fn an_idempotent_command_runs_again_after_a_loss_of_power() {
    let mut world = world(3);
    // Write 0 is STARTED, write 1 is DONE: power fails between the effect and its record.
    world.flash.0.borrow_mut().cut_at = Some((1, false));
    let id = world.command(1, b"again", 3_600_000);
    world.run(120_000);
    assert_eq!(world.ended(id), Some(CommandState::Succeeded));
    assert_eq!(world.begun(id), 2);
}

#[test]
fn a_recorded_outcome_is_told_again_after_a_loss_of_power_without_a_second_effect() {
    let mut world = world(4);
    world.flash.0.borrow_mut().cut_at = Some((1, true));
    let id = world.command(1, b"relay", 3_600_000);
    world.run(120_000);
    assert_eq!(world.ended(id), Some(CommandState::Succeeded));
    assert_eq!(world.begun(id), 1);
    assert_eq!(world.hub.commands[0].result, b"proof");
}

#[test]
fn a_command_that_waited_past_its_deadline_never_starts() {
    let mut world = world(5);
    world.work_ms = 10_000;
    world.run(10_000);
    let long = world.command(1, b"slow", 60_000);
    let late = world.command(2, b"late", 8_000);
    let timely = world.command(3, b"fine", 60_000);
    world.run(60_000);
    assert_eq!(world.ended(long), Some(CommandState::Succeeded));
    assert_eq!(world.ended(late), Some(CommandState::Expired));
    assert_eq!(world.ended(timely), Some(CommandState::Succeeded));
    assert_eq!(world.begun(late), 0);
}

#[test]
fn an_outcome_is_repeated_in_each_connection_until_the_hub_has_it() {
    let mut world = world(6);
    world.hub.settles = false;
    world.run(10_000);
    let id = world.command(1, b"dim", 3_600_000);
    for _ in 0..5 {
        world.run(30_000);
        world.cut(None);
    }
    world.hub.settles = true;
    world.run(30_000);
    assert_eq!(world.begun(id), 1);
    let settled = world.events.iter().filter(|event| event.starts_with("CommandSettled")).count();
    assert_eq!(settled, 1);
    let writes = world.flash.0.borrow().writes;
    assert_eq!(writes, 3, "started, done, settled");
}

#[test]
fn a_command_that_the_device_has_no_room_for_is_rejected() {
    let mut world = world(7);
    world.run(10_000);
    let id = world.command(1, &[7; 300], 60_000);
    world.run(1_000);
    assert_eq!(world.ended(id), Some(CommandState::Rejected));
    assert_eq!(world.begun(id), 0);
}

#[test]
fn a_journal_that_is_worn_out_lets_nothing_start() {
    let mut world = world(8);
    world.flash.0.borrow_mut().broken = true;
    world.run(10_000);
    let id = world.command(1, b"dim", 60_000);
    world.run(1_000);
    assert_eq!(world.ended(id), Some(CommandState::Rejected));
    assert_eq!(world.begun(id), 0);
    assert!(world.events.iter().any(|event| event == "JournalFailed"));
}

#[test]
fn a_hub_that_delivers_without_end_finds_bounds() {
    let mut world = world(9);
    world.run(10_000);
    world.hub.settles = false;
    world.silent = true;
    world.work_ms = 1_000_000;
    for number in 0..10_000_u32 {
        let mut bytes = [1; 16];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        let id = CommandId::from_bytes(bytes).text();
        let deliver = Deliver {
            command: id.as_str(),
            payload: b"x",
            remaining_ms: 60_000,
            ..Deliver::default()
        };
        world.machine.handle_message(world.now, &encoded(Kind::Deliver(deliver)));
        while world.machine.poll_event(world.now).is_some() {}
        let mut buffer = [0; 256];
        while world.machine.poll_transmit(world.now, &mut buffer).is_some() {}
    }
    assert_eq!(world.machine.stats().commands_ignored, 10_000 - 16);
    let deliver = Deliver { command: "no-id", ..Deliver::default() };
    world.machine.handle_message(world.now, &encoded(Kind::Deliver(deliver)));
    assert_eq!(world.machine.stats().commands_ignored, 10_000 - 15);
}

fn encoded(kind: Kind<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    proto::envelope::Envelope::new(kind).encode_delimited(&mut bytes);
    bytes
}
