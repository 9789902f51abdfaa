//! Every program of the zoo against an independent implementation of its published equations: plain
//! loops in f64, written from the equations and not from the programs.
//!
//! The reference interpreter in f64 must agree to [`REFERENCE_TOLERANCE`], relative to each weight,
//! and the f32 optimizer to [`OPTIMIZER_TOLERANCE`], relative to 1: the weights begin between -1
//! and 1. Slots are compared relative to their largest number.

use std::ops::Range;

use ndarray::{ArrayD, IxDyn};
use symopt_evaluator::{Layout, Optimizer, Reference};
use symopt_programs::{find, zoo};

const STEPS: usize = 50;
/// Roundings in f64 (1e-16 each), in another order, over 50 steps.
const REFERENCE_TOLERANCE: f64 = 1e-12;
/// Roundings in f32 (6e-8 each) over 50 steps. All but two stay within 3e-6; the raw and the found
/// Lion, whose v is a small difference of larger numbers, do not.
const OPTIMIZER_TOLERANCE: f64 = 2e-5;

/// Arrays and numbers that the equations work on.
struct Equations<'a> {
    w: &'a mut [f64],
    g: &'a [f64],
    /// The slots, in the order of the program's parameters.
    slots: &'a mut [Vec<f64>],
    lr: f64,
    t: i32,
    /// Where each parameter array lies.
    arrays: &'a [Range<usize>],
}

