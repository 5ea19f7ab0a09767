//! The test that a device must pass before it trains, at the sizes of a training.

use super::Training;
use crate::attack::Attack;
use crate::device::Device;
use crate::error::{Error, ErrorKind, Result};
use crate::evaluation::BATCH;
use crate::method::{Cut, Method};
use crate::self_test::{
    Compute, DeviceReport, LOSS_TOLERANCE, Probe, Sizes, compared, computed_on, difference, largest,
};
use crate::tensor::{Precision, on};

impl Training<'_> {
    /// Compares what the training's device computes with the processor: of every layer, at the sizes of
    /// full and last batches and of evaluations, values, intervals and rows of coefficients as far as the
    /// method has them, with all derivatives; then the whole loss of a batch and its gradient, before,
    /// during and after the ramp. The first epoch begins with it; once passed, it is not done again.
    /// `None` for the processor, which everything is compared with.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Device`] with the operation, its sizes and the worst difference, where one is larger
    /// than rounding explains, and where the device fails.
    ///
    /// ```
    /// use recert_train::{
    ///     Architecture, Examples, Initialization, Method, Network, Normalization, Settings, Training,
    /// };
    ///
    /// let normalization = Normalization { mean: vec![0.5], std: vec![0.5] };
    /// let layers = Architecture::FullyConnected(vec![8]).layers([1, 2, 2], 2)?;
    /// let network = Network::new([1, 2, 2], layers, normalization, Initialization::He, 1)?;
    /// let examples = Examples::new([1, 2, 2], vec![0.5; 8], vec![0, 1], 2)?;
    /// let mut training = Training::new(network, &examples, Settings::new(Method::Standard))?;
    /// assert_eq!(training.test_device()?, None);
    /// # Ok::<(), recert_train::Error>(())
    /// ```
    pub fn test_device(&mut self) -> Result<Option<&DeviceReport>> {
        let device = self.settings.device;
        if device != Device::Cpu && self.tested.is_none() {
            self.tested = Some(self.tested_by(&computed_on(device), device)?);
        }
        Ok(self.tested.as_ref())
    }

    pub(super) fn tested_by(&self, compute: Compute<'_>, device: Device) -> Result<DeviceReport> {
        let probes = Probe::all(&self.network, &self.sizes());
        let worst = compared(&probes, &self.device, compute)?;
        self.compare_losses(device)?;
        Ok(DeviceReport {
            device: self.device.clone(),
            probes: probes.len(),
            worst,
        })
    }

    /// The sizes that the training computes at. Those of evaluations that depend on what is found are
    /// smaller than the ones here.
    pub(super) fn sizes(&self) -> Sizes {
        let settings = &self.settings;
        let images = self.chosen[0].len();
        let full = settings.batch.min(images);
        let batches = [full, images % full];
        let mut values = batches.to_vec();
        if let Method::SmoothAdv { samples, .. } = settings.method {
            values.extend(batches.map(|count| count * samples));
        }
        values.push(BATCH);
        let mut sizes = Sizes {
            values,
            ..Sizes::default()
        };
        if settings.method.bounds() {
            sizes.intervals = [&batches[..], &[BATCH]].concat();
            sizes.rows = vec![BATCH];
        }
        if settings.method == Method::CrownIbp {
            sizes.rows.extend(batches);
        }
        if let Some(latent) = settings.method.latent() {
            let margins = self.network.classes() - 1;
            let counts = batches.map(|count| count * margins).to_vec();
            let cut = Cut::before(&self.network, latent.relus);
            sizes.attacked = cut.map(|cut| (cut.layer, counts));
        }
        sizes
    }

    /// Compares the losses of a batch, and their gradients, before, during and after the ramp, given the
    /// points and boxes that the processor finds.
    fn compare_losses(&self, device: Device) -> Result<()> {
        let schedule = &self.settings.schedule;
        let last = schedule.epochs - 1;
        let middle = usize::midpoint(schedule.ramp_start, schedule.ramp_end);
        let mut epochs = [0, middle, schedule.ramp_end, last].map(|epoch| epoch.min(last));
        epochs.sort_unstable();
        let positions = &self.chosen[0][..self.settings.batch.min(self.chosen[0].len())];
        // One step of a search meets all that more steps do.
        let attack = Attack {
            steps: self.settings.attack.steps.min(1),
            ..self.settings.attack
        };
        let mut before = None;
        for epoch in epochs {
            if before.replace(epoch) == Some(epoch) {
                continue;
            }
            let drawn = self.drawn([epoch, 0], 0.0, positions)?;
            let (pass, clean, _) = self.seen(&drawn, Precision::Single);
            let found = self.found(epoch, positions, &drawn, &attack, &pass);
            let (loss, gradients) = drawn.descended(pass, clean.as_ref(), &found);
            // Derivatives that are 0 but for rounding, as by biases before a batch normalization, are
            // measured by the others.
            let most = gradients.iter().map(|slopes| largest(slopes));
            let least = most.fold(0.0, f64::max) * LOSS_TOLERANCE;
            let expected = [loss.total.values()].into_iter().chain(gradients);
            let computed = on(device, || {
                let (pass, clean, _) = self.seen(&drawn, Precision::Single);
                let (loss, gradients) = drawn.descended(pass, clean.as_ref(), &found.moved());
                (loss.total.values(), gradients)
            });
            let what = format!(
                "the loss of {} in epoch {epoch}, for {} examples",
                drawn.method,
                positions.len()
            );
            let (loss, gradients) = computed.map_err(|why| {
                let text = format!("the device fails at {what}: {why}");
                Error::new(ErrorKind::Device, text)
            })?;
            let computed = [loss].into_iter().chain(gradients);
            for (number, (expected, computed)) in expected.zip(computed).enumerate() {
                let what = match number {
                    0 => what.clone(),
                    _ => format!("{what}, its derivatives by weights {}", number - 1),
                };
                let allowed = [LOSS_TOLERANCE, least];
                difference(&self.device, &what, &expected, &computed, allowed)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use recert_graph::testing::noise;

    use super::*;
    use crate::examples::Examples;
    use crate::self_test::tests::{long, losing_terms};
    use crate::settings::Settings;

    fn examples(count: usize) -> Examples {
        let pixels = noise(1, count * 144).into_iter().map(|x| 0.5 + 0.5 * x);
        let labels = (0..count).map(|image| image % 3).collect();
        Examples::new([1, 12, 12], pixels.collect(), labels, 3).unwrap()
    }

    fn training(examples: &Examples, batch: usize) -> Training<'_> {
        let settings = Settings {
            batch,
            ..Settings::new(Method::Standard)
        };
        Training::new(long(), examples, settings).unwrap()
    }

    #[test]
    fn a_device_is_tested_at_the_batch_of_the_run() {
        let examples = examples(1825);
        let broken = |batch| training(&examples, batch).tested_by(&losing_terms, Device::Cpu);
        let report = broken(1000).unwrap();
        // Full and last batches and those of evaluations, of three layers.
        assert_eq!((report.probes, report.worst), (9, 0.0));
        let error = broken(1825).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Device);
        assert!(error.to_string().contains("for 1825 examples"), "{error}");
    }

    #[test]
    fn the_sizes_are_those_of_the_method() {
        let examples = examples(100);
        let sizes = |method| {
            let mut training = training(&examples, 48);
            training.settings.method = method;
            training.sizes()
        };
        let with = |values: &[usize], intervals: &[usize], rows: &[usize]| Sizes {
            values: values.to_vec(),
            intervals: intervals.to_vec(),
            rows: rows.to_vec(),
            attacked: None,
        };
        assert_eq!(sizes(Method::Standard), with(&[48, 4, 128], &[], &[]));
        let ibp = with(&[48, 4, 128], &[48, 4, 128], &[128]);
        assert_eq!(sizes(Method::Ibp), ibp);
        let crown = with(&[48, 4, 128], &[48, 4, 128], &[128, 48, 4]);
        assert_eq!(sizes(Method::CrownIbp), crown);
        let (sigma, samples) = (0.1, 3);
        let noisy = with(&[48, 4, 144, 12, 128], &[], &[]);
        assert_eq!(sizes(Method::SmoothAdv { sigma, samples }), noisy);
    }

    #[test]
    fn a_training_goes_on_on_its_device_only() {
        let examples = examples(10);
        let mut elsewhere = training(&examples, 4);
        "gpu of another kind".clone_into(&mut elsewhere.device);
        let bytes = elsewhere.checkpoint().unwrap();
        let settings = elsewhere.settings.clone();
        let error = Training::resumed(long(), &examples, settings, &bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        let expected = "of a training on gpu of another kind, and this one is on cpu";
        assert!(error.to_string().contains(expected), "{error}");
    }
}
