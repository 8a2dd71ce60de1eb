//! Cost of mining a line of each common kind, after warm-up.
fn main() {
    divan::main();
}
