//! What the past of a lamp adds to each report, and what a city's sum costs.

use std::hint::black_box;

use criterion::Criterion;
use hub::config::series::{Series, settings};
use hub::series::{Grid, Origin, Past, Sheet};

use crate::codec::{TYPE, payload};

/// A moment on a slot's border.
const SLOT: u64 = 6_000_000;

/// All of this file.
pub(crate) fn measure(criterion: &mut Criterion) {
    let settings = settings(&Series::default()).expect("the defaults are valid");
    let (grid, sheet) = (settings.grid(), Sheet::new(settings.fields));
    let (now, held) = (payload(), payload());
    let mut group = criterion.benchmark_group("series");
    let mut past = Past::new(sheet.fields().len());
    group.bench_function("report read and kept", |bencher| {
        bencher.iter(|| report(&mut past, grid, &sheet, SLOT, black_box((&now, &held))));
    });
    let mut slot = SLOT;
    let mut past = Past::new(sheet.fields().len());
    group.bench_function("report that begins a slot", |bencher| {
        bencher.iter(|| {
            slot += 1;
            report(&mut past, grid, &sheet, slot, black_box((&now, &held)));
        });
    });
    group.bench_function("sum over 16 h of a lamp", |bencher| {
        bencher.iter(|| {
            let mut sum = 0;
            past.each(2, slot - 192, slot, |_, steps| sum += i64::from(steps));
            sum
        });
    });
    group.finish();
}

fn report(past: &mut Past, grid: Grid, sheet: &Sheet, slot: u64, told: (&Vec<u8>, &Vec<u8>)) {
    let (now, held) = told;
    let readings = sheet.readings(TYPE, now, Some(held));
    black_box(past.put(grid, slot, slot, &readings, Origin::News));
}
