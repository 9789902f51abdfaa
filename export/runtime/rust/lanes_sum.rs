/// Elements of an array that are summed before their sum enters the tree.
const BLOCK: usize = 4096;

/// Sums that run side by side.
const LANES: usize = 16;

/// The sum of the lanes, in a fixed order.
fn lanes_sum(mut lanes: [f64; LANES]) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}