/// One step of the equations of a zoo program, with its default hyperparameters. `None` for a name
/// without equations.
fn published(name: &str) -> Option<fn(Equations)> {
    Some(match name {
        "lion" => |Equations { w, g, slots, lr, .. }| {
            let m = &mut slots[0];
            for i in 0..w.len() {
                let c = 0.9 * m[i] + 0.1 * g[i];
                w[i] -= lr * (sign(c) + 0.0 * w[i]);
                m[i] = 0.99 * m[i] + 0.01 * g[i];
            }
        },
        "adamw" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                slots[1][i] = 0.999 * slots[1][i] + 0.001 * g[i] * g[i];
                let m_hat = slots[0][i] / (1.0 - 0.9_f64.powi(t));
                let v_hat = slots[1][i] / (1.0 - 0.999_f64.powi(t));
                w[i] -= lr * (m_hat / (v_hat.sqrt() + 1e-8) + 0.01 * w[i]);
            }
        },
        "adamw-paper" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                slots[1][i] = 0.999 * slots[1][i] + 0.001 * g[i] * g[i];
                w[i] -= 0.001 * lr * (slots[0][i] / slots[1][i].sqrt() + 0.01 * w[i]);
            }
        },
        "lion-raw" => |Equations { w, g, slots, lr, .. }| {
            found_lion(
                w,
                g,
                slots,
                lr,
                0.8999999761581421,
                1.109133005142212,
                0.0002171761734643951,
                0.4601978361606598,
            );
            // Its m is the hyperbolic cosine of the update without decay; the tidied program's does
            // without the learning rate.
            for m in &mut slots[0] {
                *m = (0.0002171761734643951 * lr * *m).cosh();
            }
        },
        "lion-found" => |Equations { w, g, slots, lr, .. }| {
            let before = w.to_vec();
            found_lion(w, g, slots, lr, 0.899, 1.109, 0.0002, 0.4602);
            for i in 0..w.len() {
                slots[0][i] = (slots[0][i] + 0.4602 * before[i]).cosh();
            }
        },
        "published-regularized" => |Equations { w, g, slots, lr, .. }| {
            let mut dot = 0.0;
            for i in 0..w.len() {
                dot += g[i] * w[i];
            }
            for i in 0..w.len() {
                slots[0][i] = 0.84 * slots[0][i] + 0.16 * g[i];
                let v = 0.999 * slots[1][i] + 0.001 * g[i] * g[i];
                w[i] -= 0.0216 * lr * (guarded_ratio(slots[0][i], v).sin() + dot * w[i]);
                slots[1][i] = v.sin();
            }
        },
        "published-adagrad-like" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                let v = slots[1][i] + 0.0015 * g[i] * g[i];
                w[i] -= 0.0606 * lr * guarded_ratio(slots[0][i], v).sinh();
                slots[1][i] = v.min(std::f64::consts::PI);
            }
        },
        "published-adabelief-like" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                slots[1][i] = 0.999 * slots[1][i] + 0.001 * (g[i] - slots[0][i]).powi(2);
                w[i] -= 0.03721 * lr * (guarded_ratio(slots[0][i], slots[1][i]) + 0.0238 * w[i]);
            }
        },
        "sgd" => |Equations { w, g, lr, .. }| {
            for i in 0..w.len() {
                w[i] -= lr * g[i];
            }
        },
        "momentum" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + g[i];
                w[i] -= lr * slots[0][i];
            }
        },
        "nesterov" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + g[i];
                w[i] -= lr * (g[i] + 0.9 * slots[0][i]);
            }
        },
        "qhm" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.999 * slots[0][i] + 0.001 * g[i];
                w[i] -= lr * (0.3 * g[i] + 0.7 * slots[0][i]);
            }
        },
        "signsgd" => |Equations { w, g, lr, .. }| {
            for i in 0..w.len() {
                w[i] -= lr * (sign(g[i]) + 0.0 * w[i]);
            }
        },
        "signum" => |Equations { w, g, slots, lr, .. }| sign_of_average(w, g, slots, lr, 0.9),
        "tiger" => |Equations { w, g, slots, lr, .. }| sign_of_average(w, g, slots, lr, 0.965),
        "rmsprop" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.99 * slots[0][i] + 0.01 * g[i] * g[i];
                w[i] -= lr * g[i] / (slots[0][i].sqrt() + 1e-8);
            }
        },
        "adagrad" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                slots[0][i] += g[i] * g[i];
                w[i] -= lr * g[i] / (slots[0][i].sqrt() + 1e-10);
            }
        },
        "adam" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                slots[1][i] = 0.999 * slots[1][i] + 0.001 * g[i] * g[i];
                let m_hat = slots[0][i] / (1.0 - 0.9_f64.powi(t));
                let v_hat = slots[1][i] / (1.0 - 0.999_f64.powi(t));
                w[i] -= lr * m_hat / (v_hat.sqrt() + 1e-8);
            }
        },
        "nadam" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                slots[1][i] = 0.999 * slots[1][i] + 0.001 * g[i] * g[i];
                let m_hat = 0.9 * slots[0][i] / (1.0 - 0.9_f64.powi(t + 1))
                    + 0.1 * g[i] / (1.0 - 0.9_f64.powi(t));
                let v_hat = slots[1][i] / (1.0 - 0.999_f64.powi(t));
                w[i] -= lr * m_hat / (v_hat.sqrt() + 1e-8);
            }
        },
        "adabelief" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                slots[1][i] = 0.999 * slots[1][i] + 0.001 * (g[i] - slots[0][i]).powi(2) + 1e-16;
                let m_hat = slots[0][i] / (1.0 - 0.9_f64.powi(t));
                let s_hat = slots[1][i] / (1.0 - 0.999_f64.powi(t));
                w[i] -= lr * (m_hat / (s_hat.sqrt() + 1e-16) + 0.0 * w[i]);
            }
        },
        "addsign" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                w[i] -= lr * (1.0 + sign(g[i]) * sign(slots[0][i])) * g[i];
            }
        },
        "powersign" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                w[i] -= lr * (sign(g[i]) * sign(slots[0][i])).exp() * g[i];
            }
        },
        "lion-smooth" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                let c = 0.9 * slots[0][i] + 0.1 * g[i];
                w[i] -= lr * (c.tanh() + 0.0 * w[i]);
                slots[0][i] = 0.99 * slots[0][i] + 0.01 * g[i];
            }
        },
        "lion-refined" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                let c = 0.9 * slots[0][i] + 0.1 * g[i];
                w[i] -= lr * (c.clamp(-1.0, 1.0) + 0.0 * w[i]);
                slots[0][i] = 0.99 * slots[0][i] + 0.01 * g[i];
            }
        },
        "cautious-lion" => |Equations { w, g, slots, lr, arrays, .. }| {
            let u: Vec<f64> = (0..w.len()).map(|i| sign(0.9 * slots[0][i] + 0.1 * g[i])).collect();
            let mask = cautious_mask(&u, g, arrays);
            for i in 0..w.len() {
                w[i] -= lr * (u[i] * mask[i] + 0.0 * w[i]);
                slots[0][i] = 0.99 * slots[0][i] + 0.01 * g[i];
            }
        },
        "cautious-adamw" => |Equations { w, g, slots, lr, t, arrays }| {
            let u = adam_direction(g, slots, t);
            let mask = cautious_mask(&slots[0], g, arrays);
            for i in 0..w.len() {
                w[i] -= lr * (u[i] * mask[i] + 0.01 * w[i]);
            }
        },
        "cautious-decay-lion" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                let u = sign(0.9 * slots[0][i] + 0.1 * g[i]);
                w[i] -= lr * (u + if u * w[i] >= 0.0 { 0.1 * w[i] } else { 0.0 });
                slots[0][i] = 0.99 * slots[0][i] + 0.01 * g[i];
            }
        },
        "cautious-decay-adamw" => |Equations { w, g, slots, lr, t, .. }| {
            let u = adam_direction(g, slots, t);
            for i in 0..w.len() {
                w[i] -= lr * (u[i] + if u[i] * w[i] >= 0.0 { 0.01 * w[i] } else { 0.0 });
            }
        },
        "lars" => |Equations { w, g, slots, lr, arrays, .. }| {
            for array in arrays {
                let (w_norm, g_norm) = (norm(&w[array.clone()]), norm(&g[array.clone()]));
                let ratio =
                    if w_norm == 0.0 || g_norm == 0.0 { 1.0 } else { 0.001 * w_norm / g_norm };
                for i in array.clone() {
                    slots[0][i] = 0.9 * slots[0][i] + lr * ratio * (g[i] + 0.0 * w[i]);
                    w[i] -= slots[0][i];
                }
            }
        },
        "lamb" => |Equations { w, g, slots, lr, t, arrays }| {
            let u: Vec<f64> = (0..w.len())
                .map(|i| {
                    slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                    slots[1][i] = 0.999 * slots[1][i] + 0.001 * g[i] * g[i];
                    slots[0][i]
                        / (1.0 - 0.9_f64.powi(t))
                        / ((slots[1][i] / (1.0 - 0.999_f64.powi(t))).sqrt() + 1e-6)
                        + 0.0 * w[i]
                })
                .collect();
            for array in arrays {
                let (w_norm, u_norm) = (norm(&w[array.clone()]), norm(&u[array.clone()]));
                let ratio = if w_norm == 0.0 || u_norm == 0.0 { 1.0 } else { w_norm / u_norm };
                for i in array.clone() {
                    w[i] -= lr * ratio * u[i];
                }
            }
        },
        "novograd" => |Equations { w, g, slots, lr, t, arrays }| {
            for array in arrays {
                let squares = norm(&g[array.clone()]).powi(2);
                for i in array.clone() {
                    slots[1][i] =
                        if t == 1 { squares } else { 0.25 * slots[1][i] + 0.75 * squares };
                    slots[0][i] =
                        0.9 * slots[0][i] + g[i] / (slots[1][i].sqrt() + 1e-6) + 0.0 * w[i];
                    w[i] -= lr * slots[0][i];
                }
            }
        },
        "rprop" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                let agreement = g[i] * slots[0][i];
                let before = if t == 1 { lr } else { slots[1][i] };
                let factor = if agreement > 0.0 {
                    1.2
                } else if agreement < 0.0 {
                    0.5
                } else {
                    1.0
                };
                slots[1][i] = (before * factor).clamp(1e-6, 50.0);
                slots[0][i] = if agreement < 0.0 { 0.0 } else { g[i] };
                w[i] -= slots[1][i] * sign(slots[0][i]);
            }
        },
        "adamax" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                slots[1][i] = (0.999 * slots[1][i]).max(g[i].abs() + 1e-8);
                w[i] -= lr / (1.0 - 0.9_f64.powi(t)) * slots[0][i] / slots[1][i];
            }
        },
        "adadelta" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i] * g[i];
                let d = (slots[1][i] + 1e-6).sqrt() / (slots[0][i] + 1e-6).sqrt() * g[i];
                slots[1][i] = 0.9 * slots[1][i] + 0.1 * d * d;
                w[i] -= lr * d;
            }
        },
        "amsgrad" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                slots[1][i] = 0.999 * slots[1][i] + 0.001 * g[i] * g[i];
                slots[2][i] = slots[2][i].max(slots[1][i]);
                let denominator = (slots[2][i] / (1.0 - 0.999_f64.powi(t))).sqrt() + 1e-8;
                w[i] -= lr * slots[0][i] / (1.0 - 0.9_f64.powi(t)) / denominator;
            }
        },
        "adan" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                let d = if t == 1 { 0.0 } else { g[i] - slots[3][i] };
                slots[0][i] = 0.98 * slots[0][i] + 0.02 * g[i];
                slots[1][i] = 0.92 * slots[1][i] + 0.08 * d;
                slots[2][i] = 0.99 * slots[2][i] + 0.01 * (g[i] + 0.92 * d).powi(2);
                let direction = slots[0][i] / (1.0 - 0.98_f64.powi(t))
                    + 0.92 * slots[1][i] / (1.0 - 0.92_f64.powi(t));
                w[i] -= lr * direction / ((slots[2][i] / (1.0 - 0.99_f64.powi(t))).sqrt() + 1e-8);
                slots[3][i] = g[i];
            }
        },
        "radam" => |Equations { w, g, slots, lr, t, .. }| {
            let last = 2.0 / (1.0 - 0.999) - 1.0;
            let power = 0.999_f64.powi(t);
            let rho = last - 2.0 * f64::from(t) * power / (1.0 - power);
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                slots[1][i] = 0.999 * slots[1][i] + 0.001 * g[i] * g[i];
                let mut step = slots[0][i] / (1.0 - 0.9_f64.powi(t));
                if rho > 5.0 {
                    let r = ((rho - 4.0) * (rho - 2.0) * last
                        / ((last - 4.0) * (last - 2.0) * rho))
                        .sqrt();
                    step *= r * (1.0 - power).sqrt() / (slots[1][i].sqrt() + 1e-8);
                }
                w[i] -= lr * step;
            }
        },
        "adopt" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                if t == 1 {
                    slots[1][i] = g[i] * g[i];
                    continue;
                }
                let limit = f64::from(t - 1).powf(0.25);
                let u = (g[i] / slots[1][i].sqrt().max(1e-6)).clamp(-limit, limit);
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * u;
                w[i] -= lr * slots[0][i];
                slots[1][i] = 0.9999 * slots[1][i] + 0.0001 * g[i] * g[i];
            }
        },
        "laprop" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                slots[1][i] = 0.999 * slots[1][i] + 0.001 * g[i] * g[i];
                let u = g[i] / ((slots[1][i] / (1.0 - 0.999_f64.powi(t))).sqrt() + 1e-15);
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * u;
                w[i] -= lr * slots[0][i] / (1.0 - 0.9_f64.powi(t));
            }
        },
        "yogi" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                let [m, v] = [0, 1].map(|slot: usize| if t == 1 { 1e-6 } else { slots[slot][i] });
                slots[0][i] = 0.9 * m + 0.1 * g[i];
                slots[1][i] = v - 0.001 * sign(v - g[i] * g[i]) * g[i] * g[i];
                let denominator = (slots[1][i] / (1.0 - 0.999_f64.powi(t))).sqrt() + 1e-3;
                w[i] -= lr * slots[0][i] / (1.0 - 0.9_f64.powi(t)) / denominator;
            }
        },
        "grams" => |Equations { w, g, slots, lr, t, .. }| {
            let u = adam_direction(g, slots, t);
            for i in 0..w.len() {
                w[i] -= lr * (sign(g[i]) * u[i].abs() + 0.0 * w[i]);
            }
        },
        "ademamix" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                slots[1][i] = 0.9999 * slots[1][i] + 0.0001 * g[i];
                slots[2][i] = 0.999 * slots[2][i] + 0.001 * g[i] * g[i];
                let m = slots[0][i] / (1.0 - 0.9_f64.powi(t)) + 5.0 * slots[1][i];
                w[i] -= lr
                    * (m / ((slots[2][i] / (1.0 - 0.999_f64.powi(t))).sqrt() + 1e-8) + 0.0 * w[i]);
            }
        },
        "mars-lion" => |Equations { w, g, slots, lr, arrays, .. }| {
            let mut c: Vec<f64> = (0..w.len())
                .map(|i| g[i] + 0.025 * (0.95 / (1.0 - 0.95)) * (g[i] - slots[1][i]))
                .collect();
            for array in arrays {
                let size = norm(&c[array.clone()]);
                if size > 1.0 {
                    c[array.clone()].iter_mut().for_each(|c| *c /= size);
                }
            }
            for i in 0..w.len() {
                slots[0][i] = 0.95 * slots[0][i] + 0.05 * c[i];
                w[i] -= lr * (sign(slots[0][i]) + 0.0 * w[i]);
                slots[1][i] = g[i];
            }
        },
        "sophia-clip" => |Equations { w, g, slots, lr, .. }| {
            for i in 0..w.len() {
                slots[0][i] = 0.965 * slots[0][i] + 0.035 * g[i];
                slots[1][i] = 0.99 * slots[1][i] + 0.01 * g[i] * g[i];
                let step = (slots[0][i] / (0.05 * slots[1][i]).max(1e-12)).clamp(-1.0, 1.0);
                w[i] -= lr * (step + 0.1 * w[i]);
            }
        },
        "schedule-free-sgd" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                schedule_free(&mut w[i], &mut slots[0][i], lr * g[i], t);
            }
        },
        "schedule-free-adamw" => |Equations { w, g, slots, lr, t, .. }| {
            for i in 0..w.len() {
                slots[1][i] = 0.999 * slots[1][i] + 0.001 * g[i] * g[i];
                let u =
                    g[i] / ((slots[1][i] / (1.0 - 0.999_f64.powi(t))).sqrt() + 1e-8) + 0.0 * w[i];
                schedule_free(&mut w[i], &mut slots[0][i], lr * u, t);
            }
        },
        "muon" => |Equations { w, g, slots, lr, .. }| {
            for (start, rows, columns) in matrices() {
                let range = start..start + rows * columns;
                for i in range.clone() {
                    slots[0][i] = 0.95 * slots[0][i] + 0.05 * g[i];
                }
                let mut x: Vec<f64> =
                    range.clone().map(|i| 0.95 * slots[0][i] + 0.05 * g[i]).collect();
                let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
                x.iter_mut().for_each(|x| *x /= norm + 1e-7);
                for _ in 0..5 {
                    // X = 3.4445 X - 4.7750 (X X^T) X + 2.0315 (X X^T)^2 X, whatever the shape.
                    let gram_times = |y: &[f64]| {
                        let mut product = vec![0.0; rows * columns];
                        for (i, j) in (0..rows).flat_map(|i| (0..rows).map(move |j| (i, j))) {
                            let gram: f64 =
                                (0..columns).map(|k| x[i * columns + k] * x[j * columns + k]).sum();
                            (0..columns).for_each(|k| {
                                product[i * columns + k] += gram * y[j * columns + k]
                            });
                        }
                        product
                    };
                    let cube = gram_times(&x);
                    let fifth = gram_times(&cube);
                    let terms = x.iter().zip(cube.iter().zip(&fifth));
                    x = terms
                        .map(|(x, (cube, fifth))| 3.4445 * x - 4.7750 * cube + 2.0315 * fifth)
                        .collect();
                }
                let scale = (rows as f64 / columns as f64).max(1.0).sqrt();
                for (i, x) in range.zip(x) {
                    w[i] -= lr * (scale * x + 0.0 * w[i]);
                }
            }
        },
        "adafactor" => |Equations { w, g, slots, lr, t, .. }| {
            let beta = 1.0 - f64::from(t).powf(-0.8);
            for (start, rows, columns) in matrices() {
                let at = |row: usize, column: usize| start + row * columns + column;
                let square = |row, column| g[at(row, column)] * g[at(row, column)] + 1e-30;
                for row in 0..rows {
                    let mean = (0..columns).map(|column| square(row, column)).sum::<f64>()
                        / columns as f64;
                    (0..columns).for_each(|column| {
                        slots[0][at(row, column)] =
                            beta * slots[0][at(row, column)] + (1.0 - beta) * mean
                    });
                }
                for column in 0..columns {
                    let mean = (0..rows).map(|row| square(row, column)).sum::<f64>() / rows as f64;
                    (0..rows).for_each(|row| {
                        slots[1][at(row, column)] =
                            beta * slots[1][at(row, column)] + (1.0 - beta) * mean
                    });
                }
                let mean_of_rows =
                    (0..rows).map(|row| slots[0][at(row, 0)]).sum::<f64>() / rows as f64;
                let range = start..start + rows * columns;
                let mut update: Vec<f64> = range
                    .clone()
                    .map(|i| g[i] / (slots[0][i] * slots[1][i] / mean_of_rows).sqrt())
                    .collect();
                let rms =
                    |x: &[f64]| (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt();
                let clip = rms(&update).max(1.0);
                update.iter_mut().for_each(|u| *u /= clip);
                let alpha = rms(&w[range.clone()]).max(1e-3) * lr.min(1.0 / f64::from(t).sqrt());
                for (i, u) in range.zip(update) {
                    w[i] -= alpha * u + lr * 0.0 * w[i];
                }
            }
        },
        _ => return None,
    })
}

