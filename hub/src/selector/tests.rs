//! Selectors against a slow reference, against any text, and by examples.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A device by hand: facts by the text of their names.
#[derive(Debug, Default)]
struct Lamp(BTreeMap<String, Value<'static>>);

impl Facts for Lamp {
    fn fact(&self, name: &Name) -> Fact<'_> {
        self.0.get(&name.to_string()).map_or(Fact::Missing, |value| Fact::Known(value.clone()))
    }
}

/// The same, where what devices report was not looked up.
struct Unread<'l>(&'l Lamp);

impl Facts for Unread<'_> {
    fn fact(&self, name: &Name) -> Fact<'_> {
        match name {
            Name::Reported(_) => Fact::Open,
            Name::Id | Name::Profile | Name::Online | Name::Label(_) => self.0.fact(name),
        }
    }
}

fn lamp() -> Lamp {
    let text = |text: &'static str| Value::Text(text.into());
    let facts = [
        ("id", text("lamp-0001")),
        ("profile", text("led-65")),
        ("online", text("true")),
        ("street", text("Queen St")),
        ("feeder", text("F12")),
        ("note", text("a, b")),
        ("'pole number'", text("7")),
        ("firmware", text("1.10.0")),
        ("power", Value::Number(43.5)),
        ("state", text("on")),
        ("telemetry.samples.tilt_deg", Value::Number(2.0)),
    ];
    Lamp(facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[test]
fn conditions_join_as_their_words_say() {
    for (text, truth) in [
        ("", Truth::Yes),
        ("street='Queen St' and firmware<'1.4' and power>40", Truth::No),
        ("street='Queen St' and firmware>'1.4' and power>40", Truth::Yes),
        ("firmware > 1.9", Truth::Yes),
        ("feeder=F13 or street = \"Queen St\"", Truth::Yes),
        ("feeder=F12 and (power<40 or state='on')", Truth::Yes),
        ("feeder=F12 AND NOT (power<40 OR state='on')", Truth::No),
        ("not not id=lamp-0001", Truth::Yes),
        ("feeder in ('F11','F12')", Truth::Yes),
        ("feeder not in (F11, F12)", Truth::No),
        ("'pole number' <= 10 and exists('pole number')", Truth::Yes),
        ("online=true and telemetry.samples.tilt_deg >= 2", Truth::Yes),
        ("label.street == 'Queen St' and profile!=led-40", Truth::Yes),
        ("exists(power) and not exists(voltage)", Truth::Yes),
        ("exists(level)", Truth::No),
    ] {
        check(text, truth);
    }
}

#[test]
fn what_is_not_known_selects_nobody_and_neither_does_its_negation() {
    for text in [
        "voltage>200",
        "not voltage>200",
        "district='North'",
        "district!='North'",
        "not district in ('North')",
        "power='on'",
        "voltage>200 and street='Queen St'",
        "voltage>200 or street='King St'",
    ] {
        check(text, Truth::Unknown);
    }
    check("voltage>200 or street='Queen St'", Truth::Yes);
    check("voltage>200 and street='King St'", Truth::No);
}

#[test]
fn the_older_form_keeps_its_meaning() {
    for (text, truth) in [
        ("street=Queen St", Truth::Yes),
        ("street=Queen St,feeder=F12", Truth::Yes),
        ("street='Queen St', feeder=F12", Truth::Yes),
        ("note=\"a, b\",id=lamp-0001", Truth::Yes),
        ("profile=led-65", Truth::Yes),
        ("pole number=7", Truth::Yes),
        ("street=Queen", Truth::No),
        ("feeder=F12,street=King St", Truth::No),
        ("feeder=", Truth::No),
        // A label of this name, not the reported power.
        ("feeder=F12,power=43.5", Truth::Unknown),
    ] {
        check(text, truth);
    }
}

#[test]
fn an_error_names_the_place_and_the_way_out() {
    for (text, at, way_out) in [
        ("street", 7, "= != <"),
        ("=x", 1, "a name"),
        ("street=Queen St and power>40", 14, "quotes around"),
        ("street='Queen St", 8, "no end"),
        ("(power>40", 10, "close it"),
        ("power>40)", 9, "`and` or `or`"),
        ("power>", 7, "a value"),
        ("power 40", 7, "after a name"),
        ("feeder in 'F1'", 11, "('a','b')"),
        ("exists power", 8, "exists(name)"),
        ("power > 40 and", 15, "a name"),
        ("power > 40 & x = 1", 12, "quotes"),
        ("a!b", 2, "quotes"),
        ("not street=Queen St", 18, "quotes around"),
    ] {
        let error = Selector::parse(text).expect_err(text);
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(error.problem.contains(way_out), "{text}: {error}");
    }
}

#[test]
fn length_nesting_and_conditions_are_bounded() {
    let deep = |depth: usize| format!("{}a=1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Selector::parse(&deep(DEPTH_MAX)).is_ok());
    assert!(Selector::parse(&deep(DEPTH_MAX + 1)).is_err());
    assert!(Selector::parse(&format!("{}a=1", "not ".repeat(DEPTH_MAX + 1))).is_err());
    let list = |count: usize| format!("a in ({})", vec!["1"; count].join(","));
    assert!(Selector::parse(&list(CONDITIONS_MAX)).is_ok());
    assert!(Selector::parse(&list(CONDITIONS_MAX + 1)).is_err());
    assert!(Selector::parse(&format!("a='{}'", "x".repeat(TEXT_BYTES_MAX))).is_err());
}

#[test]
fn a_selector_knows_whether_it_asks_for_reports() {
    let asks = |text| Selector::parse(text).expect(text).asks_for_reports();
    assert!(asks("street=x and not exists(power)") && asks("faults.code in (x)"));
    assert!(!asks("street=x or id=y and online=true") && !asks(""));
}

#[track_caller]
fn check(text: &str, truth: Truth) {
    let selector = Selector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(selector.judge(&lamp()), truth, "{text}");
    let shown = selector.to_string();
    assert_eq!(Selector::parse(&shown).as_ref(), Ok(&selector), "{text} was shown as {shown}");
}

/// Truth as a set of what could be: the slow way to three values, by trying both for what is unknown.
fn could_be(expression: &Expression, lamp: &Lamp) -> (bool, bool) {
    let leaf = |truth| match truth {
        Truth::Yes => (true, false),
        Truth::No => (false, true),
        Truth::Unknown => (true, true),
    };
    match expression {
        Expression::All(parts) => parts.iter().fold((true, false), |(yes, no), part| {
            let (also, not) = could_be(part, lamp);
            (yes && also, no || not)
        }),
        Expression::Any(parts) => parts.iter().fold((false, true), |(yes, no), part| {
            let (also, not) = could_be(part, lamp);
            (yes || also, no && not)
        }),
        Expression::Not(part) => {
            let (yes, no) = could_be(part, lamp);
            (no, yes)
        }
        Expression::Exists(name) => leaf(Truth::of(lamp.0.contains_key(&name.to_string()))),
        Expression::Compare(name, operator, literal) => leaf(
            lamp.0
                .get(&name.to_string())
                .map_or(Truth::Unknown, |value| value::holds(value, *operator, literal)),
        ),
        Expression::In(name, literals) => {
            let equal = |literal: &Literal| {
                Expression::Compare(name.clone(), Operator::Equal, literal.clone())
            };
            could_be(&Expression::Any(literals.iter().map(equal).collect()), lamp)
        }
    }
}

fn names() -> impl Strategy<Value = Name> {
    let words =
        &["id", "online", "street", "feeder", "power", "state", "voltage", "label.level"][..];
    prop_oneof![
        proptest::sample::select(words).prop_map(Name::of_word),
        Just(Name::of_word("telemetry.samples.tilt_deg")),
        "[a-z '\"=,and]{1,6}".prop_map(|label| Name::Label(label.into())),
    ]
}

fn literals() -> impl Strategy<Value = Literal> {
    let known = proptest::sample::select(&["Queen St", "F12", "on", "43.5", "1.4", "true"][..]);
    prop_oneof![known.prop_map(str::to_owned), "[ -~é]{0,6}", "-?[0-9]{1,3}(\\.[0-9])?"]
        .prop_map(|text| Literal(text.into()))
}

fn expressions() -> impl Strategy<Value = Expression> {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let operators = &[Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual][..];
    let leaf = prop_oneof![
        4 => (names(), proptest::sample::select(operators), literals())
            .prop_map(|(name, operator, literal)| Expression::Compare(name, operator, literal)),
        1 => (names(), proptest::collection::vec(literals(), 1..4))
            .prop_map(|(name, literals)| Expression::In(name, literals)),
        1 => names().prop_map(Expression::Exists),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Expression::All),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Expression::Any),
            inner.prop_map(|part| Expression::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #[test]
    fn a_selector_that_is_shown_reads_back_as_itself(root in expressions()) {
        let selector = Selector { root: Some(root) };
        let shown = selector.to_string();
        prop_assert_eq!(Selector::parse(&shown), Ok(selector), "{}", shown);
    }

    #[test]
    fn a_judgement_is_that_of_trying_everything(root in expressions()) {
        let slow = match could_be(&root, &lamp()) {
            (true, false) => Truth::Yes,
            (false, true) => Truth::No,
            _ => Truth::Unknown,
        };
        prop_assert_eq!(Selector { root: Some(root) }.judge(&lamp()), slow);
    }

    #[test]
    fn what_is_decided_without_reports_stays_decided_with_them(root in expressions()) {
        let (lamp, selector) = (lamp(), Selector { root: Some(root) });
        let early = selector.judge(&Unread(&lamp));
        prop_assert!(early == Truth::Unknown || early == selector.judge(&lamp));
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}", pieces in "([(),'\"=<>! ]|and|or|not|in|exists|a|1){0,60}") {
        for text in [text, pieces] {
            if let Ok(selector) = Selector::parse(&text) {
                selector.judge(&lamp());
                let shown = selector.to_string();
                prop_assert_eq!(Selector::parse(&shown), Ok(selector), "{}", shown);
            }
        }
    }
}
