//! CIFAR-10, the binary version (Krizhevsky 2009).

use super::compressed::read_archive;
use super::{DataError, Vectors, check_numbers, read};
use std::path::Path;

/// Red, green and blue planes of 32 x 32.
const PIXELS: usize = 3 * 1024;
const RECORD: usize = 1 + PIXELS;
/// Mean and standard deviation of each channel over the training set, for pixels from 0 to 1.
const MEAN: [f32; 3] = [0.4914, 0.4822, 0.4465];
const DEVIATION: [f32; 3] = [0.2470, 0.2435, 0.2616];

/// The files, the last of which is the test set.
const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
/// As they are published.
const ARCHIVE: &str = "cifar-10-binary.tar.gz";

const HINT: &str = "the folder must hold the binary version of CIFAR-10: cifar-10-binary.tar.gz, or what is in it, data_batch_1.bin to \
data_batch_5.bin and test_batch.bin";

/// Training and test examples, standardised channel by channel.
pub fn cifar10(folder: &Path) -> Result<(Vectors, Vectors), DataError> {
    let archive = folder.join(ARCHIVE);
    let mut unpacked = match archive.is_file() && !folder.join(FILES[0]).exists() {
        true => read_archive(&archive, &FILES, HINT)?.into_iter(),
        false => Vec::new().into_iter(),
    };
    let (mut training, mut test) = (empty(), empty());
    for (i, name) in FILES.iter().enumerate() {
        let path = folder.join(name);
        let bytes = match unpacked.next() {
            Some(bytes) => bytes,
            None => read(&path, HINT)?,
        };
        append(if i + 1 < FILES.len() { &mut training } else { &mut test }, &path, &bytes)?;
    }
    Ok((training, test))
}

fn empty() -> Vectors {
    Vectors { features: PIXELS, classes: 10, rows: Vec::new(), labels: Vec::new() }
}

fn append(vectors: &mut Vectors, path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let foreign = |found: String| DataError::Foreign {
        path: path.to_owned(),
        expected: "a batch of CIFAR-10",
        found,
    };
    check_numbers(path, vectors.rows.len() + bytes.len())?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) {
        let found = format!(
            "its {} bytes are no whole number of records of {RECORD}; it may be truncated",
            bytes.len()
        );
        return Err(foreign(found));
    }
    for (i, record) in bytes.chunks_exact(RECORD).enumerate() {
        if record[0] > 9 {
            return Err(foreign(format!(
                "record {i} has the label {}; labels go from 0 to 9",
                record[0]
            )));
        }
        vectors.labels.push(u16::from(record[0]));
        for (plane, (mean, deviation)) in
            record[1..].chunks_exact(1024).zip(MEAN.iter().zip(DEVIATION))
        {
            vectors
                .rows
                .extend(plane.iter().map(|&pixel| (f32::from(pixel) / 255.0 - mean) / deviation));
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
        for (i, name) in [
            "data_batch_1",
            "data_batch_2",
            "data_batch_3",
            "data_batch_4",
            "data_batch_5",
            "test_batch",
        ]
        .iter()
        .enumerate()
        {
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
    fn the_archive_is_read_as_it_is_published() {
        let (plain, published) = (folder(), tempfile::tempdir().unwrap());
        let mut archive = Vec::new();
        let mut add = |name: &str, kind: u8, content: &[u8]| {
            let mut header = [0; 512];
            header[..name.len()].copy_from_slice(name.as_bytes());
            let size = format!("{:011o}", content.len());
            header[124..135].copy_from_slice(size.as_bytes());
            header[156] = kind;
            archive.extend(header);
            archive.extend(content);
            archive.resize(archive.len().next_multiple_of(512), 0);
        };
        add("cifar-10-batches-bin/", b'5', &[]);
        add("cifar-10-batches-bin/readme.html", b'0', b"about the files");
        // Not in their order.
        for name in FILES.iter().rev() {
            add(
                &format!("cifar-10-batches-bin/{name}"),
                b'0',
                &std::fs::read(plain.path().join(name)).unwrap(),
            );
        }
        archive.extend([0; 1024]);
        let path = published.path().join(ARCHIVE);
        let write = |archive: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, archive).unwrap();
            std::fs::write(&path, encoder.finish().unwrap()).unwrap();
        };
        write(&archive);
        assert_eq!(cifar10(plain.path()).unwrap(), cifar10(published.path()).unwrap());
        // Cut off within a file and before the last one, and with a size that lies.
        let last = std::fs::metadata(plain.path().join(FILES[0])).unwrap().len() as usize;
        let before_the_last = archive.len() - 1024 - last.next_multiple_of(512) - 512;
        for (damage, expected) in
            [(4000, "ends within a file"), (before_the_last, "no file data_batch_1.bin")]
        {
            write(&archive[..damage]);
            let error = cifar10(published.path()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(ARCHIVE), "{error}");
        }
        archive[124..135].copy_from_slice(b"77777777777");
        write(&archive);
        assert!(cifar10(published.path()).unwrap_err().to_string().contains("too large"));
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