/// Returns the start, the rows and the columns of each of the arrays. See the documentation of
/// `symopt_dsl::types`.
fn matrices() -> [(usize, usize, usize); 4] {
    [(0, 1, 1), (1, 7, 1), (8, 4, 5), (28, 2, 12)]
}

/// -1, 0 or 1.
fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Adam's direction, by its averages in the first two slots, with the usual decay rates and
/// epsilon.
fn adam_direction(g: &[f64], slots: &mut [Vec<f64>], t: i32) -> Vec<f64> {
    let direction = |(i, g): (usize, &f64)| {
        slots[0][i] = 0.9 * slots[0][i] + 0.1 * g;
        slots[1][i] = 0.999 * slots[1][i] + 0.001 * g * g;
        slots[0][i]
            / (1.0 - 0.9_f64.powi(t))
            / ((slots[1][i] / (1.0 - 0.999_f64.powi(t))).sqrt() + 1e-8)
    };
    g.iter().enumerate().map(direction).collect()
}

/// 1 where two agree in sign and 0 elsewhere, over its mean in each array.
fn cautious_mask(u: &[f64], g: &[f64], arrays: &[Range<usize>]) -> Vec<f64> {
    let mut mask: Vec<f64> =
        u.iter().zip(g).map(|(u, g)| if u * g > 0.0 { 1.0 } else { 0.0 }).collect();
    for array in arrays {
        let mean = mask[array.clone()].iter().sum::<f64>() / array.len() as f64;
        mask[array.clone()].iter_mut().for_each(|mask| *mask /= mean.max(1e-3));
    }
    mask
}

