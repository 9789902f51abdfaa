//! Trains a small network in burn with Lion and with a program from a file, and prints both curves:
//! `cargo run -p symopt-evaluator --features burn --example burn [FILE]`.

mod two_classes;

use std::error::Error;

use burn_core as burn;
use burn_core::module::{Module, Param};
use burn_core::tensor::{Device, Tensor, TensorData};
use burn_optim::GradientsParams;
use symopt_evaluator::adapters::MissingGradients;
use symopt_evaluator::adapters::burn::ProgramOptimizer;
use two_classes::{
    Contestant, EVERY, POINTS, SIZES, STEPS, contestants, initial_weights, points, print,
};

#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Network {
    layers: Vec<Linear>,
}

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
    let device = Device::flex().autodiff();
    let mut network = Network::new(&device);
    let mut optimizer =
        ProgramOptimizer::new(&network, &contestant.program, MissingGradients::Refuse)?;
    // No decay of biases, whatever the program calls its decay.
    if optimizer.optimizer().hyperparameters().iter().any(|h| h.name == "weight_decay") {
        optimizer.optimizer_mut().set_for("*.bias", "weight_decay", 0.0)?;
    }
    let (inputs, classes) = points();
    let inputs = Tensor::<2>::from_data(TensorData::new(inputs, [POINTS, SIZES[0]]), &device);
    let classes = Tensor::<2>::from_data(TensorData::new(classes, [POINTS, 1]), &device);
    let mut curve = Vec::new();
    for step in 0..=STEPS {
        // The logistic loss.
        let outputs = network.forward(inputs.clone());
        let loss = ((outputs * classes.clone()).neg().exp() + 1.0).log().mean();
        if step % EVERY == 0 {
            curve.push(loss.clone().into_scalar::<f32>());
        }
        if step < STEPS {
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(contestant.learning_rate, network, gradients)?;
        }
    }
    Ok(curve)
}

impl Network {
    fn new(device: &Device) -> Network {
        let layer = |(layer, sizes): (usize, &[usize])| Linear {
            weight: Param::from_data(
                TensorData::new(initial_weights(layer, sizes[0], sizes[1]), [sizes[0], sizes[1]]),
                device,
            ),
            bias: Param::from_tensor(Tensor::zeros([sizes[1]], device)),
        };
        Network { layers: SIZES.windows(2).enumerate().map(layer).collect() }
    }

    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        let mut outputs = inputs;
        for (index, layer) in self.layers.iter().enumerate() {
            let inputs = if index == 0 { outputs } else { outputs.tanh() };
            outputs = inputs.matmul(layer.weight.val()) + layer.bias.val().unsqueeze();
        }
        outputs
    }
}
