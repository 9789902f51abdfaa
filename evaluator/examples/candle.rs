//! Trains a small network in candle with Lion and with a program from a file, and prints both
//! curves: `cargo run -p symopt-evaluator --features candle --example candle [FILE]`.

mod two_classes;

use std::error::Error;

use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, Module, Optimizer as _, VarBuilder, VarMap};
use symopt_evaluator::adapters::candle::{Config, ProgramOptimizer};
use two_classes::{
    Contestant, EVERY, POINTS, SIZES, STEPS, contestants, initial_weights, points, print,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut curves = Vec::new();
    for contestant in contestants()? {
        curves.push((contestant.name.clone(), train(contestant)?));
    }
    print(&curves);
    Ok(())
}

/// The losses on the way.
fn train(contestant: Contestant) -> Result<Vec<f32>, Box<dyn Error>> {
    let mut variables = VarMap::new();
    let layers = network(&mut variables)?;
    let mut optimizer = ProgramOptimizer::from_var_map(
        &variables,
        Config::new(contestant.learning_rate, contestant.program),
    )?;
    // No decay of biases, whatever the program calls its decay.
    if optimizer.optimizer().hyperparameters().iter().any(|h| h.name == "weight_decay") {
        optimizer.optimizer_mut().set_for("*.bias", "weight_decay", 0.0)?;
    }
    let (inputs, classes) = points();
    let inputs = Tensor::from_vec(inputs, (POINTS, SIZES[0]), &Device::Cpu)?;
    let classes = Tensor::from_vec(classes, (POINTS, 1), &Device::Cpu)?;
    let mut curve = Vec::new();
    for step in 0..=STEPS {
        let loss = loss(&layers, &inputs, &classes)?;
        if step % EVERY == 0 {
            curve.push(loss.to_scalar()?);
        }
        if step < STEPS {
            optimizer.backward_step(&loss)?;
        }
    }
    Ok(curve)
}

fn network(variables: &mut VarMap) -> Result<Vec<Linear>, Box<dyn Error>> {
    let builder = VarBuilder::from_varmap(variables, DType::F32, &Device::Cpu);
    let mut layers = Vec::new();
    for (layer, sizes) in SIZES.windows(2).enumerate() {
        let name = format!("layer{layer}");
        layers.push(candle_nn::linear(sizes[0], sizes[1], builder.pp(&name))?);
        // candle's own start is another one in every run.
        let weights = Tensor::from_vec(
            initial_weights(layer, sizes[0], sizes[1]),
            (sizes[0], sizes[1]),
            &Device::Cpu,
        )?;
        variables.set_one(format!("{name}.weight"), weights.t()?)?;
        variables
            .set_one(format!("{name}.bias"), Tensor::zeros(sizes[1], DType::F32, &Device::Cpu)?)?;
    }
    Ok(layers)
}

/// The logistic loss.
fn loss(layers: &[Linear], inputs: &Tensor, classes: &Tensor) -> candle_core::Result<Tensor> {
    let mut outputs = inputs.clone();
    for (index, layer) in layers.iter().enumerate() {
        outputs =
            if index == 0 { layer.forward(&outputs)? } else { layer.forward(&outputs.tanh()?)? };
    }
    ((outputs * classes)?.neg()?.exp()? + 1.0)?.log()?.mean_all()
}