/// The points of a schedule-free optimizer after the step `step` at z.
fn schedule_free(w: &mut f64, z: &mut f64, step: f64, t: i32) {
    if t == 1 {
        *z = *w;
    }
    let x = (*w - 0.1 * *z) / 0.9;
    *z -= step;
    let x = (1.0 - 1.0 / f64::from(t)) * x + *z / f64::from(t);
    *w = 0.9 * x + 0.1 * *z;
}

/// m / sqrt(v) as the published search computed it: the root of |v|, and 1e-8 added to the divisor.
fn guarded_ratio(m: f64, v: f64) -> f64 {
    m / (v.abs().sqrt() + 1e-8)
}

/// Signum and Tiger, without decay.
fn sign_of_average(w: &mut [f64], g: &[f64], slots: &mut [Vec<f64>], lr: f64, beta: f64) {
    for i in 0..w.len() {
        slots[0][i] = beta * slots[0][i] + (1.0 - beta) * g[i];
        w[i] -= lr * (sign(slots[0][i]) + 0.0 * w[i]);
    }
}

/// The equations that the raw and the tidied Lion share. Leaves the guarded sign of the blend in
/// the first slot; the second is the average.
#[allow(clippy::too_many_arguments)]
fn found_lion(
    w: &mut [f64],
    g: &[f64],
    slots: &mut [Vec<f64>],
    lr: f64,
    a: f64,
    b: f64,
    peak: f64,
    decay: f64,
) {
    let mut squares = 0.0;
    for x in g {
        squares += x * x;
    }
    let norm = squares.sqrt();
    let scale = if norm > lr { lr / norm } else { 1.0 };
    // The raw program multiplies by the learning rate before it divides, the tidied one after: the
    // same but for the rounding.
    for i in 0..w.len() {
        let g = (scale * g[i]).asin();
        let m = (1.0 - a) * g + a * slots[1][i];
        slots[1][i] = (1.0 - b) * g + b * m;
        slots[0][i] = m / (m.abs() + 1e-8);
        w[i] -= peak * lr * (slots[0][i] + decay * w[i]);
    }
}

