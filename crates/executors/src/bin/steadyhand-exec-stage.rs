//! The restricted stage alone, for this crate's tests and benchmarks. The product's binary contains it.

fn main() {
    std::process::exit(steadyhand_executors::sandbox::stage_main());
}
