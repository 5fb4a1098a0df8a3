//! The light of a whole city in one process: slices, and looks that change nothing.

use super::*;
use crate::audit::Actor;
use crate::broker::loading::tests::life::{Life, Shelf};
use crate::broker::overrides::{NewOverride, Overridden};
use crate::broker::registry::{Existing, NewDevice};
use crate::light::profile::ProfileSettings;

const CITY: usize = 5_000;

fn city(life: &Life) {
    let device = |number: usize| -> NewDevice {
        let labels = serde_json::json!({ "feeder": format!("F{}", number % 10) });
        let json = serde_json::json!({ "id": format!("lamp-{number:05}"), "labels": labels });
        serde_json::from_value(json).expect("a device")
    };
    for thousand in 0..CITY / 1_000 {
        let devices = (thousand * 1_000..(thousand + 1) * 1_000).map(device).collect();
        let by = Actor::hub();
        let added = life.broker.add_devices(Now::read(), devices, Existing::Refuse, &by);
        life.wait(added).expect("they are new");
    }
}

fn put_profile(life: &Life, selector: &str, level_pct: u8) {
    let settings = ProfileSettings {
        selector: selector.to_owned(),
        priority: 0,
        level_pct,
        calendar: None,
        place: None,
    };
    let by = Actor::hub();
    let change = |_: Option<&ProfileSettings>| Ok::<_, Refusal>(Some(settings));
    let put = life.broker.change_profile(Now::read(), "all", &by, |_| true, change);
    life.wait(put).expect("it can be followed");
}

/// Turns until nobody is to be looked at, and how many looks the largest of them took.
fn settle(life: &Life) -> (usize, u64) {
    let (mut turns, mut most) = (0, 0);
    loop {
        let before = life.broker.metrics.lights_evaluated.get();
        life.broker.light_tick(Now::read());
        let looks = life.broker.metrics.lights_evaluated.get() - before;
        if looks == 0 {
            return (turns, most);
        }
        (turns, most) = (turns + 1, most.max(looks));
    }
}

fn level(life: &Life, id: &str) -> Option<u32> {
    let values = life.values(&format!("devices.{id}.effective"));
    let light = EffectiveLight::decode(values.first()?.as_slice()).expect("the hub wrote it");
    light.level_pct
}

#[test]
fn a_profile_reaches_a_city_in_slices_and_says_each_light_once() {
    let life = Life::begin(&Shelf::default());
    life.load();
    city(&life);
    settle(&life);
    assert_eq!(life.broker.metrics.lights_changed.get(), 0, "no layer, no word");

    put_profile(&life, "feeder=F3", 80);
    let (turns, most) = settle(&life);
    assert!(turns >= CITY / LOOKS_PER_TURN && most <= LOOKS_PER_TURN as u64, "{turns}, {most}");
    assert_eq!(life.broker.metrics.lights_changed.get(), CITY as u64 / 10);
    assert_eq!((level(&life, "lamp-00003"), level(&life, "lamp-00004")), (Some(80), None));

    put_profile(&life, "feeder=F3", 80);
    settle(&life);
    assert_eq!(life.broker.metrics.lights_changed.get(), CITY as u64 / 10, "nothing is new");
    put_profile(&life, "feeder=F4", 60);
    settle(&life);
    assert_eq!((level(&life, "lamp-00003"), level(&life, "lamp-00004")), (None, Some(60)));
    assert!(!life.values("devices.lamp-00003.effective").is_empty(), "it was told so");
    life.end();
}

#[test]
fn an_override_that_ends_is_forgotten_by_the_store_as_well() {
    let shelf = Shelf::default();
    let life = Life::begin(&shelf);
    life.load();
    life.register("lamp-1");
    put_profile(&life, "", 80);
    let id = DeviceId::parse("lamp-1").expect("valid");
    let now = Now::read();
    let until = now.unix_ms + 60_000;
    let new = NewOverride { level_pct: 20, until_unix_ms: Some(until), reason: String::new() };
    let by = Actor::hub();
    let set = life.broker.set_override(now, &id, &by, |held| held.is_none(), new);
    let set = life.wait(set).expect("it makes sense");
    assert!(matches!(set, Overridden::Done { is_new: true, .. }), "{set:?}");
    life.broker.light_tick(now);
    assert_eq!(level(&life, "lamp-1"), Some(20));

    let later = now.after(std::time::Duration::from_secs(61));
    assert_eq!(life.broker.override_of(later, &id), None, "before anyone looked");
    life.broker.light_tick(later);
    assert_eq!(level(&life, "lamp-1"), Some(80));
    life.end();

    let life = Life::begin(&shelf);
    assert!(life.broker.lights.state.lock().overrides.is_empty());
    life.load();
    settle(&life);
    assert_eq!(life.broker.metrics.lights_changed.get(), 0, "what stands is not repeated");
    life.end();
}

#[test]
fn a_device_that_is_removed_loses_its_override() {
    let life = Life::begin(&Shelf::default());
    life.load();
    life.register("lamp-1");
    let id = DeviceId::parse("lamp-1").expect("valid");
    let new = NewOverride { level_pct: 20, until_unix_ms: None, reason: String::new() };
    let by = Actor::hub();
    let set = life.broker.set_override(Now::read(), &id, &by, |_| true, new);
    life.wait(set).expect("it makes sense");
    settle(&life);
    let removed = life.broker.remove_device(Now::read(), &id, &by, |_| true);
    life.wait(removed).expect("it is there");
    settle(&life);
    let state = life.broker.lights.state.lock();
    assert!(state.overrides.is_empty() && state.agenda.is_empty() && state.roster.is_empty());
    drop(state);
    life.end();
}
