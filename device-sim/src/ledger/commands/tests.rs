//! Ledgers of hubs that break their word: each breach must be found, and nothing else.

use super::*;
use CommandState::{Accepted, Failed, Running, Succeeded};

const TTL: Duration = Duration::from_secs(60);

fn id(number: u8) -> CommandId {
    CommandId::from_bytes([number; 16])
}

/// A run in which requests 1 and 2, to lamps 0 and 0, were sent and acknowledged as commands 1 and 2.
struct Run {
    commands: Commands,
    findings: Findings,
}

impl Run {
    fn new() -> Self {
        let run = Self { commands: Commands::default(), findings: Findings::default() };
        for number in 1..=2 {
            let intended = Micros(u64::from(number) * 1_000);
            run.commands.attempt(u64::from(number), 0, u64::from(number), intended, TTL);
            let since = run.commands.acked(
                &run.findings,
                u64::from(number),
                id(number),
                intended.after(TTL),
            );
            assert_eq!(since, Some(60_000_000));
        }
        run
    }

    fn execute(&self, number: u8) {
        self.commands.executed(&self.findings, 0, id(number), u64::from(number), Micros(9_000));
    }

    fn update(&self, number: u8, state: CommandState) -> SinceIntended {
        let request = Some(u64::from(number));
        self.commands.updated(&self.findings, id(number), request, state, Micros(20_000))
    }

    #[track_caller]
    fn check(&self, breaches: &[Breach]) -> Counts {
        let counts = self.commands.close(&self.findings);
        let found: Vec<Breach> = self.findings.all().into_keys().collect();
        assert_eq!(found, breaches);
        counts
    }
}

#[test]
fn a_hub_that_keeps_its_word_is_not_accused() {
    let run = Run::new();
    for number in 1..=2 {
        run.update(number, Accepted);
        run.execute(number);
        run.update(number, Running);
        assert_eq!(run.update(number, Succeeded), Some(20_000 - u64::from(number) * 1_000));
        assert_eq!(run.update(number, Succeeded), None, "states may repeat");
    }
    let counts = run.check(&[]);
    let all = Counts { sent: 2, acked: 2, executed: 2, succeeded: 2, ..Counts::default() };
    assert_eq!(counts, all);
}

#[test]
fn an_effect_that_begins_twice_is_caught() {
    let run = Run::new();
    run.execute(1);
    run.execute(1);
    run.check(&[Breach::ExecutedTwice]);
}

#[test]
fn a_command_that_nobody_sent_is_caught_when_the_hub_is_asked() {
    let run = Run::new();
    run.execute(9);
    let questions = run.commands.questions(Micros(0), 0);
    let invented =
        questions.into_iter().find(|question| question.id == id(9)).expect("it is asked for");
    run.commands.answered(&run.findings, invented, None);
    run.check(&[Breach::ExecutedUnsent]);
}

#[test]
fn an_operators_own_command_is_not_held_against_the_hub() {
    let run = Run::new();
    run.commands.updated(&run.findings, id(9), None, Accepted, Micros(1));
    run.execute(9);
    assert!(run.commands.questions(Micros(0), 0).iter().all(|question| question.id != id(9)));
    run.check(&[]);
}

#[test]
fn a_terminal_state_that_changes_is_caught() {
    let run = Run::new();
    run.update(1, Succeeded);
    run.update(1, Failed);
    run.check(&[Breach::TerminalChanged]);
}

#[test]
fn an_acknowledged_command_that_the_hub_forgot_is_caught() {
    let run = Run::new();
    for question in run.commands.questions(Micros(0), 0) {
        assert!(question.acked && !question.overdue);
        run.commands.answered(&run.findings, question, None);
    }
    run.check(&[Breach::CommandLost]);
    assert_eq!(run.findings.all()[&Breach::CommandLost].count, 2);
}

#[test]
fn a_command_without_an_end_is_late_only_a_minute_after_its_deadline() {
    let run = Run::new();
    let sent_at = Micros(2_000).after(TTL);
    let overdue =
        |now| run.commands.questions(now, 0).iter().filter(|question| question.overdue).count();
    assert_eq!(overdue(sent_at.after(TTL).after(Duration::from_secs(60))), 1, "the first one only");
    let late = run.commands.questions(sent_at.after(TTL).after(Duration::from_secs(61)), 0);
    assert_eq!(late.len(), 2);
    run.commands.answered(&run.findings, late[0], Some(Running));
    run.commands.answered(&run.findings, late[1], Some(CommandState::Expired));
    let counts = run.check(&[Breach::NeverTerminal]);
    assert_eq!((counts.open, counts.not_executed), (1, 1));
}

#[test]
fn another_content_another_order_and_a_doubled_request_are_caught() {
    let run = Run::new();
    run.execute(2);
    run.execute(1);
    run.check(&[Breach::OutOfOrder]);

    let run = Run::new();
    run.commands.executed(&run.findings, 0, id(1), 99, Micros(9_000));
    run.check(&[Breach::CommandAltered]);

    let run = Run::new();
    run.commands.acked(&run.findings, 1, id(7), Micros(9_000));
    run.check(&[Breach::CommandDoubled]);
}

#[test]
fn a_refused_command_must_not_run() {
    let run = Run::new();
    run.commands.attempt(3, 0, 3, Micros(1), TTL);
    run.commands.refused(3);
    run.commands.refused(3);
    assert_eq!(run.commands.unanswered(), [0_u64; 0]);
    run.update(3, Accepted);
    run.execute(3);
    let counts = run.check(&[Breach::RefusedExecuted]);
    assert_eq!(counts.refused, 1);
}
