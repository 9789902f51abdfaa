//! Lion on the arrays of a model, and a program of one's own: `cargo run --release -p
//! symopt-programs --example model`.

use symopt_evaluator::{Layout, Options, ParameterArray, Storage};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let layout = Layout::new([("layer.weight", vec![64, 32]), ("layer.bias", vec![64])])?;
    // The compiled Lion, with its momentum in bf16: two bytes per parameter.
    let mut lion = symopt_programs::lion()
        .optimizer_with(&layout, Options { state: Storage::Bf16, ..Options::default() });
    lion.set("weight_decay", 0.1)?;
    lion.set_for("*.bias", "weight_decay", 0.0)?;

    // Any other program, here with the gradients clipped by their global norm, runs by the tile
    // machine.
    let clipped = symopt_dsl::parse(
        "def clipped(w, g, m, lr, *, beta=0.9, limit=20.0):
  g = clip(g, limit)
  m = interp(g, m, beta)
  update = lr * m
  return update, m
",
    )?;
    let momentum = symopt_programs::optimizer(&clipped, &layout, Options::default())?;

    for (name, mut optimizer) in [("lion", lion), ("clipped", momentum)] {
        let (mut weight, mut bias) = (vec![0.5_f32; 64 * 32], vec![0.5_f32; 64]);
        for step in 0..200 {
            let (of_weight, of_bias) = (gradient(&weight), gradient(&bias));
            let lr = 0.02 * (1.0 - f64::from(step) / 200.0);
            let mut arrays = [
                ParameterArray::new("layer.weight", &mut weight, &of_weight),
                ParameterArray::new("layer.bias", &mut bias, &of_bias),
            ];
            optimizer.step_arrays(&mut arrays, lr)?;
        }
        let loss: f32 = weight.iter().chain(&bias).map(|w| (w - 0.1) * (w - 0.1)).sum();
        println!("{name:8} loss {loss:.4}, {} bytes of state", optimizer.state_bytes());
        // State goes to a safetensors file with the program's hash inside, and comes back to the
        // same bits.
        let saved = optimizer.save_bytes()?;
        optimizer.load_bytes(&saved)?;
    }
    Ok(())
}

/// Returns the gradient of the sum of (w - 0.1)².
fn gradient(weights: &[f32]) -> Vec<f32> {
    weights.iter().map(|w| 2.0 * (w - 0.1)).collect()
}
