//! Has the hub built anew when its dashboard was: `hub/dashboard/dist` is made by `make dashboard` and
//! embedded as it is. The folder is always there; without a page in it the hub is built without one.

fn main() {
    println!("cargo::rerun-if-changed=dashboard/dist");
    let is_wanted = std::env::var_os("CARGO_FEATURE_DASHBOARD").is_some();
    if is_wanted && !std::path::Path::new("dashboard/dist/page/index.html").exists() {
        println!(
            "cargo::warning=the dashboard isn't built, so this hub has none; run: make dashboard"
        );
    }
}