/// Deterministic numbers in [-1, 1): the 24 high bits of an LCG's state (Knuth's MMIX).
fn random(state: &mut u64) -> f32 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*state >> 40) as f32 / (1 << 23) as f32 - 1.0
}

const SHAPES: [&[usize]; 4] = [&[], &[7], &[4, 5], &[2, 3, 4]];

/// The first weight never has a gradient, and the first gradients of every fifth are zero; later
/// ones are zero now and then.
fn gradients(state: &mut u64, step: usize, count: usize) -> Vec<f32> {
    let gradient = |i: usize| {
        let x = random(state) * 2.0_f32.powi(-((i % 4) as i32));
        let zero = i == 0 || (i.is_multiple_of(5) && step <= 3) || random(state) > 0.9;
        if zero { 0.0 } else { x }
    };
    (0..count).map(gradient).collect()
}

fn split<T: Copy + From<f32>>(layout: &Layout, flat: &[f32]) -> Vec<ArrayD<T>> {
    let values = |range: std::ops::Range<usize>| flat[range].iter().map(|x| T::from(*x)).collect();
    layout
        .arrays()
        .iter()
        .map(|a| {
            ArrayD::from_shape_vec(IxDyn(&a.shape), values(a.range.clone())).expect("sizes fit")
        })
        .collect()
}

