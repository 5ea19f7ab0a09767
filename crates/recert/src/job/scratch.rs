//! Certifying and predicting from scratch, and certifying through a faster network.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use recert_engine::EngineOptions;
use recert_ledger::{Glance, Header, Ledger, Task};
use recert_noise::Law;
use recert_num::{Alpha, Radius, Sigma, clopper_pearson_lower};
use recert_smooth::Sides;
use recert_smooth::baseline::SELECTION;
use recert_smooth::bound::Shares;
use recert_smooth::run::seconds_an_image;

use super::collect::Work;
use super::config::{Amount, CertifyConfig, PredictConfig, SubsetConfig};
use super::data::Data;
use super::network::{Network, NetworkConfig};
use super::recertify::{self, Goal, Method, Recertification, RecertifyConfig};
use super::remark::Remark;
use super::session::{Job, Session};
use crate::{Error, Field, Result, statements};

/// A job that certifies inputs of `data` under `network`, into the ledger at
/// `ledger`, which it makes or resumes.
///
/// # Errors
/// [`ErrorKind::Parameter`](crate::ErrorKind::Parameter), naming the field of
/// `config` that is out of range; whatever looking at network and data fails
/// with.
///
/// ```
/// use recert::engine::ImageShape;
/// use recert::job::{CertifyConfig, Data, Event, Network, certify};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let image = ImageShape { channels: 1, height: 1, width: 2 };
/// let data = Data::from_pixels("two dots", image, &[0.0, 0.2, 0.9, 1.0], None)?;
/// let network = Network::from_fn("bright", 2, image, |pixels| {
///     Some(u16::from(pixels[0] + pixels[1] > 1.0))
/// })?;
/// let config = CertifyConfig { n: 1000, ..CertifyConfig::new(0.25) };
/// # let folder = tempfile::tempdir()?;
/// # let ledger = folder.path().join("dots.recert");
/// let mut radii = Vec::new();
/// certify(&ledger, &config, &data, &network)?.run(&mut |event: Event<'_>| {
///     if let Event::Concluded { row: Some(certificate), .. } = event {
///         radii.push(certificate.radius);
///     }
/// })?;
/// assert!(radii.len() == 2 && radii.iter().all(|radius| *radius > 0.3));
/// # Ok(())
/// # }
/// ```
pub fn certify<'a>(
    ledger: &Path,
    config: &CertifyConfig,
    data: &'a Data,
    network: &'a Network,
) -> Result<Job<'a>> {
    let rows = match config.until_radius {
        Some(_) => "until",
        None => "certify",
    };
    certify_with_rows(ledger, config, data, network, Some(rows)).map(Job::new)
}

fn certify_with_rows<'a>(
    ledger: &Path,
    config: &CertifyConfig,
    data: &'a Data,
    network: &'a Network,
    rows: Option<&'static str>,
) -> Result<Session<'a>> {
    config.validate()?;
    let mut remarks = network.engine_remarks();
    let work = if let Some(radius) = config.radius()? {
        let alpha = Alpha::new(config.alpha)?;
        let sigma = Sigma::new(config.sigma)?;
        remarks.extend(out_of_reach(sigma, config.n, alpha, radius)?);
        Work::Until(radius)
    } else {
        let dims = data.shape().len() as u64;
        // A charge that leaves nothing of alpha is refused below.
        let alpha = config.noise.charged_alpha(config.alpha, config.n, dims);
        if let Some(alpha) = alpha.ok().and_then(|alpha| Alpha::new(alpha).ok()) {
            remarks.extend(too_few(config, alpha)?);
        }
        Work::Certify(config.sides)
    };
    remarks.extend(data.numbered_by_name(network.classes() as u32));
    let header = Header {
        task: Task::Certify,
        sigma: config.sigma,
        n0: config.n0,
        n: config.n,
        alpha: config.alpha,
        seed: config.seed,
        ..header(config.noise, data, network)
    };
    let inputs = inputs(&header, config.noise, config.subset, data, network)?;
    remarks.extend(seed_used(ledger, &header));
    let subject = (vec![network], inputs);
    let (work, noise) = ((work, rows), (config.sigma, config.seed));
    let mut session = Session::new(ledger, data, subject, work, noise, config.run, remarks)?;
    session.header = Some(header);
    session.afterwards = Some(Box::new(|ledger, networks, _| {
        statements::several(ledger, Some(networks))
    }));
    Ok(session)
}

