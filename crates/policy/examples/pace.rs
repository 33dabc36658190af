//! Room `policy`: prints how long decisions take; the same figures as `misybot bench authz`.

fn main() {
    println!("{:#?}", misy_policy::pace::measure(20_000));
}