fn assert_close(found: &[f64], expected: &[f64], floor: f64, tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (x, y)) in found.iter().zip(expected).enumerate() {
        let close = (x - y).abs() <= tolerance * x.abs().max(y.abs()).max(floor)
            || (x.is_nan() && y.is_nan());
        assert!(close, "{what}, number {i}: {x:e}, by the equations {y:e}");
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, x| largest.max(x.abs()))
}

#[test]
fn every_zoo_program_follows_its_published_equations_for_50_steps() {
    for entry in zoo() {
        let name = entry.name;
        let step_of_equations = published(name)
            .unwrap_or_else(|| panic!("write the published equations of {name} into this file"));
        let program = entry.program();
        let slot_names: Vec<String> =
            program.signature().slots().map(|id| program.variable_name(id).to_string()).collect();
        let layout = Layout::new(
            SHAPES.iter().enumerate().map(|(i, shape)| (format!("a{i}"), shape.to_vec())),
        )
        .expect("a layout");
        let shapes = SHAPES.map(<[usize]>::to_vec);
        let arrays: Vec<Range<usize>> =
            layout.arrays().iter().map(|array| array.range.clone()).collect();

        let mut state = 1;
        let start: Vec<f32> = (0..layout.len()).map(|_| random(&mut state)).collect();
        let mut w: Vec<f64> = start.iter().map(|x| f64::from(*x)).collect();
        let mut slots = vec![vec![0.0; layout.len()]; slot_names.len()];
        let mut reference = Reference::<f64>::new(&program, &shapes).expect("it types");
        let mut reference_weights = split::<f64>(&layout, &start);
        let mut optimizer = Optimizer::new(&program, &layout).expect("it types");
        let mut optimizer_weights = start.clone();
        let mut no_gradient_at_first = Vec::new();

        for t in 1..=STEPS {
            let g = gradients(&mut state, t, layout.len());
            if t == 1 {
                no_gradient_at_first = g.iter().map(|g| *g == 0.0).collect();
            }
            // A schedule that rises and falls.
            let lr = program.signature().peak_learning_rate()
                * (0.1 + (t as f64 / STEPS as f64 * 3.0).sin().abs() * 0.9);
            let g64: Vec<f64> = g.iter().map(|x| f64::from(*x)).collect();
            step_of_equations(Equations {
                w: &mut w,
                g: &g64,
                slots: &mut slots,
                lr,
                t: t as i32,
                arrays: &arrays,
            });
            reference.step(&mut reference_weights, &split(&layout, &g), lr).expect("sizes fit");
            optimizer.step(&mut optimizer_weights, &g, lr).expect("sizes fit");

            let joined =
                |arrays: &[ArrayD<f64>]| arrays.iter().flatten().copied().collect::<Vec<f64>>();
            let what = format!("{name}, step {t}");
            assert_close(
                &joined(&reference_weights),
                &w,
                1e-3,
                REFERENCE_TOLERANCE,
                &format!("{what}, reference, weights"),
            );
            let widened: Vec<f64> = optimizer_weights.iter().map(|x| f64::from(*x)).collect();
            assert_close(
                &widened,
                &w,
                1.0,
                OPTIMIZER_TOLERANCE,
                &format!("{what}, optimizer, weights"),
            );
            for ((arrays, expected), slot) in reference.slots().iter().zip(&slots).zip(&slot_names)
            {
                let what = format!("{what}, reference, slot {slot}");
                assert_close(
                    &joined(arrays),
                    expected,
                    largest(expected),
                    REFERENCE_TOLERANCE,
                    &what,
                );
            }
            for (slot, values) in optimizer.slots() {
                let expected = &slots[slot_names
                    .iter()
                    .position(|known| known == slot)
                    .expect("a slot of the program")];
                let widened: Vec<f64> = values.to_f32().iter().map(|x| f64::from(*x)).collect();
                assert_close(
                    &widened,
                    expected,
                    largest(expected),
                    OPTIMIZER_TOLERANCE,
                    &format!("{what}, optimizer, slot {slot}"),
                );
            }

            // Where IEEE arithmetic gives NaN: only in adamw-paper, m / sqrt(v) = 0 / 0 while a
            // weight has had no gradient yet, and from then on.
            for (i, x) in w.iter().enumerate() {
                let expected = name == "adamw-paper" && no_gradient_at_first[i];
                assert_eq!(x.is_nan(), expected, "{what}, weight {i}");
            }
        }
        assert!(
            no_gradient_at_first.iter().any(|x| *x) && !no_gradient_at_first.iter().all(|x| *x)
        );
        assert!(
            w.iter().zip(&start).filter(|(w, start)| **w != f64::from(**start)).count()
                > layout.len() / 2,
            "{name} moves the weights"
        );
    }
}

#[test]
fn decoupled_weight_decay_shrinks_the_weights_by_the_learning_rate_times_the_decay() {
    // Without gradients, what is left of the equations is w = w - lr * weight_decay * w.
    for name in ["lion", "adamw", "signsgd", "signum", "adabelief", "tiger"] {
        let program = find(name).expect("in the zoo").program();
        let mut reference = Reference::<f64>::new(&program, &[vec![2]]).expect("it types");
        reference.set("weight_decay", 0.25).expect("it has a decay");
        let mut weights =
            [ArrayD::from_shape_vec(IxDyn(&[2]), vec![1.0, -3.0]).expect("sizes fit")];
        let zeros = [ArrayD::zeros(IxDyn(&[2]))];
        let mut expected = [1.0, -3.0];
        for _ in 0..5 {
            reference.step(&mut weights, &zeros, 0.1).expect("sizes fit");
            expected = expected.map(|w| w - 0.1 * 0.25 * w);
            assert_close(
                &weights[0].iter().copied().collect::<Vec<_>>(),
                &expected,
                0.0,
                1e-14,
                name,
            );
        }
    }
}
