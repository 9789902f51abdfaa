//! MNIST and its relatives: files in the IDX format, as they are published, compressed, or unpacked
//! (LeCun, Cortes and Burges 1998).

use super::compressed::read_plain_or_compressed;
use super::{DataError, Vectors, check_numbers};
use std::path::{Path, PathBuf};

/// Mean and standard deviation of MNIST's pixels, which go from 0 to 1.
const MEAN: f32 = 0.1307;
const DEVIATION: f32 = 0.3081;

const HINT: &str = "the folder must hold MNIST's four files, as they are published (.gz) or unpacked: train-images-idx3-ubyte, \
train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte";

/// Training and test examples, standardised, and the height and width of the images.
pub fn mnist(folder: &Path) -> Result<(Vectors, Vectors, [usize; 2]), DataError> {
    let (training, sizes) = part(folder, "train")?;
    let (test, test_sizes) = part(folder, "t10k")?;
    if sizes != test_sizes {
        return Err(DataError::Foreign {
            path: folder.join("t10k-images-idx3-ubyte"),
            expected: "the test set of this training set",
            found: format!(
                "its images are {test_sizes:?} pixels, those of the training set {sizes:?}"
            ),
        });
    }
    Ok((training, test, sizes))
}

fn part(folder: &Path, name: &str) -> Result<(Vectors, [usize; 2]), DataError> {
    let images_path = folder.join(format!("{name}-images-idx3-ubyte"));
    let labels_path = folder.join(format!("{name}-labels-idx1-ubyte"));
    let (images, image_sizes) = idx::<3>(&images_path)?;
    let (labels, [count]) = idx::<1>(&labels_path)?;
    let foreign = |path: PathBuf, expected: &'static str, found: String| DataError::Foreign {
        path,
        expected,
        found,
    };
    if image_sizes[0] != count {
        let found = format!("it has {count} labels for {} images", image_sizes[0]);
        return Err(foreign(labels_path, "the labels of the images beside it", found));
    }
    if let Some(label) = labels.iter().find(|&&label| label > 9) {
        return Err(foreign(
            labels_path,
            "a file of labels from 0 to 9",
            format!("it has a label {label}"),
        ));
    }
    let features = image_sizes[1] * image_sizes[2];
    if features == 0 || count == 0 {
        return Err(foreign(images_path, "a file of images", "it has no pixels".to_owned()));
    }
    check_numbers(&images_path, images.len())?;
    let rows = images.iter().map(|&pixel| (f32::from(pixel) / 255.0 - MEAN) / DEVIATION).collect();
    let labels = labels.iter().map(|&label| u16::from(label)).collect();
    Ok((Vectors { features, classes: 10, rows, labels }, [image_sizes[1], image_sizes[2]]))
}

/// The bytes and sizes of an IDX file of D dimensions.
fn idx<const D: usize>(path: &Path) -> Result<(Vec<u8>, [usize; D]), DataError> {
    let (mut bytes, path) = read_plain_or_compressed(path, HINT)?;
    let foreign = |found: String| DataError::Foreign {
        path: path.clone(),
        expected: "an IDX file of bytes",
        found,
    };
    let header = 4 + 4 * D;
    if bytes.len() < header {
        return Err(foreign(format!(
            "it has {} bytes, fewer than the header's {header}",
            bytes.len()
        )));
    }
    // Two zeros, the type (8: unsigned bytes), the number of dimensions.
    let magic = [0, 0, 8, D as u8];
    if bytes[..4] != magic {
        return Err(foreign(format!("it begins with {:?} instead of {magic:?}", &bytes[..4])));
    }
    let mut sizes = [0; D];
    let mut expected = 1_usize;
    for (size, word) in sizes.iter_mut().zip(bytes[4..header].as_chunks::<4>().0) {
        *size = u32::from_be_bytes(*word) as usize;
        expected = expected.saturating_mul(*size);
    }
    if bytes.len() - header != expected {
        let found = bytes.len() - header;
        return Err(foreign(format!(
            "its header promises {expected} bytes of sizes {sizes:?}, and {found} follow; it may be truncated"
        )));
    }
    bytes.drain(..header);
    Ok((bytes, sizes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idx_bytes(sizes: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["train", "t10k"] {
            let images = idx_bytes(&[2, 2, 3], &[0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255]);
            std::fs::write(folder.path().join(format!("{name}-images-idx3-ubyte")), images)
                .unwrap();
            std::fs::write(
                folder.path().join(format!("{name}-labels-idx1-ubyte")),
                idx_bytes(&[2], &[7, 3]),
            )
            .unwrap();
        }
        folder
    }

    #[test]
    fn idx_files_are_read() {
        let folder = folder();
        let (training, test, sizes) = mnist(folder.path()).unwrap();
        assert_eq!(
            (training.features, training.labels.as_slice(), sizes),
            (6, &[7, 3][..], [2, 3])
        );
        assert_eq!(training, test);
        assert!((training.row(1)[5] - (1.0 - MEAN) / DEVIATION).abs() < 1e-6);
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn files_are_read_as_they_are_published() {
        let (plain, published) = (folder(), folder());
        for part in [
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte",
        ] {
            let path = published.path().join(part);
            std::fs::write(
                published.path().join(format!("{part}.gz")),
                gzip(&std::fs::read(&path).unwrap()),
            )
            .unwrap();
            std::fs::remove_file(path).unwrap();
        }
        assert_eq!(mnist(plain.path()).unwrap(), mnist(published.path()).unwrap());
        // Some tools keep the name of what they have unpacked, and some do not unpack.
        let label = published.path().join("t10k-labels-idx1-ubyte");
        std::fs::rename(label.with_extension("gz"), &label).unwrap();
        assert_eq!(mnist(plain.path()).unwrap(), mnist(published.path()).unwrap());
    }

    #[test]
    fn a_file_that_unpacks_without_end_is_refused() {
        let folder = folder();
        let path = folder.path().join("train-images-idx3-ubyte");
        // A gigabyte of zeros in a megabyte: the same member again and again.
        let member = gzip(&vec![0; 1 << 26]);
        std::fs::write(&path, member.repeat(17)).unwrap();
        let error = mnist(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("unpacks to more than") && error.contains("train-images-idx3-ubyte"),
            "{error}"
        );
    }

    #[test]
    fn missing_truncated_foreign_and_mismatched_files_are_refused() {
        let labels = "train-labels-idx1-ubyte";
        for (content, expected) in [
            (None, "four files"),
            (Some(vec![0, 0, 8]), "fewer than the header"),
            (Some(idx_bytes(&[2], &[7])), "truncated"),
            (Some(idx_bytes(&[1], &[7])), "1 labels for 2 images"),
            (Some(idx_bytes(&[2], &[7, 10])), "label 10"),
            (Some(idx_bytes(&[1, 2], &[7, 1])), "begins with"),
            (Some(vec![0x1f, 0x8b, 0, 0]), "truncated or damaged"),
            (Some(gzip(&idx_bytes(&[2], &[7]))), "truncated"),
            (Some(gzip(&idx_bytes(&[2], &[7, 3]))[..20].to_vec()), "truncated or damaged"),
            (Some(gzip(&idx_bytes(&[u32::MAX], &[]))), "truncated"),
            (Some(idx_bytes(&[u32::MAX], &[])), "truncated"),
        ] {
            let folder = folder();
            let path = folder.path().join(labels);
            match content {
                None => std::fs::remove_file(&path).unwrap(),
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            }
            let error = mnist(folder.path()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(labels), "{error}");
        }
    }
}
