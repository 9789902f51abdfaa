//! Every level of vector instructions gives the bits of the reference interpreter. The level is
//! that of the process, so this is one test in a binary of its own.

use symopt_evaluator::math::Real;
use symopt_evaluator::reduce::{block_dot, block_sum};
use symopt_evaluator::simd::{self, Level};
use symopt_testing::draws::{Draw, Flavour, compare_with_reference, listing, numbers};
use symopt_testing::random::Random;

#[test]
fn every_level_of_vector_instructions_gives_the_bits_of_the_reference() {
    let best = simd::level();
    assert!(Level::ALL.contains(&best));
    let mut sums = Vec::new();
    for level in Level::ALL.into_iter().filter(|level| *level <= best) {
        assert_eq!(simd::limit(level), level);
        assert_eq!(simd::level(), level);
        let mut random = Random(21);
        for index in 0..1500 {
            let draw = if index % 2 == 0 { Draw::everything(20) } else { Draw::fused(12) };
            let program = draw.program(&mut random);
            let shapes =
                [vec![vec![70]], vec![vec![1], vec![19], vec![0]], vec![vec![1300], vec![4100]]];
            let shapes = &shapes[if index % 50 == 0 { 2 } else { index % 2 }];
            let flavour = random.pick(&[Flavour::Tame, Flavour::Finite, Flavour::Anything]);
            compare_with_reference(&program, shapes, 3, flavour, &mut random).unwrap_or_else(
                |difference| panic!("{}: {difference}\n{}", level.name(), listing(&program)),
            );
        }
        // The reference goes through the same reductions, so these are compared between levels.
        let (x, y) =
            (numbers(&mut random, 4001, Flavour::Tame), numbers(&mut random, 4001, Flavour::Tame));
        sums.push(
            [
                block_dot(&x, &y),
                block_sum(&x),
                block_dot(&y.iter().map(|y| y.to_f64()).collect::<Vec<_>>(), &vec![0.1; 4001]),
            ]
            .map(f64::to_bits),
        );
    }
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
    simd::limit(best);
}