/// A job that predicts the smoothed network's class of inputs of `data`, into
/// the ledger at `ledger`, which it makes or resumes.
///
/// # Errors
/// As for [`certify`].
///
/// ```
/// use recert::job::{PredictConfig, predict};
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/dots.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (data, network) = (dots()?, brighter_than(1.0)?);
/// # let folder = tempfile::tempdir()?;
/// # let ledger = folder.path().join("dots.recert");
/// let mut classes = Vec::new();
/// predict(&ledger, &PredictConfig::new(0.25), &data, &network)?.run(&mut |event: Event<'_>| {
///     if let Event::Concluded { row: Some(prediction), .. } = event {
///         classes.push(prediction.class);
///     }
/// })?;
/// assert_eq!(classes, [Some(0), Some(1)]);
/// # Ok(())
/// # }
/// ```
pub fn predict<'a>(
    ledger: &Path,
    config: &PredictConfig,
    data: &'a Data,
    network: &'a Network,
) -> Result<Job<'a>> {
    config.validate()?;
    let header = Header {
        sigma: config.sigma,
        n: config.n,
        alpha: config.alpha,
        seed: config.seed,
        ..header(config.noise, data, network)
    };
    let inputs = inputs(&header, config.noise, config.subset, data, network)?;
    let remarks = network.engine_remarks();
    let subject = (vec![network], inputs);
    let (work, noise) = (
        (Work::Predict, Some("predict")),
        (config.sigma, config.seed),
    );
    let mut session = Session::new(ledger, data, subject, work, noise, config.run, remarks)?;
    session.header = Some(header);
    Ok(Job::new(session))
}

/// A seed for noise that no network has answered yet: that of the ledger at `ledger` where
/// there is one, so that the same job resumes, and else one drawn at random by the operating
/// system. Whoever makes a network from results under one seed certifies it under a fresh one:
/// under the old one its samples are no longer independent of it.
///
/// # Errors
/// If there is a ledger that cannot be read.
///
/// ```
/// use recert::job::fresh_seed;
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/dots.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let (data, network) = (dots()?, brighter_than(1.0)?);
/// let ledger = folder.path().join("redesigned.recert");
/// let seed = fresh_seed(&ledger)?;
/// let config = CertifyConfig { n: 100, seed, ..CertifyConfig::new(0.25) };
/// certify(&ledger, &config, &data, &network)?.run(&mut |_: Event<'_>| ())?;
/// assert_eq!(fresh_seed(&ledger)?, seed);
/// assert_ne!(fresh_seed(&folder.path().join("another.recert"))?, seed);
/// # Ok(())
/// # }
/// ```
pub fn fresh_seed(ledger: &Path) -> Result<u64> {
    let is_empty = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.len() == 0);
    if ledger.exists() && !is_empty(ledger) {
        let ledger = Ledger::open_read_only(ledger)?;
        if !ledger.is_without_noise() {
            return Ok(ledger.header().seed);
        }
    }
    // Its keys are random, and differ from call to call.
    Ok(RandomState::new().build_hasher().finish())
}

/// The most files that are looked at for [`Remark::SeedUsed`].
const MOST_BESIDE: usize = 1000;

