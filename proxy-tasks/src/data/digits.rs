//! The UCI handwritten digits: 1,797 images of 8 x 8 pixels.
//!
//! "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, 1998, UCI Machine
//! Learning Repository, CC BY 4.0. The file `data/digits.bin` and its origin are described in
//! `data/README.md`.

use super::Vectors;

/// Examples.
pub const COUNT: usize = 1_797;
/// Pixels of an image.
pub const PIXELS: usize = 64;
/// Mean and standard deviation of all pixels, which go from 0 to 16.
const MEAN: f32 = 4.884_165;
const DEVIATION: f32 = 6.016_787_5;

static BYTES: &[u8; COUNT * (PIXELS + 1)] = include_bytes!("../../data/digits.bin");

/// All digits in the order of the source, standardised: mean 0 and variance 1 over all pixels.
pub fn digits() -> Vectors {
    let mut rows = Vec::with_capacity(COUNT * PIXELS);
    let mut labels = Vec::with_capacity(COUNT);
    for record in BYTES.chunks_exact(PIXELS + 1) {
        rows.extend(record[..PIXELS].iter().map(|&pixel| (f32::from(pixel) - MEAN) / DEVIATION));
        labels.push(u16::from(record[PIXELS]));
    }
    Vectors { features: PIXELS, classes: 10, rows, labels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_source() {
        let digits = digits();
        let mut counts = [0; 10];
        for &label in &digits.labels {
            counts[usize::from(label)] += 1;
        }
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let sum: u64 = BYTES
            .chunks_exact(65)
            .flat_map(|record| &record[..64])
            .map(|&pixel| u64::from(pixel))
            .sum();
        assert_eq!(sum, 561_718);
        // The first image of the source: 0 0 5 13 9 1 0 0.
        let first: Vec<f32> =
            digits.row(0)[..8].iter().map(|x| (x * DEVIATION + MEAN).round()).collect();
        assert_eq!(first, [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn pixels_are_standardised() {
        let rows = digits().rows;
        let mean = rows.iter().map(|&x| f64::from(x)).sum::<f64>() / rows.len() as f64;
        let square =
            rows.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / rows.len() as f64;
        assert!(mean.abs() < 1e-4 && (square - 1.0).abs() < 1e-4, "{mean} {square}");
    }
}
