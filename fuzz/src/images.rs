//! The images that networks are compared on.

/// How many there are.
pub const IMAGES: usize = 10;

/// Black, white, three of uniform pixels, and noise of three strengths around such: all of
/// `len` values, the same for every network.
pub fn images(len: usize) -> Vec<Vec<f32>> {
    let mut random = fastrand::Rng::with_seed(20_261_130);
    let mut images = vec![vec![0.0; len], vec![1.0; len]];
    for _ in 0..3 {
        images.push((0..len).map(|_| random.f32()).collect());
    }
    for sigma in [0.25, 0.25, 0.5, 1.0, 1.0] {
        let mut normal = || {
            let (u, v) = (random.f32().max(1e-7), random.f32());
            (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
        };
        let mut other = fastrand::Rng::with_seed(7);
        images.push((0..len).map(|_| other.f32() + sigma * normal()).collect());
    }
    images
}