/// Whether a ledger in the folder of a new one has certificates of another network from the
/// noise that the new one will have: whoever redesigns a network after looking at them may have
/// forgotten to take a fresh seed. A remark and no error, as both networks may have been fixed
/// before. Gaussian and integer noise of one seed share their words.
fn seed_used(ledger: &Path, header: &Header) -> Option<Remark> {
    if ledger.exists() {
        return None;
    }
    let folder = ledger.parent()?;
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let files = folder.read_dir().ok()?.take(MOST_BESIDE);
    let mut files: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    files.sort_unstable();
    files.into_iter().find_map(|path| {
        let Glance {
            header: beside,
            has_certificates,
        } = Glance::at(&path)?;
        let is_same = beside.seed == header.seed && beside.shape == header.shape;
        let is_other = beside.network.sha256 != header.network.sha256;
        (has_certificates && is_same && is_other).then(|| Remark::SeedUsed {
            ledger: path.display().to_string(),
            network: beside.network.file,
            seed: beside.seed,
        })
    })
}

/// The header of predictions but for the numbers.
fn header(noise: Law, data: &Data, network: &Network) -> Header {
    let shape = data.shape();
    Header {
        task: Task::Predict,
        sigma: 0.0,
        n0: 0,
        n: 0,
        alpha: 0.0,
        generator: noise.generator().to_owned(),
        seed: 0,
        network: network.identity().clone(),
        data: data.record().to_owned(),
        shape: [shape.channels, shape.height, shape.width].map(|size| size as u32),
    }
}

/// The inputs selected, once data, network and noise are found to fit.
fn inputs(
    header: &Header,
    noise: Law,
    subset: SubsetConfig,
    data: &Data,
    network: &Network,
) -> Result<Vec<u32>> {
    let inputs = data.select(subset)?;
    network.check_image(data.shape())?;
    data.check_labels(&inputs, network.classes())?;
    if noise == Law::Integer {
        data.check_8_bit(inputs[0])?;
    }
    noise
        .charged_alpha(header.alpha, header.n, data.shape().len() as u64)
        .map_err(|e| Error::parameter(Field::Alpha, e.to_string()))?;
    Ok(inputs)
}

/// Where n samples cannot certify a radius even if all are answered alike.
pub(super) fn out_of_reach(
    sigma: Sigma,
    n: u64,
    alpha: Alpha,
    radius: Radius,
) -> Result<Option<Remark>> {
    let p_lower = clopper_pearson_lower(n, n, alpha)?;
    let most = Radius::one_sided(sigma, p_lower)?.map_or(0.0, Radius::get);
    Ok((radius.get() > most).then_some(Remark::RadiusOutOfReach {
        radius: radius.get(),
        n,
        most,
    }))
}

/// Where n samples certify nothing even if all, and all selection samples, are answered alike:
/// the least number that does.
fn too_few(config: &CertifyConfig, alpha: Alpha) -> Result<Option<Remark>> {
    let share = match config.sides {
        Sides::One => alpha,
        // Where nothing was answered otherwise, the class's bound decides.
        Sides::Two => Shares::from_votes(config.n0, 0, alpha)?.class,
    };
    let certifies =
        |n: u64| -> Result<bool> { Ok(clopper_pearson_lower(n, n, share)?.get() > 0.5) };
    if certifies(config.n)? {
        return Ok(None);
    }
    let mut least = config.n + 1;
    // A power of one half falls below any share that there is within as many steps as it has
    // binary digits.
    while !certifies(least)? {
        least += 1;
    }
    Ok(Some(Remark::TooFewSamples {
        n: config.n,
        least,
        alpha: config.alpha,
    }))
}

