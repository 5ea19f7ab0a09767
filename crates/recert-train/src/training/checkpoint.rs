//! Trainings as bytes, to go on from after an interruption.
//!
//! The format, little-endian: [`MAGIC`]; the SHA-256 of what the training is of (settings, layers,
//! examples); the device, as text; the state; and the SHA-256 of all before. A vector is its length and its elements.

use sha2::{Digest, Sha256};

use super::{Epoch, Training};
use crate::device::Device;
use crate::error::{Error, ErrorKind, Result};
use crate::evaluation::Scores;
use crate::examples::Examples;
use crate::network::Network;
use crate::settings::Settings;

/// What a checkpoint begins with; the number changes with the format.
const MAGIC: &[u8; 16] = b"recert-train v3\n";

fn refused(text: &str) -> Error {
    Error::new(ErrorKind::Checkpoint, text)
}

impl<'d> Training<'d> {
    /// The training as it is after the last epoch. Write it whole or not at all
    /// (`recert_graph::write_whole`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`] where an epoch was begun and not finished.
    pub fn checkpoint(&self) -> Result<Vec<u8>> {
        self.check_whole()?;
        let mut writer = Writer(MAGIC.to_vec());
        writer.0.extend(self.identity());
        writer.text(&self.device);
        writer.network(&self.network);
        writer.number(self.adam.steps);
        writer.vectors(&self.adam.means);
        writer.vectors(&self.adam.squares);
        writer.number(self.average.count);
        writer.vectors(&self.average.values);
        writer.network(&self.best.network);
        writer.number(self.best.epoch as u64);
        writer.scores(self.best.scores);
        writer.number(self.epochs.len() as u64);
        for epoch in &self.epochs {
            writer.number(epoch.number as u64);
            for number in [
                epoch.eps,
                epoch.ramp,
                epoch.rate,
                epoch.loss,
                epoch.gradient,
                epoch.seconds,
            ] {
                writer.float(number);
            }
            writer.optional(epoch.points);
            writer.optional(epoch.certified);
            writer.scores(epoch.validation);
        }
        let digest = Sha256::digest(&writer.0);
        writer.0.extend(digest);
        Ok(writer.0)
    }

    /// The training that a checkpoint is of, given the network that it began with (of which the
    /// layers count), the same examples and settings. More epochs, or fewer, may be asked for than
    /// were before.
    ///
    /// # Errors
    ///
    /// As [`Training::new`]; [`ErrorKind::Checkpoint`] where the bytes are damaged, or of another
    /// training.
    pub fn resumed(
        network: Network,
        examples: &'d Examples,
        settings: Settings,
        bytes: &[u8],
    ) -> Result<Self> {
        let mut training = Self::new(network, examples, settings)?;
        let body = bytes.len().checked_sub(32).map(|end| bytes.split_at(end));
        let Some((body, digest)) = body.filter(|(body, _)| body.starts_with(MAGIC)) else {
            return Err(refused("this is no checkpoint of this version"));
        };
        if Sha256::digest(body)[..] != *digest {
            return Err(refused("the checkpoint is damaged"));
        }
        let mut reader = Reader(&body[MAGIC.len()..]);
        if reader.take(32)? != training.identity() {
            return Err(refused(
                "the checkpoint is of a training with other settings, layers or data",
            ));
        }
        let device = reader.text()?;
        if device != training.device {
            let text = format!(
                "the checkpoint is of a training on {device}, and this one is on {}: their last \
                 bits differ",
                training.device
            );
            return Err(refused(&text));
        }
        reader.network(&mut training.network)?;
        training.adam.steps = reader.number()?;
        reader.vectors(&mut training.adam.means)?;
        reader.vectors(&mut training.adam.squares)?;
        training.average.count = reader.number()?;
        if training.average.count > 0 {
            training
                .average
                .values
                .clone_from(&training.network.parameters);
        }
        reader.vectors(&mut training.average.values)?;
        reader.network(&mut training.best.network)?;
        training.best.epoch = reader.number()? as usize;
        training.best.scores = reader.scores()?;
        for _ in 0..reader.number()? {
            let number = reader.number()? as usize;
            let mut floats = [0.0; 6];
            for float in &mut floats {
                *float = reader.float()?;
            }
            let [eps, ramp, rate, loss, gradient, seconds] = floats;
            training.epochs.push(Epoch {
                number,
                eps,
                ramp,
                rate,
                loss,
                points: reader.optional()?,
                certified: reader.optional()?,
                gradient,
                validation: reader.scores()?,
                seconds,
            });
        }
        if !reader.0.is_empty() {
            return Err(refused("the checkpoint is longer than it should be"));
        }
        Ok(training)
    }

