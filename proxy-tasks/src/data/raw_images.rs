//! Images of any size as raw bytes: what one writes from an image library in a line or two.
//!
//! One file holds the pixels, N x height x width x channels bytes: image after image, row by row,
//! the channels of a pixel side by side, as libraries keep them in the memory. Another holds the
//! labels, N times two bytes, little endian. There are no headers; the sizes are given. The pixels
//! take four bytes each in the memory.

use super::{DataError, Vectors, read};
use std::path::Path;

/// The sizes of the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSizes {
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Bytes of a pixel.
    pub channels: usize,
    /// Labels are below this.
    pub classes: usize,
}

const IMAGES_HINT: &str =
    "`images` must name a file of pixels, N x height x width x channels bytes";
const LABELS_HINT: &str = "`labels` must name a file of labels, two bytes each, little endian";

/// Reads images and labels; standardised channel by channel, over all images. Sizes are at least 1.
pub fn raw_images(images: &Path, labels: &Path, sizes: ImageSizes) -> Result<Vectors, DataError> {
    let ImageSizes { height, width, channels, classes } = sizes;
    let foreign = |path: &Path, expected: &'static str, found: String| DataError::Foreign {
        path: path.to_owned(),
        expected,
        found,
    };
    let not_images = |found: String| foreign(images, "a file of raw images", found);
    let not_labels = |found: String| foreign(labels, "the labels of these images", found);

    let features = height.saturating_mul(width).saturating_mul(channels);
    let pixels = read(images, IMAGES_HINT)?;
    if pixels.is_empty() || !pixels.len().is_multiple_of(features) {
        let shape = format!("{height} x {width} x {channels} = {features}");
        let found = format!(
            "its {} bytes are no whole number of images of {shape} bytes; check the sizes, or it may be truncated",
            pixels.len()
        );
        return Err(not_images(found));
    }
    let count = pixels.len() / features;
    let label_bytes = read(labels, LABELS_HINT)?;
    if label_bytes.len() != 2 * count {
        let found = format!(
            "it has {} bytes; {count} images need {} (two bytes a label)",
            label_bytes.len(),
            2 * count
        );
        return Err(not_labels(found));
    }
    let known: Vec<u16> =
        label_bytes.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect();
    if let Some((i, label)) =
        known.iter().enumerate().find(|&(_, &label)| usize::from(label) >= classes)
    {
        return Err(not_labels(format!(
            "label {i} is {label}; with `classes` = {classes} labels go from 0 to {}",
            classes - 1
        )));
    }

    // Sums of bytes and of their squares are exact in whole numbers.
    let (mut sums, mut squares) = (vec![0_u64; channels], vec![0_u64; channels]);
    for pixel in pixels.chunks_exact(channels) {
        for ((sum, square), &byte) in sums.iter_mut().zip(&mut squares).zip(pixel) {
            *sum += u64::from(byte);
            *square += u64::from(byte) * u64::from(byte);
        }
    }
    let per_channel = (count * height * width) as f64;
    let standards: Vec<(f64, f64)> = sums
        .iter()
        .zip(&squares)
        .map(|(&sum, &square)| {
            let mean = sum as f64 / per_channel;
            let variance = square as f64 / per_channel - mean * mean;
            (mean, if variance > 1e-9 { variance.sqrt() } else { 1.0 })
        })
        .collect();

    let mut rows = Vec::new();
    if rows.try_reserve_exact(pixels.len()).is_err() {
        let found = format!(
            "as numbers its pixels take {} bytes, which the memory does not have; give fewer images",
            4 * pixels.len() as u64
        );
        return Err(foreign(images, "of a size that fits", found));
    }
    for image in pixels.chunks_exact(features) {
        for (channel, (mean, deviation)) in standards.iter().enumerate() {
            rows.extend(
                image
                    .iter()
                    .skip(channel)
                    .step_by(channels)
                    .map(|&byte| ((f64::from(byte) - mean) / deviation) as f32),
            );
        }
    }
    Ok(Vectors { features, classes, rows, labels: known })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: ImageSizes = ImageSizes { height: 1, width: 2, channels: 3, classes: 400 };

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("images"), [0, 10, 7, 4, 20, 7, 0, 30, 7, 4, 40, 7])
            .unwrap();
        std::fs::write(folder.path().join("labels"), [1, 0, 44, 1]).unwrap();
        folder
    }

    fn load(folder: &tempfile::TempDir, sizes: ImageSizes) -> Result<Vectors, DataError> {
        raw_images(&folder.path().join("images"), &folder.path().join("labels"), sizes)
    }

    #[test]
    fn channels_become_planes_and_are_standardised() {
        let vectors = load(&folder(), SIZES).unwrap();
        assert_eq!(
            (vectors.features, vectors.classes, vectors.labels.as_slice()),
            (6, 400, &[1, 300][..])
        );
        // Red is 0 and 4 in turn, green is 10, 20, 30, 40 (deviation 11.18), blue never changes.
        assert_eq!([&vectors.row(0)[..2], &vectors.row(1)[..2]].concat(), [-1.0, 1.0, -1.0, 1.0]);
        assert!((vectors.row(1)[3] - 15.0 / 125_f32.sqrt()).abs() < 1e-6);
        assert_eq!(vectors.row(0)[4..], [0.0, 0.0]);
    }

    #[test]
    fn missing_and_foreign_files_are_refused_with_what_was_expected() {
        for (file, content, expected) in [
            ("images", None, "`images` must name"),
            ("labels", None, "`labels` must name"),
            ("images", Some(vec![]), "no whole number of images"),
            ("images", Some(vec![1; 11]), "1 x 2 x 3 = 6"),
            ("images", Some(vec![1; 18]), "3 images need 6"),
            ("labels", Some(vec![1, 0, 1]), "2 images need 4"),
            ("labels", Some(vec![1, 0, 144, 1]), "label 1 is 400"),
        ] {
            let folder = folder();
            let path = folder.path().join(file);
            match content {
                None => std::fs::remove_file(&path).unwrap(),
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            }
            let error = load(&folder, SIZES).unwrap_err().to_string();
            assert!(error.contains(expected), "wanted `{expected}`, got: {error}");
        }
        let huge = ImageSizes { height: usize::MAX, ..SIZES };
        assert!(load(&folder(), huge).unwrap_err().to_string().contains("no whole number"));
    }
}