/// How to run a network and its faster version, of which `network` states what
/// they have in common and `faster` what is other for the faster one.
pub fn via_configs(
    network: &NetworkConfig,
    faster: &EngineOptions,
    engine: Option<&str>,
) -> [NetworkConfig; 2] {
    let mut via = network.clone();
    let mut network = network.clone();
    if let Some(engine) = engine {
        via.engine = Some(engine.to_owned());
    }
    via.precision = faster.precision.or(via.precision);
    via.device = faster.device.clone().or(via.device);
    via.apart = faster.apart.clone().or(via.apart);
    if engine.is_some() || faster.precision.is_some() || faster.device.is_some() {
        // What is left open would be taken from the ledger, which records how the
        // faster one is computed.
        network
            .precision
            .get_or_insert(recert_engine::Precision::F32);
        let device = || EngineOptions::default().device().to_owned();
        network.device.get_or_insert_with(device);
    }
    [network, via]
}

/// A job that certifies `network` through a faster version of it: `faster` is
/// certified as `config` says, and `network` recertified from it with at most
/// `budget` evaluations, a count or a percentage of n on average.
///
/// # Errors
/// As for [`certify`]; all that recertifying would find wrong is found before.
///
/// ```
/// use recert::job::certify_via;
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/dots.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let ledger = folder.path().join("via.recert");
/// let (data, network, faster) = (dots()?, brighter_than(1.0)?, brighter_than(1.01)?);
/// let config = CertifyConfig { n: 2000, ..CertifyConfig::new(0.25) };
/// let mut radii = Vec::new();
/// let job = certify_via(&ledger, &config, "10%".parse()?, &data, &faster, &network)?;
/// job.run(&mut |event: Event<'_>| {
///     if let Event::Concluded { row: Some(certificate), .. } = event {
///         radii.push(certificate.radius);
///     }
/// })?;
/// assert!(radii.len() == 2 && radii.iter().all(|radius| *radius > 0.2));
/// # Ok(())
/// # }
/// ```
pub fn certify_via<'a>(
    ledger: &'a Path,
    config: &CertifyConfig,
    budget: Amount,
    data: &'a Data,
    faster: &'a Network,
    network: &'a Network,
) -> Result<Job<'a>> {
    config.validate()?;
    if config.run.shard.is_some() {
        let message = "what a faster version is worth is planned over all inputs: certify the faster \
                       version in shards, merge them, and recertify the network from that in shards, \
                       at the same alpha";
        return Err(Error::parameter(Field::Shard, message));
    }
    let inputs = data.select(config.subset)?.len() as u64;
    let pairs = budget.of(Field::ViaBudget, config.n * inputs)?;
    recertify::check_alpha(config.alpha, 1)?;
    network.check_classes(faster.identity())?;
    if network.identity() == faster.identity() {
        let message = "the faster version is the network itself, computed in the same way: name \
                       another network, precision or engine for it";
        return Err(Error::parameter(Field::Via, message));
    }
    let first = certify_with_rows(ledger, config, data, faster, None)?;
    let seconds =
        |network: &Network| -> Result<f64> { Ok(seconds_an_image(network.worker()?.as_mut())?) };
    let part = seconds(faster)? / seconds(network)?;
    let samples = config.n + config.n0;
    let remark = prospect(part, samples, pairs.div_ceil(inputs));
    let second = RecertifyConfig {
        methods: vec![Method::Auto],
        goal: Goal::Budget(vec![budget]),
        sides: config.sides,
        alpha: Some(config.alpha),
        run: config.run,
        ..RecertifyConfig::default()
    };
    let job = Job::new(first.remarking(remark)).and_then(move || {
        let recertification = Recertification::open(ledger, &second, 1)?;
        let mut session = recertification.session(data, vec![network])?;
        session.through = true;
        Ok(session)
    });
    Ok(job)
}

