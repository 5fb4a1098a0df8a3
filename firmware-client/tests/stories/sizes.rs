//! What a connection costs in RAM; the README's table states the same numbers.

use core::mem::size_of;

use firmware_client::{Client, MemoryJournal};

#[test]
fn the_machine_is_as_small_as_the_readme_says() {
    let usual = size_of::<Client<'static, &'static mut MemoryJournal>>();
    let smallest = size_of::<Client<'static, &'static mut MemoryJournal, 9, 80>>();
    println!("16 slots of 128 bytes: {usual}; 9 slots of 80 bytes: {smallest}");
    assert!(usual <= 5_000, "{usual}");
    assert!(smallest <= 3_200, "{smallest}");
}
