/// A sum of numbers that come one by one, in a tree whose shape depends on their number only.
#[derive(Clone, Copy)]
struct TreeSum {
    levels: [f64; 64],
    count: u64,
}

impl TreeSum {
    const EMPTY: Self = Self {
        levels: [0.0; 64],
        count: 0,
    };

    fn add(&mut self, mut value: f64) {
        let level = self.count.trailing_ones() as usize;
        for carried in &self.levels[..level] {
            value += carried;
        }
        self.levels[level] = value;
        self.count += 1;
    }

    fn sum(&self) -> f64 {
        let full = |level: &usize| (self.count >> level) & 1 == 1;
        let parts = (0..64).filter(full).map(|level| self.levels[level]);
        parts.reduce(|right, left| left + right).unwrap_or(0.0)
    }
}
