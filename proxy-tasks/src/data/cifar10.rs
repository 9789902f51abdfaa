//! CIFAR-10, the binary version (Krizhevsky 2009).

use super::{DataError, Vectors, read};
use std::path::Path;

/// Red, green and blue planes of 32 x 32.
const PIXELS: usize = 3 * 1024;
const RECORD: usize = 1 + PIXELS;
/// Mean and standard deviation of each channel over the training set, for pixels from 0 to 1.
const MEAN: [f32; 3] = [0.4914, 0.4822, 0.4465];
const DEVIATION: [f32; 3] = [0.2470, 0.2435, 0.2616];

const HINT: &str = "the folder must hold the binary version of CIFAR-10: data_batch_1.bin to data_batch_5.bin and test_batch.bin";

/// Training and test examples, standardised channel by channel.
pub fn cifar10(folder: &Path) -> Result<(Vectors, Vectors), DataError> {
    let mut training = empty();
    for i in 1..=5 {
        append(&mut training, &folder.join(format!("data_batch_{i}.bin")))?;
    }
    let mut test = empty();
    append(&mut test, &folder.join("test_batch.bin"))?;
    Ok((training, test))
}

fn empty() -> Vectors {
    Vectors { features: PIXELS, classes: 10, rows: Vec::new(), labels: Vec::new() }
}

fn append(vectors: &mut Vectors, path: &Path) -> Result<(), DataError> {
    let foreign = |found: String| DataError::Foreign { path: path.to_owned(), expected: "a batch of CIFAR-10", found };
    let bytes = read(path, HINT)?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) {
        let found = format!("its {} bytes are no whole number of records of {RECORD}; it may be truncated", bytes.len());
        return Err(foreign(found));
    }
    for (i, record) in bytes.chunks_exact(RECORD).enumerate() {
        if record[0] > 9 {
            return Err(foreign(format!("record {i} has the label {}; labels go from 0 to 9", record[0])));
        }
        vectors.labels.push(u16::from(record[0]));
        for (plane, (mean, deviation)) in record[1..].chunks_exact(1024).zip(MEAN.iter().zip(DEVIATION)) {
            vectors.rows.extend(plane.iter().map(|&pixel| (f32::from(pixel) / 255.0 - mean) / deviation));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut record = vec![255; RECORD];
        for (i, name) in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"].iter().enumerate() {
            record[0] = i as u8;
            std::fs::write(folder.path().join(format!("{name}.bin")), &record).unwrap();
        }
        folder
    }

    #[test]
    fn batches_are_read_in_order() {
        let (training, test) = cifar10(folder().path()).unwrap();
        assert_eq!((training.labels, test.labels), (vec![0, 1, 2, 3, 4], vec![5]));
        assert!((test.rows[1024] - (1.0 - 0.4822) / 0.2435).abs() < 1e-6);
    }

    #[test]
    fn missing_truncated_and_foreign_batches_are_refused() {
        for (content, expected) in [
            (None, "binary version"),
            (Some(vec![]), "truncated"),
            (Some(vec![1; RECORD - 1]), "truncated"),
            (Some(vec![10; RECORD]), "label 10"),
        ] {
            let folder = folder();
            let path = folder.path().join("data_batch_3.bin");
            match content {
                None => std::fs::remove_file(&path).unwrap(),
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            }
            let error = cifar10(folder.path()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("data_batch_3.bin"), "{error}");
        }
    }
}
