/// The factor that makes a norm at most a limit.
fn clip_factor(norm: f64, limit: f64) -> f64 {
    if norm <= limit {
        return 1.0;
    }
    limit / norm
}