    /// The SHA-256 of what the training is of.
    fn identity(&self) -> [u8; 32] {
        let mut settings = self.settings.clone();
        // How long training goes on changes nothing before its end.
        settings.schedule.epochs = usize::MAX;
        // The very device is compared by itself, so that a message can name it.
        settings.device = Device::Cpu;
        let network = &self.network;
        let text = format!(
            "{settings:?}\n{:?}\n{:?}\n{:?}\n{}\n",
            network.image,
            network.layers,
            network.normalization,
            self.examples.len()
        );
        let mut hash = Sha256::new();
        hash.update(text);
        hash.update(self.examples.fingerprint().collect::<Vec<u8>>());
        hash.finalize().into()
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend(text.as_bytes());
    }

    fn float(&mut self, number: f64) {
        self.number(number.to_bits());
    }

    fn optional(&mut self, number: Option<f64>) {
        self.number(number.is_some().into());
        self.float(number.unwrap_or_default());
    }

    fn scores(&mut self, scores: Option<Scores>) {
        self.optional(scores.map(|scores| scores.clean));
        for get in [
            |scores: Scores| scores.noisy,
            |scores: Scores| scores.adversarial,
            |scores: Scores| scores.certified,
        ] {
            self.optional(scores.and_then(get));
        }
    }

    fn vectors(&mut self, vectors: &[Vec<f32>]) {
        for vector in vectors {
            self.number(vector.len() as u64);
            self.0.extend(vector.iter().flat_map(|x| x.to_le_bytes()));
        }
    }

    fn network(&mut self, network: &Network) {
        self.vectors(&network.parameters);
        self.vectors(&network.statistics);
    }
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8]> {
        let split = self.0.split_at_checked(count);
        let (taken, rest) = split.ok_or_else(|| refused("the checkpoint ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64> {
        let bytes = self.take(8)?.try_into().expect("8 bytes");
        Ok(u64::from_le_bytes(bytes))
    }

    fn text(&mut self) -> Result<String> {
        let length = self.number()? as usize;
        let text = String::from_utf8(self.take(length)?.to_vec());
        text.map_err(|_| refused("the checkpoint is damaged"))
    }

    fn float(&mut self) -> Result<f64> {
        self.number().map(f64::from_bits)
    }

    fn optional(&mut self) -> Result<Option<f64>> {
        let there = self.number()?;
        let number = self.float()?;
        Ok((there != 0).then_some(number))
    }

    fn scores(&mut self) -> Result<Option<Scores>> {
        let clean = self.optional()?;
        let [noisy, adversarial, certified] =
            [self.optional()?, self.optional()?, self.optional()?];
        Ok(clean.map(|clean| Scores {
            clean,
            noisy,
            adversarial,
            certified,
        }))
    }

    /// Vectors of the lengths that these have.
    fn vectors(&mut self, vectors: &mut [Vec<f32>]) -> Result<()> {
        for vector in vectors {
            if self.number()? != vector.len() as u64 {
                return Err(refused("the checkpoint's weights are of another network"));
            }
            let bytes = self.take(4 * vector.len())?;
            let (elements, _) = bytes.as_chunks::<4>();
            for (element, bytes) in vector.iter_mut().zip(elements) {
                *element = f32::from_le_bytes(*bytes);
            }
        }
        Ok(())
    }

    fn network(&mut self, network: &mut Network) -> Result<()> {
        self.vectors(&mut network.parameters)?;
        self.vectors(&mut network.statistics)
    }
}
