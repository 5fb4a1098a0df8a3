//! A random walk: whatever happens, nothing is doubled, nothing is lost, and the counts add up.

use proptest::prelude::*;

use super::*;

/// More than one record holds.
const TARGETS: usize = 300;

/// What may happen next.
#[derive(Debug, Clone)]
enum Event {
    Accept,
    Cancel,
    Crash,
    Step(usize, Outcome),
    Tick(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let outcomes = proptest::sample::select(&Outcome::ALL[2..]);
    let event = prop_oneof![
        8 => (0..TARGETS, outcomes).prop_map(|(number, outcome)| Event::Step(number, outcome)),
        4 => (1..2_000_u64).prop_map(Event::Tick),
        4 => Just(Event::Accept),
        1 => Just(Event::Crash),
        1 => Just(Event::Cancel),
    ];
    proptest::collection::vec(event, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens: nothing is doubled, nothing is lost, ends stand, and the counts add up.
    #[test]
    fn nothing_is_doubled_or_lost_whatever_happens(events in events(), per_s in 20_u32..900) {
        let mut bench = Bench::new();
        let waves = Waves { size: 100, per_s: f64::from(per_s), pause_s: 1 };
        let id = bench.start(1, Plan { waves, ..plan() }, TARGETS);
        let requests: Vec<_> = (0..TARGETS).map(|number| request_id(id, &device(number))).collect();
        for event in events {
            let ended = ends(&bench, id);
            match event {
                Event::Accept => bench.accept(),
                Event::Cancel => drop(bench.fleets.cancel(bench.now, id, "operator ann")),
                Event::Crash => bench.crash(),
                Event::Step(number, outcome) => {
                    let known = bench.ledger.get(&requests[number]);
                    // The ledger's own states never go back.
                    if known.is_some_and(|(_, state)| !state.is_ended() && *state < outcome) {
                        bench.step(id, number, outcome);
                    }
                }
                Event::Tick(ms) => bench.tick(ms),
            }
            bench.drain();
            bench.check(id);
            prop_assert!(bench.commands <= TARGETS as u64, "a device got two commands");
            let now = ends(&bench, id);
            prop_assert!(ended.iter().all(|end| now.contains(end)), "{ended:?} became {now:?}");
        }
        // Left alone, it comes to its end: every target has one, each command at most one device.
        bench.crash();
        for _ in 0..200 {
            bench.accept();
            for (number, request) in requests.iter().enumerate() {
                let known = bench.ledger.get(request);
                if known.is_some_and(|(_, state)| !state.is_ended()) {
                    bench.step(id, number, Outcome::Succeeded);
                }
            }
            if bench.phase(id) == Phase::Ended {
                break;
            }
            bench.tick(1_000);
        }
        prop_assert_eq!(bench.phase(id), Phase::Ended);
        prop_assert_eq!(bench.fleets.get(id).expect("there").counts().ended() as usize, TARGETS);
    }
}

fn ends(bench: &Bench, id: FleetId) -> Vec<(usize, Outcome)> {
    let targets = bench.fleets.get(id).expect("there").targets().iter().enumerate();
    targets.filter(|(_, it)| it.outcome.is_ended()).map(|(at, it)| (at, it.outcome)).collect()
}