/// What is to be known before `samples` of the faster network and `pairs` of
/// the network itself are evaluated on every input, if the faster one takes
/// `part` of the other's time.
///
/// A pair is worth about two samples from scratch (`bench/resnet20`), so
/// that the way pays where the faster network takes less time than the pairs.
///
/// From scratch there is no ledger that has the class, so that it takes selection samples: a
/// few, [`SELECTION`].
fn prospect(part: f64, samples: u64, pairs: u64) -> Remark {
    let fast = part * samples as f64;
    let evaluations = (fast + pairs as f64).floor();
    let better = evaluations - SELECTION as f64;
    Remark::Via {
        speed: 1.0 / part,
        evaluations: evaluations as u64,
        better: (fast > pairs as f64 && better >= 1.0).then_some(better as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Event;

    #[test]
    fn a_redesigned_network_on_noise_whose_results_are_known_is_remarked_on() {
        let image = recert_engine::ImageShape {
            channels: 1,
            height: 1,
            width: 1,
        };
        let data = Data::from_pixels("one dot", image, &[0.9], None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes.txt"), "SQLite format 3\0").unwrap();
        let remarks = |file: &str, limit: f32, seed: u64| {
            let bright = move |pixels: &[f32]| Some(u16::from(pixels[0] > limit));
            let name = format!("above {limit}");
            let network = Network::from_fn(&name, 2, image, bright).unwrap();
            let config = CertifyConfig {
                n: 100,
                seed,
                ..CertifyConfig::new(0.25)
            };
            let ledger = folder.path().join(file);
            let job = certify(&ledger, &config, &data, &network).unwrap();
            let mut remarks = Vec::new();
            let outcome = job.run(&mut |event: Event<'_>| {
                if let Event::Remark(remark) = event {
                    remarks.push(remark);
                }
            });
            assert_eq!(outcome.unwrap(), recert_smooth::Outcome::Finished);
            remarks
        };
        assert_eq!(remarks("first", 0.5, 0), []);
        let used = Remark::SeedUsed {
            ledger: folder.path().join("first").display().to_string(),
            network: "above 0.5".to_owned(),
            seed: 0,
        };
        assert_eq!(remarks("second", 0.51, 0), [used]);
        // Resumed; the same network again; another seed.
        assert_eq!(remarks("second", 0.51, 0), []);
        let lone = folder.path().join("second");
        std::fs::remove_file(lone).unwrap();
        assert_eq!(remarks("again", 0.5, 0), []);
        assert_eq!(remarks("fresh", 0.51, 7), []);
    }

    #[test]
    fn too_few_samples_are_remarked_on_with_the_least_that_certify() {
        // Where one half to the power of n falls below alpha: 2^-9 > 0.001 > 2^-10 = 0.000977.
        // Two-sided, the class has 15/16 of it, 0.0009375, which 2^-11 alone is below.
        for (sides, n, least) in [
            (Sides::One, 2, Some(10)),
            (Sides::One, 10, None),
            (Sides::Two, 2, Some(11)),
            (Sides::Two, 11, None),
        ] {
            let config = CertifyConfig {
                n,
                sides,
                ..CertifyConfig::new(0.5)
            };
            let found = too_few(&config, Alpha::new(0.001).unwrap()).unwrap();
            let expected = least.map(|least| Remark::TooFewSamples {
                n,
                least,
                alpha: 0.001,
            });
            assert_eq!(found, expected, "{sides:?} {n}");
        }
    }

    #[test]
    fn a_way_through_a_network_that_is_hardly_faster_is_advised_against() {
        // 10,100 samples at a third, and 500 pairs.
        let said = prospect(1.0 / 3.0, 10_100, 500).to_string();
        assert!(said.contains("3.0 times as fast"), "{said}");
        assert!(said.contains("as long as 3866 evaluations"), "{said}");
        assert!(
            said.contains("n = 3856 samples of the network itself, from scratch with n0 = 10,"),
            "{said}"
        );
        // 404 and 500.
        let said = prospect(0.04, 10_100, 500).to_string();
        assert!(
            said.ends_with("as long as 904 evaluations of the network itself"),
            "{said}"
        );
        // Nothing that n could be.
        assert!(!prospect(0.04, 150, 3).to_string().contains("n ="));
    }
}
