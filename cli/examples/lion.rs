//! The compiled Lion of the zoo on the arrays of a model: `cargo run --release --example lion`.

use symopt::{Layout, programs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let layout = Layout::new([("layer.weight", vec![64, 32]), ("layer.bias", vec![64])])?;
    let mut lion = programs::lion().optimizer(&layout);
    lion.set("weight_decay", 0.1)?;
    let (mut weights, gradients) = (vec![0.5; layout.len()], vec![0.1; layout.len()]);
    lion.step(&mut weights, &gradients, 1e-4)?;
    Ok(())
}
